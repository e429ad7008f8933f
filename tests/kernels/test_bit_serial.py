import numpy as np
import pytest
import strategies
from exactness import assert_conv_is_exact, assert_linear_is_exact
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights

CODES = strategies.affine_codes()
BINARY = AffineCode(1, 2, -1)


@given(st.data(), CODES, CODES)
def test_a_convolution_of_affine_codes_equals_the_naive_sum(data, x_code, code):
    levels = strategies.levels_of(x_code), strategies.levels_of(code)
    x, w, arguments = data.draw(strategies.conv_of(*levels, strategies.ORDERLESS))
    assert_conv_is_exact(BitSerialWeights(w, code, x_code), x, w, arguments)


@given(st.data(), CODES, CODES)
def test_linear_of_affine_codes_equals_the_naive_sum(data, x_code, code):
    levels = strategies.levels_of(x_code), strategies.levels_of(code)
    x, w, arguments = data.draw(strategies.linear_of(*levels, strategies.ORDERLESS))
    assert_linear_is_exact(BitSerialWeights(w, code, x_code), x, w, arguments)


@given(st.data(), st.integers(1, 16), CODES)
def test_without_a_code_inputs_are_unsigned_of_as_many_bits_as_they_need(data, bits, code):
    levels = strategies.levels_of(AffineCode(bits)), strategies.levels_of(code)
    x, w, arguments = data.draw(strategies.linear_of(*levels, strategies.ORDERLESS))
    assert_linear_is_exact(BitSerialWeights(w, code), x, w, arguments)


@given(st.data())
def test_binary_inputs_0_and_1_count_weights_of_plus_one_twice_less_the_inputs(data):
    levels = strategies.levels_of(AffineCode(1)), strategies.binary
    x, w, arguments = data.draw(strategies.linear_of(*levels, ["exact"]))
    both = np.array([[int(((a == 1) & (b == 1)).sum()) for b in w] for a in x], int)
    got = linear(x, BitSerialWeights(w, BINARY), **arguments)
    np.testing.assert_array_equal(got, 2 * both.reshape(got.shape) - x.sum(axis=1)[:, None])


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("x_bits", [1, 2, 4])
def test_every_pair_of_levels_of_dorefa_multiplies_exactly(bits, x_bits):
    code = AffineCode(bits, 2, 1 - 2**bits)
    w = np.arange(code.low, code.high + 1, 2).reshape(-1, 1)
    for x_code in (AffineCode(x_bits), AffineCode(x_bits, 2, 1 - 2**x_bits)):
        x = np.arange(x_code.low, x_code.high + 1, x_code.step).reshape(-1, 1)
        np.testing.assert_array_equal(linear(x, BitSerialWeights(w, code, x_code)), x * w.T)


@pytest.mark.parametrize("rows", [4, 34])  # of two groups, counted at once and one by one
def test_padding_is_zero_where_no_code_is(rows):
    rng = np.random.default_rng(0)
    code = AffineCode(3, 2, -7)
    x, w = (2 * rng.integers(0, 8, shape) - 7 for shape in ((2, 6, 5, 5), (rows, 3, 3, 3)))
    geometry = {"groups": 2, "padding": (1, 2, 0, 1), "stride": (2, 1), "dilation": (1, 2)}
    np.testing.assert_array_equal(
        conv2d(x, BitSerialWeights(w, code, code), **geometry),
        conv2d(x, LevelWeights(w), **geometry),
    )


def test_partial_results_beyond_64_bits_leave_the_sum_exact():
    code = AffineCode(1, 2**32 - 2, 1 - 2**31)
    x, w = np.full((1, 2), 2**31 - 1), np.array([[2**31 - 1, 1 - 2**31]])
    for inputs in (x, -x, w, -w):
        exact = sum(int(a) * int(b) for a, b in zip(inputs[0], w[0], strict=True))
        got = linear(inputs, BitSerialWeights(w, code, code), accumulator=Accumulator(64))
        assert int(got[0, 0]) == exact


@given(st.data(), st.integers(1, 16))
def test_ternary_weights_by_unsigned_inputs_equal_the_naive_sum(data, bits):
    levels = strategies.levels_of(AffineCode(bits)), strategies.ternary
    x, w, arguments = data.draw(strategies.conv_of(*levels, strategies.ORDERLESS))
    assert_conv_is_exact(BitSerialWeights(w, None), x, w, arguments)
    x, w, arguments = data.draw(strategies.linear_of(*levels, strategies.ORDERLESS))
    assert_linear_is_exact(BitSerialWeights(w, None, AffineCode(bits)), x, w, arguments)


def test_ternary_weights_by_many_bits_in_a_deep_layer_equal_the_product_of_levels():
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 2**16, (3, 600)), rng.integers(-1, 2, (2, 600))
    np.testing.assert_array_equal(linear(x, BitSerialWeights(w, None)), x @ w.T)


def test_weights_outside_their_code_are_refused():
    with pytest.raises(ValueError, match=r"ternary weights are -1, 0 and [+]1, not 2"):
        BitSerialWeights(np.array([[2, 1]]), None)
    with pytest.raises(ValueError, match="0 is not a level of AffineCode"):
        BitSerialWeights(np.array([[0, 1]]), BINARY)


def test_inputs_outside_their_code_are_refused():
    weights = BitSerialWeights(np.array([[-1, 1]]), BINARY, AffineCode(2))
    with pytest.raises(ValueError, match=r"0 .. 4 are not all levels of AffineCode"):
        linear(np.array([[0, 4]]), weights)


def test_negative_inputs_without_a_code_are_refused():
    weights = BitSerialWeights(np.array([[-1, 1]]), BINARY)
    with pytest.raises(ValueError, match=r"-1 .. 1 are not all levels of AffineCode"):
        linear(np.array([[-1, 1]]), weights)


def test_an_accumulator_that_saturates_is_refused():
    weights = BitSerialWeights(np.array([[-1, 1]]), BINARY)
    with pytest.raises(ValueError, match="in no order"):
        linear(np.array([[0, 1]]), weights, accumulator=Accumulator(8, "saturate"))


def test_a_sum_that_could_overflow_is_refused():
    x = np.ones((1, 128), int)
    with pytest.raises(OverflowError, match="widest safe depth is 127"):
        linear(x, BitSerialWeights(x, BINARY), accumulator=Accumulator(8))


def test_inputs_of_another_depth_are_refused():
    x = np.ones((1, 1, 3), int)
    with pytest.raises(ValueError, match="reshape"):
        BitSerialWeights(np.ones((1, 2), int), BINARY).dot(x, Accumulator())
