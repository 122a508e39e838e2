"""The LLVM IR of scalar primitives: instructions for one op, and the functions ("kernels") that some of them call.

Guarantees the bits of `dsl.ops.evaluate`. Text only; knows nothing of llvmlite. Functions of the C library are called
with `nobuiltin`, so that LLVM neither folds nor replaces them. Kernels are internal functions named `@dfl.NAME`; those
of primitives with a formula are written from it, operation by operation.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from functools import cache

from dsl.ir.core import Region, Value
from dsl.ops import PRIMITIVES, Builder, Sym, result_type
from dsl.ops.polynomials import FAR
from dsl.types import BOOL, F32, F64, I64, LeafType

LLVM_TYPES: dict[LeafType, str] = {F64: "double", F32: "float", I64: "i64", BOOL: "i1"}
SUFFIXES: dict[LeafType, str] = {F64: "f64", F32: "f32", I64: "i64", BOOL: "i1"}

# The attributes of a call of the C library, and of a kernel: LLVM may share and move them, but knows no more.
LIBM_ATTRIBUTES = "nobuiltin nounwind willreturn memory(none)"
KERNEL_ATTRIBUTES = "alwaysinline nounwind willreturn memory(none)"


def llvm_type(t: LeafType) -> str:
    return LLVM_TYPES.get(t, "ptr")


def constant(value: float | int | bool, type: LeafType) -> str:
    """A constant as an operand: floats by their bits, since a decimal need not be exact."""
    if type == BOOL:
        return "true" if value else "false"
    if type == I64:
        return str(int(value))
    # LLVM writes a float constant, too, with the 16 digits of the double of the same value.
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"


# ---------------------------------------------------------------- one op


def instructions(name: str, types: Sequence[LeafType], operands: Sequence[str], result: str, prefix: str) -> list[str]:
    """The instructions (no indentation) that compute a primitive into `%result`. `operands` are `%names` or constants
    without types, `prefix` is unique to this op in its function. What they call: `declarations`, `needed`."""
    form = PRIMITIVES[name].llvm_form(types[0])
    r = llvm_type(result_type(name, types))
    kind, _, callee = form.partition(":")
    if kind in ("libm", "kernel"):
        symbol = callee if kind == "libm" else f"dfl.{callee}"
        args = ", ".join(f"{llvm_type(t)} {o}" for t, o in zip(types, operands, strict=True))
        attributes = f" {LIBM_ATTRIBUTES}" if kind == "libm" else _in_vectors(callee) if callee in FAR else ""
        return [f"%{result} = call {r} @{symbol}({args}){attributes}"]
    t, s = llvm_type(types[0]), SUFFIXES.get(types[0], "")
    *lines, last = form.format(*operands, t=t, r=r, s=s, u=prefix).split("\n")
    return [*lines, f"%{result} = {last}"]


# ---------------------------------------------------------------- what instructions call

_CALL = re.compile(r"call (\w+) @([\w.]+)\(([^)]*)\)")


def declarations(lines: Iterable[str]) -> dict[str, str]:
    """What the calls in these lines of IR need to be declared: name → `declare …`, for intrinsics and the C library.
    Only calls as written by this module and by templates are looked at; kernels are not declared but defined."""
    found: dict[str, str] = {}
    for line in lines:
        for r, callee, args in _CALL.findall(line):
            if callee not in found and (callee.startswith("llvm.") or LIBM_ATTRIBUTES in line):
                kinds = ", ".join(a.split()[0] for a in args.split(",") if a.strip())
                found[callee] = f"declare {r} @{callee}({kinds})"
    return found


def kernels_called(lines: Iterable[str]) -> list[str]:
    """The names of the kernels that these lines of IR call, each once, in order."""
    return list(dict.fromkeys(
        callee[4:] for line in lines for _, callee, _ in _CALL.findall(line) if callee.startswith("dfl.")
    ))  # fmt: skip


@cache
def needed(kernel: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The kernel itself and all that it calls in turn, and the declarations of the C library that these need."""
    names: list[str] = []
    declared: dict[str, str] = {}
    pending = [kernel]
    while pending:
        name = pending.pop()
        if name not in names:
            names.append(name)
            lines = definition(name).splitlines()
            pending += kernels_called(lines)
            declared |= {c: text for c, text in declarations(lines).items() if not c.startswith("llvm.")}
    return tuple(names), declared


@cache
def library_functions() -> frozenset[str]:
    """Every function of the C library that some primitive calls: formulas are made of primitives."""
    forms = (form.partition(":") for p in PRIMITIVES.values() for form in p.llvm.values())
    named = {name for kind, _, name in forms if kind == "libm"}
    return frozenset(named | {c for c, _ in FAR.values()} | set(_INDEXED.values()))


# ---------------------------------------------------------------- kernels


@cache
def definition(name: str) -> str:
    """The function `@dfl.name`: written out below, or made from the formula of the primitive `name` without its
    suffix, for the first operand type that the suffix says."""
    if name in FAR:
        return _far(name)
    if name in _WRITTEN:
        return _WRITTEN[name]
    primitive, _, suffix = name.rpartition(".")
    return _from_formula(primitive, suffix)


class _Named(Value):
    """A value that is a name or constant of LLVM IR."""

    __slots__ = ("text",)

    def __init__(self, type: LeafType, text: str) -> None:
        super().__init__(type)
        self.text = text


class _Writer(Builder):
    """A builder that writes LLVM instructions where others append ops."""

    def __init__(self) -> None:
        super().__init__(Region())
        self.lines: list[str] = []
        self.count = 0

    def const(self, value: float | int | bool, type: LeafType) -> Value:
        if type == F32:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        return _Named(type, constant(value, type))

    def prim(self, name: str, *args: Value) -> Value:
        types = [a.type for a in args]
        operands = [a.text for a in args if isinstance(a, _Named)]
        result = f"v{self.count}"
        self.count += 1
        self.lines += instructions(name, types, operands, result, f"{result}.")
        return _Named(result_type(name, types), f"%{result}")


def _from_formula(name: str, suffix: str) -> str:
    p = PRIMITIVES[name]
    assert p.expand is not None, name
    types, result = next((o, r) for o, r in p.signatures if str(o[0]) == suffix)
    w = _Writer()
    value = p.expand(*(Sym(w, _Named(t, f"%x{k}")) for k, t in enumerate(types))).v
    assert isinstance(value, _Named)
    params = ", ".join(f"{llvm_type(t)} %x{k}" for k, t in enumerate(types))
    r = llvm_type(result)
    body = "\n".join(f"  {line}" for line in w.lines)
    head = f"define internal {r} @dfl.{name}.{suffix}({params}) {KERNEL_ATTRIBUTES}"
    return f"{head} {{\n{body}\n  ret {r} {value.text}\n}}\n"


def _powi(suffix: str, t: str) -> str:
    """The multiplication scheme of `powi`: squares, lowest bit first; of the inverse for a negative exponent."""
    one = constant(1.0, F64)
    return f"""\
define internal {t} @dfl.powi.{suffix}({t} %x, i64 %n) {KERNEL_ATTRIBUTES} {{
entry:
  %negative = icmp slt i64 %n, 0
  %inverse = fdiv {t} {one}, %x
  %base = select i1 %negative, {t} %inverse, {t} %x
  %opposite = sub i64 0, %n
  %count = select i1 %negative, i64 %opposite, i64 %n
  br label %head
head:
  %b = phi {t} [ %base, %entry ], [ %square, %body ]
  %r = phi {t} [ {one}, %entry ], [ %power, %body ]
  %k = phi i64 [ %count, %entry ], [ %rest, %body ]
  %done = icmp eq i64 %k, 0
  br i1 %done, label %exit, label %body
body:
  %bit = trunc i64 %k to i1
  %product = fmul {t} %r, %b
  %power = select i1 %bit, {t} %product, {t} %r
  %square = fmul {t} %b, %b
  %rest = lshr i64 %k, 1
  br label %head
exit:
  ret {t} %r
}}
"""


_IPOW = f"""\
define internal i64 @dfl.ipow.i64(i64 %x, i64 %n) {KERNEL_ATTRIBUTES} {{
entry:
  %negative = icmp slt i64 %n, 0
  %count = select i1 %negative, i64 0, i64 %n
  br label %head
head:
  %b = phi i64 [ %x, %entry ], [ %square, %body ]
  %r = phi i64 [ 1, %entry ], [ %power, %body ]
  %k = phi i64 [ %count, %entry ], [ %rest, %body ]
  %done = icmp eq i64 %k, 0
  br i1 %done, label %exit, label %body
body:
  %bit = trunc i64 %k to i1
  %product = mul i64 %r, %b
  %power = select i1 %bit, i64 %product, i64 %r
  %square = mul i64 %b, %b
  %rest = lshr i64 %k, 1
  br label %head
exit:
  ret i64 %r
}}
"""


def _indexed(name: str, c: str) -> str:
    """A function of the C library whose first operand is an int."""
    return f"""\
define internal double @dfl.{name}.i64(i64 %n, double %x) {KERNEL_ATTRIBUTES} {{
  %k = trunc i64 %n to i32
  %r = call double @{c}(i32 %k, double %x) {LIBM_ATTRIBUTES}
  ret double %r
}}
"""


# A call for arguments that are far is no place for the code of near ones: it stays a call, and loops become vector code
# because LLVM is told which functions do the same for 2, 4 and 8 numbers at once. Nothing calls these before there are
# vectors; then they are inlined (`runtime.llvm`), all but the part for lanes that are far.
_FAR_ATTRIBUTES = "nounwind willreturn memory(none)"
FOR_VECTORS = "define hidden "  # how their texts begin
_LANES = (2, 4, 8)


def _in_vectors(name: str) -> str:
    """What the call of `far_NAME` says about its forms for vectors."""
    vectors = "v" * (len(FAR[name][1]) + 1)
    forms = ",".join(f"_ZGV_LLVM_N{n}{vectors}_dfl.{name}(dfl.{name}.v{n})" for n in _LANES)
    return f' "vector-function-abi-variant"="{forms}"'


def _is_near(near: Sequence[tuple[float, float]], type: str, mask: str, form: str) -> str:
    """Whether all operands are in their intervals, as `%near`; `form` makes an operand of a constant."""
    lines, terms = [], []
    for k, limits in enumerate(near):
        for way, limit in zip(("oge", "ole"), limits, strict=True):
            terms.append(f"%{way}{k}")
            lines.append(f"  {terms[-1]} = fcmp {way} {type} %x{k}, {form.format(constant(limit, F64))}")
    for k, term in enumerate(terms[1:], start=1):
        name = "%near" if k == len(terms) - 1 else f"%and{k}"
        lines.append(f"  {name} = and {mask} {terms[0] if k == 1 else f'%and{k - 1}'}, {term}")
    return "\n".join(lines)


def _far(name: str) -> str:
    """The function `far_NAME` and its forms for vectors, which look whether all of the lanes are near. Nothing but the
    names in the calls refers to these at first, so they are not internal."""
    c, near = FAR[name]
    operands = [f"%x{k}" for k in range(len(near))]
    texts = [f"""\
define internal double @dfl.{name}({_list("double", [*operands, "%v"])}) noinline {_FAR_ATTRIBUTES} {{
entry:
{_is_near(near, "double", "i1", "{}")}
  br i1 %near, label %done, label %far
far:
  %f = call double @{c}({_list("double", operands)}) {LIBM_ATTRIBUTES}
  br label %done
done:
  %r = phi double [ %v, %entry ], [ %f, %far ]
  ret double %r
}}
"""]
    for n in _LANES:
        v, mask = f"<{n} x double>", f"<{n} x i1>"
        lanes: list[str] = []
        for k in range(n):
            parts = [f"{o}.{k}" for o in [*operands, "%v"]]
            lanes += [f"  {p} = extractelement {v} {p.partition('.')[0]}, i32 {k}" for p in parts]
            lanes.append(f"  %f{k} = call double @dfl.{name}({_list('double', parts)})")
            lanes.append(f"  %r{k + 1} = insertelement {v} {f'%r{k}' if k else 'poison'}, double %f{k}, i32 {k}")
        body = "\n".join(lanes)
        parameters = _list(v, [*operands, "%v"])
        texts.append(f"""\
{FOR_VECTORS}{v} @dfl.{name}.v{n}({parameters}) alwaysinline {_FAR_ATTRIBUTES} {{
entry:
{_is_near(near, v, mask, "splat (double {})")}
  %all = call i1 @llvm.vector.reduce.and.v{n}i1({mask} %near)
  br i1 %all, label %done, label %far
far:
  %f = call {v} @dfl.{name}.each{n}({parameters})
  br label %done
done:
  %r = phi {v} [ %v, %entry ], [ %f, %far ]
  ret {v} %r
}}

{FOR_VECTORS}{v} @dfl.{name}.each{n}({parameters}) noinline cold {_FAR_ATTRIBUTES} {{
{body}
  ret {v} %r{n}
}}
""")
    return "\n".join(texts)


def _list(type: str, operands: Iterable[str]) -> str:
    return ", ".join(f"{type} {o}" for o in operands)


WITH_LOOPS = frozenset({"powi.f64", "powi.f32", "ipow.i64"})
_INDEXED = {"besselj": "jn", "bessely": "yn"}
_WRITTEN: dict[str, str] = {
    "powi.f64": _powi("f64", "double"),
    "powi.f32": _powi("f32", "float"),
    "ipow.i64": _IPOW,
    **{f"{name}.i64": _indexed(name, c) for name, c in _INDEXED.items()},
}
