"""Why a row takes the time that it takes: what the reverse sweep keeps, what LLVM says of loops that it could not give
vectors, and what the innermost loops of the machine code are made of (on x86-64)."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

from benching.harness import Row
from benching.native import compiled
from benching.own import Own
from dsl.options import Mode
from dsl.runtime.engine import Unit, compile_unit
from dsl.runtime.llvm import assembly

# What an instruction counts as, by its mnemonic in AT&T syntax; the first that fits.
KINDS = (
    ("calls", re.compile(r"call")),
    ("vector divides and roots", re.compile(r"v?(div|sqrt)p[sd]$")),
    ("scalar divides and roots", re.compile(r"v?(div|sqrt)s[sd]$")),
    ("vector arithmetic", re.compile(r"v?(add|sub|mul|min|max|fn?m(add|sub)[0-9]*|addsub|hadd)p[sd]$")),
    ("scalar arithmetic", re.compile(r"v?(add|sub|mul|min|max|fn?m(add|sub)[0-9]*)s[sd]$")),
    ("jumps", re.compile(r"j")),
)
ADDRESS = re.compile(r"\(%|\(,|\(%rip\)")
REMARKS = [f"-pass-remarks{kind}=loop-vectorize" for kind in ("", "-missed", "-analysis")]


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its function, the lines of the source that it comes from, its instructions."""

    function: str
    source: str
    code: Sequence[str]


def why(row: Row) -> str:
    with remarks():
        own = Own(row, row.small(np.random.default_rng(1)))
        unit = unit_of(own, None)
    with remarks() as said:
        text = assembly(unit.emitted.text, unit.opt_level)
    parts = [f"{row.name}: {row.title}"]
    if row.wanted == "gradient":
        forwards = unit_of(own, "forward").emitted.text == unit.emitted.text
        parts += ["", "by forward mode" if forwards else str(own.function.code_plan(*own.args))]
    parts += ["", "what LLVM says of loops", *(f"  {line}" for line in said)]
    loops = [loop for name, code in functions(text) for loop in innermost(name, code)]
    whole = mix([line for _, code in functions(text) for line in code if instruction(line)])
    parts += ["", f"machine code: {shown(whole)}", *(f"  loop of {one.function}, {one.source}: {shown(mix(one.code))}"
                                                     for one in loops)]  # fmt: skip
    return "\n".join(parts)


def unit_of(own: Own, mode: Mode | None) -> Unit:
    """The code of what is wanted, not compiled yet."""
    code = compiled(own.wanted, own.args, mode)
    return compile_unit(code.program, code.entry.name, own.function.workspace.options.opt_level)


@contextmanager
def remarks() -> Iterator[list[str]]:
    """What LLVM says of loops of the program meanwhile, when it is over: each remark once, with how often it came."""
    for option in REMARKS:
        llvm.set_option("bench", option)
    said: list[str] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)  # remarks go to the standard error
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        lines = file.read().decode(errors="replace").split("remark: ")[1:]
    counts = Counter(" ".join(line.split()) for line in lines if not line.startswith("<unknown>"))
    said += [f"{count}× {line}" for line, count in counts.items()]


def functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """The functions of the program in the assembly of a module; those of the memory core are left out."""
    name = ""
    code: list[str] = []
    for line in text.splitlines():
        if found := re.match(r'"?([^\s".][^":]*)"?:', line):
            name, code = found[1], []
        elif line.startswith((".Lfunc_end", "Lfunc_end")):
            if not name.startswith("dfl.") or name == "dfl.entry":
                yield name, code
        else:
            code.append(line)


def instruction(line: str) -> bool:
    return bool(re.match(r"\s+[a-z]", line))


def innermost(function: str, code: list[str]) -> Iterator[Loop]:
    """What lies between a label and a jump back to it, with no other such stretch inside."""
    labels = {found[1]: k for k, line in enumerate(code) if (found := re.match(r"(\.?L\w+):", line))}
    ends: dict[int, int] = {}
    for k, line in enumerate(code):
        target = re.match(r"\s+j\w+\s+(\.?L\w+)", line)
        if target and labels.get(target[1], k) < k:
            ends[labels[target[1]]] = k
    for start, end in ends.items():
        if not any(start < a and b <= end for a, b in ends.items()):
            inside = code[start:end]
            places = [re.match(r"\s+\.loc\s+\d+ (\d+) ", line) for line in inside]
            lines = sorted({int(found[1]) for found in places if found and found[1] != "0"})
            source = f"line {' to '.join(str(x) for x in sorted({lines[0], lines[-1]}))}" if lines else "no line"
            yield Loop(function, source, [line for line in code[start : end + 1] if instruction(line)])


def mix(code: Sequence[str]) -> Counter[str]:
    """How many instructions there are of each kind, and which functions are called."""
    counts: Counter[str] = Counter()
    for line in code:
        mnemonic, _, operands = line.split("#")[0].strip().partition("\t")
        counts["instructions"] += 1
        kind = next((kind for kind, pattern in KINDS if pattern.match(mnemonic)), "")
        if kind == "calls":
            counts[f"calls of {operands.removesuffix('@PLT')}"] += 1
        elif kind:
            counts[kind] += 1
        if ADDRESS.search(operands) and not mnemonic.startswith(("lea", "call", "j", "nop")):
            stored = mnemonic.startswith(("mov", "vmov")) and operands.rstrip().endswith(")")
            counts["stores" if stored else "loads"] += 1
            if "%rsp" in operands or "%rbp" in operands:
                counts["of these in the frame"] += 1
    return counts


def shown(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
