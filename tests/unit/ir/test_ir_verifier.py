"""The verifier finds each kind of broken IR, and quotes the op."""

from __future__ import annotations

import pytest

import dsl.ops  # noqa: F401  (fills the table of primitives)
from dsl.ir.core import Op, Rule, Value
from dsl.ir.text import parse_program
from dsl.ir.verifier import VerifierError, verify
from dsl.types import F64

FRAME = """
fn @g(%x: f64, %b: bool, %m: mem<f64>) -> f64, bool {{
  return %x, %b
}}
fn @f(%x: f64, %n: i64, %c: bool, %m: mem<f64, i64>) -> f64 {{
{body}
}}
"""

# (what is wrong, the body of @f, a part of the message)
WRONG = [
    ("operand types", "%y: f64 = add %x, %n\nreturn %y", "add has no signature for (f64, i64)"),
    ("result type", "%y: i64 = add %x, %x\nreturn %x", "the result should be of type f64, not i64"),
    ("unknown op", "frobnicate %x\nreturn %x", "there is no op 'frobnicate'"),
    ("no terminator", "%y: f64 = add %x, %x", "a terminator ends a region, and only that"),
    ("terminator inside", "return %x\nreturn %x", "a terminator ends a region, and only that"),
    ("empty arm", "if %c { } else { yield }\nreturn %x", "a region is empty"),
    ("condition", "if %x { yield } else { yield }\nreturn %x", "the condition should be of type bool"),
    ("arm's value", "if %c { %y: f64 = add %x, %x\nyield } else { yield }\nreturn %y", "is not visible here"),
    ("yield arity", "%y: f64 = if %c { yield %x } else { yield }\nreturn %y", "what is yielded should be of type f64"),
    ("yield type", "%y: f64 = if %c { yield %x } else { yield %n }\nreturn %y", "should be of type f64, not i64"),
    ("yield outside", "loop { yield }\nreturn %x", "a yield ends an arm of an if"),
    ("next outside", "next", "there is no loop to leave"),
    ("break outside", "if %c { break } else { yield }\nreturn %x", "there is no loop to leave"),
    ("break depth", "loop { break{1} }\nreturn %x", "there are not so many loops to leave"),
    ("break values", "%y: f64 = loop { break }\nreturn %y", "what the loop gives should be of type f64, not none"),
    ("next values", "loop (%k: i64 = %n) { next %x }\nunreachable", "what is carried should be of type i64"),
    ("init type", "loop (%k: f64 = %n) { break }\nreturn %x", "the parameters should be of type i64, not f64"),
    ("break out of for", "loop { for %i = %n, %n, %n { break{1} }\nnext }\nunreachable", "does not cross a for"),
    ("arm leaves for", "for %i = %n, %n, %n { if %c { next } else { yield }\nnext }\nreturn %x",
     "does not leave a for"),
    ("return in for", "for %i = %n, %n, %n { if %c { return %x } else { yield }\nnext }\nreturn %x",
     "return does not leave"),
    ("bounds", "for %i = %x, %n, %n { next }\nreturn %x", "the bounds should be of type i64, i64, i64"),
    ("return type", "return %n", "what is returned should be of type f64, not i64"),
    ("constant", "%y: f64 = const 1\nreturn %y", "1 is no f64"),
    ("big constant", "%y: i64 = const 9223372036854775808\nreturn %x", "is no i64"),
    ("null scalar", "%y: f64 = null\nreturn %y", "null is one reference"),
    ("new length", "%y: mem<f64> = new %x\nreturn %x", "the length should be of type i64"),
    ("load of scalar", "%y: f64 = load %x[%n]\nreturn %y", "is no memory"),
    ("load type", "%y: i64 = load %m[%n]\nreturn %x", "the fields should be of type f64, not i64"),
    ("load too many", "%y: i64, %z: i64 = load %m[%n] {1}\nreturn %x",
     "the fields should be of type i64, not i64, i64"),
    ("store type", "store %m[%n], %n\nreturn %x", "the fields should be of type f64, not i64"),
    ("acc of ints", "acc %m[%n], %n {1}\nreturn %x", "acc adds floats only"),
    ("index type", "store %m[%x], %x\nreturn %x", "the index should be of type i64"),
    ("push part", "push %m, %x\nreturn %x", "the record should be of type f64, i64, not f64"),
    ("pop part", "%y: f64 = pop %m\nreturn %y", "the record should be of type f64, i64, not f64"),
    ("same of scalars", "%y: bool = same %x, %x\nreturn %x", "same takes two references"),
    ("address of a scalar", "%y: i64 = address %x\nreturn %x", "address takes one memory"),
    ("pack type", "%y: f64 = pack %x\nreturn %y", "the result should be of type obj"),
    ("shadow type", "%y: mem<f64, i64> = shadow %m\nreturn %x", "should be of type mem<f64, f64>"),
    ("stop type", "%y: f64 = stop %n\nreturn %y", "the result should be of type i64, not f64"),
    ("unknown callee", "%y: f64 = call @h(%x)\nreturn %y", "there is no function @h"),
    ("call arity", "%y: f64, %d: bool = call @g(%x)\nreturn %y", "the arguments should be of type f64, bool, mem<f64>"),
    ("wrt range", "%s: mem<f64> = new %n\n%y: f64, %d: bool, %t: f64 = jvp @g(%x, %c, %s; %x) {wrt=(7,)}\nreturn %y",
     "wrt names no parameters"),
    ("wrt a bool", "%s: mem<f64> = new %n\n%y: f64, %d: bool, %t: f64 = jvp @g(%x, %c, %s; %c) {wrt=(1,)}\nreturn %y",
     "a parameter that has no tangent"),
    ("vjp shadows",
     "%s: mem<f64> = new %n\n%y: f64, %d: bool, %t: f64 = vjp @g(%x, %c, %s; %x) {wrt=(0, 2)}\nreturn %y",
     "the arguments should be of type f64, bool, mem<f64>, f64, mem<f64>"),
    ("error code", "check %c {E9999 \"no\"}\nreturn %x", "there is no such error code"),
    ("check of float", "check %x {E0404 \"no\"}\nreturn %x", "the condition should be of type bool"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), [pytest.param(b, m, id=i) for i, b, m in WRONG])
def test_broken_ir_is_found(body: str, message: str) -> None:
    program = parse_program(FRAME.format(body=body))
    with pytest.raises(VerifierError) as caught:
        verify(program)
    assert str(caught.value).startswith("in @f: ")
    assert message in str(caught.value)


GOOD = [
    "return %x",
    "if %c { return %x } else { unreachable }\nunreachable",
    "%y: f64 = if %c { return %x } else { yield %x }\nreturn %y",
    "%y: f64 = loop { loop { if %c { break{1} %x } else { next }\nunreachable }\nunreachable }\nreturn %y",
    "for %i = %n, %n, %n { loop { if %c { break } else { next }\nunreachable }\nnext }\nreturn %x",
    "for %i = %n, %n, %n { if %c { unreachable } else { yield }\nnext }\nreturn %x",
    "%s: mem<f64> = new %n\n%z: mem<f64> = shadow %s\n"
    "%y: f64, %d: bool, %t: f64 = vjp @g(%x, %c, %s; %x, %z) {wrt=(0, 2)}\nreturn %t",
    "%s: mem<f64> = select %c, %m, %m\nreturn %x".replace("mem<f64>", "mem<f64, i64>"),
]


@pytest.mark.parametrize("body", GOOD)
def test_good_ir_passes(body: str) -> None:
    verify(parse_program(FRAME.format(body=body)))


def test_the_message_quotes_the_op() -> None:
    program = parse_program(FRAME.format(body="%y: f64 = mul %x, %x\n%z: f64 = add %y, %n\nreturn %z"))
    with pytest.raises(VerifierError, match=r"\n    add %y, %n$"):
        verify(program)


def test_definitions_and_places() -> None:
    body = "%y: f64 = mul %x, %x\n%z: f64 = add %y, %x\nreturn %z"

    def broken(change: str) -> str:
        program = parse_program(FRAME.format(body=body))
        region = program.functions["f"].body
        match change:
            case "twice":
                region.ops.insert(1, region.ops[0])
            case "late":
                region.ops[:2] = region.ops[1::-1]
            case "owner":
                region.ops[0].results = [Value(F64, region.ops[1])]
                region.ops[1].args[0] = region.ops[0].results[0]
            case "shared result":
                region.ops[1].results = region.ops[0].results
                region.ops[2].args = list(region.ops[0].results)
            case "name":
                program.functions["h"] = program.functions.pop("f")
            case "rule":
                program.functions["f"].attrs["rule"] = Rule(forward="nowhere")
        with pytest.raises(VerifierError) as caught:
            verify(program)
        return str(caught.value)

    assert "an op stands in two places" in broken("twice")
    assert "is not visible here" in broken("late")
    assert "another owner" in broken("owner")
    assert "a value is defined twice" in broken("shared result")
    assert "is filed under the name h" in broken("name")
    assert "the rule names @nowhere" in broken("rule")


def test_a_region_stands_in_one_place() -> None:
    program = parse_program(FRAME.format(body="if %c { yield } else { yield }\nreturn %x"))
    op: Op = program.functions["f"].body.ops[0]
    op.regions[1] = op.regions[0]
    with pytest.raises(VerifierError, match="a region stands in two places"):
        verify(program)
