"""LAPACK's factorisations as kernels: functions that bring operands and workspace into the form that LAPACK takes.

Matrices are f64, column by column from the first record. Each function gives LAPACK's info, or -1 where there is no
memory. What is not finite gives info 1 in the iterative ones, which LAPACK may not survive. `ops.factor` has the
references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.backend.code import Code
from dsl.ops.factor import NEGLIGIBLE

D, INT, BYTE = "double", "i32", "i8"
_SIZES = {D: 8, INT: 4, BYTE: 1}


class Lapack(Code):
    """A function of pointers and numbers that calls LAPACK."""

    def __init__(self, name: str, pointers: Sequence[str], numbers: Sequence[str]) -> None:
        params = ", ".join([*(f"ptr noalias %{p}" for p in pointers), *(f"i64 %{n}" for n in numbers)])
        super().__init__(f"define internal i64 @dfl.{name}({params}) nounwind")
        self.blocks: list[str] = []
        self.info = self.let("alloca i32")
        self.line(f"store i32 0, ptr {self.info}")

    def letter(self, text: str) -> str:
        return self.cell(str(ord(text)), BYTE)

    def cell(self, value: str, type: str = INT) -> str:
        """A variable with a value."""
        at = self.let(f"alloca {type}")
        self.line(f"store {type} {value}, ptr {at}")
        return at

    def int(self, number: str) -> str:
        """A variable with an i64 as a C int."""
        return self.cell(self.let(f"trunc i64 {number} to i32"))

    def work(self, count: str, type: str) -> str:
        """A block of memory, freed by `finish`."""
        block = self.let(f"call ptr @malloc(i64 {self.most(self.mul(count, str(_SIZES[type])), '8')})")
        held = tuple(self.blocks)

        def fail() -> None:
            for other in held:
                self.line(f"call void @free(ptr {other})")
            self.give("-1")

        self.when(self.let(f"icmp eq ptr {block}, null"), fail)
        self.blocks.append(block)
        return block

    def lapack(self, name: str, *operands: str) -> None:
        self.line(f"call void @dfl.blas.{name}({', '.join(f'ptr {x}' for x in operands)})")

    def finish(self) -> str:
        for block in self.blocks:
            self.line(f"call void @free(ptr {block})")
        self.give(self.let(f"sext i32 {self.let(f'load i32, ptr {self.info}')} to i64"))
        return self.text()

    def refuse_infinite(self, count: str, a: str, first: Callable[[str], str], rows: str) -> None:
        """Give 1 where a column, from a row on, has an element that is not finite."""

        def column(j: str, s: list[str]) -> list[str]:
            return self.each(
                rows,
                lambda i, t: [self.let(f"fadd double {t[0]}, {self._nothing(self.add(i, self.mul(j, rows)), a)}")],
                [(D, s[0])],
                first=first(j),
            )

        (total,) = self.each(count, column, [(D, "0.0")])
        self.when(self.let(f"fcmp une double {total}, 0.0"), lambda: self.give("1"))

    def _nothing(self, index: str, a: str) -> str:
        """0, or NaN for an element that is not finite."""
        x = self.load(a, index, D)
        return self.let(f"fsub double {x}, {x}")

    def upright(self, base: str, count: str, stride: str, also: Sequence[tuple[str, str]]) -> None:
        """Turn a vector, and others (base, size; contiguous) with it, so that its last component that is not negligible
        is positive."""
        at: Callable[[str], str] = lambda i: self.load(base, self.mul(i, stride), D)  # noqa: E731
        size: Callable[[str], str] = lambda x: self.let(f"call double @llvm.fabs.f64(double {x})")  # noqa: E731
        larger = "call double @llvm.maxnum.f64(double {}, double {})"
        (largest,) = self.each(count, lambda i, s: [self.let(larger.format(s[0], size(at(i))))], [(D, "0.0")])
        least = self.let(f"fmul double {largest}, {NEGLIGIBLE!r}")

        def last(i: str, s: list[str]) -> list[str]:
            x = at(i)
            counts = self.let(f"fcmp ogt double {size(x)}, {least}")
            return [self.let(f"select i1 {counts}, double {x}, double {s[0]}")]

        (deciding,) = self.each(count, last, [(D, "1.0")])

        def turn() -> None:
            for b, n, step in ((base, count, stride), *((x, y, "1") for x, y in also)):
                def negate(i: str, _: list[str], b: str = b, step: str = step) -> None:
                    index = self.mul(i, step)
                    self.store(self.let(f"fneg double {self.load(b, index, D)}"), b, index, D)

                self.each(n, negate)

        self.when(self.let(f"fcmp olt double {deciding}, 0.0"), turn)


def getrf() -> str:
    f = Lapack("getrf", ("a", "p"), ("n",))
    n, ld = f.int("%n"), f.int(f.most("%n", "1"))
    pivots = f.work("%n", INT)
    f.lapack("dgetrf", n, n, "%a", ld, pivots, f.info)

    def pivot(i: str, _: list[str]) -> None:
        f.store(f.add(f.let(f"sext i32 {f.load(pivots, i, INT)} to i64"), "-1"), "%p", i, "i64")

    f.each("%n", pivot)
    return f.finish()


def potrf() -> str:
    """LAPACK's `info` need not tell of a NaN: the diagonal does."""
    f = Lapack("potrf", ("a",), ("n",))
    f.lapack("dpotrf", f.letter("L"), f.int("%n"), "%a", f.int(f.most("%n", "1")), f.info)

    def column(j: str, s: list[str]) -> list[str]:
        start = f.mul(j, "%n")
        f.each(j, lambda i, _: f.store("0.0", "%a", f.add(start, i), D))
        good = f.let(f"fcmp ogt double {f.load('%a', f.add(start, j), D)}, 0.0")
        here = f.let(f"select i1 {good}, i64 %n, i64 {j}")
        return [f.least(s[0], here)]

    (first,) = f.each("%n", column, [("i64", "%n")])
    found = f.let(f"load i32, ptr {f.info}")
    unnoticed = f.all(f"eq i32 {found}, 0", f"slt i64 {first}, %n")
    f.when(unnoticed, lambda: f.give(f.add(first, "1")))
    return f.finish()


def trsm() -> str:
    f = Lapack("trsm", ("a", "b"), ("n", "nrhs", "lower", "trans", "unit"))

    def choice(flag: str, yes: str, no: str) -> str:
        given = f.let(f"icmp ne i64 {flag}, 0")
        return f.cell(f.let(f"select i1 {given}, i8 {ord(yes)}, i8 {ord(no)}"), BYTE)

    ld = f.int(f.most("%n", "1"))
    f.lapack(
        "dtrsm", f.letter("L"), choice("%lower", "L", "U"), choice("%trans", "T", "N"), choice("%unit", "U", "N"),
        f.int("%n"), f.int("%nrhs"), f.cell("1.0", D), "%a", ld, "%b", ld,
    )  # fmt: skip
    return f.finish()


def qr() -> str:
    f = Lapack("qr", ("a", "r"), ("m", "n"))
    k = f.least("%m", "%n")
    size = f.mul(f.most("%n", "1"), "64")  # columns times the width of a block
    m, n, ks, ld, lwork = f.int("%m"), f.int("%n"), f.int(k), f.int(f.most("%m", "1")), f.int(size)
    tau, work = f.work(k, D), f.work(size, D)
    f.lapack("dgeqrf", m, n, "%a", ld, tau, work, lwork, f.info)

    def column(j: str, _: list[str]) -> None:
        source, target = f.at("%a", f.mul(j, "%m"), D), f.at("%r", f.mul(j, k), D)
        upper = f.least(f.add(j, "1"), k)
        f.each(upper, lambda i, _: f.store(f.load(source, i, D), target, i, D))
        f.each(k, lambda i, _: f.store("0.0", target, i, D), first=upper)

    f.each("%n", column)
    f.lapack("dorgqr", m, ks, ks, "%a", ld, tau, work, lwork, f.info)
    return f.finish()


def syev() -> str:
    f = Lapack("syev", ("a", "w"), ("n",))
    f.refuse_infinite("%n", "%a", lambda j: j, "%n")
    size = f.add(f.mul(f.mul("%n", "%n"), "2"), f.add(f.mul("%n", "6"), "1"))
    isize = f.add(f.mul("%n", "5"), "3")
    work, iwork = f.work(size, D), f.work(isize, INT)
    f.lapack(
        "dsyevd", f.letter("V"), f.letter("L"), f.int("%n"), "%a", f.int(f.most("%n", "1")), "%w", work, f.int(size),
        iwork, f.int(isize), f.info,
    )  # fmt: skip
    f.each("%n", lambda j, _: f.upright(f.at("%a", f.mul(j, "%n"), D), "%n", "1", ()))
    return f.finish()


def svd() -> str:
    f = Lapack("svd", ("a", "u", "s", "vt"), ("m", "n"))
    f.refuse_infinite("%n", "%a", lambda j: "0", "%m")
    k, most = f.least("%m", "%n"), f.most("%m", "%n")
    size = f.add(f.mul(f.mul(k, k), "4"), f.add(f.mul(k, "7"), f.add(f.mul(most, "128"), "1")))
    work, iwork = f.work(size, D), f.work(f.mul(k, "8"), INT)
    ldm, ldk = f.int(f.most("%m", "1")), f.int(f.most(k, "1"))
    f.lapack(
        "dgesdd", f.letter("S"), f.int("%m"), f.int("%n"), "%a", ldm, "%s", "%u", ldm, "%vt", ldk, work, f.int(size),
        iwork, f.info,
    )  # fmt: skip
    f.each(k, lambda j, _: f.upright(f.at("%vt", j, D), "%n", k, [(f.at("%u", f.mul(j, "%m"), D), "%m")]))
    return f.finish()


# The kernels, and what of BLAS and LAPACK each of them calls.
FUNCTIONS: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "getrf": (getrf, ("dgetrf",)),
    "potrf": (potrf, ("dpotrf",)),
    "trsm": (trsm, ("dtrsm",)),
    "qr": (qr, ("dgeqrf", "dorgqr")),
    "syev": (syev, ("dsyevd",)),
    "svd": (svd, ("dgesdd",)),
}
