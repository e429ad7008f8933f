import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import PowerOfTwo, Sp2
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.shift_add import ShiftAddWeights

NUMBERS = [Sp2(bits) for bits in range(3, 9)] + [PowerOfTwo(bits) for bits in range(2, 7)]


@st.composite
def shift_operands(draw):
    x_shape, w_shape, arguments = draw(strategies.conv_shapes())
    x, terms = draw(strategies.levels(x_shape)), draw(strategies.shift_terms(w_shape))
    w = np.array([naive.shifted_weight(*t) for t in zip(*(a.flat for a in terms), strict=True)])
    w = w.reshape(w_shape).astype(np.int64)
    depth = int(np.prod(w_shape[1:]))
    none = np.zeros(w_shape[:1], np.int64)
    arguments["accumulator"] = draw(strategies.sums_register(x, w, none, depth))
    return x, terms, w, arguments


@given(shift_operands())
def test_shifting_and_adding_equals_the_naive_sum(operands):
    x, terms, w, arguments = operands
    got = conv2d(x, ShiftAddWeights(*terms), **arguments)
    accumulator = registers(arguments.pop("accumulator"))
    none = np.zeros(len(w), int)
    expected = naive.conv2d(x, w, none, **arguments, **accumulator)
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_shifting_equals_multiplying_for_all_codes_and_all_activations(number):
    codes = np.arange(2**number.bits).reshape(-1, 1)
    activations = np.arange(-128, 256).reshape(-1, 1)
    wide = {"accumulator": Accumulator(64)}
    shifted = linear(activations, ShiftAddWeights(*number.shifts(codes)), **wide)
    multiplied = linear(activations, LevelWeights(number.decode(codes)), **wide)
    np.testing.assert_array_equal(shifted, multiplied)
    np.testing.assert_array_equal(shifted, activations * number.code_table())


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("mode", ["exact", "wrap", "saturate"])
def test_a_shifted_convolution_equals_the_level_product(number, mode):
    rng = np.random.default_rng(number.bits)
    codes = rng.integers(0, 2**number.bits, (4, 2, 3, 3))
    x = rng.integers(-8, 16, (2, 4, 5, 5))
    bits = {"exact": 64, "wrap": 12, "saturate": 12}[mode]
    arguments = {"padding": (1, 1, 1, 1), "groups": 2, "accumulator": Accumulator(bits, mode)}
    shifted = conv2d(x, ShiftAddWeights(*number.shifts(codes)), **arguments)
    np.testing.assert_array_equal(
        shifted, conv2d(x, LevelWeights(number.decode(codes)), **arguments)
    )


def test_sums_beyond_62_bits_are_exact():
    def term(value):
        return np.full((1, 3), value, np.int8)

    weights = ShiftAddWeights(term(1), term(30), term(30))
    x = np.full((1, 3), 2**31 - 1)
    got = linear(x[:, :2], ShiftAddWeights(*(a[:, :2] for a in (term(1), term(30), term(-1)))),
                 accumulator=Accumulator(64))  # fmt: skip
    assert got.item() == 2 * 2**30 * (2**31 - 1)
    with pytest.raises(OverflowError):
        linear(x, weights, accumulator=Accumulator(64))
    assert linear(-x, ShiftAddWeights(term(1), term(30), term(-1)),
                  accumulator=Accumulator(64)).item() == -3 * 2**30 * (2**31 - 1)  # fmt: skip


@pytest.mark.parametrize(
    ("sign", "shift", "problem"), [(0, 1, "sign"), (1, -2, "shift"), (1, 31, "shift")]
)
def test_terms_that_are_no_shifts_are_refused(sign, shift, problem):
    def array(value):
        return np.full((1, 1), value, np.int8)

    with pytest.raises(ValueError, match=problem):
        ShiftAddWeights(array(sign), array(shift), array(0))


def test_terms_of_another_type_are_refused():
    with pytest.raises(TypeError, match="signs and shifts are int8"):
        ShiftAddWeights(*(np.ones((1, 1)),) * 3)


def test_terms_of_different_shapes_are_refused():
    one, two = np.ones((1, 1), np.int8), np.ones((1, 2), np.int8)
    with pytest.raises(ValueError, match="one shape"):
        ShiftAddWeights(one, one, two)
