"""Bundle adjustment: SciPy's least squares with a sparse Jacobian whose pattern is found by the compiler.

    python examples/06_bundle_adjustment/model.py [picture.png]
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

import dsl

m = dsl.load(Path(__file__).with_name("model.dfl"))
rng = np.random.default_rng(5)
CAMERAS, POINTS = 6, 40

# a scene: cameras around points, each of which some of the cameras have seen, not quite exactly
points = rng.uniform(-1, 1, size=(POINTS, 3))
cameras = np.column_stack([rng.normal(scale=0.2, size=(CAMERAS, 3)), rng.normal(scale=0.3, size=(CAMERAS, 2)),
                           rng.uniform(4, 6, size=CAMERAS)])  # fmt: skip
truth = np.concatenate([cameras.ravel(), points.ravel()])
pairs = [(c + 1, p + 1) for c in range(CAMERAS) for p in range(POINTS) if rng.uniform() < 0.6]
which_camera, which_point = (np.array(side) for side in zip(*pairs, strict=True))
nothing = np.zeros(len(pairs))
exact = m.residuals(truth, CAMERAS, which_camera, which_point, nothing, nothing).reshape(-1, 2)
u, v = (exact + rng.normal(scale=0.002, size=exact.shape)).T.copy()
arguments = (CAMERAS, which_camera, which_point, u, v)


def jacobian(params, *rest):
    return dsl.sparse_jacobian(m.residuals, params, *rest)


start = truth + rng.normal(scale=0.1, size=truth.size)
J = jacobian(start, *arguments)
fit = least_squares(m.residuals, start, jac=jacobian, args=arguments, x_scale="jac", method="trf", max_nfev=50)


def spread(params):
    return np.sqrt(np.mean(m.residuals(params, *arguments) ** 2))


print(f"{CAMERAS} cameras, {POINTS} points, {len(pairs)} observations")
print(f"the Jacobian is {J.shape[0]} by {J.shape[1]}, and {100 * J.nnz / np.prod(J.shape):.1f} % of it are not zero")
print(f"the mean residual before: {spread(start):.4f}")
print(f"                  after:  {spread(fit.x):.4f}")

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.figure(figsize=(4, 6), dpi=80)
    plt.spy(J, markersize=1, color="#2b5c8a", aspect="auto")
    plt.xlabel("numbers of cameras, then of points")
    plt.ylabel("residuals")
    plt.tight_layout()
    plt.savefig(sys.argv[1])
