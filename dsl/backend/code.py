"""A writer of LLVM functions by hand: what the kernels on whole arrays are made with.

Counted loops and branches without phis of one's own; numbers of elements are i64. The text is that of one function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Carried = Sequence[tuple[str, str]]  # type and first value of what a loop carries


class Code:
    def __init__(self, head: str) -> None:
        """`head`: `define … @name(…)` with its attributes."""
        self.lines = [f"{head} {{", "entry:"]
        self.block = "entry"
        self.count = 0

    def text(self) -> str:
        return "\n".join([*self.lines, "}\n"])

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def let(self, text: str) -> str:
        self.count += 1
        self.line(f"%v{self.count} = {text}")
        return f"%v{self.count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    # ------------------------------------------------------------ numbers and addresses
    def add(self, x: str, y: str) -> str:
        return self.let(f"add i64 {x}, {y}")

    def sub(self, x: str, y: str) -> str:
        return self.let(f"sub i64 {x}, {y}")

    def mul(self, x: str, y: str) -> str:
        return self.let(f"mul i64 {x}, {y}")

    def least(self, x: str, y: str) -> str:
        return self.let(f"call i64 @llvm.smin.i64(i64 {x}, i64 {y})")

    def most(self, x: str, y: str) -> str:
        return self.let(f"call i64 @llvm.smax.i64(i64 {x}, i64 {y})")

    def at(self, base: str, index: str, type: str) -> str:
        """The address of an element."""
        return self.let(f"getelementptr {type}, ptr {base}, i64 {index}")

    def load(self, base: str, index: str, type: str) -> str:
        return self.let(f"load {type}, ptr {self.at(base, index, type)}")

    def store(self, value: str, base: str, index: str, type: str) -> None:
        self.line(f"store {type} {value}, ptr {self.at(base, index, type)}")

    def all(self, *conditions: str) -> str:
        """Whether all of these comparisons (`eq i64 %x, 1`) or bools (`%b`) hold."""
        return self._join("and", conditions)

    def any(self, *conditions: str) -> str:
        return self._join("or", conditions)

    def _join(self, op: str, conditions: Sequence[str]) -> str:
        bools = [c if c.startswith("%") else self.let(f"icmp {c}") for c in conditions]
        whole = bools[0]
        for b in bools[1:]:
            whole = self.let(f"{op} i1 {whole}, {b}")
        return whole

    # ------------------------------------------------------------ control flow
    def each(
        self,
        count: str,
        body: Callable[[str, list[str]], Sequence[str] | None],
        carried: Carried = (),
        first: str = "0",
        step: int = 1,
    ) -> list[str]:
        """A loop with indices first, first + step, … below count; `body` gets the index and what is carried and gives
        the next of these. The result: what is carried at the end."""
        before, top, after = self.block, self.label(), self.label()
        some = self.let(f"icmp sgt i64 {count}, {first}")
        self.line(f"br i1 {some}, label %{top}, label %{after}")
        self.start(top)
        slot = len(self.lines)
        self.lines.append("")
        names = [f"%{top}.{k}" for k in range(len(carried))]
        following = list(body(f"%{top}.i", names) or ())
        index = self.let(f"add nsw i64 %{top}.i, {step}")
        more = self.let(f"icmp slt i64 {index}, {count}")
        self.line(f"br i1 {more}, label %{top}, label %{after}")
        phis = [f"  %{top}.i = phi i64 [ {first}, %{before} ], [ {index}, %{self.block} ]"]
        for name, (type, init), value in zip(names, carried, following, strict=True):
            phis.append(f"  {name} = phi {type} [ {init}, %{before} ], [ {value}, %{self.block} ]")
        self.lines[slot] = "\n".join(phis)
        last = self.block
        self.start(after)
        return [
            self.let(f"phi {type} [ {init}, %{before} ], [ {value}, %{last} ]")
            for (type, init), value in zip(carried, following, strict=True)
        ]

    def when(self, condition: str, then: Callable[[], object]) -> None:
        """`then` where a bool is true; goes on behind it, or leaves by itself with `give`."""
        inside, after = self.label(), self.label()
        self.line(f"br i1 {condition}, label %{inside}, label %{after}")
        self.start(inside)
        then()
        if not self.lines[-1].startswith("  ret "):
            self.line(f"br label %{after}")
        self.start(after)

    def give(self, value: str) -> None:
        self.line(f"ret i64 {value}")
