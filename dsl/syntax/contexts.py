"""What the layout step stands in: the open brackets and blocks, the terminals made so far, and what was left open.

`Contexts` keeps both in step: whatever is closed, in the order of the text or because its end is missing, gets the
terminals that end it, so nothing unbalanced reaches the parser. The innermost `Context` decides what blanks and
newlines mean (see `layout`). `Context.open` holds what is begun in it and has no closing token of its own: a ternary
waiting for its `:`, and the tails that end where their context says so.
"""

from __future__ import annotations

from dsl.diagnostics import DslError, Source, Span, error
from dsl.records import dataclass, field
from dsl.syntax.reports import Reports
from dsl.syntax.tokens import BRACKETS, Raw, Terminal

MAX_NESTING = 200

_TAILS = {"lambda": "ARROW_END", "return": "RETURN_END", "macro": "MACRO_END"}
ENDS_OPERAND = frozenset({
    "NUMBER", "NAME", "SYMBOL", "TRUE", "FALSE", "NOTHING", "BREAK", "CONTINUE", "COLON_ALL", "END_INDEX", "TEXT_END",
    "RPAR", "RBRACK", "RBRACE", "PRIME", "END", "SPLAT", "MACRO_FN",
})  # fmt: skip
# After these a newline does not end a statement.
CONTINUES = frozenset({
    "ASSIGN", "PAIR", "TERN_Q", "TERN_C", "OR", "AND", "COMPARE", "PIPE", "RANGE", "ADD", "MUL", "RATIONAL", "JUXT",
    "UNARY", "SQRT", "POW", "DCOLON", "WHERE", "ARROW", "COMMA", "SUBTYPE", "DOT", "ITER_SEP", "FOR_IN",
    "IMPORT_COLON", "FUNCTION", "ANON_FUNCTION", "STRUCT", "MUTABLE", "ABSTRACT",
})  # fmt: skip


@dataclass(slots=True, eq=False)
class Context:
    """An open bracket or block. `kind` is the bracket, "index", "block", "text" or "top"."""

    kind: str
    opener: Raw
    word: str = ""
    head: bool = False  # a block whose condition, signature or iterators are still being read
    iterates: bool = False  # commas separate iterators: the head of a `for`, a generator
    awaits_in: bool = False  # the next `in` or `=` belongs to an iterator
    open: list[str] = field(default_factory=list)


class Contexts:
    """The state of one run; `statements` are the finished ones of the top level."""

    def __init__(self, source: Source, tokens: list[Raw], reports: Reports) -> None:
        self.source = source
        self.tokens = tokens
        self.reports = reports
        self.statements: list[list[Terminal]] = []
        self.out: list[Terminal] = []
        self.stack = [Context("top", tokens[-1])]
        self.at = 0
        self.importing = False
        self.crossed_newline = False
        self.incomplete = False
        self.suspect: Context | None = None  # a block closed by an `end` that stands further to the left
        self.matlab_end: Raw | None = None
        self.else_if: Raw | None = None  # an `if` right behind an `else`
        self.closed = _matched_brackets(tokens)

    @property
    def top(self) -> Context:
        return self.stack[-1]

    def _peek(self, ahead: int = 1) -> Raw:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def _span(self, token: Raw) -> Span:
        return Span(self.source, token.start, token.end)

    def _emit(self, type_: str, token: Raw, value: object = None) -> None:
        self.out.append(Terminal(type_, token.text if value is None else value, self._span(token)))

    def _emit_virtual(self, type_: str) -> None:
        """A terminal that stands for no text, right behind the last one."""
        end = self.out[-1].span.end if self.out else 0
        self.out.append(Terminal(type_, "", Span(self.source, end, end)))

    def _last(self) -> str:
        return self.out[-1].type if self.out else ""

    def _after_operand(self) -> bool:
        return bool(self.out) and self.out[-1].type in ENDS_OPERAND

    def _error(self, code: str, message: str, token: Raw, hint: str = "", note: tuple[str, Raw] | None = None) -> None:
        notes = ((note[0], self._span(note[1])),) if note else ()
        self.reports.add(code, message, self._span(token), hint, notes)

    # ------------------------------------------------------------ what ends where

    def _close_tails(self, down_to: str = "") -> None:
        """End what is open in this context, up to the innermost entry named `down_to` (which stays)."""
        entries = self.top.open
        while entries and entries[-1] != down_to:
            entry = entries.pop()
            if entry == "ternary":
                token = self._peek(0)
                hint = "blanks on both sides, as in `x > 0 ? x : -x`"
                self._error("E0110", "the `?` has no `:` before this", token, hint)
            else:
                self._emit_virtual(_TAILS[entry])

    def _begin(self, entry: str, token: Raw) -> None:
        if len(self.top.open) > MAX_NESTING:
            raise self._too_deep(token)
        self.top.open.append(entry)

    def _too_deep(self, token: Raw) -> DslError:
        message = f"expressions are nested more than {MAX_NESTING} deep"
        return error("E0109", message, self._span(token), "give inner expressions names of their own")

    def _close_lambdas(self) -> None:
        """A comma of a statement ends lambdas, but neither a `return` nor a macro call."""
        while self.top.open and self.top.open[-1] == "lambda":
            self.top.open.pop()
            self._emit_virtual("ARROW_END")

    def _end_head(self) -> None:
        self._close_tails()
        self.top.head = self.top.iterates = self.top.awaits_in = False
        self._emit_virtual("THEN")

    def _end_statement(self) -> None:
        """A newline or `;` between statements, or the place where one is understood."""
        self.importing = False
        if self.top.head:
            self._end_head()
            return
        self._close_tails()
        if self.top.kind == "top":
            self._flush()
        elif self._last() not in ("NL", "THEN"):
            self._emit_virtual("NL")

    def _flush(self) -> None:
        if self.out:
            self.statements.append(self.out)
            self.out = []

    # ------------------------------------------------------------ opening and closing

    def _push(self, context: Context) -> None:
        if len(self.stack) > MAX_NESTING:
            raise self._too_deep(context.opener)
        self.stack.append(context)

    def _pop_wrong(self, opening: str, token: Raw) -> bool:
        """A closing bracket that does not fit: report it, and close up to the bracket that it fits, if any."""
        top = self.top
        fits = [c for c in self.stack if c.kind == opening or (opening == "[" and c.kind == "index")]
        if top.kind in ("top", "text") or not fits:
            where = ("an unclosed one stands here", top.opener) if top.kind in (*BRACKETS, "index") else None
            self._error("E0105", f"`{token.text}` closes nothing", token, "", where)
            return False
        if top.kind == "block":
            self._error(
                "E0106", f"`{top.word}` is not closed by `end` before this `{token.text}`", token, "",
                (f"`{top.word}` stands here", top.opener),
            )  # fmt: skip
        else:
            note = (f"`{top.opener.text}` stands here", top.opener)
            self._error("E0105", f"`{token.text}` does not close `{top.opener.text}`", token, "", note)
        self._pop_to(opening if fits[-1].kind != "index" else "index", token)
        return True

    def _pop_to(self, kind: str, token: Raw) -> None:
        """Close contexts up to and including the innermost of a kind; what stands above it was left open."""
        if not any(c.kind == kind for c in self.stack):
            return
        while self.top.kind != kind:
            if not self.reports.has_between(self.top.opener.start, token.end):
                self._unclosed(self.top)
            self._abandon()
        self._close_tails()
        self.stack.pop()

    def _abandon(self) -> None:
        """Leave a context that was never closed, with the terminals that keep the rest in step."""
        context = self.top
        self._close_tails()
        if context.kind == "block":
            if context.head:
                self._emit_virtual("THEN")
            self._emit_virtual("END")
        elif context.kind == "text":
            self._emit_virtual("TEXT_END")
        else:
            self._emit_virtual({"(": "RPAR", "[": "RBRACK", "index": "RBRACK", "{": "RBRACE"}[context.kind])
        self.stack.pop()

    def _drop_separators(self) -> None:
        self._close_tails()
        while self._last() == "NL":
            self.out.pop()

    # ------------------------------------------------------------ what was left open

    def _recover_bracket(self) -> None:
        """An unclosed bracket swallowed a new statement: report the bracket and go back to the enclosing block."""
        while self.top.kind not in ("top", "block"):
            if self.top.kind in (*BRACKETS, "index"):
                self._unclosed(self.top)
            self._abandon()

    def _unclosed(self, context: Context) -> None:
        opener = context.opener
        if context.kind == "block":
            self._unclosed_block(context)
        elif context.kind == "text":
            self._error("E0103", "a string is not closed", opener)
        else:
            closer = ")" if opener.text == "$(" else BRACKETS[opener.text]
            self._error("E0105", f"`{opener.text}` is never closed", opener, f"a `{closer}` is missing")

    def _unclosed_block(self, context: Context) -> None:
        hint, note = "an `end` is missing", None
        if self.else_if is not None and self.else_if.start > context.opener.start:
            hint = "write `elseif`: `else if` opens a second `if`, which needs an `end` of its own"
            note = ("this `if` is closed by an `end` that was meant for another block", self.else_if)
        elif self.matlab_end is not None:
            hint = f"a block is closed by `end`, not by `{self.matlab_end.text}`"
        elif self.suspect is not None and self.suspect.opener.start > context.opener.start:
            note = (f"this `{self.suspect.word}` may be the one whose `end` is missing", self.suspect.opener)
        line = self._span(context.opener).line
        self._error("E0106", f"`{context.word}` of line {line} is not closed by `end`", context.opener, hint, note)

    def _indent(self, token: Raw, only_first: bool = False) -> int:
        """The indentation of a token's line; -1 where `only_first` asks that it be the first of its line."""
        text = self.source.text
        start = text.rfind("\n", 0, token.start) + 1
        line = text[start : min(token.end, start + 400)]
        blank = len(line) - len(line.lstrip())
        return -1 if only_first and start + blank != token.start else blank

    def _finish(self, eof: Raw) -> None:
        self.incomplete = not self.reports.errors and (len(self.stack) > 1 or self._last() in CONTINUES)
        if len(self.stack) == 1:
            self._close_tails()
            self._flush()
            return
        brackets = [c for c in self.stack if c.kind in (*BRACKETS, "index")]
        blocks = [c for c in self.stack if c.kind == "block"]
        if blocks and (not brackets or self.stack.index(blocks[-1]) > self.stack.index(brackets[-1])):
            self._unclosed_block(blocks[0] if not brackets else blocks[-1])
        elif brackets:
            self._unclosed(brackets[-1])
        while len(self.stack) > 1:
            self._abandon()
        self._flush()


def _matched_brackets(tokens: list[Raw]) -> dict[int, bool]:
    """For each opening bracket that has its closing one (by identity): whether a comma stands directly inside."""
    closed: dict[int, bool] = {}
    stack: list[tuple[Raw, list[bool]]] = []
    for token in tokens:
        if token.kind == "open_in_text" or (token.kind == "op" and token.text in BRACKETS):
            stack.append((token, [False]))
        elif token.kind == "close_in_text" or (token.kind == "op" and token.text in (")", "]", "}")):
            if stack and (BRACKETS.get(stack[-1][0].text, ")") == token.text):
                opener, comma = stack.pop()
                closed[id(opener)] = comma[0]
        elif stack and token.kind == "op" and token.text in (",", "..."):
            stack[-1][1][0] = True
    return closed
