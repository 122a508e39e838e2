"""A small neural network learns to tell three species of iris apart, trained by SciPy with the compiled gradient.

    python examples/02_iris/model.py [picture.png]

The measurements are those of Edgar Anderson, published by R. A. Fisher in 1936; they are in the public domain.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import dsl

HERE = Path(__file__).parent
m = dsl.load(HERE / "model.dfl")

with open(HERE / "iris.csv", encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
names = sorted({row["species"] for row in rows})
X = np.array([[float(v) for v in list(row.values())[:4]] for row in rows]).T
X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
species = np.array([1 + names.index(row["species"]) for row in rows])
held_out = np.arange(len(rows)) % 3 == 0

HIDDEN = 6
SHAPES = [(HIDDEN, 4), (HIDDEN,), (3, HIDDEN), (3,)]
CUTS = np.cumsum([int(np.prod(shape)) for shape in SHAPES])[:-1]


def unpacked(flat):
    """The weights and biases in one long vector, as arrays."""
    return [part.reshape(shape) for part, shape in zip(np.split(flat, CUTS), SHAPES, strict=True)]


train = np.ascontiguousarray(X[:, ~held_out]), species[~held_out]
value_and_grad = dsl.value_and_grad(m.loss, argnums=(2, 3, 4, 5))


def objective(flat):
    value, parts = value_and_grad(*train, *unpacked(flat), 1e-3)
    return value, np.concatenate([np.ravel(part) for part in parts])


start = np.random.default_rng(1).normal(scale=0.5, size=sum(int(np.prod(shape)) for shape in SHAPES))
found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000})


def accuracy(which):
    best = np.argmax(m.scores(np.ascontiguousarray(X[:, which]), *unpacked(found.x)), axis=0) + 1
    return np.mean(best == species[which])


print(f"loss before: {objective(start)[0]:.2f}")
print(f"loss after:  {found.fun:.2f}")
print(f"right among the {np.sum(~held_out)} flowers it has seen:  {100 * accuracy(~held_out):.0f} %")
print(f"right among the {np.sum(held_out)} flowers it has not:    {100 * accuracy(held_out):.0f} %")

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    grid = np.linspace(-2, 2.5, 200)
    length, width = np.meshgrid(grid, grid)
    plane = np.zeros((4, length.size))
    plane[2], plane[3] = length.ravel(), width.ravel()
    region = np.argmax(m.scores(plane, *unpacked(found.x)), axis=0).reshape(length.shape)
    plt.figure(figsize=(4.5, 3.6), dpi=80)
    plt.contourf(grid, grid, region, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#cfe0f3", "#fbe3c6", "#d4ecd0"])
    for k, color in enumerate(["#2b5c8a", "#c46a10", "#3a7d32"]):
        plt.scatter(*X[2:, species == k + 1], s=9, color=color, label=names[k])
    plt.xlabel("length of the petals (standardised)")
    plt.ylabel("width of the petals (standardised)")
    plt.legend()
    plt.tight_layout()
    plt.savefig(sys.argv[1])
