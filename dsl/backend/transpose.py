"""Rows that are apart in memory, laid side by side (`ops.kernels`): in pieces of four rows and two columns, which are
read as halves of vectors, so that a column takes one shuffle."""

from __future__ import annotations

from dsl.backend.code import Code

_TYPES = {"f64": ("double", 8), "f32": ("float", 4), "i64": ("i64", 8)}
_BOTH, _EVEN, _ODD = (
    f"<4 x i32> <{', '.join(f'i32 {k}' for k in elements)}>" for elements in ((0, 1, 2, 3), (0, 4, 2, 6), (1, 5, 3, 7))
)


def function(suffix: str) -> str:
    type, size = _TYPES[suffix]
    params = "ptr noalias %b, ptr %a, i64 %m, i64 %n, i64 %a0, i64 %ai"
    code = Code(f"define internal i64 @dfl.transpose.{suffix}({params}) nounwind")
    fours, last = code.let("and i64 %m, -4"), code.sub("%n", "2")
    pairs = code.let(f"select i1 {code.let('icmp slt i64 %n, 2')}, i64 0, i64 %n")

    def row(i: str) -> str:
        return code.at("%a", code.add("%a0", code.mul(i, "%ai")), type)

    def half(base: str, j: str) -> str:
        return code.let(f"load <2 x {type}>, ptr {code.at(base, j, type)}, align {size}")

    def halves(low: str, high: str) -> str:
        return code.let(f"shufflevector <2 x {type}> {low}, <2 x {type}> {high}, {_BOTH}")

    def four(i: str, _: list[str]) -> None:
        rows = [row(code.add(i, str(k))) for k in range(4)]

        def piece(j: str, _: list[str]) -> None:
            """The last one may have a column of the one before, too."""
            j = code.least(j, last)
            parts = [half(r, j) for r in rows]
            left, right = halves(parts[0], parts[2]), halves(parts[1], parts[3])
            for k, mask in enumerate((_EVEN, _ODD)):
                column = code.let(f"shufflevector <4 x {type}> {left}, <4 x {type}> {right}, {mask}")
                at = code.at("%b", code.add(i, code.mul(code.add(j, str(k)), "%m")), type)
                code.line(f"store <4 x {type}> {column}, ptr {at}, align {size}")

        code.each(pairs, piece, step=2)

    def one(i: str, first: str) -> None:
        base = row(i)
        code.each("%n", lambda j, _: code.store(
            code.load(base, j, type), "%b", code.add(i, code.mul(j, "%m")), type), first=first)  # fmt: skip

    code.each(fours, four, step=4)
    code.each(fours, lambda i, _: one(i, pairs))  # where there is one column
    code.each("%m", lambda i, _: one(i, "0"), first=fours)
    code.give("0")
    return code.text()
