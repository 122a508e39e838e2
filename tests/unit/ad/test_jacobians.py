"""Matrices of derivatives: `jacobian`, `hessian`, `hvp`, in the language, against what is derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

import dsl

MODES = ("auto", "forward", "reverse")
PROGRAM = """\
f(v) = [v[1]^2*v[2], sin(v[2]), v[1]*v[2]*v[3], v[3], 1.0]
pair(x, y) = (x*y, x^2)
s(v) = v[1]^3*v[2] + sin(v[3])*v[2]
cubed(v) = v[1]^3 * v[2]
third(v) = gradient(v -> hessian(cubed, v)[1, 2], v)[1]
function quadratic(v)
  total = 0.0
  for i in 1:length(v)
    total += v[i]^2 * i
  end
  total
end
cross(A) = A .* A'
counted(v, n) = [v[1]*n, v[2]]
function changes(v)
  v[1] = v[1]*v[2]
  v[2] = v[1] + v[2]
  [v[1], v[2]]
end
function loud(v)
  println("here")
  [v[1]^2, v[2]]
end
function steps(v, n)
  x, y = v[1], v[2]
  for i in 1:n
    x, y = x - 0.1y*x, y + 0.1x
  end
  [x, y]
end
weighted(p) = [p[1]*p[2][1], p[2][2]]
pixels(a) = [a[1][1]*a[2][2], a[1][2]]
function guarded(v)
  out = zeros(2)
  for i in 1:2
    out[i] = v[i] > 0 ? sqrt(v[i]) : 0.0
  end
  out
end
"""


@pytest.fixture(scope="module", params=[*MODES, "interpreter"])
def m(request: pytest.FixtureRequest) -> dsl.Module:
    way = request.param
    if way == "interpreter":
        return dsl.loads(PROGRAM, interpreter=True)
    return dsl.loads(PROGRAM, mode=way, verify=True, opt_level=0)


def near(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected, dtype=float), rtol=1e-12, atol=1e-14)


def test_rows_are_results_and_columns_arguments(m: dsl.Module) -> None:
    (j,) = m.eval("jacobian(f, [2.0, 3.0, 0.5])")
    near(j, [[12, 4, 0], [0, np.cos(3.0), 0], [1.5, 1, 6], [0, 0, 1], [0, 0, 0]])


def test_numbers_and_tuples_count_as_vectors(m: dsl.Module) -> None:
    of_x, of_y = m.eval("jacobian(pair, 2.0, 3.0)")
    near(of_x, [[3], [4]])
    near(of_y, [[2], [0]])
    (j,) = m.eval("jacobian(weighted, (2.0, [3.0, 5.0]))")
    near(j, [[3, 2, 0], [0, 0, 1]])
    (j,) = m.eval("jacobian(x -> x^3, 2.0)")
    near(j, [[12]])


def test_fields_of_elements_follow_each_other(m: dsl.Module) -> None:
    (j,) = m.eval("jacobian(pixels, [(2.0, 3.0), (5.0, 7.0)])")
    near(j, [[7, 0, 0, 2], [0, 1, 0, 0]])


def test_matrices_count_column_by_column(m: dsl.Module) -> None:
    (j,) = m.eval("jacobian(cross, [1.0 2.0; 3.0 4.0])")
    near(j, [[2, 0, 0, 0], [0, 2, 3, 0], [0, 2, 3, 0], [0, 0, 0, 8]])


WIDE = np.array([[1.0, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("argument", "same"),
    [("view(A, 1:2, 2:3)", WIDE[:, 1:3]), ("A[:, 1:2]", WIDE[:, :2]), ("A[:, 1:2]'", WIDE[:, :2].T)],
)
def test_arguments_of_every_layout(m: dsl.Module, argument: str, same: np.ndarray) -> None:
    (j,) = m.eval(f"(A = [1.0 2.0 3.0; 4.0 5.0 6.0]; jacobian(cross, {argument}))")
    a = same.reshape(-1, order="F")  # element k of the result is a[k] * a[t[k]]
    expected = np.zeros((4, 4))
    for k, other in enumerate((0, 2, 1, 3)):
        expected[k, k] += a[other]
        expected[k, other] += a[k]
    near(j, expected)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_every_number_of_columns(m: dsl.Module, n: int) -> None:
    """Several columns are made in one pass; the last pass may have fewer."""
    v = ", ".join(f"{k + 0.5}" for k in range(n))
    (j,) = m.eval(f"jacobian(v -> [v[i]^2 for i in 1:length(v)], [{v}])")
    near(j, np.diag([2 * (k + 0.5) for k in range(n)]))
    near(m.eval(f"hessian(quadratic, [{v}])"), np.diag([2.0 * (k + 1) for k in range(n)]))


@pytest.mark.parametrize("call", ["gradient(f, 1.0, 0.0)", "((J, K) = jacobian(f, 1.0, 0.0); (J[1], K[1]))"])
@pytest.mark.parametrize(
    "program",
    [
        "f(x, y) = x + sqrt(y)",
        "r(n, y) = n == 0 ? sqrt(y) : r(n - 1, y)\nf(x, y) = x + r(3, y)",
        "function f(x, y)\n  s = 0.0\n  for i in 1:3\n    s += (x + sqrt(y))/3\n  end\n  s\nend",
        "f(x, y) = (v = [x, sqrt(y)]; v[1] + v[2])",
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_one_direction_leaves_no_nan_in_another(mode: str, program: str, call: str) -> None:
    m = dsl.loads(program, mode=mode, interpreter=True)
    assert m.eval(call) == (pytest.approx(1.0), np.inf)


def test_integers_have_columns_too(m: dsl.Module) -> None:
    of_v, of_n = m.eval("jacobian(counted, [2.0, 3.0], 4)")
    near(of_v, [[4, 0], [0, 1]])
    near(of_n, [[2], [0]])


def test_the_path_not_taken_leaves_zero(m: dsl.Module) -> None:
    (j,) = m.eval("jacobian(guarded, [4.0, 0.0])")
    near(j, [[0.25, 0], [0, 0]])


def test_arguments_are_as_they_were(m: dsl.Module) -> None:
    v = np.array([2.0, 3.0])
    (j,) = m.eval("v -> jacobian(changes, v)")(v)
    near(j, [[3, 2], [3, 3]])
    near(v, [2, 3])


def test_printing_happens_once() -> None:
    for mode in MODES:
        said: list[str] = []
        m = dsl.loads(PROGRAM, mode=mode, out=said.append, opt_level=0)
        (j,) = m.eval("jacobian(loud, [2.0, 3.0])")
        near(j, [[4, 0], [0, 1]])
        assert "".join(said) == "here\n"


def test_through_loops(m: dsl.Module) -> None:
    v, j = np.array([1.0, 0.5]), np.eye(2)
    (found,) = m.eval("jacobian(v -> steps(v, 7), [1.0, 0.5])")
    for _ in range(7):
        x, y = v
        j = np.array([[1 - 0.1 * y, -0.1 * x], [0.1, 1]]) @ j
        v = np.array([x - 0.1 * y * x, y + 0.1 * x])
    near(found, j)


def test_hessian_and_its_products(m: dsl.Module) -> None:
    x, y, z = 2.0, 3.0, 0.5
    expected = np.array([[6 * x * y, 3 * x**2, 0], [3 * x**2, 0, np.cos(z)], [0, np.cos(z), -np.sin(z) * y]])
    near(m.eval("hessian(s, [2.0, 3.0, 0.5])"), expected)
    near(m.eval("hvp(s, [2.0, 3.0, 0.5], [1.0, -2.0, 3.0])"), expected @ [1, -2, 3])
    assert m.eval("hessian(x -> x^4, 2.0)") == 48.0
    assert m.eval("hvp(x -> x^4, 2.0, 0.5)") == 24.0


def test_third_derivatives_through_a_hessian(m: dsl.Module) -> None:
    near(m.eval("third([2.0, 5.0])"), [12, 0])
    (j,) = m.eval("jacobian(v -> jacobian(w -> [w[1]^2*w[2], w[2]], v)[1], [2.0, 3.0])")
    near(j, [[2 * 3, 2 * 2], [0, 0], [2 * 2, 0], [0, 0]])


def test_what_has_no_matrix_is_an_error() -> None:
    m = dsl.loads("f(d) = d[:a]\ng(v) = v[1][1]")
    with pytest.raises(dsl.DslError) as caught:
        m.eval("jacobian(f, Dict(:a => 1.0))")
    assert "pullback" in caught.value.hint
    with pytest.raises(dsl.DslError):
        m.eval("jacobian(g, [[1.0]])")
    with pytest.raises(dsl.DslError) as caught:
        m.eval("hessian(v -> [v[1], 2.0], [1.0])")
    assert caught.value.kind == "NonScalarOutput"
