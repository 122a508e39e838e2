"""Text → raw tokens, in one pass from left to right: linear time, no recursion, interpolated strings included.

Guarantees: every character belongs to a token or to the blank before one; the list ends with `eof`; what cannot be
read is reported to the error list and left out. Not decided here: whether a bracket calls, indexes or groups, where
statements end (see `layout`).
"""

from __future__ import annotations

import re
import unicodedata

from dsl.diagnostics import Source, Span, error
from dsl.syntax.reports import FOREIGN_OPERATORS, Reports
from dsl.syntax.tokens import BRACKETS, KEYWORDS, OPERATORS, Raw

_BLANK = re.compile(r"[ \t\r\f\v\u00a0\ufeff]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile("|".join(map(re.escape, OPERATORS)))
_RADIX = re.compile(r"0x[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0b[01]+(?:_[01]+)*|0o[0-7]+(?:_[0-7]+)*")
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_DECIMAL = re.compile(rf"(?:{_DIGITS}(?P<dot>\.(?!\.)(?:{_DIGITS})?)?|\.{_DIGITS})(?:(?P<exp>[eEf])[+-]?[0-9]+)?")
_PLAIN_TEXT = re.compile(r'[^"\\$\n]+')
_COMMENT_MARK = re.compile(r"#=|=#")
_TEXT_END = re.compile(r'(?<!\\)"')

_START_CATEGORIES = frozenset(["Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "So"])
_PART_CATEGORIES = _START_CATEGORIES | {"Nd", "Mn", "Mc", "Me", "Pc", "No"}
_MATHS_LETTERS = frozenset("∂∇∞∑∏∫∅∆")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_ESCAPES |= {c: c for c in "\\\"'$\n"}
_CODE_POINT = re.compile(r"x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})")
_ENDS_OPERAND = frozenset(["number", "name", "text_end", "prime"])
_OPERAND_WORDS = frozenset(["end", "true", "false", "nothing"])

INT64_LIMIT = 2**63
MAX_LINE = 100_000


def is_name_start(c: str) -> bool:
    return c == "_" or unicodedata.category(c) in _START_CATEGORIES or c in _MATHS_LETTERS


def _is_operand_end(token: Raw) -> bool:
    if token.kind == "keyword":
        return token.text in _OPERAND_WORDS
    return token.kind in _ENDS_OPERAND or (token.kind == "op" and token.text in ")]}")


def is_name_part(c: str) -> bool:
    return unicodedata.category(c) in _PART_CATEGORIES or c in _MATHS_LETTERS or c == "′"


class Lexer:
    """One run over one source. `texts` holds the open strings: (is triple, bracket depth of its interpolation)."""

    def __init__(self, source: Source, reports: Reports) -> None:
        self.source = source
        self.text = source.text
        self.reports = reports
        self.tokens: list[Raw] = []
        self.gap = False
        self.texts: list[list[int]] = []
        self.in_text = False
        self.incomplete = False

    def run(self) -> list[Raw]:
        text, at = self.text, 0
        self._check_lines()
        while at < len(text) and not self.reports.full:
            at = self._next(at)
        if self.in_text:
            at = self._text(at)
        if self.texts:
            self._unterminated(self.texts[0][2], "a string is not closed")
        self._emit("eof", at, at)
        return self.tokens

    def _check_lines(self) -> None:
        """Refuse lines no person writes: what is generated should be broken up, and what is data is no program."""
        if len(self.text) <= MAX_LINE:
            return
        start = 0
        for line in self.text.split("\n"):
            if len(line) > MAX_LINE:
                span = Span(self.source, start, start + 1)
                raise error("E0115", f"this line is longer than {MAX_LINE} characters", span, "break it up")
            start += len(line) + 1

    # ------------------------------------------------------------ one token

    def _next(self, at: int) -> int:
        """Read what starts at `at`; the offset behind it."""
        if self.in_text:
            return self._text(at)
        text = self.text
        c = text[at]
        if m := _BLANK.match(text, at):
            self.gap = True
            return m.end()
        if c == "\n":
            if not self.tokens or self.tokens[-1].kind != "newline":
                self._emit("newline", at, at + 1)
            self.gap = True
            return at + 1
        if c == "#":
            return self._comment(at)
        if c.isdecimal() or (c == "." and text[at + 1 : at + 2].isdecimal() and not self._touches_operand()):
            return self._number(at)
        if c.isascii() and (c.isalpha() or c == "_"):
            return self._name(at)
        if c == '"':
            return self._open_text(at)
        if c == "'":
            return self._prime(at)
        if c == "@":
            return self._macro(at)
        if m := _OPERATOR.match(text, at):
            return self._operator(m.group(), at)
        if is_name_start(c):
            return self._name(at)
        return self._stranger(at)

    def _emit(self, kind: str, start: int, end: int, value: object = None, text: str | None = None) -> None:
        self.tokens.append(Raw(kind, self.text[start:end] if text is None else text, start, end, self.gap, value))
        self.gap = False

    def _touches_operand(self) -> bool:
        """Whether the last token ends an operand and nothing stands between it and here."""
        if self.gap or not self.tokens:
            return False
        return _is_operand_end(self.tokens[-1])

    def _report(self, code: str, message: str, start: int, end: int, hint: str = "") -> None:
        self.reports.add(code, message, Span(self.source, start, end), hint)

    def _unterminated(self, start: int, message: str) -> None:
        self.incomplete = True
        end = self.text.find("\n", start)
        self._report("E0103", message, start, min(start + 1, len(self.text)) if end < 0 else min(end, start + 3))

    # ------------------------------------------------------------ comments, names, macros, operators

    def _comment(self, at: int) -> int:
        self.gap = True
        if not self.text.startswith("#=", at):
            end = self.text.find("\n", at)
            return len(self.text) if end < 0 else end
        depth, here = 0, at
        while m := _COMMENT_MARK.search(self.text, here):
            depth += 1 if m.group() == "#=" else -1
            here = m.end()
            if depth == 0:
                return here
        self._unterminated(at, "the comment `#=` is not closed by `=#`")
        return len(self.text)

    def _word_end(self, at: int) -> int:
        """The end of the identifier that starts at `at` (`push!` and `a!b` included, the `!` of `x!=y` not)."""
        text = self.text
        m = _NAME.match(text, at)
        end = m.end() if m else at + 1
        while end < len(text) and (self._is_name_part(text[end]) or (text[end] == "!" and text[end : end + 2] != "!=")):
            end += 1
        return end

    @staticmethod
    def _is_name_part(c: str) -> bool:
        return c == "_" or c.isalnum() if c.isascii() else is_name_part(c)

    def _name(self, at: int) -> int:
        end = self._word_end(at)
        word = unicodedata.normalize("NFC", self.text[at:end])
        last = self.tokens[-1] if self.tokens else None
        is_field = last is not None and not self.gap and last.kind == "op" and last.text == "."
        self._emit("keyword" if word in KEYWORDS and not is_field else "name", at, end, text=word)
        return end

    def _macro(self, at: int) -> int:
        if at + 1 < len(self.text) and is_name_start(self.text[at + 1]):
            end = self._word_end(at + 1)
            self._emit("macro", at, end, text=unicodedata.normalize("NFC", self.text[at + 1 : end]))
            return end
        self._report("E0102", "`@` needs the name of a macro behind it", at, at + 1, "as in `@assert x > 0`")
        return at + 1

    def _prime(self, at: int) -> int:
        if self._touches_operand():
            self._emit("prime", at, at + 1)
            return at + 1
        end = self.text.find("'", at + 1)
        newline = self.text.find("\n", at)
        if end > 0 and (newline < 0 or end < newline):
            inner = self.text[at + 1 : end]
            self._report("E0103", "text is written in double quotes", at, end + 1, f'write `"{_short(inner)}"`')
            self._emit("number", at, end + 1, 0)  # an operand stands here, so that reading can go on
            return end + 1
        self._report("E0102", "a `'` must touch the expression it belongs to", at, at + 1, "as in `f'(x)` or `A'`")
        return at + 1

    def _operator(self, op: str, at: int) -> int:
        if self.texts and op in BRACKETS:
            self.texts[-1][1] += 1
        elif self.texts and op in ")]}":
            self.texts[-1][1] -= 1
            if self.texts[-1][1] == 0 and op == ")":
                self._emit("close_in_text", at, at + 1)
                self.in_text = True
                return at + 1
        if op in FOREIGN_OPERATORS:
            self.reports.foreign_operator(op, Span(self.source, at, at + len(op)))
            self._emit("op", at, at + len(op), text="*" if op != ";;" else ";")
        elif op == "\\" and not self._touches_operand() and (m := _NAME.match(self.text, at + 1)):
            return self._backslash(at, m)
        else:
            self._emit("op", at, at + len(op), text=op)
        return at + len(op)

    def _backslash(self, at: int, name: re.Match[str]) -> int:
        r"""`\pi` where an operand is expected; elsewhere `\` divides (`A \ b`, `A \b`)."""
        if self.tokens and _is_operand_end(self.tokens[-1]):
            self._emit("op", at, at + 1)
            return at + 1
        if name.group() == "pi":
            self._emit("name", at, name.end(), text="π")
        else:
            word = name.group()
            self._report("E0102", f"`\\{word}` is not a letter here", at, name.end(), "type the letter itself")
            self._emit("name", at, name.end(), text=word)
        return name.end()

    def _stranger(self, at: int) -> int:
        c = self.text[at]
        shown = f"`{c}`" if c.isprintable() else f"the character U+{ord(c):04X}"
        hint = 'straight quotes `"` enclose text' if c in "“”„«»‘’" else ""
        self._report("E0102", f"{shown} is not part of the language", at, at + 1, hint)
        end = at + 1
        while end < len(self.text) and self.text[end] == c:
            end += 1
        self.gap = True
        return end

    # ------------------------------------------------------------ numbers

    def _number(self, at: int) -> int:
        text = self.text
        if m := _RADIX.match(text, at):
            self._integer(m.group(), at, m.end())
            return m.end()
        decimal = _DECIMAL.match(text, at)
        assert decimal is not None or not text[at].isascii()
        if decimal is None:
            return self._stranger(at)
        m, end = decimal, decimal.end()
        follower = text[end : end + 1]
        if m["dot"] == "." and m["exp"] is None and follower and (follower in "+-*/\\^÷%<>=!'(_" or follower.isalpha()):
            self._report(
                "E0104", f"`{m.group()}{follower}` can be read in two ways", at, end + 1,
                f"put a blank after `{m.group()[:-1]}`, or write `{m.group()}0`",
            )  # fmt: skip
        digits = m.group().replace("_", "")
        if m["dot"] is None and m["exp"] is None and not digits.startswith("."):
            self._integer(digits, at, end)
            return end
        value = float(digits.replace("f", "e"))
        if value in (float("inf"), float("-inf")):
            self._report("E0104", "this number is too large for a Float64", at, end, "`Inf` is infinity")
        self._emit("number", at, end, (value, m["exp"] == "f"))
        return end

    def _integer(self, digits: str, at: int, end: int) -> None:
        # -9223372036854775808 is an Int64 though its digits alone are not: the sign is seen by the parser.
        value = int(digits, 0 if digits[:2] in ("0x", "0b", "0o") else 10) if len(digits) <= 80 else INT64_LIMIT + 1
        if value > INT64_LIMIT:
            hint = "write it as a Float64, for example with `e0` behind it"
            self._report("E0104", "this number is too large for an Int64", at, end, hint)
            value = 0
        self._emit("number", at, end, (value, False))

    # ------------------------------------------------------------ strings

    def _open_text(self, at: int) -> int:
        triple = self.text.startswith('"""', at)
        start = at + (3 if triple else 1)
        self._emit("text_start", at, start)
        self.texts.append([int(triple), 0, at])
        if triple and self.text.startswith("\n", start):
            start += 1  # a newline right after the opening quotes does not count
        self.in_text = True
        return start

    def _text(self, at: int) -> int:
        """Read the inside of the innermost open string up to its end or behind a `$name` or `$(`."""
        text, quote = self.text, '"""' if self.texts[-1][0] else '"'
        pieces: list[tuple[str, bool]] = []  # (text, is escaped: no part of the indentation)
        start = at
        while at < len(text):
            c = text[at]
            if text.startswith(quote, at):
                self._text_piece(pieces, start, at)
                self.texts.pop()
                self.in_text = False
                self._emit("text_end", at, at + len(quote))
                return at + len(quote)
            if m := _PLAIN_TEXT.match(text, at):
                pieces.append((m.group(), False))
                at = m.end()
            elif c == "\\":
                at = self._escape(at, pieces)
            elif c == "$":
                self._text_piece(pieces, start, at)
                return self._interpolation(at)
            elif c == "\n" and quote == '"':
                break
            else:
                pieces.append((c, False))
                at += 1
        opened = self.texts.pop()[2]
        self.in_text = False
        if quote == '"':
            self._report("E0103", "a string is not closed on its line", opened, at, 'close it with `"`')
        else:
            self._unterminated(opened, "a string is not closed")
        self._text_piece(pieces, start, at)
        self._emit("text_end", at, at)
        return at

    def _text_piece(self, pieces: list[tuple[str, bool]], start: int, end: int) -> None:
        if pieces:
            self._emit("text", start, end, list(pieces))

    def _escape(self, at: int, pieces: list[tuple[str, bool]]) -> int:
        c = self.text[at + 1 : at + 2]
        if c and c in _ESCAPES:
            pieces.append((_ESCAPES[c] if c != "\n" else "", True))
            return at + 2
        m = _CODE_POINT.match(self.text, at + 1)
        point = int(next(g for g in m.groups() if g), 16) if m else 0x110000
        if m and point < 0x110000 and not 0xD800 <= point < 0xE000:
            pieces.append((chr(point), True))
            return m.end()
        self._report("E0103", f"`\\{c}` is no escape", at, at + 1 + len(c), r"a backslash itself is `\\`")
        return at + 1 + len(c)

    def _interpolation(self, at: int) -> int:
        """`$name`, `$(expression)`; a `$` before anything else is an error."""
        text = self.text
        if text.startswith("(", at + 1):
            self.texts[-1][1] = 1
            self.in_text = False
            self._emit("open_in_text", at, at + 2)
            return at + 2
        if at + 1 < len(text) and is_name_start(text[at + 1]):
            end = self._word_end(at + 1)
            word = unicodedata.normalize("NFC", text[at + 1 : end])
            self._emit("name_in_text", at + 1, end, text=word)
        else:
            hint = r"a dollar sign itself is `\$`"
            self._report("E0103", "a name or `(` must follow `$` in a string", at, at + 1, hint)
            end = at + 1
        return end


def _short(text: str) -> str:
    return text if len(text) <= 20 else text[:20] + "…"
