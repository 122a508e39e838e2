"""`python -m dsl` is the command `dfl`."""

import sys

from dsl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
