"""A curve through measurements: SciPy's least squares with the compiled Jacobian, and errors of the parameters from the
compiled Hessian.

    python examples/05_curve_fit/model.py [picture.png]
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

import dsl

m = dsl.load(Path(__file__).with_name("model.dfl"))
rng = np.random.default_rng(3)
TRUE = np.array([5.0, 0.4, 2.0, 3.0, 0.3])
times = np.linspace(0, 8, 81)
errors = np.full(81, 0.05)
measured = np.array([m.brightness(t, TRUE) for t in times]) + errors * rng.normal(size=81)

jacobian = dsl.jacobian(m.residuals)
start = np.array([3.0, 1.0, 1.0, 5.0, 0.0])
fit = least_squares(m.residuals, start, jac=jacobian, args=(times, measured, errors), x_scale="jac")

hessian = dsl.hessian(m.misfit)(fit.x, times, measured, errors)
deviations = np.sqrt(np.diag(np.linalg.inv(hessian)))

print(f"{fit.nfev} evaluations, χ² = {2 * fit.cost:.1f} for {len(times) - 5} degrees of freedom")
print("parameter           true   fitted")
names = ["fast amplitude", "fast time", "slow amplitude", "slow time", "background"]
for name, true, value, deviation in zip(names, TRUE, fit.x, deviations, strict=True):
    print(f"{name:16}{true:8.2f}{value:9.3f} ± {deviation:.3f}")

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.figure(figsize=(5, 2.8), dpi=80)
    plt.errorbar(times, measured, errors, fmt=".", ms=3, lw=0.7, color="#777777")
    plt.plot(times, [m.brightness(t, fit.x) for t in times], color="#c46a10")
    plt.plot(times, [m.brightness(t, start) for t in times], color="#2b5c8a", ls=":")
    plt.yscale("log")
    plt.xlabel("time")
    plt.ylabel("brightness")
    plt.tight_layout()
    plt.savefig(sys.argv[1])
