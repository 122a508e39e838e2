"""`python -m dsl` is the command `dfl`."""

from dsl.cli.main import process

if __name__ == "__main__":
    process()
