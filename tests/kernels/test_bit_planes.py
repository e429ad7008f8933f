import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.bit_planes import pack_planes, refuse_saturation


@st.composite
def integers(draw):
    shape = (
        draw(st.integers(0, 2)),
        draw(st.integers(0, 2)),
        draw(st.sampled_from(strategies.DEPTHS)),
    )
    dtype = draw(st.sampled_from([np.int8, np.int16, np.int32, np.int64]))
    return draw(arrays(dtype, shape))


@given(integers(), st.integers(1, 16))
def test_planes_equal_the_naive_words(values, bits):
    planes = pack_planes(values, bits)
    assert planes.dtype == np.uint64
    assert planes.shape == (bits, *values.shape[:2], -(-values.shape[2] // 64))
    for p, r, c in np.ndindex(planes.shape[:3]):
        assert planes[p, r, c].tolist() == naive.packed(values[r, c], p)


def test_the_first_integer_is_the_lowest_bit_and_the_rest_of_a_word_is_zero():
    planes = pack_planes(np.array([[[1, 2, 3] + [0] * 62 + [1]]]), 2)
    assert planes.tolist() == [[[[0b101, 0b10]]], [[[0b110, 0]]]]


def test_an_accumulator_that_saturates_is_refused():
    refuse_saturation(Accumulator(8, "wrap"))
    with pytest.raises(ValueError, match="in no order"):
        refuse_saturation(Accumulator(8, "saturate"))
