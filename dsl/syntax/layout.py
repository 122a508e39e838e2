"""The layout step: raw tokens → the terminals of the grammar, statement by statement.

From the positions of the tokens it decides what blanks and newlines mean: call, group, index or array; juxtaposition;
where statements, heads of blocks, lambdas, `return`s and macro calls end; which `:` is which; operator or function. The
innermost open bracket or block decides (`contexts`). One pass, linear, with an explicit stack.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.syntax.contexts import CONTINUES, Context, Contexts
from dsl.syntax.reports import (
    FOREIGN_WORDS,
    MATLAB_ENDS,
    NOT_IN_THE_LANGUAGE,
    RESERVED_NAMES,
)
from dsl.syntax.tokens import ASSIGNMENTS, BINARY, BRACKETS, ROOTS, SIMPLE, UNARY, Raw, Terminal, nameable, plain

_BLOCKS = {
    "if": "IF", "while": "WHILE", "for": "FOR", "function": "FUNCTION", "let": "LET", "struct": "STRUCT",
    "begin": "BEGIN", "do": "DO", "abstract": "ABSTRACT", "mutable": "MUTABLE",
}  # fmt: skip
_ATOM_WORDS = {"true": "TRUE", "false": "FALSE", "nothing": "NOTHING", "break": "BREAK", "continue": "CONTINUE"}
_STATEMENT_WORDS = {"const": "CONST", "local": "LOCAL", "global": "GLOBAL", "import": "IMPORT", "using": "IMPORT"}
_CLOSING_KINDS = frozenset(["newline", "eof", "close_in_text"])


class Layout(Contexts):
    """One run over the tokens of one source."""

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

    # ------------------------------------------------------------ what ends where

    def _newline(self, token: Raw) -> None:
        kind = self.top.kind
        self.crossed_newline = True
        if kind in ("top", "block"):
            if self._last() not in CONTINUES:
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
        if token.text == "if":
            return self.top.iterates
        return token.text in ("]", ",", ";", "for", ")") or token.kind == "eof"

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
        shown = _shown(left)
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
        return self.at == 0 or (self.tokens[self.at - 1].kind == "newline" and self._last() not in CONTINUES)

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
            return self._last() not in CONTINUES or self._last() in ("COMMA", "ASSIGN", "PAIR", "DOT", "ITER_SEP")
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
        elif word == "begin" and self._end_is_index():
            self._emit("END_INDEX", token)
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


def _can_follow_dot(token: Raw) -> bool:
    return token.kind == "name" or (token.kind == "op" and token.text == ":")


def _shown(terminal: Terminal) -> str:
    text = terminal.span.text.split("\n", 1)[0]
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
