import msgspec
import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator, Partial, as_integers, magnitude
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.pool import max_pool, sum_pool
from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift
from qsim.kernels.xnor_popcount import XnorPopcountWeights


@given(st.integers(2, 64), st.sampled_from(["wrap", "saturate"]), st.integers(-(2**62), 2**62))
@example(63, "wrap", 2**62)
@example(64, "wrap", -(2**62))
def test_a_register_holds_what_the_naive_register_holds(bits, mode, total):
    held = Accumulator(bits, mode).add_bias(np.array([total]), None)
    assert int(held[0]) == naive.hold(total, bits, mode)


@given(st.integers(2, 64), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_the_widest_safe_depth_is_safe_and_one_more_is_not(bits, max_x, max_w):
    accumulator = Accumulator(bits)
    depth = accumulator.widest_safe_depth(max_x, max_w)
    accumulator.check(depth, max_x, max_w)
    if max_x * max_w:
        with pytest.raises(OverflowError):
            accumulator.check(depth + 1, max_x, max_w)


def test_a_bias_beyond_the_register_leaves_no_safe_depth():
    assert Accumulator(8).widest_safe_depth(1, 1, 200) == 0


def test_an_overflow_is_refused_with_the_widest_safe_depth():
    with pytest.raises(OverflowError, match="the widest safe depth is 2184"):
        Accumulator(16).check(4608, 15, 1)


def test_a_bias_that_alone_overflows_is_named():
    with pytest.raises(OverflowError, match="a bias of 128 does not fit an exact accumulator of 8"):
        Accumulator(8).check(1, 1, 1, 128)


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_sums_beyond_64_bits_are_refused_in_every_mode(mode):
    with pytest.raises(OverflowError, match="64 bits"):
        Accumulator(32, mode).check(4, 2**31 - 1, 2**31)


@pytest.mark.parametrize("bits", [-1, 0, 1, 65])
def test_impossible_widths_are_refused(bits):
    with pytest.raises(ValueError, match="2 to 64 bits"):
        Accumulator(bits)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_integers_of_every_type_keep_their_values(dtype):
    extremes = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
    worst = max(-int(extremes[0]), int(extremes[1]))
    assert magnitude(extremes) == worst
    if worst < 2**31:
        assert as_integers(extremes, np.int32).tolist() == extremes.tolist()
    else:
        with pytest.raises(OverflowError, match=f"a level of {worst} does not fit 32 bits"):
            as_integers(extremes, np.int32)


@pytest.mark.parametrize("levels", [np.array([1.0]), np.array([True]), np.array(["1"])])
def test_levels_that_are_no_integers_are_refused(levels):
    with pytest.raises(TypeError, match="levels are integers"):
        as_integers(levels, np.int32)


def test_every_kernel_refuses_levels_that_are_no_integers():
    real = np.full((1, 1, 2, 2), 0.5)
    whole = real.astype(int)
    calls = [
        lambda: conv2d(real, LevelWeights(whole)),
        lambda: conv2d(whole, LevelWeights(real)),
        lambda: conv2d(whole, LevelWeights(whole), np.array([0.5])),
        lambda: linear(real[0, 0], LevelWeights(whole[0, 0])),
        lambda: max_pool(real, (1, 1)),
        lambda: sum_pool(real, (1, 1)),
        lambda: requantize_float([(real, np.ones(1, np.float32))], 0, 1),
        lambda: requantize_shift(real, np.ones(1, int), 0, 1),
        lambda: requantize_shift(whole, np.ones(1), 0, 1),
        lambda: add_aligned([(real, np.ones(1, int))]),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="levels are integers"):
            call()


@st.composite
def split_products(draw):
    """Products up to the largest of a partial register's accumulator, and that accumulator."""
    depth, largest = draw(st.integers(0, 12)), draw(st.sampled_from([0, 1, 3, 127, 2**31 - 1]))
    partial = draw(strategies.partials(depth, largest))
    ends = st.sampled_from([-largest, largest])
    products = draw(st.lists(ends, min_size=depth, max_size=depth))
    return products, largest, Accumulator(draw(st.integers(2, 64)), "exact", partial)


@given(split_products())
def test_an_exact_register_that_is_not_refused_never_overflows(operands):
    products, largest, accumulator = operands
    partial = registers(accumulator)["partial"]
    try:
        accumulator.check(len(products), largest, 1)
    except OverflowError:
        return
    total = naive.accumulate(products, 0, 200, "exact", partial)
    assert accumulator.low <= total <= accumulator.high


@given(split_products())
def test_the_widest_safe_depth_with_a_partial_register_is_safe_and_one_more_is_not(operands):
    _, largest, accumulator = operands
    safe = accumulator.widest_safe_depth(largest, 1)
    accumulator.check(safe, largest, 1)
    if largest:
        with pytest.raises(OverflowError):
            accumulator.check(safe + 1, largest, 1)


def test_a_narrow_partial_register_lets_the_accumulator_be_narrower():
    clipped = Accumulator(9, "exact", Partial(4, 6, "saturate"))
    clipped.check(28, 100, 100)  # 7 groups of at most 32 in magnitude
    with pytest.raises(OverflowError, match="the widest safe depth is 28"):
        clipped.check(32, 100, 100)


def test_each_register_follows_its_own_mode_in_order():
    x, w = np.ones((1, 5), int), LevelWeights(np.array([[100, 100, -100, -50, 30]]))
    saturate = Partial(2, 8, "saturate")  # 127, -128, 30
    wrap = Partial(2, 8, "wrap")  # -56, 106, 30
    cases = [
        (Accumulator(9, "saturate", saturate), 29),
        (Accumulator(9, "saturate", wrap), 80),
        (Accumulator(8, "saturate", Partial(1, 8)), 7),  # 100, 127, 27, -23, 7
        (Accumulator(8, "saturate", Partial(2, 9)), 7),  # 127 of 200, -23, 7
        (Accumulator(7, "wrap", saturate), 29),
        (Accumulator(5, "wrap", wrap), -16),
    ]
    for accumulator, total in cases:
        assert linear(x, w, accumulator=accumulator).tolist() == [[total]]


def test_the_bias_goes_into_the_wide_register_last():
    x, w = np.ones((1, 2), int), LevelWeights(np.array([[100, 100]]))
    accumulator = Accumulator(8, "saturate", Partial(2, 8, "saturate"))
    assert linear(x, w, np.array([-50]), accumulator=accumulator).tolist() == [[77]]


def test_an_exact_partial_register_that_could_overflow_is_refused():
    accumulator = Accumulator(32, "exact", Partial(16, 8))
    x, w = np.full((1, 32), 7), LevelWeights(np.full((1, 32), 3))
    problem = "16 products of up to 7 x 3 can overflow an exact partial register of 8 bits; the widest safe number of products is 6"
    with pytest.raises(OverflowError, match=problem):
        linear(x, w, accumulator=accumulator)
    assert linear(x, w, accumulator=Accumulator(32, "exact", Partial(6, 8)))[0, 0] == 32 * 21
    assert linear(x[:, :6], w.columns(0, 6), accumulator=accumulator)[0, 0] == 6 * 21


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_partial_sums_beyond_64_bits_are_refused(mode):
    accumulator = Accumulator(32, mode, Partial(4, 16, mode))
    with pytest.raises(OverflowError, match="overflow 64 bits; the widest safe number of products"):
        accumulator.check(4, 2**31 - 1, 2**31)


def test_weights_of_another_depth_are_not_cut_to_it():
    x, accumulator = np.ones((1, 1, 2), int), Accumulator(32, "exact", Partial(1, 8))
    with pytest.raises(ValueError, match=r"\(1, 3\) cannot multiply a depth of 2"):
        LevelWeights(np.ones((1, 3), int)).dot(x, accumulator)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [((0, 8), "at least 1 product"), ((1, 1), "2 to 64 bits"), ((1, 65), "2 to 64 bits")],
)
def test_impossible_partial_registers_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Partial(*arguments)


def test_a_partial_register_is_read_from_a_document_and_unknown_keys_are_refused():
    document = {"bits": 24, "mode": "wrap", "partial": {"products": 16, "bits": 8}}
    read = msgspec.convert(document, Accumulator)
    assert read == Accumulator(24, "wrap", Partial(16, 8, "exact"))
    with pytest.raises(msgspec.ValidationError, match="unknown field `width`"):
        msgspec.convert({"products": 16, "bits": 8, "width": 1}, Partial)


def test_bits_counted_in_no_order_may_saturate_between_partial_sums():
    x, w = np.ones((1, 6), int), np.array([[1, 1, 1, 1, 1, -1]])
    accumulator = Accumulator(3, "saturate", Partial(2, 3))  # 2, 3, 3
    assert linear(x, XnorPopcountWeights(w), accumulator=accumulator).tolist() == [[3]]
    refused = Accumulator(8, "exact", Partial(2, 3, "saturate"))
    with pytest.raises(ValueError, match="in no order"):
        linear(x, XnorPopcountWeights(w), accumulator=refused)
