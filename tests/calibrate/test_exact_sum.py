from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qsim.calibrate import exact_sum
from qsim.calibrate.exact_sum import MagnitudeSum

VALUES = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20)


@given(VALUES, VALUES)
def test_nothing_is_rounded(first, second):
    total = MagnitudeSum()
    for part in (first, second):
        total.add(np.array(part, np.float32))
    assert total.total == sum(abs(Fraction(v)) for v in first + second)
    assert total.values == len(first + second)
    if first + second:
        assert total.mean == float(total.total) / total.values


def test_a_chunk_of_the_largest_mantissas_is_exact(monkeypatch):
    largest = np.float32(2 - 2.0**-23)
    total = MagnitudeSum()
    total.add(np.full(exact_sum.CHUNK + 1, largest))
    assert total.total == Fraction(float(largest)) * (exact_sum.CHUNK + 1)
