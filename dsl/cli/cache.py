"""`dfl cache`: where what is kept from one start to the next lies, how much it is, and how to be rid of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter

from dsl.cli.output import print_json
from dsl.store import limit, store


def configure(parser: ArgumentParser, command: str) -> None:
    parser.add_argument("action", choices=("info", "clear", "dir"), help="tell what is there, remove it, or tell where")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: Namespace) -> int:
    kept = store()
    if arguments.action == "clear" and kept is not None:
        kept.clear()
    folder = kept.folder if kept is not None else None
    if arguments.action != "info":
        if arguments.json:
            print_json({"folder": folder})
        elif arguments.action == "dir":
            print(folder or "nothing is kept")
        return 0
    entries = kept.entries() if kept is not None else []
    bytes_, kinds = sum(size for _, size, _ in entries), Counter(path.rpartition(".")[2] for _, _, path in entries)
    if arguments.json:
        print_json({"folder": folder, "bytes": bytes_, "limit": limit(), "entries": dict(sorted(kinds.items()))})
    elif folder is None:
        print("nothing is kept")
    else:
        print(f"{folder}\n{bytes_ / 2**20:.1f} MB of at most {limit() >> 20} MB")
        for kind, count in sorted(kinds.items()):
            print(f"{count:6d}  {kind}")
    return 0
