from fractions import Fraction
from math import pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.error_function import erf


def series(x):
    """2 / sqrt(pi) times the sum of (-1)**n x**(2n+1) / (n! (2n+1)), in fractions."""
    x, total, term, n = Fraction(x), Fraction(x), Fraction(x), 0
    while abs(term) > Fraction(1, 10**25):
        n += 1
        term *= -x * x / n
        total += term / (2 * n + 1)
    return float(total) * 2 / sqrt(pi)


@given(arrays(np.float64, (2, 3), elements=st.integers(-48, 48).map(lambda i: i / 16)))
def test_it_is_its_series(x):
    expected = [[series(float(value)) for value in row] for row in x]
    np.testing.assert_allclose(erf(x), expected, rtol=1e-14, atol=1e-16)


def test_its_limits_and_signs():
    x = np.array([np.inf, -np.inf, 30.0, -30.0, 0.0, -0.0, np.nan])
    got = erf(x)
    assert got[:6].tolist() == [1, -1, 1, -1, 0, 0]
    assert np.signbit(got[5])
    assert np.isnan(got[6])
    assert erf(np.zeros((0, 3))).shape == (0, 3)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="values are float64, not float32"):
        erf(np.zeros(2, np.float32))
