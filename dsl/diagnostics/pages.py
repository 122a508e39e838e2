"""What `dfl explain` tells about each error code: what it means, a wrong example, the right one.

The examples are programs and run as tests: a wrong one raises its code, a right one raises nothing. Where an error can
not be shown by a program alone (a missing file, a value of Python) the examples are lines of Python. A wrong example
that would do harm is not run.
"""

from __future__ import annotations

from textwrap import dedent, indent

from dsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """`wrong` and `right` are programs of the language, or of Python (with `dsl` imported) where `python` is true;
    `harmful` where the wrong one must not be run."""

    meaning: str
    wrong: str
    right: str
    python: bool = False
    harmful: bool = False

    def render(self) -> str:
        """The text of the page."""
        return f"{self.meaning}\n\nwrong:\n{indent(self.wrong, '    ')}\n\nright:\n{indent(self.right, '    ')}"


def _page(meaning: str, wrong: str, right: str, python: bool = False, harmful: bool = False) -> Page:
    meaning, wrong, right = (dedent(text).strip() for text in (meaning, wrong, right))
    return Page(meaning, wrong, right, python, harmful)


PAGES: dict[str, Page] = {
    # ------------------------------------------------------------ E01 syntax
    "E0101": _page(
        """
            The text is no program: something stands where it cannot, or something is missing. All independent
            errors of a file are reported in one go.
        """,
        "f(x) = x +",
        "f(x) = x + 1",
    ),
    "E0102": _page(
        """
            A character or an operator that the language does not have. A power is `^`, integer division `÷`, a
            comment begins with `#`.
        """,
        "f(x) = x**2",
        "f(x) = x^2",
    ),
    "E0103": _page(
        """
            A string is not closed on its line, a comment `#= … =#` is not closed, or text stands in single quotes.
        """,
        "println('hello')",
        'println("hello")',
    ),
    "E0104": _page(
        """
            A number is too large for its type, or can be read in two ways. Int64 reaches to 9223372036854775807,
            about 9.2e18.
        """,
        "n = 100000000000000000000",
        "n = 1e20",
    ),
    "E0105": _page(
        """
            A bracket is closed that was not opened, or opened and not closed, or closed by one of another kind. The
            message names the bracket and its line.
        """,
        "f(x) = (x + 1",
        "f(x) = (x + 1)",
    ),
    "E0106": _page(
        """
            `function`, `if`, `for`, `while`, `struct`, `begin`, `let` and `do` open a block that one `end` closes.
            The message names the line that opened the block.
        """,
        """
            function f(x)
              if x > 0
                return x
            end
        """,
        """
            function f(x)
              if x > 0
                return x
              end
              return -x
            end
        """,
    ),
    "E0107": _page(
        """
            Two expressions stand side by side on one line. An operator, a comma, a `;` or a new line is missing. Only
            a number in front multiplies without a sign, as in `2x`.
        """,
        "f(a, b) = a b",
        "f(a, b) = a*b",
    ),
    "E0108": _page(
        """
            The bracket of a call or an index touches what it belongs to; with a blank between them it is unclear what
            is meant.
        """,
        "sin (1.0)",
        "sin(1.0)",
    ),
    "E0109": _page(
        """
            Brackets or blocks are nested more deeply than any person would write. Name parts of the expression.
        """,
        "x = " + ("(" * 60 + "\n") * 4 + "1" + ")" * 240,
        "x = (((1)))",
    ),
    "E0110": _page(
        """
            `condition ? a : b` needs blanks around `?` and `:`, and both of its branches.
        """,
        "f(x) = x > 0 ? x",
        "f(x) = x > 0 ? x : -x",
    ),
    "E0111": _page(
        """
            The language is a statically compiled subset of Julia's notation. It has no `try`, no macros of the user,
            no modules and no `eval`.
        """,
        """
            try
              sqrt(-1.0)
            catch
              0.0
            end
        """,
        """
            x = -1.0
            x < 0 ? 0.0 : sqrt(x)
        """,
    ),
    "E0112": _page(
        """
            This is how Python or MATLAB write it. The hint says how it is written here.
        """,
        """
            def f(x):
              return x
        """,
        """
            function f(x)
              return x
            end
        """,
    ),
    "E0113": _page(
        """
            On the left of `=` stands a name, a field, an index, or several of these. `==` compares.
        """,
        "1 = x",
        "x = 1",
    ),
    "E0114": _page(
        """
            A definition of a function or a struct is not written as definitions are.
        """,
        "f(1) = 2",
        "f(x) = 2",
    ),
    "E0115": _page(
        """
            A line is so long that no person has written it. Programs that write programs can break lines after an
            operator or a comma.
        """,
        'dsl.loads("x = " + "1 + " * 500_000 + "1")',
        'dsl.loads("x = " + "1 +\\n" * 10 + "1")',
        python=True,
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
    "E0205": _page(
        """
            A type was expected, as behind `::`, and something else stands there: a name that is no type, or a type
            with the wrong number of parameters.
        """,
        """
            f(x::3) = x
            f(1.0)
        """,
        """
            f(x::Float64) = x
            f(1.0)
        """,
    ),
    "E0206": _page(
        """
            A value stands where a type was declared (a field, a variable, a result) and cannot be converted to it.
            Int64 becomes Float64 by itself; a tuple becomes no number.
        """,
        """
            struct Point
              x::Float64
            end
            Point((1, 2))
        """,
        """
            struct Point
              x::Float64
            end
            Point(1)
        """,
    ),
    "E0207": _page(
        """
            A value has no field of this name. The values of a Dict are reached by `d[:name]`.
        """,
        """
            struct Point
              x::Float64
            end
            Point(1.0).z
        """,
        """
            struct Point
              x::Float64
            end
            Point(1.0).x
        """,
    ),
    "E0208": _page(
        """
            A constant, a field of an immutable struct, or a top-level variable seen from a function is assigned to.
            What changes is the field of a `mutable struct` or a `Ref`.
        """,
        """
            struct Point
              x::Float64
            end
            function move(p)
              p.x += 1.0
              return p
            end
            move(Point(1.0))
        """,
        """
            mutable struct Point
              x::Float64
            end
            function move(p)
              p.x += 1.0
              return p
            end
            move(Point(1.0))
        """,
    ),
    "E0209": _page(
        """
            `x::T` promises that x is a T; nothing is converted. To convert, write `T(x)`, or declare a variable, a
            field or a result.
        """,
        """
            f(x) = 2(x::Int)
            f(1.5)
        """,
        """
            f(x) = 2Int(x)
            f(2.0)
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
    "E0302": _page(
        """
            Two methods fit a call, and neither is more specific than the other. Define one for exactly these types.
        """,
        """
            f(x::Float64, y) = 1
            f(x, y::Float64) = 2
            f(1.0, 1.0)
        """,
        """
            f(x::Float64, y) = 1
            f(x, y::Float64) = 2
            f(x::Float64, y::Float64) = 3
            f(1.0, 1.0)
        """,
    ),
    "E0303": _page(
        """
            A value that is no function is called like one. Two brackets side by side do not multiply.
        """,
        """
            f(x) = (x - 1)(x + 2)
            f(3.0)
        """,
        """
            f(x) = (x - 1) * (x + 2)
            f(3.0)
        """,
    ),
    "E0304": _page(
        """
            A function has no keyword argument of this name.
        """,
        """
            scale(x; by = 2.0) = x*by
            scale(1.0; times = 3.0)
        """,
        """
            scale(x; by = 2.0) = x*by
            scale(1.0; by = 3.0)
        """,
    ),
    "E0305": _page(
        """
            A keyword argument without a default was not given.
        """,
        """
            scale(x; by) = x*by
            scale(1.0)
        """,
        """
            scale(x; by) = x*by
            scale(1.0; by = 3.0)
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
    "E0411": _page(
        """
            The program asked for more memory than there is, as a loop does that keeps pushing.
        """,
        """
            function fill(n)
              v = Float64[]
              while n > 0
                push!(v, 1.0)
              end
              return length(v)
            end
            fill(1)
        """,
        """
            function fill(n)
              v = Float64[]
              while n > 0
                n -= 1
                push!(v, 1.0)
              end
              return length(v)
            end
            fill(1)
        """,
        harmful=True,
    ),
    # ------------------------------------------------------------ E05 differentiation
    "E0412": _page(
        """
            The sizes of arrays do not fit together. `A + B` and `A - B` want arrays of one shape; an operator with a
            dot stretches what has size 1; `A * B` wants as many columns of A as rows of B; blocks that are put side by
            side want as many rows.
        """,
        """
            f(a, b) = a + b
            f([1, 2], [1, 2, 3])
        """,
        """
            f(a, b) = a .+ b'
            f([1, 2], [1, 2, 3])
        """,
    ),
    "E0413": _page(
        """
            A matrix has no inverse, so the system has no one solution: a pivot of its factorisation is zero.
        """,
        """
            f(A, b) = A \\ b
            f([1.0 2.0; 2.0 4.0], [1.0, 2.0])
        """,
        """
            f(A, b) = A \\ b
            f([1.0 2.0; 2.0 5.0], [1.0, 2.0])
        """,
    ),
    "E0414": _page(
        """
            A symmetric matrix is not positive definite, so it has no Cholesky factor; a covariance may have lost that
            by rounding, or the matrix is not a covariance.
        """,
        """
            f(A) = cholesky(A).L
            f([1.0 2.0; 2.0 1.0])
        """,
        """
            f(A) = cholesky(A).L
            f([2.0 1.0; 1.0 2.0])
        """,
    ),
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
    "E0502": _page(
        """
            A gradient needs a function whose result is one real number, and this one gives a complex number. Take
            its real part, its imaginary part or the square of its absolute value.
        """,
        """
            struct Complex
              re::Float64
              im::Float64
            end
            f(x) = Complex(x, 2x)
            gradient(f, 1.0)
        """,
        """
            struct Complex
              re::Float64
              im::Float64
            end
            f(x) = Complex(x, 2x)
            gradient(x -> f(x).re, 1.0)
        """,
    ),
    "E0503": _page(
        """
            Forward mode uses a rule given by a pullback by transposing it, which needs a pullback that is linear in
            the cotangent. One that clips it, as a hook may, is not: give an `frule`, or use reverse mode. Reverse mode
            of a function of arrays in turn needs more than an `frule`: give an `rrule` as well.
        """,
        """
            m = dsl.loads("f(x) = hook(c -> clamp(c, -1.0, 1.0), x^2)", mode="forward")
            m.eval("f'(3.0)")
        """,
        """
            m = dsl.loads("f(x) = hook(c -> clamp(c, -1.0, 1.0), x^2)", mode="reverse")
            m.eval("f'(3.0)")
        """,
        python=True,
    ),
    "E0504": _page(
        """
            A function takes the derivative of itself inside itself, so that derivatives of every order are needed.
        """,
        """
            f(x, n) = n == 0 ? sin(x) : derivative(y -> f(y, n - 1), x)
            f(1.0, 3)
        """,
        "sin'''(1.0)",
    ),
    "E0505": _page(
        """
            A derivative rule of the user gives something else than it should: `@adjoint f(x, y) = value, v̄ -> (x̄, ȳ)`
            has one cotangent an argument (`nothing` is zero), of an array one of the same size. A function with a
            rule changes none of its arguments.
        """,
        """
            g(x, y) = x*y
            @adjoint g(x, y) = x*y, c -> (c*y,)
            gradient(g, 2.0, 3.0)
        """,
        """
            g(x, y) = x*y
            @adjoint g(x, y) = x*y, c -> (c*y, c*x)
            gradient(g, 2.0, 3.0)
        """,
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
            dictionaries, records, lists whose items have one type, arrays of numbers, structs and functions of a
            module have one.
        """,
        'dsl.loads("f(x) = x").f(object())',
        'dsl.loads("f(x) = x").f(1.5)',
        python=True,
    ),
    "E0603": _page(
        """
            The bytes of a file are not UTF-8, or hold a zero byte. Save the file as UTF-8; a binary file is no
            program.
        """,
        """
            import tempfile
            with tempfile.NamedTemporaryFile(suffix=".dfl") as file:
                file.write(b"f(x) = \\xff")
                file.flush()
                dsl.load(file.name)
        """,
        """
            import tempfile
            with tempfile.NamedTemporaryFile(suffix=".dfl") as file:
                file.write("f(β) = 2β".encode())
                file.flush()
                dsl.load(file.name)
        """,
        python=True,
    ),
    "E0604": _page(
        """
            A function writes into an array argument, and the caller would not see it: the array is read-only, or its
            elements had to be converted to a copy first. Nothing has run. Derivatives leave their arguments as
            they were and take any array.
        """,
        """
            import numpy
            m = dsl.loads("first!(v) = (v[1] = 0.0; v)")
            m["first!"](numpy.array([1, 2, 3], "int32"))
        """,
        """
            import numpy
            m = dsl.loads("first!(v) = (v[1] = 0.0; v)")
            m["first!"](numpy.array([1.0, 2.0, 3.0]))
        """,
        python=True,
    ),
    "E0605": _page(
        """
            Two arrays among the arguments have memory in common, and the function writes into one of them. What it
            would read from the other one would depend on the order of its statements. Hand over a copy.
        """,
        """
            import numpy
            m = dsl.loads("shift!(v, w) = (v[1] = w[1]; v)")
            x = numpy.zeros(4)
            m["shift!"](x[1:], x[:-1])
        """,
        """
            import numpy
            m = dsl.loads("shift!(v, w) = (v[1] = w[1]; v)")
            x = numpy.zeros(4)
            m["shift!"](x[1:], x[:-1].copy())
        """,
        python=True,
    ),
    # ------------------------------------------------------------ E09 not yet supported
    "E0901": _page(
        """
            Julia has this, but the language cannot compile it, or not yet. Keys cannot be taken out of a Dict, for
            example; a new one is made of those that stay.
        """,
        """
            d = Dict(1 => 2.0, 2 => 3.0)
            delete!(d, 1)
        """,
        """
            d = Dict(1 => 2.0, 2 => 3.0)
            e = Dict(2 => d[2])
        """,
    ),
}
