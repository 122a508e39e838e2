"""What reverse mode keeps, as its printed plan."""

from __future__ import annotations

import re

import pytest

from dsl.ad import reverse_plan
from dsl.ad.plan import HEADER, record_bytes
from dsl.backend.layout import HEADER_SIZE, record_size
from dsl.ir.text import parse_program
from dsl.types import BOOL, F32, F64, I64, LeafType, Mem


@pytest.fixture(autouse=True)
def _loops_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of loops have tests of their own (`test_checkpoint`)."""
    monkeypatch.setenv("DFL_CHECKPOINT", "off")


def plan_of(text: str, *wrt: int) -> str:
    """The plan, without the places in the source."""
    shown = reverse_plan(parse_program(text), "f", wrt or (0,)).show()
    return re.sub(r" = %.*(?=: )| \(line \d+\)", "", shown)


def test_a_linear_function_keeps_nothing() -> None:
    text = plan_of("""
fn @f(%x: f64) -> f64 {
  %0: f64 = const 3.0
  %1: f64 = mul %0, %x
  %2: f64 = sub %1, %x
  return %2
}
""")
    assert text == "reverse of @f\n  body: keeps 0 bytes in all\n"


def test_a_result_that_serves_its_own_derivative() -> None:
    """exp keeps its result, not its argument."""
    text = plan_of("""
fn @f(%x: f64) -> f64 {
  %a: f64 = add %x, %x
  %e: f64 = exp %a
  return %e
}
""")
    assert text == "reverse of @f\n  body: keeps 0 bytes in all\n    in scope %e: f64\n"


@pytest.mark.parametrize(("op", "kept"), [("add", 0), ("mul", 8)])
def test_a_loop_keeps_what_its_rules_mention(op: str, kept: int) -> None:
    text = plan_of(f"""
fn @f(%x: f64, %n: i64) -> f64 {{
  %1: i64 = const 1
  %r: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {{
    %t: f64 = {op} %s, %x
    next %t
  }}
  return %r
}}
""")
    assert f"for loop: keeps {kept} bytes an iteration" in text


def test_one_exit_code_for_a_run_of_a_while_loop() -> None:
    """A loop with one `next` keeps no code for each iteration, one with `continue` does."""
    loop = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %r: f64 = loop (%s: f64 = %x, %k: i64 = %n) {
    %c: bool = gt %k, %0
    if %c { yield } else { break %s }
    %k1: i64 = sub %k, %1
    GUARD
    %t: f64 = mul %s, %x
    next %t, %k1
  }
  return %r
}
"""
    plain = plan_of(loop.replace("GUARD", ""))
    assert "exit of the iteration" not in plain and "loop: keeps 8 bytes an iteration, 2 exits" in plain
    guard = "%d: bool = eq %k, %1\n if %d { next %x, %k1 } else { yield }"
    assert "save exit of the iteration: i64" in plan_of(loop.replace("GUARD", guard))


# ---------------------------------------------------------------- decisions: each, and the case just beyond it

LOOP = """
fn @f(%x: f64, %m: mem<f64>, %n: i64, %k: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  BEFORE
  %r: f64 = for %i = %0, %n, %1 (%s: f64 = %x) {
    BODY
    %t: f64 = mul %s, %y
    next %t
  }
  AFTER
  return %r
}
fn @outside(%m: mem<f64>, %i: i64) -> f64 {
  %a: f64 = load %m[%i]
  return %a
}
"""


def decisions(body: str, before: str = "", after: str = "") -> dict[str, str]:
    """How each named value in the body of a loop is had; `%y` is what the loop multiplies by."""
    text = LOOP.replace("BODY", body).replace("BEFORE", before).replace("AFTER", after)
    shown = plan_of(text, 0, 1)
    inside = shown[shown.index("for loop:") :].splitlines()[1:]
    return {line.split(":")[0].split()[-1]: line.split()[0] for line in inside}


def test_cheap_arithmetic_on_counters_and_what_is_outside_is_made_again() -> None:
    how = decisions("""
      %a: i64 = mul %i, %k
      %y: f64 = tof64 %a
    """)
    assert how == {"%a": "recompute", "%y": "recompute"}  # s is not needed: y is no function of x


def test_what_takes_long_is_saved() -> None:
    assert decisions("%a: f64 = tof64 %i\n %y: f64 = sin %a") == {"%y": "save"}


STORED = """
fn @f(%x: mem<f64>, %out: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %last: i64 = sub %n, %1
  %size: i64 = mul %n, %n
  %a: mem<f64> = new %size
  for %j = %0, %last, %1 () {
    %jn: i64 = mul %j, %n
    for %i = %0, %last, %1 () {
      %p: i64 = add %i, %jn
      %u: f64 = load %x[%p]
      %y: f64 = exp %u
      BETWEEN
      store %a[%p], %y
      next
    }
    next
  }
  AFTER
  %r: f64 = load %a[%0]
  return %r
}
"""


@pytest.mark.parametrize(
    ("between", "place", "after", "expected"),
    [
        ("", "%a[%p]", "", "reload"),
        ("", "%a[%i]", "", "save"),  # a later iteration of the outer loop writes there
        ("", "%out[%p]", "", "save"),  # other memory may be this
        ("store %a[%jn], %u", "%a[%p]", "", "save"),
        ("", "%a[%p]", "store %a[%0], %z", "save"),
    ],
)
def test_what_takes_long_is_read_again_where_it_was_stored(between: str, place: str, after: str, expected: str) -> None:
    text = STORED.replace("BETWEEN", between).replace("AFTER", after).replace("store %a[%p], %y", f"store {place}, %y")
    assert f"{expected} %y: f64" in plan_of(text, 0, 1)


def test_what_is_carried_is_saved_and_serves_what_is_made_of_it() -> None:
    """%y = s + 1.0 is made from s, which is kept anyway."""
    how = decisions("%one: f64 = const 1.0\n %y: f64 = add %s, %one")
    assert how == {"%s": "save", "%y": "recompute"}


def test_a_chain_that_is_too_long_is_saved() -> None:
    def chain(n: int) -> str:
        lines = ["%a0: f64 = tof64 %i"] + [f"%a{k}: f64 = add %a{k - 1}, %x" for k in range(1, n)]
        return "\n".join([*lines, f"%y: f64 = neg %a{n - 1}"])

    assert decisions(chain(16))["%y"] == "recompute"
    assert decisions(chain(20)) == {"%s": "save", "%y": "save"}


def test_a_load_of_memory_that_nobody_writes_is_done_again() -> None:
    assert decisions("%y: f64 = load %m[%i]") == {"%s": "save", "%y": "reload"}


def test_a_load_of_memory_that_is_written_before_the_loop_only() -> None:
    before = "%b: mem<f64> = new %2\n store %b[%1], %x"
    assert decisions("%y: f64 = load %b[%1]", before)["%y"] == "reload"


@pytest.mark.parametrize("write", ["store %m[%0], %x", "push %m, %x", "acc %m[%1], %x {0}"])
def test_a_load_of_memory_that_is_written_afterwards_is_saved(write: str) -> None:
    assert decisions("%y: f64 = load %m[%i]", after=write)["%y"] == "save"
    assert decisions(f"%y: f64 = load %m[%i]\n{write}")["%y"] == "save"


@pytest.mark.parametrize(
    ("step", "how"), [("add %j, %k", "recompute"), ("sub %j, %2", "recompute"), ("mul %j, %2", "save")]
)
def test_a_place_that_goes_on_by_the_same_number(step: str, how: str) -> None:
    text = f"""
fn @f(%x: f64, %m: mem<f64>, %n: i64, %k: i64) -> f64 {{
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %r: f64, %p: i64 = for %i = %0, %n, %1 (%s: f64 = %x, %j: i64 = %k) {{
    %y: f64 = load %m[%j]
    %t: f64 = mul %s, %y
    %q: i64 = {step}
    next %t, %q
  }}
  return %r
}}
"""
    assert f"{how} %j: i64" in plan_of(text, 0, 1)


NEST = """
fn @f(%m: mem<f64>, %n: i64, %k: i64, %c: bool) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 1.0
  %r: f64 = for %t = %0, %k, %1 (%q: f64 = %z) {
    %1n: i64 = add %t, %n
    %s: f64 = for %i = %0, %n, %1 (%a: f64 = %q) {
      %e: f64 = for %j = %0, HIGH, %1 (%b: f64 = %a) {
        %ij: i64 = add %i, %j
        BEFORE
        %u: f64 = load %m[PLACE]
        %w: f64 = mul %u, %b
        %d: f64 = sin %w
        INSIDE
        next %d
      }
      BETWEEN
      next %e
    }
    AFTER
    next %s
  }
  return %r
}
"""
CHANGES = {"HIGH": "%n", "PLACE": "%j", "BEFORE": "", "INSIDE": "", "BETWEEN": "", "AFTER": "store %m[%0], %s"}


def nest(**changes: str) -> str:
    text = NEST
    for name, usual in CHANGES.items():
        text = text.replace(name, changes.get(name, usual))
    return plan_of(text)


def copies(plan: str) -> list[str]:
    return re.findall(r"save copy of what a nest reads: (.*)", plan)


EACH = "mem<f64>, and 8 bytes for each of its elements"


@pytest.mark.parametrize(
    ("what", "changes", "copied", "how"),
    [
        ("one counter of two", {}, [EACH], "reload"),
        ("the other one", {"PLACE": "%i"}, [EACH], "reload"),
        ("a number of iterations that changes outside", {"HIGH": "%1n"}, [EACH], "reload"),
        ("a known number", {"HIGH": "%1"}, ["mem<f64>, and its 48 bytes"], "reload"),
        ("no counter", {"PLACE": "%0"}, ["f64"], "reload"),
        ("both counters", {"PLACE": "%ij"}, [], "save"),
        ("nothing changes behind the nest", {"AFTER": ""}, [], "reload"),
        ("the nest changes it", {"INSIDE": "store %m[%0], %d"}, [], "save"),
        ("its outer loop changes it", {"BETWEEN": "store %m[%0], %e"}, [], "save"),
        ("and the inner one reads one place", {"BETWEEN": "store %m[%0], %e", "PLACE": "%i"}, ["f64"], "reload"),
        ("the inner loop is longer each time", {"HIGH": "%i"}, [], "save"),
        ("a place that is loaded", {"BEFORE": "%l: f64 = load %m[%0]\n%p: i64 = toi64 %l", "PLACE": "%p"},
         ["f64"], "save"),
    ],
)  # fmt: skip
def test_what_a_nest_reads_of_memory_that_changes_behind_it(
    what: str, changes: dict[str, str], copied: list[str], how: str
) -> None:
    plan = nest(**changes)
    assert f"{how} %u: f64" in plan, plan
    assert copies(plan) == copied, plan


def test_what_is_read_in_some_iterations_only_is_not_copied() -> None:
    assert "%u" in nest(BEFORE="") and copies(nest(BEFORE=""))
    arm = "%v: f64 = if %c { %x: f64 = load %m[%i]\nyield %x } else { yield %z }\n %y: f64 = mul %v, %b"
    plan = nest(BEFORE=arm, AFTER="%g: f64 = load %m[%1]\n%h: f64 = mul %g, %s\nstore %m[%0], %h")
    assert len(copies(plan)) == 1, plan  # that of %u


def test_a_nest_in_the_body_of_a_gradient_is_left_to_fusion() -> None:
    plan = plan_of("""
fn @f(%x: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %s: f64 = for %i = %0, %n, %1 (%a: f64 = %z) {
    %e: f64 = for %j = %0, %n, %1 (%b: f64 = %a) {
      %u: f64 = load %x[%j]
      %v: f64 = load %x[%i]
      %w: f64 = mul %u, %v
      %d: f64 = add %w, %b
      next %d
    }
    next %e
  }
  store %x[%0], %s
  %y: f64 = load %x[%1]
  %q: f64 = mul %y, %s
  return %q
}
""")
    assert "save %u: f64" in plan and not copies(plan), plan


def test_a_load_at_a_place_that_has_to_be_saved_is_saved_itself() -> None:
    """Instead of its value its place would be kept: nothing is gained, unless the place is needed for the shadow."""
    body = "%b: i64 = toi64 %s\n %y: f64 = load %m[%b]"
    how = decisions(body)
    assert how["%s"] == "save" and how["%b"] == "recompute"  # from s, which is kept anyway
    assert how["%y"] == "reload"
    text = """
fn @f(%x: f64, %m: mem<f64>, %k: mem<i64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %r: f64, %p: i64 = for %i = %0, %n, %1 (%s: f64 = %x, %j: i64 = %0) {
    %q: i64 = load %k[%j]
    %y: f64 = load %m[%q]
    %t: f64 = mul %s, %y
    next %t, %q
  }
  return %r
}
"""
    shown = plan_of(text, 0)
    assert "save %y: f64" in shown and "%q" not in shown


def test_the_length_of_memory_that_does_not_grow() -> None:
    """Here n is a trip count of the inner loop."""
    inner = """
      %row: mem<f64> = load %h[%i]
      %n: i64 = len %row
      WRITE
      %r: f64 = for %j = %1, %n, %1 (%t: f64 = %s) {
        %u: f64 = sin %t
        next %u
      }
"""
    text = """
fn @f(%x: f64, %h: mem<mem<f64>>, %k: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %r0: f64 = for %i = %0, %k, %1 (%s: f64 = %x) {
    INNER
    next %r
  }
  return %r0
}
""".replace("INNER", inner)
    outer = plan_of(text.replace("WRITE", "store %row[%0], %s"), 0)
    assert "recompute %n: i64" in outer and "recompute trip count" in outer
    grown = plan_of(text.replace("WRITE", "push %row, %s"), 0)
    assert "%n" not in grown and "save trip count" in grown


def test_a_predicate_is_made_again_or_saved() -> None:
    arms = "%y: f64 = if %c { %b: f64 = sin %x yield %b } else { yield %x }"
    assert decisions(f"%c: bool = lt %i, %k\n {arms}")["%c"] == "recompute"
    assert decisions(f"%e: f64 = sin %s\n %c: bool = lt %e, %x\n {arms}")["%c"] == "save"


def test_what_an_outer_loop_keeps_serves_the_inner_one() -> None:
    """u + j in the inner loop costs u once an outer iteration."""
    text = """
fn @f(%x: f64, %n: i64) -> f64 {
  %1: i64 = const 1
  %r: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {
    %u: f64 = sin %s
    %t: f64 = for %j = %1, %n, %1 (%v: f64 = %s) {
      %a: f64 = tof64 %j
      %b: f64 = add %u, %a
      %w: f64 = mul %v, %b
      next %w
    }
    next %t
  }
  return %r
}
"""
    outer, inner = plan_of(text, 0).split("for loop")[1:]
    assert "save %u: f64" in outer
    assert "recompute %b: f64" in inner and "keeps 8 bytes an iteration" in inner


def test_arguments_are_read_again_in_one_function_only() -> None:
    """A callee may read the argument again as long as its caller leaves it alone; a pullback's caller may not."""
    from dsl.ad.activity import root_pattern
    from dsl.ad.derive import Deriver

    text = """
fn @g(%x: f64, %m: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %r: f64 = for %i = %0, %n, %1 (%s: f64 = %x) {
    %y: f64 = load %m[%i]
    %t: f64 = mul %s, %y
    next %t
  }
  return %r
}
fn @f(%x: f64, %m: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %r: f64 = call @g(%x, %m, %n)
  AFTER
  return %r
}
"""

    def callee(after: str, reusable: bool) -> str:
        program = parse_program(text.replace("AFTER", after))
        deriver = Deriver(program)
        fn = program.functions["f"]
        pair = deriver.pair(fn, root_pattern(fn, deriver.influence, frozenset({0, 1}), reusable))
        return pair.callees[0].plan.show()

    assert "reload %y" in callee("", False)
    assert "save %y" in callee("store %m[%0], %x", False)
    assert "save %y" in callee("", True)


def test_rosenbrock_keeps_nothing() -> None:
    text = plan_of("""
fn @f(%v: mem<f64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %zero: f64 = const 0.0
  %one: f64 = const 1.0
  %hundred: f64 = const 100.0
  %n: i64 = len %v
  %last: i64 = sub %n, %2
  %r: f64 = for %i = %0, %last, %1 (%s: f64 = %zero) {
    %j: i64 = add %i, %1
    %a: f64 = load %v[%i]
    %b: f64 = load %v[%j]
    %aa: f64 = mul %a, %a
    %c: f64 = sub %b, %aa
    %cc: f64 = mul %c, %c
    %d: f64 = sub %one, %a
    %dd: f64 = mul %d, %d
    %e: f64 = mul %hundred, %cc
    %g: f64 = add %e, %dd
    %t: f64 = add %s, %g
    next %t
  }
  return %r
}
""", 0)
    assert "for loop: keeps 0 bytes an iteration" in text and "save" not in text


def test_everything_can_be_saved_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_PLAN", "save")
    assert decisions("%y: f64 = load %m[%i]\n %z: f64 = add %y, %x") == {"%s": "save", "%y": "save"}


@pytest.mark.parametrize(
    "fields", [(), (BOOL,), (F64,), (BOOL, F64), (F64, BOOL), (F32, BOOL, F32), (I64, F32), (BOOL, Mem((F64,)), BOOL)]
)
def test_bytes_are_those_of_the_record_in_memory(fields: tuple[LeafType, ...]) -> None:
    assert (record_bytes(fields), HEADER) == (record_size(fields), HEADER_SIZE)


TEMPORARY = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %last: i64 = const 99
  %r: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {
    SIZE
    %t: mem<f64> = new %size
    for %j = %0, %last, %1 () {
      %a: f64 = tof64 %j
      %c: f64 = mul %a, %x
      store %t[%j], %c
      next
    }
    USE
    %y: f64 = for %k = %0, %last, %1 (%u: f64 = %s) {
      %v: f64 = load %t[%k]
      %w: f64 = mul %v, %v
      %z: f64 = sub %w, %u
      next %z
    }
    next %y
  }
  return %r
}
fn @outside(%m: mem<f64>) {
  return
}
"""


def temporary(size: str, use: str = "") -> str:
    text = plan_of(TEMPORARY.replace("SIZE", size).replace("USE", use), 0)
    return text.split("for loop: ")[1]


def test_a_temporary_is_kept_once_with_its_contents() -> None:
    """Its values are reloaded, so it is kept; its shadow is made where the reverse sweep enters the iteration."""
    known = temporary("%size: i64 = const 100")
    assert known.startswith("keeps 840 bytes an iteration\n")  # the reference, the header, 100 numbers
    assert "save %t: mem<f64>, and its 832 bytes" in known and "recompute shadow of %t" in known
    unknown = temporary("%size: i64 = add %n, %last")
    assert "save %t: mem<f64>, and 8 bytes for each of its elements" in unknown


def test_a_temporary_that_is_handed_on_has_its_shadow_all_the_time() -> None:
    handed = temporary("%size: i64 = const 100", "call @outside(%t)")
    assert "save shadow of %t: mem<f64>, and its 832 bytes" in handed


def test_bytes_of_a_call() -> None:
    program = parse_program("""
fn @f(%x: f64, %n: i64) -> f64 {
  %1: i64 = const 1
  %r: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {
    %e: f64 = exp %s
    %q: f64 = cos %s
    %c: bool = lt %q, %x
    %y: f64 = if %c { %z: f64 = sin %s  yield %z } else { yield %e }
    next %y
  }
  return %r
}
""")
    plan = reverse_plan(program, "f", (0,))
    assert "keeps 24 bytes an iteration" in plan.show()  # s, c and e, each at its place
    assert plan.bytes([1000]) == 24000


CARRIED = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  SIZE
  %first: mem<f64> = new %size
  store %first[%0], %x
  %last: mem<f64> = for %i = %1, %n, %1 (%u: mem<f64> = %first) {
    %s: f64 = for %j = %0, %1, %1 (%c: f64 = %x) {
      %v: f64 = load %u[%j]
      %y: f64 = sin %v
      %z: f64 = add %y, %c
      next %z
    }
    NEXT
  }
  %r: f64 = load %last[%0]
  return %r
}
"""
MAKES = """
    %new: mem<f64> = new %size
    store %new[%0], %s
    next %new
"""


def carried(size: str, body: str) -> str:
    return plan_of(CARRIED.replace("SIZE", size).replace("NEXT", body)).split("for loop: ")[1]


def test_an_array_that_is_carried_counts_where_the_loop_makes_it() -> None:
    """A reference and an array, a header and 100 numbers; where shadows have to be there, too, since the array is known
    by another name, three references, one of them to the shadow of what is made, and a shadow."""
    known = carried("%size: i64 = const 100", MAKES)
    assert known.startswith("keeps 840 bytes an iteration\n")
    assert "save %u: mem<f64>, and its 832 bytes" in known
    unknown = carried("%size: i64 = add %n, %1", MAKES)
    assert unknown.startswith("keeps 40 bytes an iteration, and 8 for each element of %u\n")
    named = MAKES.replace("next %new", "%name: mem<f64> = select %yes, %new, %new\n next %name")
    shadowed = carried("%size: i64 = const 100\n %yes: bool = const true", named)
    assert shadowed.startswith("keeps 1688 bytes an iteration\n")
    assert "save shadow of %u: mem<f64>, and its 832 bytes" in shadowed


def test_an_array_that_is_carried_and_written_is_there_once() -> None:
    """No array is made in the loop: what is kept is the number that the rule of sin mentions, of each iteration of the
    inner loop."""
    text = carried("%size: i64 = const 100", "store %u[%0], %s\n next %u")
    assert "save shadow of %u: mem<f64>\n" in text and "832" not in text
    assert "for loop: keeps" not in text and "keeps 8 bytes an iteration\n" in text


def test_an_array_made_in_either_arm_counts_once() -> None:
    """The arms make shadows of different sizes: only that there is a header is known. (The array may be written where
    it is not certainly the new one, so the numbers are kept, not the array.)"""
    arms = """
    %less: bool = lt %s, %x
    %two: i64 = const 2
    %new: mem<f64> = if %less { %a: mem<f64> = new %size  yield %a } else { %b: mem<f64> = new %two  yield %b }
    store %new[%0], %s
    next %new
"""
    text = carried("%size: i64 = const 100", arms)
    assert text.startswith("keeps 48 bytes an iteration, and 8 for each element of shadow of %u\n")
    assert text.count("bytes for each of its elements") == 1 and "832" not in text


def test_a_vector_that_grows_has_no_known_size() -> None:
    grown = carried("%size: i64 = const 1", MAKES.replace("next", "push %new, %x\n next"))
    assert "and 8 for each element of shadow of %" in grown


def test_the_plan_of_a_recursion_says_what_each_call_keeps() -> None:
    """References to two shadows, a number, the place of the next call's record, the exit; the shadow that is made."""
    text = plan_of("""
fn @f(%x: f64, %n: i64) -> f64 {
  %size: i64 = const 100
  %m: mem<f64> = new %size
  %0: i64 = const 0
  store %m[%0], %x
  %y: f64 = call @go(%m, %n)
  return %y
}
fn @go(%m: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const 100
  %done: bool = le %n, %0
  %a: f64 = load %m[%0]
  if %done { return %a } else { yield }
  %new: mem<f64> = new %size
  %s: f64 = sin %a
  store %new[%0], %s
  %less: i64 = sub %n, %1
  %y: f64 = call @go(%new, %less)
  return %y
}
""")
    body, callee = text.split("reverse of @go\n")
    assert body.startswith("reverse of @f\n  body: keeps 0 bytes in all\n")
    assert callee.startswith("  body: keeps 872 bytes a call, 2 exits\n")
    assert "save shadow of %new: mem<f64>, and its 832 bytes" in callee
