"""The one table of error codes. A code's kind is the name Julia gives such an error.

Ranges: E01 syntax, E02 names and types, E03 calls and methods, E04 raised while a program runs,
E05 differentiation, E06 files and Python values, E09 not yet supported. `title` is one line; the page behind it, with
a wrong example and the right one, is in `pages`.
"""

from __future__ import annotations

from dsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    kind: str
    title: str

    def explain(self) -> str:
        """What `dfl explain` prints."""
        from dsl.diagnostics.pages import PAGES

        page = PAGES.get(self.code)
        return f"{self.code} ({self.kind}): {self.title}" + (f"\n\n{page.render()}" if page else "")


def _table(*rows: Code) -> dict[str, Code]:
    table = {row.code: row for row in rows}
    assert len(table) == len(rows), "an error code is declared twice"
    return table


CODES: dict[str, Code] = _table(
    # ------------------------------------------------------------ E01 syntax
    Code("E0101", "SyntaxError", "this text cannot be read"),
    Code("E0102", "SyntaxError", "a character or operator is not part of the language"),
    Code("E0103", "SyntaxError", "a string or comment is malformed"),
    Code("E0104", "SyntaxError", "a number is malformed"),
    Code("E0105", "SyntaxError", "brackets do not match"),
    Code("E0106", "SyntaxError", "blocks and `end`s do not match"),
    Code("E0107", "SyntaxError", "nothing stands between two expressions"),
    Code("E0108", "SyntaxError", "a blank stands before a call's or an index's bracket"),
    Code("E0109", "SyntaxError", "the text is nested too deeply"),
    Code("E0110", "SyntaxError", "a ternary is malformed"),
    Code("E0111", "SyntaxError", "this is not in the language"),
    Code("E0112", "SyntaxError", "this is the notation of another language"),
    Code("E0113", "SyntaxError", "this cannot be assigned to"),
    Code("E0114", "SyntaxError", "a definition is malformed"),
    Code("E0115", "SyntaxError", "a line is too long"),
    # ------------------------------------------------------------ E02 names and types
    Code("E0201", "UndefVarError", "a name is not defined"),
    Code("E0202", "TypeError", "types do not join where control flow meets"),
    Code("E0203", "TypeError", "a condition is not a Bool"),
    Code("E0204", "TypeError", "types or specialisations grow without bound"),
    Code("E0205", "TypeError", "a type was expected"),
    Code("E0206", "MethodError", "a value cannot be converted to a type"),
    Code("E0207", "FieldError", "a value has no such field"),
    Code("E0208", "ErrorException", "something that is fixed is assigned to"),
    Code("E0209", "TypeError", "a value is not of the type that it is said to have"),
    # ------------------------------------------------------------ E03 calls and methods
    Code("E0301", "MethodError", "no method fits these argument types"),
    Code("E0302", "MethodError", "a call is ambiguous"),
    Code("E0303", "MethodError", "what is called is no function"),
    Code("E0304", "MethodError", "there is no such keyword argument"),
    Code("E0305", "UndefKeywordError", "a keyword argument is missing"),
    # ------------------------------------------------------------ E04 raised while a program runs
    Code("E0401", "DomainError", "an argument is outside a function's domain"),
    Code("E0402", "BoundsError", "an index is out of bounds"),
    Code("E0403", "KeyError", "a key is not in the dictionary"),
    Code("E0404", "ErrorException", "the program called error(…)"),
    Code("E0405", "AssertionError", "an @assert failed"),
    Code("E0406", "StackOverflowError", "the recursion is too deep"),
    Code("E0407", "DivideError", "integer division by zero"),
    Code("E0408", "InexactError", "a number cannot be converted exactly"),
    Code("E0409", "ArgumentError", "an argument has a value that makes no sense here"),
    Code("E0410", "UndefVarError", "a variable is read before it has a value"),
    Code("E0411", "OutOfMemoryError", "there is not enough memory"),
    Code("E0412", "DimensionMismatch", "the sizes of arrays do not fit together"),
    Code("E0413", "SingularException", "a matrix has no inverse"),
    Code("E0414", "PosDefException", "a matrix is not positive definite"),
    # ------------------------------------------------------------ E05 differentiation
    Code("E0501", "NonScalarOutput", "the gradient of a result that is no scalar"),
    Code("E0502", "NonRealOutput", "the gradient of a result that is not real"),
    Code("E0503", "ArgumentError", "this cannot be differentiated in forward mode"),
    Code("E0504", "ArgumentError", "the order of differentiation grows without bound"),
    Code("E0505", "ArgumentError", "a derivative rule gives something else than it should"),
    # ------------------------------------------------------------ E06 files and Python values
    Code("E0601", "ArgumentError", "a file cannot be read"),
    Code("E0602", "TypeError", "a Python value has no counterpart in the language"),
    Code("E0603", "ArgumentError", "a file is not UTF-8 text"),
    Code("E0604", "ArgumentError", "a function changes an array that cannot be changed"),
    Code("E0605", "ArgumentError", "arrays overlap, and a function changes one of them"),
    # ------------------------------------------------------------ E09 not yet supported
    Code("E0901", "ArgumentError", "this part of the language is not supported yet"),
)
