"""The text form of the IR: printing and parsing.

Guarantees: print → parse → print is the identity, for every program the verifier accepts; floats keep their bits
(but for the payload of a NaN). Printing renumbers: values without a hint are %0, %1, … in program order, values with
one are %hint, made unique in the function.
Not guaranteed: titles and source positions are no part of the text (`positions=True` prints them as comments), and
parsing checks the grammar only; what is a legal program is the verifier's matter.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from dsl.diagnostics import NO_SPAN, Source, Span, error
from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.records import dataclass
from dsl.types import BOOL, F32, F64, I64, OBJ, LeafType, Mem

# ---------------------------------------------------------------- printing


def print_program(program: Program, positions: bool = False) -> str:
    """All functions in order, a blank line between them."""
    return "\n".join(print_function(fn, program, positions) for fn in program.functions.values())


def print_function(fn: Function, program: Program | None = None, positions: bool = False) -> str:
    """One function, ending in a newline. `program` says where the `;` in the arguments of `vjp` goes."""
    return _Printer(fn, program, positions).function()


def print_op(fn: Function, op: Op) -> str:
    """One op without what is inside its regions, with the names it has in its function's listing."""
    printer = _Printer(fn, None, False)
    printer.name_all(fn.body)
    return printer.head(op)


_UNFIT = re.compile(r"""[\s(){}\[\],;:=<>"@%/?]""")
_NUMBERED = re.compile(r"(.*)\.\d+", re.DOTALL)


class _Printer:
    def __init__(self, fn: Function, program: Program | None, positions: bool) -> None:
        self.fn = fn
        self.program = program
        self.positions = positions
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.next_suffix: dict[str, int] = {}
        self.count = 0
        self.lines: list[str] = []

    # -- names
    def name(self, value: Value) -> str:
        """Give a value its name, where it is defined."""
        hint = _UNFIT.sub("_", value.hint)
        if not hint or hint.isdigit():
            text = str(self.count)
            self.count += 1
        else:
            text = self.unique(hint)
        self.taken.add(text)
        self.names[value] = text
        return f"%{text}"

    def unique(self, hint: str) -> str:
        if hint not in self.taken:
            return hint
        numbered = _NUMBERED.fullmatch(hint)
        stem = numbered[1] if numbered else hint
        k = self.next_suffix.get(stem, 1)
        while f"{stem}.{k}" in self.taken:
            k += 1
        self.next_suffix[stem] = k + 1
        return f"{stem}.{k}"

    def use(self, value: Value) -> str:
        text = self.names.get(value)
        return f"%{text}" if text is not None else f"%?{value.hint}"  # a broken program is printed, too

    def uses(self, values: Iterable[Value]) -> str:
        return ", ".join(map(self.use, values))

    def defined(self, values: Iterable[Value]) -> str:
        return ", ".join(f"{self.name(v)}: {v.type}" for v in values)

    def name_all(self, region: Region) -> None:
        """Name everything in a region as printing it does."""
        for value in region.params:
            self.name(value)
        for op in region.ops:
            for value in op.results:
                self.name(value)
            for inner in op.regions:
                self.name_all(inner)

    # -- functions and regions
    def function(self) -> str:
        fn = self.fn
        if self.positions and fn.title:
            self.lines.append(f"// {fn.title}")
        head = f"fn @{fn.name}({self.defined(fn.params)})"
        if fn.results:
            head += f" -> {', '.join(map(str, fn.results))}"
        head += "".join(f" {_function_attr(k, v)}" for k, v in fn.attrs.items() if k != "sizes")
        self.lines.append(f"{head} {{" + self.position(fn.span))
        self.body(fn.body, "  ")
        self.lines.append("}")
        return "\n".join(self.lines) + "\n"

    def body(self, region: Region, indent: str) -> None:
        for op in region.ops:
            self.op(op, indent)

    def op(self, op: Op, indent: str) -> None:
        results = self.defined(op.results)
        start = indent + (f"{results} = " if results else "")
        position = self.position(op.span)
        if not op.regions:
            self.lines.append(start + self.head(op) + position)
        elif op.name == "if" and all(len(r.ops) == 1 and not r.ops[0].regions for r in op.regions):
            then, orelse = (self.head(r.ops[0]) for r in op.regions)
            self.lines.append(f"{start}{self.head(op)} {{ {then} }} else {{ {orelse} }}{position}")
        else:
            self.nested(op, start, indent, position)

    def nested(self, op: Op, start: str, indent: str, position: str) -> None:
        marked = "checkpoint " if op.attrs.get("checkpoint") else ""
        for k, region in enumerate(op.regions):
            if op.name == "for":
                index, *carried = region.params
                bounds = self.uses(op.args[:3])
                word = next((f"for{{{k}}}" for k in ("lanes", "few") if op.attrs.get(k)), "for")
                opening = f"{start}{marked}{word} {self.name(index)} = {bounds}" + self.carried(carried, op.args[3:])
            elif op.name == "loop":
                opening = f"{start}{marked}loop" + self.carried(region.params, op.args)
            else:
                opening = f"{indent}}} else" if k else start + self.head(op)
            self.lines.append(opening + " {" + (position if k == 0 else ""))
            self.body(region, indent + "  ")
        self.lines.append(indent + "}")

    def carried(self, params: list[Value], inits: list[Value]) -> str:
        if not params:
            return ""
        pairs = zip(params, inits, strict=False)  # of unequal length only in a broken program
        return " (" + ", ".join(f"{self.name(p)}: {p.type} = {self.use(i)}" for p, i in pairs) + ")"

    def position(self, span: Span) -> str:
        if not self.positions or span.source is NO_SPAN.source:
            return ""
        return f"  // {span.source.name}:{span.line}:{span.column}"

    # -- what stands right of the `=`, regions left out
    def head(self, op: Op) -> str:
        attrs = dict(op.attrs)
        match op.name:
            case "const":
                text = f"const {_number(attrs.pop('value', None))}"
            case "break":
                depth = attrs.pop("depth", 0)
                text = "break" + (f"{{{depth}}}" if depth else "") + _spaced(self.uses(op.args))
            case "load" | "store" | "acc":
                text = self.access(op, attrs.pop("first", 0))
            case "global":
                text = f"global {_quoted(attrs.pop('name', ''))} {attrs.pop('index', 0)}"
            case "check" | "print":
                code, words, hint = (attrs.pop(k, "") for k in ("code", "text", "hint"))
                shown = [code] * (op.name == "check") + [_quoted(words)] + [_quoted(hint)] * bool(hint)
                text = f"{op.name}{_spaced(self.uses(op.args))} {{{' '.join(shown)}}}"
            case _ if "fn" in attrs:
                text = f"{op.name} @{attrs['fn']}({self.call_args(op)})"
                del attrs["fn"]
            case _:
                text = op.name + _spaced(self.uses(op.args))
        if attrs:
            text += " {" + ", ".join(f"{k}={_literal(v)}" for k, v in attrs.items()) + "}"
        return text

    def access(self, op: Op, first: int) -> str:
        memory, index, *values = map(self.use, [*op.args, *[Value(I64)] * (2 - len(op.args))])
        text = f"{op.name} {memory}[{index}]" + "".join(f", {v}" for v in values)
        return f"{text} {{{first}}}" if first or op.name == "acc" else text

    def call_args(self, op: Op) -> str:
        """The arguments of a call; a `;` stands before tangents, seeds and shadows."""
        callee = self.program.functions.get(op.attrs["fn"]) if self.program else None
        primals = len(op.args)
        if op.name == "vjp_rev":
            primals = 1
        elif op.name in ("jvp", "vjp") and callee is not None:
            primals = len(callee.params)
        elif op.name == "jvp":
            primals = len(op.args) - len(op.attrs.get("wrt", ())) * op.attrs.get("width", 1)
        extra = op.args[primals:]
        return self.uses(op.args[:primals]) + (f"; {self.uses(extra)}" if extra else "")


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return "-nan" if math.copysign(1.0, value) < 0 else "nan"
    return repr(value)


def _literal(value: Any) -> str:
    """An attribute as `_Parser.literal` reads it."""
    match value:
        case str():
            return _quoted(value)
        case tuple() | list():
            opening, closing = "()" if isinstance(value, tuple) else "[]"
            comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
            return opening + ", ".join(map(_literal, value)) + comma + closing
        case float():
            return _number(value)
    return repr(value)


def _function_attr(key: str, value: Any) -> str:
    if isinstance(value, Rule):
        parts = [f"{k}=@{v}" for k in ("forward", "reverse", "pushforward") if (v := getattr(value, k))]
        return f"{key}({', '.join([*parts, f'wrt={value.wrt!r}'])})"
    return key if value is True else f"{key}={_literal(value)}"


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    line: int


_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r]+|//[^\n]*)
    | (?P<newline>\n)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<value>%[^\s(){}\[\],;:=<>"@%/]+)
    | (?P<function>@[^\s(){}\[\],;:=<>"@%/]+)
    | (?P<number>-?(?:inf|nan)\b|-?[0-9][0-9.]*(?:e[+-]?[0-9]+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>->|[(){}\[\],;:=<>'])
    """,
    re.VERBOSE,
)


def _tokens(source: Source) -> list[_Token]:
    text, tokens, at, line = source.text, [], 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise error("E0101", f"this is no IR text: {text[at]!r}", Span(source, at, at + 1))
        kind = found.lastgroup or ""
        if kind == "newline":
            line += 1
        elif kind != "blank":
            tokens.append(_Token(kind, found[0], at, line))
        at = found.end()
    tokens.append(_Token("end", "", max(at - 1, 0), line))
    return tokens


# ---------------------------------------------------------------- parsing

_TYPES: dict[str, LeafType] = {"f64": F64, "f32": F32, "i64": I64, "bool": BOOL, "obj": OBJ}


def parse_program(text: str, name: str = "<ir>") -> Program:
    """The program that a text stands for. DslError (with the line) where it stands for none."""
    return _Parser(Source(name, text)).program()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = _tokens(source)
        self.at = 0
        self.values: dict[str, Value] = {}

    # -- tokens
    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def fail(self, message: str, token: _Token | None = None) -> NoReturn:
        token = token or self.token
        span = Span(self.source, token.start, token.start + max(1, len(token.text)))
        raise error("E0101", f"line {token.line}: {message}", span)

    def take(self, kind: str, what: str = "") -> _Token:
        token = self.token
        if token.kind != kind:
            self.fail(f"expected {what or f'a {kind}'}, found {token.text or 'the end'!r}")
        self.at += 1
        return token

    def sees(self, *signs: str) -> bool:
        return self.token.text in signs and self.token.kind in ("sign", "word")

    def accept(self, sign: str) -> bool:
        if self.sees(sign):
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> _Token:
        if not self.sees(sign):
            self.fail(f"expected {sign!r}, found {self.token.text or 'the end'!r}")
        self.at += 1
        return self.tokens[self.at - 1]

    # -- types and values
    def type(self) -> LeafType:
        word = self.take("word", "a type")
        if word.text != "mem":
            if word.text not in _TYPES:
                self.fail(f"there is no type {word.text!r}", word)
            return _TYPES[word.text]
        self.expect("<")
        fields: list[LeafType] = []
        while not self.accept(">"):
            fields.append(self.type())
            if not self.sees(">"):
                self.expect(",")
        return Mem(tuple(fields))

    def define(self, token: _Token, value: Value) -> Value:
        name = token.text[1:]
        if name in self.values:
            self.fail(f"{token.text} is defined twice", token)
        self.values[name] = value
        value.hint = "" if name.isdigit() else name
        return value

    def use(self) -> Value:
        token = self.take("value", "a value (%name)")
        value = self.values.get(token.text[1:])
        if value is None:
            self.fail(f"{token.text} is not defined here", token)
        return value

    def uses(self, *closing: str) -> list[Value]:
        """Values between `,` or `;` up to a closing sign (not taken)."""
        values: list[Value] = []
        while not self.sees(*closing):
            values.append(self.use())
            if self.sees(",", ";"):
                self.at += 1
        return values

    def rest_of_line(self, line: int) -> list[Value]:
        """The operands of an op that began on this line; maybe none."""
        if self.token.kind != "value" or self.token.line != line:
            return []
        values = [self.use()]
        while self.accept(","):
            values.append(self.use())
        return values

    # -- programs and functions
    def program(self) -> Program:
        program = Program()
        while self.token.kind != "end":
            start = self.token
            fn = self.function()
            if fn.name in program.functions:
                self.fail(f"@{fn.name} is defined twice", start)
            program.add(fn)
        return program

    def function(self) -> Function:
        self.expect("fn")
        self.values = {}
        name = self.take("function", "a function (@name)").text[1:]
        self.expect("(")
        body = Region()
        while not self.accept(")"):
            token = self.take("value")
            self.expect(":")
            body.params.append(self.define(token, Value(self.type(), body)))
            if not self.sees(")"):
                self.expect(",")
        results = self.result_types() if self.accept("->") else ()
        attrs: dict[str, Any] = {}
        while self.token.kind == "word":
            key = self.take("word").text
            attrs[key] = self.rule() if self.sees("(") else self.literal() if self.accept("=") else True
        self.region(body)
        return Function(name, body, results, attrs=attrs)

    def result_types(self) -> tuple[LeafType, ...]:
        types = [self.type()]
        while self.accept(","):
            types.append(self.type())
        return tuple(types)

    def rule(self) -> Rule:
        self.expect("(")
        parts: dict[str, Any] = {}
        while not self.accept(")"):
            key = self.take("word")
            self.expect("=")
            if key.text not in ("forward", "reverse", "pushforward", "wrt"):
                self.fail(f"a rule has no {key.text!r}", key)
            parts[key.text] = self.literal() if key.text == "wrt" else self.take("function").text[1:]
            if not self.sees(")"):
                self.expect(",")
        return Rule(**parts)

    # -- regions and ops
    def region(self, region: Region) -> Region:
        self.expect("{")
        while not self.accept("}"):
            region.ops.append(self.op())
        return region

    def op(self) -> Op:
        names: list[tuple[_Token, LeafType]] = []
        start = self.token
        while self.token.kind == "value":
            token = self.take("value")
            self.expect(":")
            names.append((token, self.type()))
            if not self.accept(","):
                self.expect("=")
                break
        op = Op("", (), [t for _, t in names], span=Span(self.source, start.start, start.start + len(start.text)))
        word = self.take("word", "an op")
        if word.text == "checkpoint":
            op.attrs["checkpoint"] = True
            word = self.take("word", "a loop")
        op.name = word.text
        self.rest(op, word)
        for (token, _), value in zip(names, op.results, strict=True):
            self.define(token, value)
        op.span = Span(self.source, start.start, self.tokens[self.at - 1].start + len(self.tokens[self.at - 1].text))
        return op

    def rest(self, op: Op, word: _Token) -> None:
        match op.name:
            case "const":
                op.attrs["value"] = self.number()
            case "if":
                op.args = [self.use()]
                op.regions = [self.region(Region())]
                self.expect("else")
                op.regions.append(self.region(Region()))
            case "for" | "loop":
                self.loop(op)
            case "break":
                depth = 0
                if self.accept("{"):
                    depth = self.integer()
                    self.expect("}")
                op.attrs["depth"] = depth
                op.args = self.rest_of_line(word.line)
            case "load" | "store" | "acc":
                self.access(op)
            case "global":
                op.attrs.update(name=self.string(), index=self.integer())
            case "check" | "print":
                op.args = self.rest_of_line(word.line)
                self.texts(op)
            case _:
                self.plain(op, word)

    def plain(self, op: Op, word: _Token) -> None:
        if self.token.kind == "function" and self.token.line == word.line:
            op.attrs["fn"] = self.take("function").text[1:]
            self.expect("(")
            op.args = self.uses(")")
            self.expect(")")
        else:
            op.args = self.rest_of_line(word.line)
        if self.sees("{") and self.token.line == word.line:
            self.attrs(op)

    def loop(self, op: Op) -> None:
        region = Region()
        counter = None
        if op.name == "for":
            if self.accept("{"):
                op.attrs[self.take("word", "an attribute").text] = True
                self.expect("}")
            counter = self.take("value")
            self.expect("=")
            op.args = [self.use()]
            for _ in range(2):
                self.expect(",")
                op.args.append(self.use())
        pending: list[tuple[_Token, Value]] = []
        if counter is not None:
            pending.append((counter, Value(I64, region)))
        if self.accept("("):
            while not self.accept(")"):
                token = self.take("value")
                self.expect(":")
                pending.append((token, Value(self.type(), region)))
                self.expect("=")
                op.args.append(self.use())
                if not self.sees(")"):
                    self.expect(",")
        region.params = [self.define(token, value) for token, value in pending]
        op.regions = [self.region(region)]

    def access(self, op: Op) -> None:
        op.args = [self.use()]
        self.expect("[")
        op.args.append(self.use())
        self.expect("]")
        while self.accept(","):
            op.args.append(self.use())
        if self.accept("{"):
            op.attrs["first"] = self.integer()
            self.expect("}")

    def texts(self, op: Op) -> None:
        """`{CODE "text" "hint"}` of a check, `{"text"}` of a print."""
        self.expect("{")
        if op.name == "check":
            op.attrs["code"] = self.take("word", "an error code").text
        op.attrs["text"] = self.string()
        if self.token.kind == "string":
            op.attrs["hint"] = self.string()
        self.expect("}")

    # -- attributes
    def attrs(self, op: Op) -> None:
        self.expect("{")
        while not self.accept("}"):
            key = self.take("word", "the name of an attribute").text
            self.expect("=")
            op.attrs[key] = self.literal()
            if not self.sees("}"):
                self.expect(",")

    def literal(self) -> Any:
        """A Python literal: a number, string, True, False, None, or a tuple or list of literals."""
        token = self.token
        if token.kind == "string":
            return self.string()
        if token.kind == "sign" and token.text in "([":
            return self.sequence(")" if token.text == "(" else "]")
        if token.text in ("True", "False", "None"):
            self.at += 1
            return ast.literal_eval(token.text)
        return self.number()

    def sequence(self, closing: str) -> Any:
        self.at += 1
        items: list[Any] = []
        while not self.accept(closing):
            items.append(self.literal())
            if not self.sees(closing):
                self.expect(",")
        return tuple(items) if closing == ")" else items

    def string(self) -> str:
        token = self.take("string")
        try:
            return str(json.loads(token.text))
        except ValueError:
            self.fail("a string is misspelt", token)

    def integer(self) -> int:
        token = self.take("number", "an integer")
        try:
            return int(token.text)
        except ValueError:
            self.fail(f"{token.text} is no integer", token)

    def number(self) -> float | int | bool:
        token = self.token
        if token.text in ("true", "false"):
            self.at += 1
            return token.text == "true"
        self.take("number")
        try:
            if token.text == "-nan":
                return math.copysign(math.nan, -1.0)
            return float(token.text) if any(c in token.text for c in ".ean") else int(token.text)
        except ValueError:
            self.fail(f"{token.text} is no number", token)
