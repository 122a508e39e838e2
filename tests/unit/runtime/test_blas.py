"""BLAS and LAPACK are found without the rest of SciPy, and SciPy is none the worse for it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import dsl

module = dsl.loads("f(A, b) = sum(A \\\\ b)")
A, b = np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, 1.0])
assert module.f(A, b) == 0.75
assert "scipy.linalg" not in sys.modules

import scipy.linalg
from scipy.linalg import cython_blas, cython_lapack

assert scipy.linalg.cython_blas is cython_blas and "dgemm" in cython_blas.__pyx_capi__
assert scipy.linalg.cython_lapack is cython_lapack and "dgetrf" in cython_lapack.__pyx_capi__
assert scipy.linalg.inv(A)[1, 1] == 0.25
assert dsl.loads("f(A) = sum(A * A)").f(A) == 20.0
"""


def test_scipy_is_not_imported_for_its_blas():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
