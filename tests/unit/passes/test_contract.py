"""Fused multiply-adds: which product is rounded with which sum, and that this is so wherever a function is used."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import dsl
from dsl import programs
from dsl.diagnostics import DslError, Source
from dsl.interp import run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.options import Options
from dsl.passes.contract import contract, has_terms
from dsl.passes.pipeline import settle
from dsl.runtime import processor
from dsl.runtime.engine import compile_unit
from tests.unit.backend.random_programs import random_program
from tests.unit.backend.test_same_bits import bits

HEAD = "fn @f(%a: f64, %b: f64, %c: f64, %d: f64, %x: mem<f64>, %n: i64) -> f64 {\n"


def contracted(body: str, terms: bool = False, head: str = HEAD) -> list[str]:
    """The lines of a body after the pass."""
    program = parse_program(f"{head}{body}\n}}")
    verify(program)
    contract(program.functions["f"], terms)
    verify(program)
    return [line.strip() for line in print_program(program).splitlines()[1:-1]]


# ---------------------------------------------------------------- sums and differences


@pytest.mark.parametrize(
    "body, expected",
    [
        ("%p: f64 = mul %a, %b\n%s: f64 = add %p, %c\nreturn %s", ["%s: f64 = fma %a, %b, %c"]),
        ("%p: f64 = mul %a, %b\n%s: f64 = add %c, %p\nreturn %s", ["%s: f64 = fma %a, %b, %c"]),
        ("%p: f64 = mul %a, %b\n%s: f64 = sub %p, %c\nreturn %s",
         ["%0: f64 = neg %c", "%s: f64 = fma %a, %b, %0"]),
        ("%p: f64 = mul %a, %b\n%s: f64 = sub %c, %p\nreturn %s",
         ["%0: f64 = neg %a", "%s: f64 = fma %0, %b, %c"]),
        ("%p: f64 = mul %a, %b\n%m: f64 = neg %p\n%s: f64 = add %m, %c\nreturn %s",
         ["%0: f64 = neg %a", "%s: f64 = fma %0, %b, %c"]),
        ("%p: f64 = mul %a, %b\n%m: f64 = neg %p\n%s: f64 = sub %c, %m\nreturn %s", ["%s: f64 = fma %a, %b, %c"]),
        ("%m: f64 = neg %a\n%p: f64 = mul %m, %b\n%s: f64 = sub %c, %p\nreturn %s",
         ["%m: f64 = neg %a", "%s: f64 = fma %a, %b, %c"]),
        ("%k: f64 = const 2.5\n%p: f64 = mul %a, %k\n%s: f64 = sub %c, %p\nreturn %s",
         ["%k: f64 = const 2.5", "%0: f64 = const -2.5", "%s: f64 = fma %a, %0, %c"]),
        ("%k: f64 = const 2.5\n%p: f64 = mul %a, %b\n%s: f64 = sub %p, %k\nreturn %s",
         ["%k: f64 = const 2.5", "%0: f64 = const -2.5", "%s: f64 = fma %a, %b, %0"]),
        ("%k: i64 = const 2\n%p: f64 = powi %a, %k\n%s: f64 = add %p, %c\nreturn %s",
         ["%k: i64 = const 2", "%s: f64 = fma %a, %a, %c"]),
    ],
)  # fmt: skip
def test_a_product_is_rounded_with_the_sum(body: str, expected: list[str]) -> None:
    assert contracted(body) == [*expected, "return %s"]


@pytest.mark.parametrize(
    "body",
    [
        # a sum or difference of two products
        "%p: f64 = mul %a, %a\n%q: f64 = mul %b, %b\n%s: f64 = add %p, %q\nreturn %s",
        "%p: f64 = mul %a, %a\n%q: f64 = mul %b, %b\n%s: f64 = sub %p, %q\nreturn %s",
        "%p: f64 = mul %a, %a\n%q: f64 = mul %b, %b\n%m: f64 = neg %q\n%s: f64 = add %p, %m\nreturn %s",
        "%p: f64 = mul %a, %a\n%q: f64 = mul %b, %b\n%m: f64 = neg %p\n%s: f64 = add %m, %q\nreturn %s",
        "%m: f64 = neg %c\n%p: f64 = mul %a, %b\n%q: f64 = mul %m, %d\n%s: f64 = add %p, %q\nreturn %s",
        # … also where one of them is needed otherwise
        "%p: f64 = mul %a, %a\n%q: f64 = mul %b, %b\n%s: f64 = sub %p, %q\n%t: f64 = div %s, %q\nreturn %t",
        # a product that is needed otherwise, a cube, what is no product
        "%p: f64 = mul %a, %b\n%s: f64 = add %p, %c\n%t: f64 = div %s, %p\nreturn %t",
        "%p: f64 = mul %a, %b\n%s: f64 = add %p, %p\nreturn %s",
        "%k: i64 = const 3\n%p: f64 = powi %a, %k\n%s: f64 = add %p, %c\nreturn %s",
        "%p: f64 = div %a, %b\n%s: f64 = add %p, %c\nreturn %s",
        # integers
        "%p: i64 = mul %n, %n\n%s: i64 = add %p, %n\n%t: f64 = tof64 %s\nreturn %t",
        # a product from outside of the arm, which may have been made for another one, too
        "%y: bool = lt %a, %b\n%p: f64 = mul %a, %b\n%t: f64 = if %y {\n%s: f64 = add %p, %c\nyield %s\n} else {\n"
        "yield %d\n}\nreturn %t",
    ],
)
def test_what_stays(body: str) -> None:
    assert contracted(body) == contracted(body, terms=True)
    assert not any("fma" in line for line in contracted(body))


@pytest.mark.parametrize(
    "exact, expected",
    [
        ("%k: f64 = const 2.0\n%q: f64 = mul %c, %k", ["%0: f64 = neg %q", "%s: f64 = fma %a, %b, %0"]),
        ("%k: f64 = const 0.25\n%q: f64 = mul %k, %c", ["%0: f64 = neg %q", "%s: f64 = fma %a, %b, %0"]),
        ("%q: f64 = add %c, %c", ["%0: f64 = neg %q", "%s: f64 = fma %a, %b, %0"]),
        ("%k: f64 = const 3.0\n%q: f64 = mul %c, %k", ["%p: f64 = mul %a, %b", "%s: f64 = sub %p, %q"]),
    ],
)
def test_a_product_with_a_power_of_two_is_as_good_as_none(exact: str, expected: list[str]) -> None:
    lines = contracted(f"{exact}\n%p: f64 = mul %a, %b\n%s: f64 = sub %p, %q\nreturn %s")
    assert lines[-3:] == [*expected, "return %s"]


def test_a_number_twice_is_a_product() -> None:
    lines = contracted("%q: f64 = add %a, %a\n%s: f64 = sub %c, %q\nreturn %s")
    assert lines == ["%0: f64 = const -2.0", "%s: f64 = fma %a, %0, %c", "return %s"]
    assert contracted("%q: f64 = add %a, %a\nreturn %q") == ["%q: f64 = add %a, %a", "return %q"]


def test_f32() -> None:
    head = "fn @f(%a: f32, %b: f32, %c: f32) -> f32 {\n"
    lines = contracted("%p: f32 = mul %a, %b\n%s: f32 = sub %c, %p\nreturn %s", head=head)
    assert lines[1] == "%s: f32 = fma %0, %b, %c"


# ---------------------------------------------------------------- sums in order


def running(before: str, product: str, loop: str = "for %i = %0, %n, %1 (%t: f64 = %a) {{\n{}\nnext %s\n}}") -> str:
    body = f"%u: f64 = load %x[%i]\n{before}\n%p: f64 = mul {product}\n%s: f64 = add %t, %p"
    return "\n".join(
        contracted(f"%0: i64 = const 0\n%1: i64 = const 1\n%r: f64 = {loop.format(body)}\nreturn %r")
    )


def test_what_a_loop_adds_up_stays_vector_code() -> None:
    """The terms are computed side by side, and added in order."""
    assert "fma" not in running("%w: f64 = exp %u", "%w, %b")


def test_a_product_with_what_the_loop_carries_is_no_vector() -> None:
    assert "fma %u, %t, %t" in running("", "%u, %t")
    assert "fma %u, %w, %t" in running("%w: f64 = sin %t", "%u, %w")


@pytest.mark.parametrize("handed, fused", [("%u, %s", True), ("%v, %u", True), ("%v, %s", False)])
def test_what_is_of_the_iteration_before_is_a_vector_too(handed: str, fused: bool) -> None:
    """Where `t` is what was loaded then, or one earlier, but not where it is a sum of that time."""
    lines = contracted(f"""
  %0: i64 = const 0
  %1: i64 = const 1
  %q: f64, %r: f64 = for %i = %0, %n, %1 (%t: f64 = %a, %v: f64 = %b) {{
    %u: f64 = load %x[%i]
    %p: f64 = mul %u, %c
    %s: f64 = add %t, %p
    next {handed}
  }}
  return %q""")
    assert ("%s: f64 = fma %u, %c, %t" in lines) is fused


def test_other_loops_have_no_vectors() -> None:
    """One around another loop, and one that is not counted."""
    inner = "for %j = %0, %n, %1 {\nnext\n}"
    assert "fma %u, %b, %t" in running(inner, "%u, %b")
    loop = (
        "loop (%i: i64 = %0, %t: f64 = %a) {{\n%y: bool = lt %i, %n\nif %y {{\nyield\n}} else {{\nbreak %t\n}}\n{}\n"
        "%k: i64 = add %i, %1\nnext %k, %s\n}}"
    )
    assert "fma %u, %b, %t" in running("", "%u, %b", loop)


def test_sums_beside_the_one_in_order_are_vectors_of_fused_operations() -> None:
    assert "%v: f64 = fma %u, %b, %c" in running("%o: f64 = mul %u, %b\n%v: f64 = add %o, %c", "%v, %v")


# ---------------------------------------------------------------- what differentiation adds up

TERM = "%p: f64 = mul %a, %b\n%q: f64 = mul %c, %d\n%s: f64 = add %p, %c\n%t: f64 = add %q, %s {free=True}\nreturn %t"


def test_only_what_is_free_is_decided_then() -> None:
    assert contracted(TERM, terms=True) == [
        "%p: f64 = mul %a, %b", "%s: f64 = add %p, %c", "%t: f64 = fma %c, %d, %s", "return %t",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body, expected",
    [
        ("%p: f64 = mul %a, %b\n%q: f64 = mul %c, %d\n%s: f64 = add %p, %q {free=True}\nreturn %s",
         "%s: f64 = fma %a, %b, %q"),
        ("%w: f64 = sin %c\n%p: f64 = mul %a, %b\n%q: f64 = mul %w, %d\n%s: f64 = add %p, %q {free=True}\nreturn %s",
         "%s: f64 = fma %w, %d, %p"),
        ("%w: f64 = sin %a\n%p: f64 = mul %w, %b\n%v: f64 = add %c, %d\n%q: f64 = mul %v, %d\n"
         "%s: f64 = add %q, %p {free=True}\nreturn %s", "%s: f64 = fma %w, %b, %q"),
        ("%p: f64 = mul %a, %b\n%u: f64 = sqrt %p\n%q: f64 = mul %c, %d\n%s: f64 = add %p, %q {free=True}\n"
         "%t: f64 = add %u, %s\nreturn %t", "%s: f64 = fma %c, %d, %p"),
    ],
)  # fmt: skip
def test_of_two_products_the_later_one(body: str, expected: str) -> None:
    """… that is of no other use, and the first of two that are there at once."""
    assert expected in contracted(body, terms=True)


def test_in_a_loop_the_product_that_waits_for_the_iteration_before() -> None:
    """Not the one with the longer way from what is there from the start."""
    lines = contracted("""
  %0: i64 = const 1
  %1: f64 = for %i = %0, %n, %0 (%t: f64 = %a) {
    %w: f64 = sin %b
    %v: f64 = cos %w
    %p: f64 = mul %v, %c
    %q: f64 = mul %t, %d
    %s: f64 = add %p, %q {free=True}
    next %s
  }
  return %1""", terms=True)
    assert "%s: f64 = fma %t, %d, %p" in lines


def test_there_differences_are_as_sums() -> None:
    body = "%p: f64 = mul %a, %b\n%q: f64 = mul %c, %d\n%m: f64 = neg %q\n%s: f64 = add %p, %m {free=True}\nreturn %s"
    assert contracted(body, terms=True)[-2:] == ["%s: f64 = fma %a, %b, %m", "return %s"]
    assert contracted(body.replace(" {free=True}", ""))[-2:] == ["%s: f64 = add %p, %m", "return %s"]


def test_nothing_is_free_afterwards() -> None:
    program = parse_program(f"{HEAD}{TERM.replace('add %q', 'add %a')}\n}}")
    fn = program.functions["f"]
    assert has_terms(fn)
    settle(fn)
    assert not has_terms(fn) and "free" not in print_program(program)


def test_a_sum_that_is_shared_with_one_of_the_program_is_not_free() -> None:
    """Else the value of the program would depend on whether a derivative is taken."""
    text = """
fn @f(%a: f64, %b: f64, %c: f64) -> f64, f64 {
  %p: f64 = mul %a, %b
  %s: f64 = add %p, %c {free=True}
  %t: f64 = add %p, %c
  return %s, %t
}"""
    for given in (text, text.replace("return %s, %t", "return %t, %s")):
        program = parse_program(given)
        settle(program.functions["f"])
        assert "fma" not in print_program(program)


# ---------------------------------------------------------------- the same bits everywhere

PROGRAM = """
f(x, y) = x*y + 0.1x - y/3 * x
g(x, y) = x > 0.3 ? f(x, y) * x - y : y*y + x*x
function h(x, y)
  s = 0.0
  for i in 1:7
    s += x * i + sin(y) * s
    if s * s - 3y > 1
      s -= 0.7s * y
    end
  end
  s
end
k(x, y) = [x, y, x*y + 1][2] * x + sum([x, 0.3, y] .* y .- x)
det(a, b, c, d) = a*d - b*c
"""
NAMES = ("f", "g", "h", "k")


def points() -> list[tuple[float, float]]:
    r = random.Random(5)
    return [(r.uniform(-1, 2), r.uniform(-1, 2)) for _ in range(8)]


def reference() -> dict[tuple[str, int], float]:
    m = dsl.loads(PROGRAM, interpreter=True, fma=True)
    return {(name, k): m[name](*p) for name in NAMES for k, p in enumerate(points())}


def test_fusing_is_there() -> None:
    """The values are not those of products that are rounded on their own."""
    apart = dsl.loads(PROGRAM, interpreter=True, fma=False)
    assert {name for (name, k), v in reference().items() if apart[name](*points()[k]) != v} == set(NAMES)


WAYS: dict[str, Callable[[Any, str, tuple[float, float]], float]] = {
    "called": lambda m, name, p: m[name](*p),
    "with numbers that are known": lambda m, name, p: m.eval(f"{name}({p[0]!r}, {p[1]!r})"),
    "beside a gradient": lambda m, name, p: dsl.value_and_grad(m[name])(*p)[0],
    "beside a derivative": lambda m, name, p: dsl.jvp(m[name], p, (1.0, 0.0))[0],
    "in a sum with others": lambda m, name, p: m.eval(f"({name}({p[0]!r}, {p[1]!r}), {name}({p[0]!r}, 2.0))")[0],
}


@pytest.mark.parametrize("options", [{}, {"opt_level": 0}, {"optimize": False}, {"mode": "reverse"}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_function_has_the_same_bits_however_it_is_called(options: dict[str, Any], way: str) -> None:
    m = dsl.loads(PROGRAM, fma=True, cache=False, **options)
    assert {(name, k): WAYS[way](m, name, points()[k]) for name, k in reference()} == reference()


@pytest.mark.parametrize("name", NAMES)
def test_so_has_a_derivative(name: str) -> None:
    m = dsl.loads(PROGRAM, fma=True, cache=False)
    interpreted = dsl.loads(PROGRAM, fma=True, interpreter=True)
    low = dsl.loads(PROGRAM, fma=True, cache=False, opt_level=0)
    raw = dsl.loads(PROGRAM, fma=True, cache=False, optimize=False)
    for p in points():
        expected = dsl.gradient(interpreted[name], *p)
        assert dsl.gradient(m[name], *p) == dsl.gradient(low[name], *p) == expected
        assert dsl.gradient(raw[name], *p) == pytest.approx(expected, rel=1e-14)
        assert m.eval(f"gradient({name}, {p[0]!r}, {p[1]!r})") == expected


@pytest.mark.parametrize("x", [0.1, 0.7, 1 / 3, 1e-9])
def test_differences_of_products_keep_their_symmetry(x: float) -> None:
    m = dsl.loads(PROGRAM, fma=True)
    assert m.det(x, x, x, x) == 0 and m.det(x, 0.3, 0.3, x) == -m.det(0.3, x, x, 0.3)


@pytest.mark.parametrize("z", [0.1 + 0.7j, 0.7 + 0.1j, -0.3 + 0.3j, 1e-9 + 1 / 3j])
def test_complex_numbers_keep_theirs(z: complex) -> None:
    m = dsl.loads("square(z) = z * conj(z)\none(z) = z / z\nother(z, w) = z * w - w * z", fma=True)
    assert m.square(z).imag == 0 and m.one(z) == 1 and m.other(z, 0.7 - 0.3j) == 0


@pytest.mark.parametrize("seed", range(12))
def test_native_code_and_the_interpreter_agree_on_random_programs(seed: int) -> None:
    program, root, cases = random_program(seed)
    for fn in program.functions.values():
        contract(fn)
    verify(program)
    units = [compile_unit(program, root, level) for level in (0, 3)]
    for args in cases:
        expected = bits(run(program, root, args))
        assert all(bits(unit.call(args)) == expected for unit in units)


def instructions(m: Any) -> str:
    return str(m.code_native("f(1.0, 2.0)"))


@pytest.mark.skipif(not processor.has_fma(), reason="the processor has no such instruction")
@pytest.mark.parametrize(
    "formula, mnemonic", [("x*y + z", "fmadd"), ("x*y - z", "fmsub"), ("z - x*y", "fnmadd"), ("-x*y - z", "fnmsub")]
)
def test_signs_cost_nothing(formula: str, mnemonic: str) -> None:
    """The opposite of a factor or a summand is part of the instruction (of x86)."""
    if "xmm" not in instructions(dsl.loads("f(x, y) = x / y")):
        pytest.skip("the names are those of x86")
    text = str(dsl.loads(f"f(x, y, z) = {formula}").code_native("f(1.0, 2.0, 3.0)"))
    assert mnemonic in text and "xor" not in text and "mul" not in text


# ---------------------------------------------------------------- processors without the instruction


def test_without_the_instruction_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "has_fma", lambda: False)
    m = dsl.loads(PROGRAM, cache=False)
    assert not any("fma" in str(m.code_typed(call)) for call in ("f(1.0, 2.0)", "gradient(h, 1.0, 2.0)"))
    plain = dsl.loads(PROGRAM, fma=False, interpreter=True)
    assert all(m[name](*p) == plain[name](*p) for name in NAMES for p in points())
    asked = dsl.loads(PROGRAM, fma=True, cache=False)  # it is slow there, but it can be had
    assert {(name, k): asked[name](*points()[k]) for name, k in reference()} == reference()


def test_what_is_kept_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of the top level are kept with a program: a folder may serve several processors."""
    source = Source("a", PROGRAM)

    def key(options: Options) -> str:
        return programs.key_of(source, options, False)

    monkeypatch.setattr(processor, "has_fma", lambda: True)
    there, asked = key(Options()), key(Options(fma=True))
    monkeypatch.setattr(processor, "has_fma", lambda: False)
    assert len({there, key(Options()), key(Options(fma=False))}) == 3 and key(Options(fma=True)) == asked


@pytest.mark.parametrize(
    "machine, flags, expected",
    [("aarch64", "fp asimd", True), ("x86_64", "sse2 fma avx2", True), ("x86_64", "sse2 fma4 avx", False)],
)
def test_what_a_processor_has(
    machine: str, flags: str, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    about = tmp_path / "cpuinfo"
    about.write_text(f"flags\t\t: {flags} ht\n")
    monkeypatch.setattr(processor, "machine", lambda: machine)
    monkeypatch.setattr(processor, "ABOUT", str(about))
    assert processor.has_fma.__wrapped__() is expected


def test_llvm_is_asked_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    here = processor.has_fma()
    monkeypatch.setattr(processor, "ABOUT", "/nothing/there")
    assert processor.has_fma.__wrapped__() is here


def test_an_option_that_is_none() -> None:
    with pytest.raises(DslError, match="fma is 'yes'"):
        Options(fma="yes")  # type: ignore[arg-type]
