"""The layout step: raw tokens → the terminals of the grammar, statement by statement.

From the positions of the tokens it decides what blanks and newlines mean: call, group, index or array; prime or text;
juxtaposition; where statements, heads of blocks, lambdas, `return`s and macro calls end; which `:` is which. It matches
brackets and blocks, so nothing unbalanced reaches the parser. One pass, linear, with an explicit stack.

The innermost open bracket or block (`Context`) decides. `Context.open` holds what is begun in it and has no closing
token of its own: a ternary waiting for its `:`, and the tails that end where their context says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsl.diagnostics import DslError, Source, Span, error
from dsl.syntax.reports import (
    FOREIGN_WORDS,
    MATLAB_ENDS,
    NOT_IN_THE_LANGUAGE,
    RESERVED_NAMES,
    Reports,
)
from dsl.syntax.tokens import ASSIGNMENTS, BINARY, BRACKETS, ROOTS, SIMPLE, UNARY, Raw, Terminal, nameable, plain

MAX_NESTING = 200

_TAILS = {"lambda": "ARROW_END", "return": "RETURN_END", "macro": "MACRO_END"}
_ENDS_OPERAND = frozenset({
    "NUMBER", "NAME", "SYMBOL", "TRUE", "FALSE", "NOTHING", "BREAK", "CONTINUE", "COLON_ALL", "END_INDEX", "TEXT_END",
    "RPAR", "RBRACK", "RBRACE", "PRIME", "END", "SPLAT", "MACRO_FN",
})  # fmt: skip
# After these a newline does not end a statement.
_CONTINUES = frozenset({
    "ASSIGN", "PAIR", "TERN_Q", "TERN_C", "OR", "AND", "COMPARE", "PIPE", "RANGE", "ADD", "MUL", "RATIONAL", "JUXT",
    "UNARY", "SQRT", "POW", "DCOLON", "WHERE", "ARROW", "COMMA", "SUBTYPE", "DOT", "ITER_SEP", "FOR_IN",
    "IMPORT_COLON", "FUNCTION", "ANON_FUNCTION", "STRUCT", "MUTABLE", "ABSTRACT",
})  # fmt: skip
_BLOCKS = {
    "if": "IF", "while": "WHILE", "for": "FOR", "function": "FUNCTION", "let": "LET", "struct": "STRUCT",
    "begin": "BEGIN", "do": "DO", "abstract": "ABSTRACT", "mutable": "MUTABLE",
}  # fmt: skip
_ATOM_WORDS = {"true": "TRUE", "false": "FALSE", "nothing": "NOTHING", "break": "BREAK", "continue": "CONTINUE"}
_STATEMENT_WORDS = {"const": "CONST", "local": "LOCAL", "global": "GLOBAL", "import": "IMPORT", "using": "IMPORT"}
_CLOSING_KINDS = frozenset(["newline", "eof", "close_in_text"])


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


class Layout:
    """One run over the tokens of one source; `statements` are the top-level ones with the offset they start at."""

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

    # ------------------------------------------------------------ driver

    def run(self) -> list[list[Terminal]]:
        while True:
            token = self.tokens[self.at]
            if token.kind == "eof":
                break
            if self.reports.full:
                return []
            self._feed(token)
            if token.kind != "newline":
                self.crossed_newline = False
            self.at += 1
        self._finish(self.tokens[-1])
        return self.statements

    def _feed(self, token: Raw) -> None:
        if token.kind == "newline":
            self._newline(token)
            return
        if self._after_operand() and self._starts_operand(token) and not self._side_by_side(token):
            return
        _HANDLERS[token.kind](self, token)

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
        return bool(self.out) and self.out[-1].type in _ENDS_OPERAND

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

    def _newline(self, token: Raw) -> None:
        kind = self.top.kind
        self.crossed_newline = True
        if kind in ("top", "block"):
            if self._last() not in _CONTINUES:
                self._end_statement()
        elif kind in ("[", "index") and self._after_operand() and "ternary" not in self.top.open:
            if self._row_goes_on():
                return
            self._close_tails()
            self._emit_virtual("ROWSEP")

    def _row_goes_on(self) -> bool:
        """Whether the first thing on a coming line keeps an array's newline from separating rows."""
        ahead = 1
        while (token := self._peek(ahead)).kind == "newline":
            ahead += 1
        return token.text in ("]", ",", ";", "for", "if", ")") or token.kind == "eof"

    def _semicolon(self, token: Raw) -> None:
        kind = self.top.kind
        if kind in ("top", "block"):
            self._end_statement()
        elif kind in ("[", "index"):
            self._close_tails()
            if self._last() != "ROWSEP" and not self._row_goes_on():
                self._emit("ROWSEP", token)
        else:
            self._close_tails()
            self._emit("SEMI", token)

    def _comma(self, token: Raw) -> None:
        if self.top.kind not in ("top", "block"):
            self._close_tails()
        else:
            self._close_lambdas()
        if self.top.iterates:
            self._close_tails()
            self.top.awaits_in = True
        self._emit("ITER_SEP" if self.top.iterates else "COMMA", token)

    # ------------------------------------------------------------ two operands side by side

    def _starts_operand(self, token: Raw) -> bool:
        kind, text = token.kind, token.text
        if kind == "name":
            return text not in ("in", "isa", "where")
        if kind == "keyword":
            return self._keyword_starts_operand(text)
        if kind == "op":
            if text in BRACKETS or text in ROOTS or text == "!":
                return True
            return (text in UNARY or text == ":") and self._is_spaced_prefix(token)
        return kind in ("number", "macro", "text_start")

    def _keyword_starts_operand(self, word: str) -> bool:
        if word in ("end", "else", "elseif", "do", "catch", "finally"):
            return word == "end" and self._end_is_index() and not self._peek(0).gap
        in_bracket = self.top.kind not in ("top", "block")
        return not (in_bracket and (word == "for" or (word == "if" and self.top.iterates)))

    def _spaces_separate(self) -> bool:
        return self.top.kind in ("[", "index") or "macro" in self.top.open

    def _is_spaced_prefix(self, token: Raw) -> bool:
        """`-2` in `[1 -2]`: a blank on the left only, where blanks separate."""
        following = self._peek()
        touches = not following.gap and following.kind not in _CLOSING_KINDS
        if token.text == ":" and following.kind not in ("name", "keyword"):
            return False
        return self._spaces_separate() and token.gap and touches

    def _side_by_side(self, token: Raw) -> bool:
        """An operand follows an operand. Whether `token` is to be read further."""
        if not token.gap:
            return self._touching(token)
        if "macro" in self.top.open:
            self._close_tails("macro")
            self._emit_virtual("ARGSEP")
        elif self.top.kind in ("[", "index"):
            self._close_tails()
            self._emit_virtual("COLSEP")
        elif self.top.head and not (token.text in ("(", "[") and self._last() == "NAME"):
            self._end_head()
        elif self._last() == "END" and self.top.kind in ("top", "block"):
            self._end_statement()
        elif self.crossed_newline and self.top.kind in BRACKETS and id(self.top.opener) not in self.closed:
            self._recover_bracket()
            self._end_statement()
        else:
            return self._strangers(token)
        return True

    def _touching(self, token: Raw) -> bool:
        if token.text in BRACKETS and token.kind == "op":
            return True
        left = self._last()
        multiplies = left in ("NUMBER", "RPAR", "RBRACK", "PRIME", "END")
        if multiplies and (token.kind in ("name", "keyword") or token.text in ROOTS):
            self._emit_virtual("JUXT")
            return True
        return self._strangers(token)

    def _strangers(self, token: Raw) -> bool:
        """Report two expressions with nothing between them, and read on as if a statement began here."""
        left = self.out[-1]
        shown = _shown(self.source, left.span)
        word = str(left.value) if left.type == "NAME" else ""
        if word in FOREIGN_WORDS or (token.kind == "name" and token.text in FOREIGN_WORDS):
            word = word if word in FOREIGN_WORDS else token.text
            span = left.span if word == left.value else self._span(token)
            self.reports.add("E0112", f"`{word}` is no word of this language", span, FOREIGN_WORDS[word])
        elif token.text in ("(", "[") and token.kind == "op" and token.gap:
            what, form = ("call", f"{shown}(…)") if token.text == "(" else ("index", f"{shown}[…]")
            self._error(
                "E0108", f"a blank stands between {_quoted(shown)} and `{token.text}`", token,
                f"to {what} write `{form}`, to multiply put `*` between",
            )  # fmt: skip
        else:
            self._error(
                "E0107", f"an operator, a comma or a new line is missing between {_quoted(shown)} and "
                f"{_quoted(_token_shown(token))}", token, _neighbour_hint(left, token),
            )  # fmt: skip
        if self.top.kind in ("top", "block"):
            self._end_statement()
        else:
            self.out.append(Terminal("COMMA", ",", self._span(token)))
        return True

    # ------------------------------------------------------------ operands and operators

    def _number(self, token: Raw) -> None:
        self._emit("NUMBER", token, token.value)

    def _name(self, token: Raw) -> None:
        text = token.text
        if self._last() == "DOT" or self.importing:
            self._emit("NAME", token)
            return
        if self._after_operand():
            if text == "in" and self.top.awaits_in:
                self._for_in(token)
                return
            if text in ("in", "isa", "where"):
                self._emit("WHERE" if text == "where" else "COMPARE", token)
                return
        following = self._peek()
        if text == "abstract" and following.text == "type" and following.kind == "name":
            self.at += 1
            self._open_block(token, "abstract")
        elif text == "mutable" and following.text == "struct":
            self.at += 1
            self._open_block(token, "mutable")
        else:
            if text in RESERVED_NAMES:
                right = RESERVED_NAMES[text]
                self._error("E0112", f"`{text}` is written `{right}`", token)
            if text in MATLAB_ENDS and self.matlab_end is None:
                self.matlab_end = token
            self._emit("NAME", token, "π" if text == "pi" else text)

    def _for_in(self, token: Raw) -> None:
        self.top.awaits_in = False
        self._close_tails()
        self._emit("FOR_IN", token)

    def _macro(self, token: Raw) -> None:
        following = self._peek()
        if following.text == "(" and not following.gap:
            self._emit("MACRO_FN", token)
        else:
            self._emit("MACRO", token)
            self._begin("macro", token)

    def _prime(self, token: Raw) -> None:
        self._emit("PRIME", token)

    def _operator(self, token: Raw) -> None:
        text = token.text
        if text in _PUNCTUATION:
            _PUNCTUATION[text](self, token)
        elif text in BRACKETS:
            self._open_bracket(token)
        elif text in (")", "]", "}"):
            self._close_bracket(token)
        elif nameable(text) and self._is_name(token):
            self._emit("NAME", token, plain(text))
        elif text == "∈" and self.top.awaits_in:
            self._for_in(token)
        elif text in ASSIGNMENTS:
            if text == "=" and self.top.awaits_in:
                self._for_in(token)
            else:
                self._emit("ASSIGN", token)
        elif text in ROOTS:
            self._emit("SQRT", token)
        elif text in UNARY and not self._after_operand():
            self._emit("UNARY", token, plain(text))
        elif text in BINARY:
            self._binary(token)
        elif text in SIMPLE:
            if text == "...":
                self._close_tails()
            self._emit(SIMPLE[text], token)
        else:
            self._emit("UNARY", token)

    def _binary(self, token: Raw) -> None:
        if not self._after_operand() and self._starts_line():
            if token.text in ("%", "//"):
                self._error("E0112", f"`{token.text}` starts no comment", token, "comments start with `#`")
            else:
                hint = "put the operator at the end of the line before" if self.at else ""
                self._error("E0101", f"a statement cannot begin with `{token.text}`", token, hint)
            self._skip_line()
            return
        self._emit(BINARY[token.text], token, plain(token.text))

    def _starts_line(self) -> bool:
        return self.at == 0 or (self.tokens[self.at - 1].kind == "newline" and self._last() not in _CONTINUES)

    def _skip_line(self) -> None:
        while self._peek().kind not in ("newline", "eof"):
            self.at += 1

    def _is_name(self, token: Raw) -> bool:
        """Whether an operator stands for the function: `foldl(+, v)`, `+(1, 2, 3)`, `import Base: +`, `Base.:+`."""
        if self.importing:
            return True
        if self._after_operand():
            return False
        following = self._peek()
        if following.kind in _CLOSING_KINDS or (following.kind == "op" and following.text in (")", ",", "]", ";", "=")):
            return self._last() not in _CONTINUES or self._last() in ("COMMA", "ASSIGN", "PAIR", "DOT", "ITER_SEP")
        if following.text == "(" and not following.gap:
            return not (token.text in UNARY or token.text in ROOTS) or self.closed.get(id(following), False)
        return False

    def _question(self, token: Raw) -> None:
        if not self._after_operand():
            self._error("E0101", "a condition is missing before `?`", token)
            self._emit("NAME", token)
        if not token.gap or not self._blank_follows():
            hint = "as in `x > 0 ? x : -x`"
            self._error("E0110", "`?` needs a blank on both sides", token, hint)
        self._emit("TERN_Q", token)
        self._begin("ternary", token)

    def _blank_follows(self) -> bool:
        following = self._peek()
        return following.gap or following.kind in ("newline", "eof")

    def _colon(self, token: Raw) -> None:
        following = self._peek()
        if self.importing:
            self._emit("IMPORT_COLON", token)
        elif self._last() == "DOT":  # Base.:+
            return
        elif not self._after_operand():
            self._colon_first(token, following)
        elif "ternary" in self.top.open and token.gap and self._blank_follows():
            self._close_tails("ternary")
            self.top.open.pop()
            self._emit("TERN_C", token)
        elif "ternary" in self.top.open and token.gap != self._blank_follows():
            hint = "as in `x > 0 ? x : -x`"
            self._error("E0110", "the `:` of a `?` needs a blank on both sides", token, hint)
            self._close_tails("ternary")
            self.top.open.pop()
            self._emit("TERN_C", token)
        elif following.kind in ("newline", "eof") and self.top.kind in ("top", "block"):
            self._python_colon(token)
        else:
            self._emit("RANGE", token)

    def _python_colon(self, token: Raw) -> None:
        hint = "a block begins without a sign and is closed by `end`" if self.top.head else ""
        self._error("E0112", "no `:` is needed here" if hint else "a range lacks its end", token, hint)

    def _colon_first(self, token: Raw, following: Raw) -> None:
        """A `:` where an operand is expected: `:name`, `:+`, or all of an index."""
        if following.text in (",", "]", ")") and following.kind == "op":
            self._emit("COLON_ALL", token)
        elif following.gap or following.kind in _CLOSING_KINDS:
            hint = "a block begins without a sign and is closed by `end`" if self._last() == "THEN" else ""
            self._error("E0101", "an expression is missing before `:`", token, hint)
        elif following.kind in ("name", "keyword") or nameable(following.text):
            self.at += 1
            name = plain(following.text) if following.kind == "op" else following.text
            self.out.append(Terminal("SYMBOL", name, self._span(token).to(self._span(following))))
        else:
            self._error("E0111", "programs cannot be quoted with `:`", token, "a symbol is written `:name`")

    def _dot(self, token: Raw) -> None:
        following = self._peek()
        if following.text == "(" and not following.gap and self._after_operand() and not token.gap:
            self.at += 1
            self.out.append(Terminal("DOTCALL_LP", ".(", self._span(token).to(self._span(following))))
            self._push(Context("(", following))
        elif self._after_operand() and not token.gap and not following.gap and _can_follow_dot(following):
            self._emit("DOT", token)
        else:
            self._error("E0101", "a `.` must touch what it belongs to", token, "as in `p.x`, `sin.(v)`, `0.5`")
            self._skip_line()

    def _arrow(self, token: Raw) -> None:
        self._emit("ARROW", token)
        self._begin("lambda", token)

    # ------------------------------------------------------------ strings

    def _text_start(self, token: Raw) -> None:
        self._emit("TEXT_START", token)
        self._push(Context("text", token))

    def _text(self, token: Raw) -> None:
        self.out.append(Terminal("TEXT", token.value, self._span(token)))

    def _name_in_text(self, token: Raw) -> None:
        self._emit("NAME_IN_TEXT", token, "π" if token.text == "pi" else token.text)

    def _open_in_text(self, token: Raw) -> None:
        self._emit("OPEN_IN_TEXT", token)
        self._push(Context("(", token))

    def _close_in_text(self, token: Raw) -> None:
        self._pop_to("(", token)
        self._emit("CLOSE_IN_TEXT", token)

    def _text_end(self, token: Raw) -> None:
        self._pop_to("text", token)
        self._emit("TEXT_END", token)

    # ------------------------------------------------------------ brackets

    def _push(self, context: Context) -> None:
        if len(self.stack) > MAX_NESTING:
            raise self._too_deep(context.opener)
        self.stack.append(context)

    def _open_bracket(self, token: Raw) -> None:
        touches = self._after_operand() and not token.gap
        text = token.text
        if text == "(":
            if touches and self._last() == "NUMBER":
                self._emit_virtual("JUXT")
                touches = False
            self._emit("CALL_LP" if touches else "LPAR", token)
            self._push(Context("(", token))
        elif text == "[":
            self._emit("INDEX_LB" if touches else "LBRACK", token)
            self._push(Context("index" if touches else "[", token))
        else:
            if not touches and self._last() != "WHERE":
                hint = "a dictionary is `Dict(:a => 1)`, a block `begin … end`"
                self._error("E0101", "`{` opens nothing here", token, hint)
            self._emit("CURLY" if touches else "LBRACE", token)
            self._push(Context("{", token))

    def _close_bracket(self, token: Raw) -> None:
        opening = next(o for o, c in BRACKETS.items() if c == token.text)
        top = self.top
        if top.kind != opening and not (opening == "[" and top.kind == "index"):
            if not self._pop_wrong(opening, token):
                return
        else:
            self._close_tails()
            self.stack.pop()
        self._emit({")": "RPAR", "]": "RBRACK", "}": "RBRACE"}[token.text], token)

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

    # ------------------------------------------------------------ blocks

    def _keyword(self, token: Raw) -> None:
        word = token.text
        if word in _ATOM_WORDS:
            self._emit(_ATOM_WORDS[word], token)
        elif word == "return":
            self._emit("RETURN", token)
            self._begin("return", token)
        elif word in _STATEMENT_WORDS:
            self._emit(_STATEMENT_WORDS[word], token)
            self.importing = word in ("import", "using")
        elif word == "end":
            self._end(token)
        elif word in ("else", "elseif", "catch", "finally"):
            self._branch(token)
        elif word in ("for", "if") and self.top.kind not in ("top", "block") and self._after_operand():
            self._generator(token)
        elif word in NOT_IN_THE_LANGUAGE:
            message, hint = NOT_IN_THE_LANGUAGE[word]
            self._error("E0111", message, token, hint)
            if word != "export":
                self._open_block(token, word)
            self._skip_line()
        else:
            self._open_block(token, word)

    def _open_block(self, token: Raw, word: str) -> None:
        if word == "do" and not self._after_operand():
            self._error("E0101", "`do` must follow a call", token, "as in `map(v) do x … end`")
        terminal = _BLOCKS.get(word, "BEGIN")
        if word == "function" and self._is_anonymous():
            terminal = "ANON_FUNCTION"
        if word == "if" and self.at > 0 and self.tokens[self.at - 1].text == "else":
            self.else_if = token
        self._emit(terminal, token)
        self._push(Context("block", token, word, head=True))
        if word == "for":
            self.top.iterates = self.top.awaits_in = True
        if terminal == "BEGIN":
            self._end_head()

    def _is_anonymous(self) -> bool:
        """`function (x) … end`, but not `function (m::Affine)(x) … end`."""
        opening = self._peek()
        if opening.text != "(":
            return False
        depth, ahead = 0, 1
        while (token := self._peek(ahead)).kind != "eof":
            if token.kind in ("op", "open_in_text", "close_in_text"):
                depth += (token.text in BRACKETS or token.kind == "open_in_text") - (token.text in (")", "]", "}"))
                if depth == 0:
                    after = self._peek(ahead + 1)
                    return after.text != "(" or after.gap
            ahead += 1
        return True

    def _generator(self, token: Raw) -> None:
        self._close_tails()
        if token.text == "if":
            self._emit("FILTER", token)
            self.top.iterates = False
            return
        if self.top.iterates:
            self._error("E0111", "a second `for` is not supported here", token, "write `for i in a, j in b`")
        self.top.iterates = self.top.awaits_in = True
        self._emit("GENFOR", token)

    def _end_is_index(self) -> bool:
        for context in reversed(self.stack):
            if context.kind == "index":
                return True
            if context.kind in ("block", "top", "text"):
                return False
        return False

    def _end(self, token: Raw) -> None:
        if self._end_is_index():
            self._emit("END_INDEX", token)
            return
        if self.top.kind not in ("top", "block"):
            self._recover_bracket()
        self.importing = False
        context = self.top
        if context.kind == "top":
            self._close_tails()
            self._error("E0106", "this `end` closes nothing", token, self._stray_hint())
            self._flush()
            return
        self._drop_separators()
        if context.head:
            self._end_head()
        if self.suspect is None and self._indent(context.opener) > self._indent(token, only_first=True) >= 0:
            self.suspect = context
        self._emit("END", token)
        self.stack.pop()

    def _stray_hint(self) -> str:
        return "leave it out, or look for an `end` too many above"

    def _indent(self, token: Raw, only_first: bool = False) -> int:
        """The indentation of a token's line; -1 where `only_first` asks that it be the first of its line."""
        text = self.source.text
        start = text.rfind("\n", 0, token.start) + 1
        line = text[start : min(token.end, start + 400)]
        blank = len(line) - len(line.lstrip())
        return -1 if only_first and start + blank != token.start else blank

    def _drop_separators(self) -> None:
        self._close_tails()
        while self._last() == "NL":
            self.out.pop()

    def _branch(self, token: Raw) -> None:
        word = token.text
        if self.top.kind not in ("top", "block"):
            self._recover_bracket()
        if word in ("catch", "finally"):
            self._drop_separators()
            self._skip_line()
            if self.top.kind == "block" and self._last() != "THEN":
                self._emit_virtual("NL")
            return
        context = self.top
        if context.word != "if":
            note = (f"the innermost open block is this `{context.word}`", context.opener) if context.word else None
            self._error("E0106", f"`{word}` belongs to no `if`", token, "", note)
            self._end_statement()
            self._skip_line()
            return
        self._drop_separators()
        if context.head:
            self._end_head()
        self._emit("ELSEIF" if word == "elseif" else "ELSE", token)
        if word == "elseif":
            context.head = True
            return
        following = self._peek()
        if following.text == ":" and not following.gap:
            self._error("E0112", "no `:` is needed here", following, "a block begins without a sign, and ends by `end`")
            self.at += 1
        self._end_head()

    def _finish(self, eof: Raw) -> None:
        self.incomplete = not self.reports.errors and (len(self.stack) > 1 or self._last() in _CONTINUES)
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


def _can_follow_dot(token: Raw) -> bool:
    return token.kind == "name" or (token.kind == "op" and token.text == ":")


def _shown(source: Source, span: Span) -> str:
    text = span.text.split("\n", 1)[0]
    if text.endswith('"'):
        return '"…"'
    return text if len(text) <= 24 else text[:24] + "…"


def _token_shown(token: Raw) -> str:
    if token.kind == "text_start":
        return '"…"'
    return "@" + token.text if token.kind == "macro" else token.text


def _quoted(text: str) -> str:
    return f"`{text}`"


def _neighbour_hint(left: Terminal, token: Raw) -> str:
    if left.type == "NUMBER" and token.kind == "name":
        return f"to multiply write `{left.span.text}{token.text}` or `{left.span.text} * {token.text}`"
    if token.kind == "text_start":
        return "text is joined with `*` or written into the string with `$`"
    return ""


_HANDLERS: dict[str, Callable[[Layout, Raw], None]] = {
    "number": Layout._number, "name": Layout._name, "keyword": Layout._keyword, "op": Layout._operator,
    "macro": Layout._macro, "prime": Layout._prime, "text_start": Layout._text_start, "text": Layout._text,
    "name_in_text": Layout._name_in_text, "open_in_text": Layout._open_in_text,
    "close_in_text": Layout._close_in_text, "text_end": Layout._text_end,
}  # fmt: skip
_PUNCTUATION: dict[str, Callable[[Layout, Raw], None]] = {
    ",": Layout._comma, ";": Layout._semicolon, ":": Layout._colon, "?": Layout._question, ".": Layout._dot,
    "->": Layout._arrow,
}  # fmt: skip
