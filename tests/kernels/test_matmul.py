import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.matmul import matmul
from qsim.kernels.select_negate import SelectNegateWeights

BATCHES = st.sampled_from(
    [((), ()), ((2,), (2,)), ((3,), ()), ((), (2,)), ((2, 1), (3,)), ((0,), (1,)), ((1, 2), (3, 2))]
)


@st.composite
def operands(draw, y_levels=strategies.levels):
    """Levels, the second's last axes turned or not, and an accumulator."""
    of_x, of_y = draw(BATCHES)
    m, depth, n = (draw(st.integers(0, 3)) for _ in range(3))
    x, y = draw(strategies.levels((*of_x, m, depth))), draw(y_levels((*of_y, depth, n)))
    return x, y, draw(strategies.sums_register(x, y, np.zeros(0, int), depth))


@given(operands(), st.booleans())
def test_a_product_equals_the_naive_sums(operands, transposed):
    x, y, accumulator = operands
    given_y = np.swapaxes(y, -1, -2) if transposed else y
    got = matmul(x, given_y, transposed=transposed, accumulator=accumulator)
    assert got.dtype == np.int64
    expected = naive.matmul(x, y, **registers(accumulator))
    assert got.shape[:-2] == np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    assert {at: int(got[at]) for at in np.ndindex(got.shape)} == expected


@given(operands(strategies.ternary))
def test_any_datapath_may_hold_the_second_operand(operands):
    x, y, accumulator = operands
    np.testing.assert_array_equal(
        matmul(x, y, accumulator=accumulator, datapath=SelectNegateWeights),
        matmul(x, y, accumulator=accumulator),
    )


def test_the_heads_of_attention_stay_apart():
    rng = np.random.default_rng(0)
    query, key = rng.integers(-128, 128, (2, 2, 3, 5, 8))  # images, heads, tokens, features
    scores = matmul(query, key, transposed=True)
    np.testing.assert_array_equal(scores, np.einsum("bhif,bhjf->bhij", query, key))


def test_a_product_that_could_overflow_is_refused():
    x = np.full((2, 1, 9), 7)
    with pytest.raises(OverflowError, match="widest safe depth is 2"):
        matmul(x, x, transposed=True, accumulator=Accumulator(8))


@pytest.mark.parametrize(
    ("x", "y", "transposed", "problem"),
    [
        ((2, 3), (2, 3), False, "cannot multiply"),
        ((2, 3), (3, 2), True, "cannot multiply"),
        ((3,), (3, 2), False, "needs matrices"),
        ((2, 1, 3), (3, 3, 1), False, "broadcast"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, y, transposed, problem):
    with pytest.raises(ValueError, match=problem):
        matmul(np.zeros(x, int), np.zeros(y, int), transposed=transposed)


def test_levels_that_are_no_integers_are_refused():
    whole = np.ones((1, 1), int)
    for operands in ((whole, whole * 0.5), (whole * 0.5, whole)):
        with pytest.raises(TypeError, match="levels are integers"):
            matmul(*operands)
