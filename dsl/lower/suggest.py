"""Hints: the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the closest of the known names, "" where none is close."""
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""
