import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.float_product import matmul_in_order
from qsim.kernels.simd.host import available


@st.composite
def matrices(draw):
    rows, depth, columns = (draw(st.integers(0, 5)) for _ in range(3))
    return draw(strategies.float32_arrays((rows, depth))), draw(
        strategies.float32_arrays((depth, columns))
    )


@given(matrices(), st.sampled_from(available()))
def test_products_are_added_in_order_and_rounded_at_every_step(operands, backend):
    w, x = operands
    got = matmul_in_order(w, x, backend)
    np.testing.assert_array_equal(got, np.array(naive.float_matmul(w, x)).reshape(got.shape))


def test_the_order_matters():
    w, x = np.ones((1, 3), np.float32), np.array([[2.0**24], [1.0], [-(2.0**24)]], np.float32)
    assert matmul_in_order(w, x)[0, 0] == 0
    assert matmul_in_order(w, x[[0, 2, 1]])[0, 0] == 1


def test_wide_rows_are_added_as_narrow_ones():
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((3, 50), np.float32), rng.standard_normal((50, 70), np.float32)
    alone = [matmul_in_order(w, x[:, [m]])[:, 0] for m in range(70)]
    np.testing.assert_array_equal(matmul_in_order(w, x), np.array(alone).T)


@pytest.mark.parametrize("backend", available())
@given(
    rows=st.integers(1, 14),
    depth=st.integers(1, 40),
    columns=st.integers(1, 140),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_back_end_has_the_bits_of_a_sum_in_order(backend, rows, depth, columns, seed):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((rows, depth), np.float32)
    x = np.ldexp(rng.standard_normal((depth, columns), np.float32), rng.integers(-140, 70))
    expected = np.zeros((rows, columns), np.float32)
    for k in range(depth):
        expected = expected + w[:, k : k + 1] * x[k]
    assert matmul_in_order(w, x, backend).tobytes() == expected.tobytes()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cannot multiply"):
        matmul_in_order(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))
