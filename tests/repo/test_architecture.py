"""The map of the package is true: what it names exists, and each claim's test does."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "dsl" / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_rooms_in_the_table_exist() -> None:
    rooms = re.findall(r"^\| `([\w/.]+)`", TEXT, re.M)
    assert rooms
    assert [room for room in rooms if not (ROOT / "dsl" / room).exists()] == []


def test_every_room_is_in_the_table() -> None:
    first_columns = " ".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("|"))
    rooms = {path.parent for path in (ROOT / "dsl").glob("[!_]*/*.*")}  # an empty folder is no room
    assert [room.name for room in sorted(rooms) if f"`{room.name}/" not in first_columns] == []


def test_named_tests_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)(?:::\w+)?`", TEXT))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
