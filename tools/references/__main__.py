"""`tools/reference` writes what is made of something else: reference pages of tables, the parser's tables of the
grammar; `tools/reference --check` exits 1 where one is not what it is made of says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from dsl.syntax.grammar import tables_text
from references import primitives

ROOT = Path(__file__).resolve().parent.parent.parent


def parser_tables() -> str:
    return tables_text((ROOT / "grammar" / "dfl.lark").read_text(encoding="utf-8"))


MADE: dict[str, Callable[[], str]] = {"grammar/PRIMITIVES.md": primitives.page, "grammar/dfl.tables": parser_tables}


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for name, make in MADE.items():
        path, text = ROOT / name, make()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments:
            print(f"{name} is stale: run tools/reference", file=sys.stderr)
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
