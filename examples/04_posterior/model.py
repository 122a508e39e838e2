"""The posterior of a logistic regression, sampled by Hamiltonian Monte Carlo in a few lines of NumPy.

    python examples/04_posterior/model.py [picture.png]

The data are made up: what is found can be compared with the coefficients they were made with.
"""

import sys
from pathlib import Path

import numpy as np

import dsl

m = dsl.load(Path(__file__).with_name("model.dfl"))
rng = np.random.default_rng(12)
TRUE = np.array([-0.5, 1.2, 0.0, -0.8])
X = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
y = (rng.uniform(size=300) < 1 / (1 + np.exp(-X @ TRUE))).astype(int)

value_and_grad = dsl.value_and_grad(m.log_posterior)


def hamiltonian_monte_carlo(position, count, step, leaps):
    """Samples of the posterior: each a path of `leaps` leapfrog steps, taken or refused by Metropolis's rule."""
    samples, taken = [], 0
    value, slope = value_and_grad(position, X, y)
    for _ in range(count):
        momentum = rng.normal(size=position.size)
        energy = value - momentum @ momentum / 2
        new, new_value, new_slope = position.copy(), value, slope
        for _ in range(leaps):
            momentum = momentum + step / 2 * new_slope
            new = new + step * momentum
            new_value, new_slope = value_and_grad(new, X, y)
            momentum = momentum + step / 2 * new_slope
        if np.log(rng.uniform()) < new_value - momentum @ momentum / 2 - energy:
            position, value, slope, taken = new, new_value, new_slope, taken + 1
        samples.append(position)
    return np.array(samples), taken / count


samples, rate = hamiltonian_monte_carlo(np.zeros(4), 3000, step=0.1, leaps=12)
samples = samples[500:]
print(f"{len(samples)} samples; {100 * rate:.0f} % of the paths were taken")
print("coefficient   true    mean   90 % interval")
for k, name in enumerate(["constant", "first", "second", "third"]):
    low, high = np.quantile(samples[:, k], [0.05, 0.95])
    print(f"{name:12}{TRUE[k]:6.1f}{samples[:, k].mean():8.2f}   {low:5.2f} … {high:5.2f}")

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(7, 2), dpi=80, sharey=True)
    for k, ax in enumerate(axes):
        ax.hist(samples[:, k], bins=40, density=True, color="#9db8d6")
        ax.axvline(TRUE[k], color="#c46a10")
        ax.set_xlabel(["constant", "first", "second", "third"][k])
        ax.set_yticks([])
    figure.tight_layout()
    figure.savefig(sys.argv[1])
