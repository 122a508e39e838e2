"""The error list of one parse, and the tables of what people bring along from other languages."""

from __future__ import annotations

from dsl.diagnostics import DslError, DslErrors, Span, error

MAX_ERRORS = 20

FOREIGN_OPERATORS = {
    "**": ("a power is written `^`", "as in `x^2`"),
    "++": ("there is no `++`", "add one with `x += 1`"),
    "--": ("there is no `--`", "subtract one with `x -= 1`; `a - -b` needs the blank"),
    "<>": ("`<>` is written `!=`", ""),
    ":=": ("`:=` is written `=`", ""),
    "&": ("there is no `&`", "`&&` is the logical and"),
    "|": ("there is no `|`", "`||` is the logical or"),
    "~": ("there is no `~`", "`!` is the logical not"),
    "$": ("`$` has a meaning inside strings only", ""),
    "`": ("there are no commands in backquotes", ""),
    "..": ("`..` is no operator", "a range is `1:n`, a splat `xs...`"),
    "<<": ("there is no `<<`", "shift with `x * 2^n`"),
    ">>": ("there is no `>>`", "shift with `x ÷ 2^n`"),
    "**=": ("a power is written `^`", "as in `x ^= 2`"),
    "&=": ("there is no `&=`", "write `a = a && b`"),
    "|=": ("there is no `|=`", "write `a = a || b`"),
    ";;": ("`;;` is no operator", "one `;` separates statements and rows"),
}

# Words that mean something in other languages, met where two expressions stand side by side.
FOREIGN_WORDS = {
    **dict.fromkeys(["def", "fn", "func", "fun", "defun", "sub"], "a function is `function f(x) … end` or `f(x) = …`"),
    **dict.fromkeys(["var", "val", "auto", "int", "float", "double", "mut"], "a variable is just assigned: `x = 1`"),
    **dict.fromkeys(["elif", "elsif"], "write `elseif`"),
    "as": "only the standard library can be imported, under its own names",
    **dict.fromkeys(["unless", "until"], "negate the condition of an `if` or a `while` with `!`"),
    **dict.fromkeys(["switch", "case", "match"], "write `if … elseif … else … end`"),
    **dict.fromkeys(["class", "type", "record"], "write `struct Name … end`"),
    "lambda": "a nameless function is `x -> x^2`",
    "and": "the logical and is `&&`",
    "or": "the logical or is `||`",
    "not": "the logical not is `!`, as in `!(x in v)`",
    "is": "identity is `===`, as in `x === nothing`",
    "then": "nothing stands between a condition and its body but a new line or a blank",
    "from": "write `import Base: +, -`",
    "print": "write `println(x)`",
    "del": "there is no need to delete variables",
    "with": "write `let … end` for local names",
    "raise": 'write `error("…")`',
    "throw": 'write `error("…")`',
}
RESERVED_NAMES = {"None": "nothing", "True": "true", "False": "false"}
MATLAB_ENDS = frozenset(["endif", "endfor", "endwhile", "endfunction", "endstruct", "fi", "done", "esac"])

NOT_IN_THE_LANGUAGE = {
    "try": ("there is no `try`/`catch`", "test the condition before with `if`"),
    "macro": ("macros cannot be defined", "write a function"),
    "module": ("there are no modules", 'put the definitions in a file and `include("file.dfl")` it'),
    "baremodule": ("there are no modules", 'put the definitions in a file and `include("file.dfl")` it'),
    "quote": ("there is no `quote`: programs do not build programs", ""),
    "export": ("there is no `export`: all names of a file can be used", "leave the line out"),
}


class Reports:
    """Collects errors; one a line, since the second on a line mostly follows from the first."""

    def __init__(self) -> None:
        self.errors: list[DslError] = []
        self._lines: set[int] = set()

    def add(
        self, code: str, message: str, span: Span, hint: str = "", notes: tuple[tuple[str, Span], ...] = ()
    ) -> None:
        self.take(error(code, message, span, hint, notes))

    def take(self, found: DslError) -> bool:
        """Add an error, unless its line has one; whether it was added."""
        line = found.span.line
        if line in self._lines:
            return False
        self._lines.add(line)
        self.errors.append(found)
        return True

    def foreign_operator(self, op: str, span: Span) -> None:
        message, hint = FOREIGN_OPERATORS[op]
        self.add("E0102", message, span, hint)

    @property
    def full(self) -> bool:
        return len(self.errors) >= MAX_ERRORS

    def has_between(self, start: int, end: int, codes: frozenset[str] | None = None) -> bool:
        return any(start <= e.span.start <= end and (codes is None or e.code in codes) for e in self.errors)

    def raise_all(self) -> None:
        """Raise what was found, in the order of the text; nothing if all is well."""
        found = sorted(self.errors, key=lambda e: e.span.start)[:MAX_ERRORS]
        if len(found) == 1:
            raise found[0]
        if found:
            raise DslErrors(found)
