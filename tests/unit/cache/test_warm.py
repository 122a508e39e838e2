"""A program that an earlier process has compiled is not read again, and gives the same; what has changed is new."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dsl
from dsl import store as store_module
from dsl.runtime.kept import Kept, Unkeepable, read_type, written_type
from dsl.types import (
    FLOAT64,
    FnType,
    NamedTupleType,
    StaticDictType,
    StringLit,
    TupleType,
    VectorType,
    intern,
    interned,
)

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = r'''
"the square of x, and more"
f(x) = 5sin(x) + x^2
g(v, k) = sum(v .^ k)
same(A) = A
swap!(v) = (t = v[1]; v[1] = v[2]; v[2] = t; nothing)
root(x) = sqrt(x)
name(x) = x > 0 ? :positive : :negative
both(x; scale = 2.0) = (x, scale * x)
struct Point; x; y; end
const n = 3
pair = (1.5, true)
table = [1.0, 2.0]
third() = table[1] + n
push(x) = (push!(table, x); length(table))
'''


def is_read(module: dsl.Module) -> bool:
    return module._workspace._driver is not None


def warm(text: str = PROGRAM, **options: object) -> dsl.Module:
    module = dsl.loads(text, **options)
    assert not is_read(module)
    return module


def test_a_second_process_reads_and_compiles_nothing(own_store: Path) -> None:
    code = (
        "import sys, dsl\nm = dsl.loads(sys.argv[1])\n"
        "print(m.f(2.0), m.f.grad(2.0), dsl.gradient(m.f, 2.0), dsl.derivative(m.f, 2.0, 3), m.both(1.0, scale=3))\n"
        "print(dsl.gradient(m.g, [1.0, 2.0], 2)[0].tolist(), m.f.__doc__, m.pair, m.functions)\n"
        "heavy = ('lark', 'dsl.syntax.parser', 'dsl.lower', 'dsl.ad', 'dsl.passes', 'dsl.driver', 'dsl.backend.emit')\n"
        "print(*[name for name in heavy if name in sys.modules], file=sys.stderr)"
    )

    def run() -> tuple[str, str]:
        command = [sys.executable, "-c", code, PROGRAM]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr.strip()

    cold, warm = run(), run()
    assert "dsl.driver" in cold[1]
    assert warm == (cold[0], "")
    assert cold[0].splitlines()[0].split()[0] == repr(5 * math.sin(2.0) + 4.0)


def test_straight_code_is_optimised_without_its_program(own_store: Path) -> None:
    """It was called once by the process that has kept it, and is optimised when it is called again."""
    expected = dsl.loads(PROGRAM).root(2.25)
    for _ in range(3):  # the second finds code of the lowest level, the third what that has made of it
        module = warm()
        found = [module.root(2.25) for _ in range(3)]
        assert found == [expected] * 3
        with pytest.raises(dsl.DslError, match="sqrt"):
            module.root(-1.0)
        assert not is_read(module)


def test_values_are_the_same(own_store: Path) -> None:
    rows = np.arange(6.0).reshape(2, 3)
    calls = [
        lambda m: m.f(2.5), lambda m: m.f(2), lambda m: m.f(True), lambda m: dsl.grad(m.f)(0.5),
        lambda m: dsl.value_and_grad(m.g)(np.array([1.0, 2.0]), 3)[1].tolist(), lambda m: m.name(-1.0),
        lambda m: m.g([1, 2], 3), lambda m: dsl.hessian(m.g)([1.0, 2.0], 3).tolist(), lambda m: m.both(1, scale=4),
        lambda m: m.same(rows).tolist(), lambda m: m.same(rows.T).tolist(), lambda m: m.same({"a": 1, "b": [2.0]}),
        lambda m: m.same(1 + 2j), lambda m: m.same((1, dsl.String("a"), "b", None)), lambda m: m.same(range(3)),
        lambda m: dsl.jvp(m.f, [2.0], [1.0]), lambda m: m.pair, lambda m: m.n, lambda m: m.root(4.0),
        lambda m: dsl.taylor(m.f, 1.0, 4).tolist(), lambda m: dsl.gradient(m.f, 2.0, mode="reverse"),
    ]  # fmt: skip
    for call in calls:
        cold = dsl.loads(PROGRAM, cache=False)
        first = call(cold)
        assert is_read(cold)
        assert repr(call(dsl.loads(PROGRAM))) == repr(first)
        module = warm()
        assert repr(call(module)) == repr(first)
        assert not is_read(module)


def test_arrays_are_lent_as_before(own_store: Path) -> None:
    for module in (dsl.loads(PROGRAM), warm()):
        v = np.array([1.0, 2.0])
        module["swap!"](v)
        assert v.tolist() == [2.0, 1.0]
        v.flags.writeable = False
        with pytest.raises(dsl.DslError, match=r"swap! changes argument 1, an array of .*, which is read-only"):
            module["swap!"](v)
    assert not is_read(module)


def test_errors_have_their_line(own_store: Path) -> None:
    messages = []
    for module in (dsl.loads(PROGRAM), warm()):
        with pytest.raises(ValueError, match="sqrt") as caught:
            module.root(-1.0)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "root(x) = sqrt(x)" in messages[0]
    assert not is_read(module)


def test_the_program_is_read_when_that_is_needed(own_store: Path) -> None:
    said: list[str] = []
    text = PROGRAM + 'for i in 1:1 println("loading") end\n'
    first = dsl.loads(text, out=said.append)
    first.f(2.0)
    assert "".join(said) == "loading\n"
    module = warm(text, out=said.append)
    f = module.f
    assert "".join(said) == "loading\nloading\n"
    assert module.third() == 4.0
    assert is_read(module) and "".join(said) == "loading\nloading\n"
    assert [module.push(5.0), module.push(6.0), module.table.tolist()] == [3, 4, [1.0, 2.0, 5.0, 6.0]]
    assert f(2.0) == first.f(2.0) and f == module.f and f.grad == module.f.grad and f != first.f
    assert "sin" in str(f.code_typed(2.0))
    assert module.eval("f(0.0)") == 0.0
    point = warm(text, out=said.append).Point(1.0, 2)
    assert (point.x, point.y) == (1.0, 2)


def test_listings_and_code_of_a_kept_function(own_store: Path) -> None:
    first = dsl.loads(PROGRAM, opt_level=2)
    first.f(2.0)
    module = warm(opt_level=2)
    module.f(2.0)
    (kept,) = module._workspace._compiled.values()
    assert isinstance(kept, Kept)
    assert "define" in kept.unit.llvm() and kept.unit.assembly
    assert module.f(2.0) == first.f(2.0)


def test_provisional_code_is_replaced_for_later_processes(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsl.runtime import engine, llvm

    monkeypatch.setattr(engine, "AT_ONCE", 0)
    made: list[int] = []
    compile = llvm.object_code
    monkeypatch.setattr(llvm, "object_code", lambda text, level: made.append(level) or compile(text, level))
    text = "f(v, k) = v[k] * v"
    v = np.array([1.0, 2.0])
    dsl.loads(text).f(v, 2)
    assert 3 not in made
    module = warm(text)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "WORTH_AN_OP", 0.0)
        for _ in range(4):
            assert module.f(v, 2).tolist() == [2.0, 4.0]
            with pytest.raises(IndexError, match="index 3"):
                module.f(v, 3)
    assert made.count(3) == 1
    made.clear()
    last = warm(text)
    assert last.f(v, 2).tolist() == [2.0, 4.0]
    with pytest.raises(IndexError, match="index 3"):
        last.f(v, 3)
    assert made == [] and not is_read(last)
    (kept,) = last._workspace._compiled.values()
    assert not kept.unit.provisional


DATA = r"""
table = [1.0, 2.0, 4.0]
alias = table
grid = [1 2; 3 4]
counts = Dict("a" => 1, "b" => 2)
const weights = (0.5, [0.25])
at(k) = table[k] + weights[2][1]
set(k, x) = (table[k] = x; alias[k])
more(x) = (push!(table, x); length(alias))
total() = sum(grid) + counts["b"]
loss(k) = sum((table .- k) .^ 2)
"""


def test_top_level_values_are_kept_with_their_memory(own_store: Path) -> None:
    def use(m: dsl.Module) -> list[object]:
        return [
            m.at(2), m.total(), dsl.gradient(m.loss, 1.0), m.set(1, 7.0), m.table.tolist(), m.alias.tolist(),
            m.more(9.0), m.more(10.0), m.at(5), m.grid.tolist(), m.counts, m.weights[0],
        ]  # fmt: skip

    first = dsl.loads(DATA, cache=False)
    expected = repr(use(first))
    assert expected.startswith("[2.25, 12, (-8.0,), 7.0, [7.0, 2.0, 4.0], [7.0, 2.0, 4.0], 4, 5, 10.25, ")
    assert repr(use(dsl.loads(DATA))) == expected
    module = warm(DATA)
    assert repr(use(module)) == expected
    assert not is_read(module)
    assert module.eval("(table, alias[1])")[0].tolist() == [7.0, 2.0, 4.0, 9.0, 10.0]  # read late, it goes on
    assert is_read(module) and module.eval("set(2, 8.0)") == 8.0
    assert (module.at(2), module.alias.tolist()) == (8.25, [7.0, 8.0, 4.0, 9.0, 10.0])
    assert repr(use(warm(DATA))) == expected  # others begin anew


def test_memory_that_has_no_name_elsewhere_is_not_kept(own_store: Path) -> None:
    text = "a = [1.0, 2.0]\nf = x -> (a[1] = x; a[1])\nr = Ref(a)\ng() = a[1]\nh(x) = 2x"
    dsl.loads(text).h(1.0)
    module = warm(text)
    assert module.h(1.0) == 2.0 and not is_read(module)
    assert (module.f(5.0), module.g(), module.a.tolist()) == (5.0, 5.0, [5.0, 2.0])


# ---------------------------------------------------------------- what is stale


def test_the_same_name_with_another_text(own_store: Path) -> None:
    assert dsl.loads("f(x) = x + 1").f(1.0) == 2.0
    assert dsl.loads("f(x) = x + 2").f(1.0) == 3.0
    assert dsl.loads("f(x) = x + 1").f(1.0) == 2.0


def test_an_included_file_changes(own_store: Path, tmp_path: Path) -> None:
    main, inner, other = (tmp_path / name for name in ("main.dfl", "inner.dfl", "other.dfl"))
    main.write_text('include("inner.dfl")\nf(x) = k(x) + 1\n')
    inner.write_text('include("other.dfl")\nk(x) = a * x\n')
    for value in (2, 3, 2):
        other.write_text(f"a = {value}\n")
        for _ in range(2):
            module = dsl.load(main)
            assert (module.f(10.0), module.a) == (10.0 * value + 1, value)
    assert not is_read(dsl.load(main))
    module = dsl.load(main)
    other.write_text("a = 4\n")
    assert module.eval("f(10.0)") == 21.0  # read late, it is what it was
    assert dsl.load(main).f(10.0) == 41.0
    other.unlink()
    with pytest.raises(dsl.DslError, match="there is no file"):
        dsl.load(main)


def test_options_are_told_apart(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "f(x) = sqrt(x)"
    assert math.isnan(dsl.loads(text, checks=False).f(-1.0))
    with pytest.raises(ValueError, match="sqrt"):
        dsl.loads(text).f(-1.0)
    assert math.isnan(warm(text, checks=False).f(-1.0))
    module = dsl.loads(text, cache=False)
    assert is_read(module)
    for name, value in (("DFL_PLAN", "save"), ("DFL_CHECKPOINT", "on")):
        with monkeypatch.context() as other:
            other.setenv(name, value)
            assert is_read(dsl.loads(text))
    module = dsl.loads(text, interpreter=True)
    assert module.f(4.0) == 2.0


def test_another_version_of_this_package(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dsl.loads("f(x) = x + 1").f(1.0) == 2.0
    warm("f(x) = x + 1")
    monkeypatch.setattr(store_module, "_print", ["another"])
    assert is_read(dsl.loads("f(x) = x + 1"))


def test_damaged_files_of_every_kind(own_store: Path) -> None:
    expected = (dsl.loads(PROGRAM).f(2.0), dsl.gradient(dsl.loads(PROGRAM).g, [1.0, 2.0], 2)[0].tolist())
    for cut in range(3):
        for file in own_store.glob("store/??/*"):
            data = file.read_bytes()
            file.write_bytes((data[: len(data) // 2], b"", data[:-1] + b"?")[cut])
        for _ in range(2):
            module = dsl.loads(PROGRAM)
            assert (module.f(2.0), dsl.gradient(module.g, [1.0, 2.0], 2)[0].tolist()) == expected
    assert not is_read(module)


def test_code_is_missed_where_its_object_has_gone(own_store: Path) -> None:
    for kind in ("object", "code", "program", "support"):
        dsl.loads(PROGRAM).g([1.0, 2.0], 2)
        for file in own_store.glob(f"store/??/*.{kind}"):
            file.unlink()
        assert dsl.loads(PROGRAM).g([1.0, 2.0], 2) == 5.0


def test_what_warns_is_not_kept(own_store: Path) -> None:
    for _ in range(2):
        with pytest.warns(Warning, match="steers control flow"):
            dsl.gradient(dsl.loads("f(x) = x > 0 ? 1.0 : 2.0").f, 3.0)


def test_a_program_that_cannot_be_loaded_is_not_kept(own_store: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="sqrt"):
            dsl.loads("a = sqrt(-1.0)")


def test_a_program_that_is_extended_is_not_kept(own_store: Path) -> None:
    dsl.loads("f(x) = x + 1").f(1.0)
    module = warm("f(x) = x + 1")
    module._workspace.define("f(x) = x + 2", "<more>", False)
    assert module.f(1.0) == 3.0
    assert warm("f(x) = x + 1").f(1.0) == 2.0


def test_nothing_is_left_in_memory(own_store: Path) -> None:
    dsl.loads(PROGRAM).f(2.0)
    for _ in range(3):
        warm().f(2.0)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        warm().f(2.0)
    gc.collect()
    assert len(gc.get_objects()) < before + 200


# ---------------------------------------------------------------- what is written down


def test_types_are_read_as_they_were_written() -> None:
    types = [
        FLOAT64, VectorType(FLOAT64), TupleType((FLOAT64, StringLit("a"))), NamedTupleType(("a",), (FLOAT64,)),
        StaticDictType(("a", 1, StringLit("b")), (FLOAT64, FLOAT64, FLOAT64)), TupleType(()),
    ]  # fmt: skip
    for t in types:
        assert read_type(written_type(t)) == t
    assert read_type(written_type(VectorType(FLOAT64, site=7))) == VectorType(FLOAT64)
    with pytest.raises(Unkeepable):
        written_type(TupleType((FnType(object(), "f"),)))


def test_numbers_of_symbols_are_those_of_every_process() -> None:
    code = "from dsl.types import intern\nintern('another')\nprint(intern('a symbol'), intern('ϵ'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{intern('a symbol')} {intern('ϵ')}\n"
    assert interned(intern("ϵ")) == "ϵ"
    assert os.environ["DFL_CACHE"] == "0"
