"""The ops that are not scalar primitives: memory, calls, derivatives, effects, and the region ops of `core`.

Each record says what passes need to know, so that no pass lists op names. Indices into memory are 0-based and
unchecked: lowering emits `check` ops before them. All memory is zero (false, null) when it is made and lives until the
top-level call ends, or until the region ends that it belongs to (`mark`).
"""

# ruff: noqa: E501  (the table has one op a line)

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.records import dataclass
from dsl.types import LeafType


@dataclass(frozen=True, slots=True)
class OpInfo:
    """What an op may do, besides giving its results.

    pure      same operands, same results, nothing else: may be shared, moved, dropped
    reads     depends on the contents of memory: may be dropped, not moved over a write
    writes    changes memory (or makes it): not dropped unless the memory is provably unused
    makes     what it writes is only the fresh memory its result refers to: may be dropped with its result
    raises    may end the call with an error: not dropped, not moved over other effects
    effect    visible outside (printing)
    form      an example of its printed form
    doc       what it does
    """

    name: str
    form: str
    doc: str
    pure: bool = False
    reads: bool = False
    writes: bool = False
    makes: bool = False
    raises: bool = False
    effect: bool = False


OPSET: dict[str, OpInfo] = {
    info.name: info
    for info in (
        # ---- constants
        OpInfo("const", "%0: f64 = const 2.5", "a number or bool; attrs value (a Python float, int or bool)", pure=True),
        OpInfo("null", "%0: mem<f64> = null", "the reference to nothing; only ever loaded from by code never reached", pure=True),
        # ---- control flow (see core)
        OpInfo("if", "%2: f64 = if %c { … } else { … }", "one of two regions", ),
        OpInfo("for", "%2: f64 = for %i = %lo, %hi, %step (%c: f64 = %init) { … }", "counted loop, no exits; region params (i, carried…); args (lo, hi, step, inits…); attrs lanes (True: no iteration stores to memory that another one loads from or stores to, and it carries nothing: they may be done at once), few (True: it has less than 8 iterations; made by `passes.spread`), checkpoint (True: `checkpoint for …`, in blocks that reverse mode runs again)"),
        OpInfo("loop", "%2: f64 = loop (%c: f64 = %init) { … }", "loop until a break; region params are the carried values; args their initial values"),
        OpInfo("yield", "yield %a", "ends an arm"),
        OpInfo("next", "next %a", "the next iteration of the innermost loop or for"),
        OpInfo("break", "break %a   |   break{1} %a", "leaves depth+1 loops; attrs depth"),
        OpInfo("return", "return %a", "ends the function"),
        OpInfo("unreachable", "unreachable", "control does not get here"),
        # ---- memory
        OpInfo("new", "%m: mem<f64, i64> = new %n", "a run of n zeroed records; attrs filled (True: a nest over sizes that are not negative will store every record), blank (True: not zeroed, since it is overwritten before it is read; set by passes.blank and passes.fresh, when no derivative follows), tape, local (True: it will be blank then, as a tape of ad or by passes.localise), frame (True: of constant size, in the function's frame, not zeroed; made by passes.lockstep)", writes=True, makes=True),
        OpInfo("len", "%n: i64 = len %m", "how many records", reads=True),
        OpInfo("load", "%a: f64, %b: i64 = load %m[%i]   |   %b: i64 = load %m[%i] {1}", "the fields of record i from attrs first (default 0) on, as many as there are results", reads=True),
        OpInfo("store", "store %m[%i], %a, %b   |   store %m[%i], %b {1}", "the same, written; args (m, i, values…)", writes=True),
        OpInfo("acc", "acc %m[%i], %a {0}", "adds to f64/f32 fields of record i; the order of several acc is unspecified; args (m, i, values…)", writes=True),
        OpInfo("treesum", "%a: f64 = treesum %m, %i {count=16}", "the sum of so many records of one number, a power of two, added up by halves: the first half to the second one, and so on; made by `passes.lockstep`", reads=True),
        OpInfo("lanesum", "%a: f64 = lanesum %m, %groups {count=16}", "the sum of so many groups of `count` records of one number, a power of two, from record 0 on: the first records of all groups are added up in order, beginning with 0, the second ones, and so on, these sums by halves; made by `passes.spread`", reads=True),
        OpInfo("push", "push %m, %a, %b", "appends a record (all fields)", writes=True),
        OpInfo("pop", "%a: f64, %b: i64 = pop %m", "takes the last record off; the length must not be 0", reads=True, writes=True),
        OpInfo("growable", "%c: bool = growable %m", "whether records may be added and taken off: false for memory that Python owns", pure=True),
        OpInfo("kernel", "%info: i64 = kernel %A, %n {kernel=\"potrf\"}", "an operation on whole arrays, implemented once for all (BLAS, LAPACK, loops); attrs kernel (a name in `ops.kernels.KERNELS`, which says which operands are read and written)", reads=True, writes=True),
        OpInfo("mark", "mark", "a region begins: what is made from now on, here and in calls, belongs to it; regions are nested as loops and calls are; made by `passes.release`, when no pass follows. With the attribute `apart` other memory may be made outside meanwhile: by `new`, `pack` and `call` with an attribute `out`, the number of regions to go out of", writes=True, raises=True),
        OpInfo("renew", "%b: mem<f64> = renew %a", "what belongs to the innermost region ends and the region goes on; the results are the operands, moved where they belong to it (they hold no references); one memory stays one", writes=True, raises=True),
        OpInfo("release", "%b: mem<f64> = release %a", "the same, but the region ends, too, and its operands belong to the one around it", writes=True, raises=True),
        OpInfo("same", "%c: bool = same %m, %n", "whether two references are to the same memory", pure=True),
        OpInfo("address", "%n: i64 = address %m", "a number that no other memory has, not the same in every run: only for tables of references", pure=True),
        OpInfo("pack", "%o: obj = pack %a, %b", "any values as one opaque reference", writes=True, makes=True),
        OpInfo("unpack", "%a: f64, %b: i64 = unpack %o", "the values that were packed; count and types as they were", pure=True),
        OpInfo("global", "%m: mem<f64> = global \"name\" 0", "leaf number attrs index of the value of the top-level variable attrs name; turned into a parameter by passes.globals", pure=True),
        OpInfo("shadow", "%s: mem<f64> = shadow %m", "a zeroed memory of the tangent type and the same structure as %m (references inside get shadows of their own)", reads=True, writes=True, makes=True),
        OpInfo("stop", "%a: f64 = stop %b", "the same value, through which no derivative flows", pure=True),
        # ---- calls and derivatives
        OpInfo("call", "%a: f64 = call @f(%x)", "attrs fn (a name in the program)", reads=True, writes=True, raises=True, effect=True),
        OpInfo("jvp", "%y: f64, %ẏ: f64 = jvp @f(%x, %n; %ẋ) {wrt=(0,)}", "results of f, then the tangents of those that have one; args (primals…, tangents of parameters wrt…); attrs fn, wrt, width (so many tangents side by side in the place of each) or order (in the place of each result's tangent that many coefficients of its power series); both default to 1", reads=True, writes=True, raises=True, effect=True),
        OpInfo("vjp", "%y: f64, %x̄: f64 = vjp @f(%x, %n; %ȳ) {wrt=(0,)}", "results of f, then the cotangents of scalar parameters wrt; args (primals…, seeds for results that have a tangent…, shadows of mem parameters in wrt…: the cotangents are added to these); attrs fn, wrt", reads=True, writes=True, raises=True, effect=True),
        OpInfo("vjp_fwd", "%y: f64, %o: obj = vjp_fwd @f(%x, %n) {wrt=(0,)}", "results of f, and a record for vjp_rev; attrs fn, wrt", reads=True, writes=True, raises=True, effect=True),
        OpInfo("vjp_rev", "%x̄: f64 = vjp_rev @f(%o; %ȳ) {wrt=(0,)}", "cotangents of scalar parameters wrt from the record; args (o, seeds…, shadows of mem parameters in wrt…); may be done again", reads=True, writes=True, raises=True, effect=True),
        # ---- effects
        OpInfo("check", "check %c, %x {E0401 \"sqrt of {0}\"}", "an error where the bool is false; attrs code, text ({0} … stand for the further args, {0:sym} for an interned one, {0:plus1} for an index shown 1-based), hint", raises=True),
        OpInfo("print", "print %x {\"x = {0}\\n\"}", "writes text to the output stream; attrs text as in check", effect=True),
    )
}  # fmt: skip

# The result type of each scalar primitive for operand types (KeyError where there is none), filled as `dsl.ops`
# declares them, so that this room need not look upwards.
RESULT_TYPES: dict[str, Callable[[Sequence[LeafType]], LeafType]] = {}
