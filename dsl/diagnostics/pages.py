"""What `dfl explain` tells about each error code: what it means, a wrong example, the right one.

The examples are programs and run as tests: a wrong one raises its code, a right one raises nothing. Where an error can
not be shown by a program alone (a missing file, a value of Python) the examples are lines of Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent


@dataclass(frozen=True, slots=True)
class Page:
    """`wrong` and `right` are programs of the language, or of Python (with `dsl` imported) where `python` is true."""

    meaning: str
    wrong: str
    right: str
    python: bool = False

    def render(self) -> str:
        """The text of the page."""
        return f"{self.meaning}\n\nwrong:\n{indent(self.wrong, '    ')}\n\nright:\n{indent(self.right, '    ')}"


def _page(meaning: str, wrong: str, right: str, python: bool = False) -> Page:
    return Page(*(dedent(text).strip() for text in (meaning, wrong, right)), python)


PAGES: dict[str, Page] = {
    # ------------------------------------------------------------ E01 syntax
    "E0101": _page(
        """
            The text is no program: a bracket or a block is not closed, a word stands where none can, or another
            language's notation was used. All independent errors of a file are reported in one go.
        """,
        "f(x) = (x + 1",
        "f(x) = (x + 1)",
    ),
    # ------------------------------------------------------------ E02 names and types
    "E0201": _page(
        """
            A name is used that is defined nowhere: no variable, function, struct or parameter is called so. The
            hint gives the nearest name.
        """,
        """
            f(x) = x + offset
            f(1.0)
        """,
        """
            offset = 2.0
            f(x) = x + offset
            f(1.0)
        """,
    ),
    "E0202": _page(
        """
            A variable (or a result) has one type on one way through the program and another type on the other,
            and there is no type for both. Numbers widen (Int64 and Float64 meet in Float64); a Bool or a tuple
            and a number do not.
        """,
        """
            function f(x)
              if x > 0
                r = true
              else
                r = 1.5
              end
              return r
            end
            f(1.0)
        """,
        """
            function f(x)
              if x > 0
                r = 1.0
              else
                r = 1.5
              end
              return r
            end
            f(1.0)
        """,
    ),
    "E0203": _page(
        """
            A condition must be a Bool; numbers do not count as true or false.
        """,
        """
            f(x) = x ? 1 : 2
            f(1.0)
        """,
        """
            f(x) = x != 0 ? 1 : 2
            f(1.0)
        """,
    ),
    "E0204": _page(
        """
            Each call has other argument types than the one before, so that no end of specialisations is in
            sight: a tuple that grows with every call, for instance. Types must settle when a program is
            compiled; use a growable vector.
        """,
        """
            f(x, n) = n == 0 ? 0 : f((x, x), n - 1)
            f(1.0, 3)
        """,
        """
            f(x, n) = n == 0 ? x : f(x + x, n - 1)
            f(1.0, 3)
        """,
    ),
    # ------------------------------------------------------------ E03 calls and methods
    "E0301": _page(
        """
            A function is called with arguments that none of its methods takes: too many, too few, or of other
            types.
        """,
        """
            area(r::Float64, h::Float64) = r*h
            area(1.0)
        """,
        """
            area(r::Float64, h::Float64) = r*h
            area(1.0, 2.0)
        """,
    ),
    # ------------------------------------------------------------ E04 raised while a program runs
    "E0401": _page(
        """
            A function is not defined at this argument: the square root or the logarithm of a negative number.
            With `checks=False` (`--no-checks`) such a call gives NaN.
        """,
        """
            f(x) = sqrt(x - 2)
            f(1.0)
        """,
        """
            f(x) = x > 2 ? sqrt(x - 2) : 0.0
            f(1.0)
        """,
    ),
    "E0402": _page(
        """
            An index is less than 1 or greater than the length. Indices start at 1; the last one is `end`.
        """,
        """
            v = Float64[]
            push!(v, 1.5)
            v[0]
        """,
        """
            v = Float64[]
            push!(v, 1.5)
            v[1]
        """,
    ),
    "E0403": _page(
        """
            A dictionary has no such key. `haskey(d, k)` asks, `get(d, k, default)` gives a default.
        """,
        """
            d = Dict(:a => 1.0)
            d[:b]
        """,
        """
            d = Dict(:a => 1.0)
            get(d, :b, 0.0)
        """,
    ),
    "E0404": _page(
        """
            The program itself called `error(…)`; the message is the program's.
        """,
        """
            f(x) = x < 0 ? error("x is negative: $x") : x
            f(-1.0)
        """,
        """
            f(x) = x < 0 ? error("x is negative: $x") : x
            f(1.0)
        """,
    ),
    "E0405": _page(
        """
            A condition that `@assert` states does not hold.
        """,
        """
            function f(x)
              @assert x > 0 "x must be positive"
              return 1/x
            end
            f(-1.0)
        """,
        """
            function f(x)
              @assert x > 0 "x must be positive"
              return 1/x
            end
            f(2.0)
        """,
    ),
    "E0406": _page(
        """
            A function calls itself deeper than the stack reaches, or with no way to end.
        """,
        """
            g(n) = g(n + 1)
            g(0)
        """,
        """
            g(n) = n > 100 ? n : g(n + 1)
            g(0)
        """,
    ),
    "E0407": _page(
        """
            An integer is divided by the integer 0 with `÷`, `%`, `div`, `mod` or `rem`. (`/` gives a Float64:
            1/0 is Inf.)
        """,
        """
            f(n, k) = n ÷ k
            f(7, 0)
        """,
        """
            f(n, k) = n ÷ k
            f(7, 2)
        """,
    ),
    "E0408": _page(
        """
            A number was to be converted to a type that cannot hold it: 2.5 is no Int64.
        """,
        "Int(2.5)",
        "round(Int, 2.5)",
    ),
    "E0409": _page(
        """
            An argument has a value that makes no sense at this place, as the step 0 of a range.
        """,
        """
            f(s) = sum(1:s:10)
            f(0)
        """,
        """
            f(s) = sum(1:s:10)
            f(3)
        """,
    ),
    "E0410": _page(
        """
            A variable is read on a way through the program on which it was given no value.
        """,
        """
            function f(x)
              if x > 0
                y = 1.0
              end
              return y
            end
            f(-1.0)
        """,
        """
            function f(x)
              y = 0.0
              if x > 0
                y = 1.0
              end
              return y
            end
            f(-1.0)
        """,
    ),
    # ------------------------------------------------------------ E05 differentiation
    "E0501": _page(
        """
            A gradient needs a function whose result is one real number. Take a component of the result, or use
            `pullback` with a cotangent of the result's shape.
        """,
        """
            f(x) = (x, x^2)
            gradient(f, 3.0)
        """,
        """
            f(x) = (x, x^2)
            gradient(x -> f(x)[2], 3.0)
        """,
    ),
    "E0504": _page(
        """
            A function differentiates itself, one order higher in every call, so that no end of derivatives is
            in sight.
        """,
        """
            f(g, x, n) = n == 0 ? g(x) : f(g', x, n - 1)
            f(sin, 1.0, 3)
        """,
        "sin'''(1.0)",
    ),
    # ------------------------------------------------------------ E06 files and Python values
    "E0601": _page(
        """
            A file does not exist, is a directory, is not UTF-8, or cannot be opened.
        """,
        'dsl.load("no/such/model.dfl")',
        'dsl.loads("f(x) = x^2")',
        python=True,
    ),
    "E0602": _page(
        """
            A value of Python has no counterpart in the language. Numbers, strings (symbols), tuples,
            dictionaries, records, structs and functions of a module have one.
        """,
        'dsl.loads("f(x) = x").f(object())',
        'dsl.loads("f(x) = x").f(1.5)',
        python=True,
    ),
    # ------------------------------------------------------------ E09 not yet supported
    "E0901": _page(
        """
            The language has this, but this version cannot compile it yet. Arrays of numbers belong here;
            growable vectors (`Float64[]` and `push!`) work.
        """,
        "v = [1.0, 2.0]",
        """
            v = Float64[]
            push!(v, 1.0)
            push!(v, 2.0)
            sum(v)
        """,
    ),
}
