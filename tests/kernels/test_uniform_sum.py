import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.uniform_sum import FEW, TERMS, uniform_sum


def drawn(rng, shape):
    total = rng.random(shape, np.float32)
    for _ in range(TERMS - 1):
        total = total + rng.random(shape, np.float32)
    return total


def same(before, shapes, seed):
    """Whether sums of ``shapes`` are those of numpy, after ``before`` single numbers; and what is
    drawn after each."""
    ours, numpys = (np.random.default_rng(seed) for _ in range(2))
    for rng in (ours, numpys):
        rng.random(before, np.float32)
    for shape in shapes:
        got, expected = uniform_sum(ours, shape), drawn(numpys, shape)
        assert got.dtype == np.float32
        assert got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
        assert ours.random(3, np.float32).tobytes() == numpys.random(3, np.float32).tobytes()
        assert ours.integers(2**62) == numpys.integers(2**62)


@given(
    before=st.integers(0, 3),
    sizes=st.lists(st.integers(FEW - 4, FEW + 9) | st.integers(0, 40), min_size=1, max_size=3),
    seed=st.integers(0, 2**70),
)
def test_sums_are_of_the_numbers_that_numpy_draws(before, sizes, seed):
    same(before, [(size,) for size in sizes], seed)


def test_arrays_of_several_axes_are_filled_row_by_row():
    same(0, [(64, 64, 3, 3), (1000, 512), (7, 3, 1025)], seed=5)


@pytest.mark.parametrize("kind", [np.random.PCG64DXSM, np.random.MT19937, np.random.Philox])
def test_another_generator_is_numpys_own(kind):
    ours, numpys = (np.random.Generator(kind(3)) for _ in range(2))
    assert uniform_sum(ours, (FEW,)).tobytes() == drawn(numpys, (FEW,)).tobytes()
