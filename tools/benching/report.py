"""What was measured, as text: a table a row, a summary of all rows, a comparison with an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benching.harness import Row
from benching.measure import Found, ratios, target


def duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(row: Row, found: dict[str, Found]) -> Iterator[str]:
    """Times as "least (median)", one line a peer."""
    yield f"\n{row.name}: {row.title}"
    for peer, one in found.items():
        if "failed" in one:
            yield f"  {peer:12}{one['failed']}"
            continue
        parts = [f"{name} {duration(t['min'])} ({duration(t['median'])})" for name, t in one.get("times", {}).items()]
        if one.get("cold") is not None:
            parts.append(f"first {duration(one['cold'])}")
        memory = one["memory"]
        parts.append(f"{memory['gradient'] / 1e6:.0f} MB ({(memory['gradient'] - memory['value']) / 1e6:+.1f})")
        yield f"  {peer:12}{', '.join(parts)}{'  OTHER NUMBERS' if one.get('other numbers') else ''}"
    of = ratios(row, found)
    yield "  " + ", ".join(f"{name} {x:.2f}" for name, x in of.items())
    for name, (got, most) in target(row, of).items():
        yield f"  {'met' if got <= most else 'missed'}: {name} {got:.2f}, at most {most}"


def summary(rows: list[Row], measured: dict[str, dict[str, Found]]) -> Iterator[str]:
    """One line a row."""
    heads = ("gradient / c", "gradient / c-fast", "both / c", "call / jax", "value / c", "gradient / value")
    yield "\n" + " " * 22 + "".join(f"{head:>19}" for head in heads) + "  target"
    for row in rows:
        of = ratios(row, measured[row.name])
        jax = {"call / jax": of.get("call / jax", of.get("call / jax-forward"))}
        cells = [{**of, **jax}.get(head) for head in heads]
        aims = [f"{'met' if got <= most else 'MISSED'} {name}" for name, (got, most) in target(row, of).items()]
        figures = "".join(f"{'–' if x is None else f'{x:.2f}':>19}" for x in cells)
        yield f"{row.name:22}{figures}  {', '.join(aims)}"


def comparison(measured: dict[str, dict[str, Found]], earlier: dict[str, Any]) -> Iterator[str]:
    """How our times have changed, beside those of the peers, which tell how the machine has."""
    yield "\nnow / earlier"
    for name, found in measured.items():
        changes = []
        for peer, one in found.items():
            before = earlier.get(name, {}).get(peer, {}).get("times", {})
            for what, t in one.get("times", {}).items():
                if what in before and (peer == "dfl" or what in ("gradient", "both")):
                    changes.append(f"{peer} {what} {t['min'] / before[what]['min']:.2f}")
        yield f"{name:22}{', '.join(changes) or 'not there earlier'}"
