"""The driver on programs given as SSA: every stage, every option, the same bits."""

from __future__ import annotations

import math
import sys

import pytest

from dsl.diagnostics import DslError, Source
from dsl.driver import RECURSION_LIMIT, Compiled, Driver, compiling, drop_unused_rules, is_small
from dsl.ir.core import Rule
from dsl.ir.text import parse_program, print_program
from dsl.lower.session import Entry
from dsl.options import Options, Timings
from dsl.types import FLOAT64

PROGRAM = """
fn @f(%x: f64) -> f64 {
  %0: f64 = sin %x
  %1: f64 = const 5.0
  %2: f64 = mul %1, %0
  return %2
}

fn @df(%x: f64) -> f64 {
  %0: f64 = const 1.0
  %1: f64, %2: f64 = vjp @f(%x; %0) {wrt=(0,)}
  return %2
}

fn @checked(%x: f64) -> f64 {
  %0: f64 = const 0.0
  %1: bool = ge %x, %0
  check %1, %x {E0401 "sqrt of {0}"}
  %2: f64 = sqrt %x
  return %2
}

fn @count(%n: f64) -> f64 {
  %0: i64 = const 1
  %1: i64 = const 10
  %2: f64 = for %i = %0, %1, %0 (%c: f64 = %n) {
    %3: f64 = add %c, %n
    next %3
  }
  return %2
}
"""
OPTIONS = [
    Options(),
    Options(opt_level=0),
    Options(mode="forward"),
    Options(mode="reverse"),
    Options(interpreter=True),
    Options(optimize=False),
    Options(optimize=False, interpreter=True),
    Options(verify=True),
]


@pytest.fixture
def driver() -> Driver:
    return Driver(Source("empty", ""), Options(), lambda text: None)


def entry(root: str) -> Entry:
    return Entry(parse_program(PROGRAM), root, (FLOAT64,), FLOAT64, {})


def compiled(driver: Driver, root: str, options: Options) -> Compiled:
    return driver.compile(entry(root), options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_gives_the_same_bits(driver: Driver, options: Options) -> None:
    assert driver.call(compiled(driver, "df", options), [2.0]) == [math.cos(2.0) * 5.0]
    assert driver.call(compiled(driver, "count", options), [1.5]) == [16.5]


def test_passes_work_on_a_copy(driver: Driver) -> None:
    e = entry("df")
    before = print_program(e.program)
    driver.call(driver.compile(e), [2.0])
    assert print_program(e.program) == before


def test_domain_checks_can_be_dropped(driver: Driver) -> None:
    with pytest.raises(ValueError) as caught:
        driver.call(compiled(driver, "checked", Options()), [-1.0])
    assert isinstance(caught.value, DslError) and caught.value.code == "E0401"
    (value,) = driver.call(compiled(driver, "checked", Options(checks=False)), [-1.0])
    assert math.isnan(value)


def test_what_runs_once_needs_no_native_code_if_it_is_small(driver: Driver) -> None:
    small, loop = compiled(driver, "df", Options()), compiled(driver, "count", Options())
    assert is_small(small) and not is_small(loop)
    driver.call(small, [2.0], once=True)
    driver.call(loop, [2.0], once=True)
    assert small.native is None and loop.native is not None
    told = compiled(driver, "df", Options(interpreter=False))
    driver.call(told, [2.0], once=True)
    assert told.native is not None


@pytest.mark.parametrize(
    ("stage", "holds"),
    [
        ("lowered", "vjp @f"),
        ("typed", "cos"),
        ("adjoint", "sin"),  # of f': the second derivative
        ("llvm", "define double @df(double %"),
        ("native", "cos"),
    ],
)
def test_listings(driver: Driver, stage: str, holds: str) -> None:
    assert holds in driver.listing(stage, entry("df"), Options(), optimize=True, raw=False)


def test_the_reverse_of_an_entry_takes_a_seed(driver: Driver) -> None:
    text = driver.listing("adjoint", entry("f"), Options(), optimize=True, raw=False)
    assert text.startswith("fn @f.reverse(%x: f64, %seed: f64) -> f64, f64 {")


def test_a_raw_listing_is_the_whole_module(driver: Driver) -> None:
    clean = driver.listing("llvm", entry("df"), Options(), optimize=False, raw=False)
    raw = driver.listing("llvm", entry("df"), Options(), optimize=False, raw=True)
    assert "declare" not in clean and "declare" in raw


def test_inner_stages_are_not_counted_twice() -> None:
    timings = Timings()
    with timings.stage("outer"), timings.stage("inner"):
        sum(range(200_000))
    with timings.stage("inner"):
        sum(range(200_000))
    assert list(timings) == ["inner", "outer"]
    assert timings["outer"] < timings["inner"] / 4


def test_the_recursion_limit_comes_back_after_an_error() -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(KeyError), compiling():
        assert sys.getrecursionlimit() >= RECURSION_LIMIT
        raise KeyError
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize("wrong", [{"mode": "sideways"}, {"opt_level": -1}, {"opt_level": 4}])
def test_options_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(DslError) as caught:
        Options(**wrong)  # type: ignore[arg-type]
    assert caught.value.code == "E0409"



@pytest.mark.parametrize(("root", "kept"), [("f", False), ("df", True)])
def test_rules_stay_where_a_derivative_is_taken_only(root: str, kept: bool) -> None:
    program = parse_program(PROGRAM)
    program.functions["f"].attrs["rule"] = Rule(pushforward="df")
    drop_unused_rules(program, root)
    assert ("rule" in program.functions["f"].attrs) == kept
