from fractions import Fraction

import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.reduce_mean import reduce_mean

VALUES = st.one_of(
    st.integers(-300, 300).map(lambda n: float(np.float32(n) * np.float32(0.1))),
    st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


@settings(max_examples=50)
@given(st.data(), st.integers(0, 4), st.integers(1, 23))
def test_a_mean_is_added_by_vectors_from_aligned_addresses(data, rows, length):
    x = data.draw(arrays(np.float32, (rows, length), elements=VALUES))
    got = reduce_mean(x, 1)
    assert (got.shape, got.dtype) == ((rows,), np.float32)
    for r in range(rows):
        row = [Fraction(float(v)) for v in x[r]]
        assert Fraction(float(got[r])) == naive_onnx_runtime.row_mean(row, r * length)


@given(st.integers(0, 2**16))
def test_last_axes_count_as_one(seed):
    x = np.random.default_rng(seed).standard_normal((2, 3, 5, 3)).astype(np.float32)
    assert (reduce_mean(x, 2) == reduce_mean(x.reshape(6, 15), 1).reshape(2, 3)).all()
    assert (reduce_mean(x, 4) == reduce_mean(x.reshape(1, 90), 1)).all()


def test_what_has_no_mean_is_refused():
    with pytest.raises(TypeError, match="a mean is of float32, not float64"):
        reduce_mean(np.ones(3), 1)
    for axes in (0, 2):
        with pytest.raises(ValueError, match="has no mean over its last"):
            reduce_mean(np.ones(3, np.float32), axes)
    with pytest.raises(ValueError, match="has no mean"):
        reduce_mean(np.ones((2, 0), np.float32), 1)
