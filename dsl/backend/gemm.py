"""C += A * B natively: loops for small matrices, BLAS for large ones, for any strides.

The loops come in three forms, by which strides are 1, so that LLVM can vectorise the innermost one; sums may be taken
in any order, and products be fused into them. BLAS needs one stride of each matrix to be 1: what has none is packed
first, and C is transposed together with the whole product where its rows are contiguous.
"""

from __future__ import annotations

from dsl.backend.code import Code

# Multiplications up to which the loops are used. Measured (AVX-512, OpenBLAS, ns a product n×n, loops and BLAS): n = 4:
# 21, 54; n = 6: 62, 74; n = 8: 75, 57; n = 16: 328, 198; n = 64: 16000, 9400. Where a size is 1 the work is bound by
# memory and the loops are as fast at any size (512×512 times a vector: 25 µs, 35 µs).
LOOPS_MOST = 300.0
INT_MOST = (1 << 31) - 1
_PROBLEM = "i64 %m, i64 %n, i64 %k, ptr {c}%c, i64 %ci, i64 %cj, ptr %a, i64 %ai, i64 %ak, ptr %b, i64 %bk, i64 %bj"
_ATTRIBUTES = "nounwind"
_TYPES = {"f64": "double", "f32": "float", "i64": "i64"}
_BLAS = {"f64": "d", "f32": "s"}


def functions(suffix: str) -> tuple[list[str], tuple[str, ...]]:
    """The functions of one element type (`dfl.gemm.f64`: 0, or -1 where there is no memory), and the functions of BLAS
    that they need."""
    kernel = _Gemm(suffix)
    texts = [kernel.columns(), kernel.dots(), kernel.any(), kernel.loops(), kernel.whole()]
    if suffix not in _BLAS:
        return texts, ()
    letter = _BLAS[suffix]
    return [*texts, kernel.pack(), kernel.blas()], (f"{letter}gemm",)


def call(m: str, n: str, k: str, c: tuple[str, str, str], a: tuple[str, str, str], b: tuple[str, str, str]) -> str:
    """The operands of a call, each matrix with its two strides."""
    matrices = (f"ptr {x}, i64 {p}, i64 {q}" for x, p, q in (c, a, b))
    return f"i64 {m}, i64 {n}, i64 {k}, {', '.join(matrices)}"


_C, _A, _B = ("%c", "%ci", "%cj"), ("%a", "%ai", "%ak"), ("%b", "%bk", "%bj")
_SAME = call("%m", "%n", "%k", _C, _A, _B)
_SWAPPED = call("%n", "%m", "%k", ("%c", "%cj", "%ci"), ("%b", "%bj", "%bk"), ("%a", "%ak", "%ai"))


class _Gemm:
    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.type = _TYPES[suffix]
        self.float = suffix in _BLAS

    def head(self, name: str, gives: str = "void") -> str:
        params = _PROBLEM.format(c="noalias ")
        return f"define internal {gives} @dfl.gemm{name}.{self.suffix}({params}) {_ATTRIBUTES}"

    def product(self, code: Code, x: str, y: str, total: str) -> str:
        """total + x * y"""
        t = self.type
        if not self.float:
            return code.add(total, code.mul(x, y))
        return code.let(f"fadd reassoc contract {t} {total}, {code.let(f'fmul reassoc contract {t} {x}, {y}')}")

    # ------------------------------------------------------------ loops
    def columns(self) -> str:
        """Contiguous columns of A and C: multiples of four columns of A at a time are added to one of C."""
        code = Code(self.head(".columns"))
        t = self.type
        fours = code.let("and i64 %k, -4")

        def add(c: str, b: str, p: str, width: int) -> None:
            ks = [code.add(p, str(q)) for q in range(width)]
            factors = [code.load(b, code.mul(q, "%bk"), t) for q in ks]
            columns = [code.at("%a", code.mul(q, "%ak"), t) for q in ks]

            def row(i: str, _: list[str]) -> None:
                total = code.load(c, i, t)
                for column, factor in zip(columns, factors, strict=True):
                    total = self.product(code, code.load(column, i, t), factor, total)
                code.store(total, c, i, t)

            code.each("%m", row)

        def column(j: str, _: list[str]) -> None:
            c, b = code.at("%c", code.mul(j, "%cj"), t), code.at("%b", code.mul(j, "%bj"), t)
            code.each(fours, lambda p, _: add(c, b, p, 4), step=4)
            code.each("%k", lambda p, _: add(c, b, p, 1), first=fours)

        code.each("%n", column)
        code.line("ret void")
        return code.text()

    def dots(self) -> str:
        """Contiguous rows of A and columns of B: an inner product for each element of C."""
        code = Code(self.head(".dots"))
        t = self.type

        def element(i: str, b: str, c: str) -> None:
            a = code.at("%a", code.mul(i, "%ai"), t)
            zero = "0.0" if self.float else "0"
            (total,) = code.each(
                "%k", lambda p, s: [self.product(code, code.load(a, p, t), code.load(b, p, t), s[0])], [(t, zero)]
            )
            self.increase(code, c, code.mul(i, "%ci"), total)

        def column(j: str, _: list[str]) -> None:
            c, b = code.at("%c", code.mul(j, "%cj"), t), code.at("%b", code.mul(j, "%bj"), t)
            code.each("%m", lambda i, _: element(i, b, c))

        code.each("%n", column)
        code.line("ret void")
        return code.text()

    def increase(self, code: Code, base: str, index: str, value: str) -> None:
        t = self.type
        at = code.at(base, index, t)
        old = code.let(f"load {t}, ptr {at}")
        new = code.let(f"{'fadd' if self.float else 'add'} {t} {old}, {value}")
        code.line(f"store {t} {new}, ptr {at}")

    def any(self) -> str:
        """Any strides."""
        code = Code(self.head(".any"))
        t = self.type

        def element(i: str, b: str, c: str) -> None:
            a = code.at("%a", code.mul(i, "%ai"), t)

            def term(p: str, s: list[str]) -> list[str]:
                x, y = code.load(a, code.mul(p, "%ak"), t), code.load(b, code.mul(p, "%bk"), t)
                return [self.product(code, x, y, s[0])]

            (total,) = code.each("%k", term, [(t, "0.0" if self.float else "0")])
            self.increase(code, c, code.mul(i, "%ci"), total)

        def column(j: str, _: list[str]) -> None:
            c, b = code.at("%c", code.mul(j, "%cj"), t), code.at("%b", code.mul(j, "%bj"), t)
            code.each("%m", lambda i, _: element(i, b, c))

        code.each("%n", column)
        code.line("ret void")
        return code.text()

    def loops(self) -> str:
        """The loops for these strides."""
        code = Code(self.head(".loops"))
        forms = (
            (("sgt i64 %m, 1", "eq i64 %ci, 1", "eq i64 %ai, 1"), "columns", _SAME),
            (("sgt i64 %n, 1", "eq i64 %cj, 1", "eq i64 %bj, 1"), "columns", _SWAPPED),
            (("eq i64 %ak, 1", "eq i64 %bk, 1"), "dots", _SAME),
        )

        def run(name: str, operands: str) -> None:
            code.line(f"call void @dfl.gemm.{name}.{self.suffix}({operands})")
            code.line("ret void")

        for conditions, name, operands in forms:
            code.when(code.all(*conditions), lambda n=name, o=operands: run(n, o))  # type: ignore[misc]
        run("any", _SAME)
        return code.text()

    # ------------------------------------------------------------ which
    def whole(self) -> str:
        code = Code(self.head("", "i64"))
        code.when(code.any("slt i64 %m, 1", "slt i64 %n, 1", "slt i64 %k, 1"), lambda: code.give("0"))
        if self.float:
            sizes = [code.let(f"sitofp i64 {x} to double") for x in ("%m", "%n", "%k")]
            work = code.let(f"fmul double {code.let(f'fmul double {sizes[0]}, {sizes[1]}')}, {sizes[2]}")
            many = code.let(f"fcmp ogt double {work}, {LOOPS_MOST}")
            large = code.all(many, "sgt i64 %m, 1", "sgt i64 %n, 1", "sgt i64 %k, 1")
            blas = f"call i64 @dfl.gemm.blas.{self.suffix}({_SAME})"
            code.when(large, lambda: code.give(code.let(blas)))
        code.line(f"call void @dfl.gemm.loops.{self.suffix}({_SAME})")
        code.give("0")
        return code.text()

    # ------------------------------------------------------------ BLAS
    def pack(self) -> str:
        """A contiguous copy, column by column, of a matrix; null: no memory."""
        t, s = self.type, self.suffix
        code = Code(f"define internal ptr @dfl.pack.{s}(i64 %m, i64 %n, ptr %a, i64 %ai, i64 %aj) {_ATTRIBUTES}")
        size = code.let(f"ptrtoint ptr {code.at('null', '1', t)} to i64")
        copy = code.let(f"call ptr @malloc(i64 {code.mul(code.mul('%m', '%n'), size)})")

        def column(j: str, _: list[str]) -> None:
            source, target = code.at("%a", code.mul(j, "%aj"), t), code.at(copy, code.mul(j, "%m"), t)
            code.each("%m", lambda i, _: code.store(code.load(source, code.mul(i, "%ai"), t), target, i, t))

        columns = code.let(f"select i1 {code.let(f'icmp eq ptr {copy}, null')}, i64 0, i64 %n")
        code.each(columns, column)
        code.line(f"ret ptr {copy}")
        return code.text()

    def blas(self) -> str:
        """One thing at a time is brought into a form that BLAS takes; then the function calls itself."""
        t, s, letter = self.type, self.suffix, _BLAS[self.suffix]
        code = Code(self.head(".blas", "i64"))
        again = f"@dfl.gemm.blas.{s}"
        ints = {x: code.let("alloca i32") for x in ("m", "n", "k", "lda", "ldb", "ldc")}
        one, kind_a, kind_b = code.let(f"alloca {t}"), code.let("alloca i8"), code.let("alloca i8")
        code.line(f"store {t} 1.0, ptr {one}")
        c_plain, c_turned, ldc = self.form(code, "%m", "%n", "%ci", "%cj")
        a_plain, a_turned, lda = self.form(code, "%m", "%k", "%ai", "%ak")
        b_plain, b_turned, ldb = self.form(code, "%k", "%n", "%bk", "%bj")
        sizes = {"m": "%m", "n": "%n", "k": "%k", "lda": lda, "ldb": ldb, "ldc": ldc}
        huge = code.any(*(f"sgt i64 {x}, {INT_MOST}" for x in sizes.values()))

        def loops() -> None:
            code.line(f"call void @dfl.gemm.loops.{s}({_SAME})")
            code.give("0")

        def packed(x: str, rows: str, cols: str, strides: tuple[str, str], operands: str) -> None:
            row, column = strides
            pack = f"call ptr @dfl.pack.{s}(i64 {rows}, i64 {cols}, ptr {x}, i64 {row}, i64 {column})"
            copy = code.let(pack)
            code.when(code.let(f"icmp eq ptr {copy}, null"), lambda: code.give("-1"))
            info = code.let(f"call i64 {again}({operands.format(copy=copy)})")
            if x == "%c":  # the copy has the sum now
                code.each(cols, lambda j, _: code.each(rows, lambda i, _: code.store(
                    code.load(copy, code.add(i, code.mul(j, rows)), t),
                    x, code.add(code.mul(i, row), code.mul(j, column)), t,
                )) and None)  # fmt: skip
            code.line(f"call void @free(ptr {copy})")
            code.give(info)

        def no(*forms: str) -> str:
            return code.let(f"xor i1 {code.any(*forms)}, true")

        code.when(huge, loops)
        only_turned = code.all(c_turned, code.let(f"xor i1 {c_plain}, true"))
        code.when(only_turned, lambda: code.give(code.let(f"call i64 {again}({_SWAPPED})")))
        code.when(no(c_plain), lambda: packed(
            "%c", "%m", "%n", ("%ci", "%cj"), call("%m", "%n", "%k", ("{copy}", "1", "%m"), _A, _B)))  # fmt: skip
        code.when(no(a_plain, a_turned), lambda: packed(
            "%a", "%m", "%k", ("%ai", "%ak"), call("%m", "%n", "%k", _C, ("{copy}", "1", "%m"), _B)))  # fmt: skip
        code.when(no(b_plain, b_turned), lambda: packed(
            "%b", "%k", "%n", ("%bk", "%bj"), call("%m", "%n", "%k", _C, _A, ("{copy}", "1", "%k"))))  # fmt: skip
        for x, value in sizes.items():
            code.line(f"store i32 {code.let(f'trunc i64 {value} to i32')}, ptr {ints[x]}")
        for kind, plain in ((kind_a, a_plain), (kind_b, b_plain)):
            letter_code = code.let(f"select i1 {plain}, i8 {ord('N')}, i8 {ord('T')}")
            code.line(f"store i8 {letter_code}, ptr {kind}")
        operands = ", ".join(f"ptr {x}" for x in (
            kind_a, kind_b, ints["m"], ints["n"], ints["k"], one, "%a", ints["lda"], "%b", ints["ldb"], one, "%c",
            ints["ldc"],
        ))  # fmt: skip
        code.line(f"call void @dfl.blas.{letter}gemm({operands})")
        code.give("0")
        return code.text()

    @staticmethod
    def form(code: Code, rows: str, cols: str, row: str, column: str) -> tuple[str, str, str]:
        """Whether a matrix is what BLAS calls a matrix, whether its transpose is, and the leading dimension. A stride
        of a dimension of size 1 may be anything."""
        one_row, one_column = code.all(f"eq i64 {rows}, 1"), code.all(f"eq i64 {cols}, 1")
        plain = code.all(
            code.any(f"eq i64 {row}, 1", one_row), code.any(f"sge i64 {column}, {rows}", one_column)
        )
        turned = code.all(
            code.any(f"eq i64 {column}, 1", one_column), code.any(f"sge i64 {row}, {cols}", one_row)
        )
        first = code.let(f"select i1 {one_column}, i64 {rows}, i64 {column}")
        second = code.let(f"select i1 {one_row}, i64 {cols}, i64 {row}")
        return plain, turned, code.let(f"select i1 {plain}, i64 {first}, i64 {second}")
