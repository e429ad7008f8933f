"""On every back end that this machine can run: of those of 64 bytes one, as all have one code."""

import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd import saturating_tiles
from qsim.kernels.simd.host import available
from qsim.kernels.simd.saturating_tiles import RegisterWeights
from qsim.verify.products import Register

BACKENDS = [name for name in ("pairs16", "pairs8", "plain") if name in available()]
RANGES = [(-128, 127), (0, 255), (-8, 7), (-1, 1), (-(2**15) + 1, 2**15 - 1), (-(2**31) + 1, 7)]
KINDS = [  # each step in each width of lanes
    Accumulator(16, "saturate"),
    Accumulator(8, "saturate"),
    Accumulator(20, "saturate"),
    Accumulator(40, "saturate", Partial(2, 16, "wrap")),
    Accumulator(18, "saturate", Partial(3, 12, "saturate")),
    Accumulator(20, "wrap", Partial(1, 8, "saturate")),
    Accumulator(50, "exact", Partial(9, 24, "exact")),
]


def drawn_levels(rng, shape, low, high):
    """Levels between these ends, half of them at one."""
    values = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.5, rng.choice([low, high], shape), values)


def assert_sums_are_the_naive_ones(x, w, accumulator, backend):
    """x (groups, columns, depth), w (groups, rows, depth)."""
    groups, rows, depth = w.shape
    weights = RegisterWeights(w.reshape(groups * rows, depth))
    got = weights.sum_products(x, accumulator, backend)
    assert got.dtype == np.int64
    none = np.zeros(rows, int)
    expected = [
        np.transpose(naive.linear(x[g], w[g], none, **registers(accumulator)))
        for g in range(groups)
    ]
    np.testing.assert_array_equal(got, np.array(expected, np.int64))


@st.composite
def operands(draw):
    """Products of a few rows and columns with tails and without, and a register that allows them."""
    groups, rows, columns = (
        draw(st.sampled_from(sizes)) for sizes in ((1, 2), (1, 5, 16, 31, 64, 65), (1, 3, 4, 8, 9))
    )
    depth = draw(st.integers(1, 11))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = drawn_levels(rng, (groups, columns, depth), *draw(st.sampled_from(RANGES)))
    w = drawn_levels(rng, (groups, rows, depth), *draw(st.sampled_from(RANGES)))
    return x, w, draw(strategies.sums_register(x, w, np.zeros(0, int), depth))


@settings(max_examples=200)
@given(operands())
def test_sums_equal_the_naive_ones(drawn):
    assert_sums_are_the_naive_ones(*drawn, BACKENDS[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("accumulator", KINDS, ids=str)
def test_every_back_end_sums_the_same(backend, accumulator):
    rng = np.random.default_rng(0)
    for groups, rows, columns, depth in [(1, 70, 11, 19), (2, 3, 17, 9), (3, 1, 2, 1)]:
        x = drawn_levels(rng, (groups, columns, depth), 0, 255)
        w = drawn_levels(rng, (groups, rows, depth), -128, 127)
        assert_sums_are_the_naive_ones(x, w, accumulator, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("x", "w"), [(-128, -128), (255, -128), (255, 127), (-128, 127)])
def test_sums_of_the_largest_products_run_into_the_ends(backend, x, w):
    """The first half of the products drives the register into an end, the second leaves it."""
    for bits in range(2, 25):
        register = Accumulator(bits, "saturate")
        depth = 2 * (-(-(2 ** (bits - 1)) // abs(x * w)) + 1)
        weights = np.full((1, 1, depth), w)
        xs = np.full((1, 1, depth), x)
        xs[..., depth // 2 :] = np.sign(x) * -1
        got = RegisterWeights(weights[0]).sum_products(xs, register, backend)
        expected = Register(register)
        for a, b in zip(xs.flat, weights.flat, strict=True):
            expected.add(int(a) * int(b))
        assert got.item() == expected.total()


@pytest.mark.parametrize("bits", [31, 32, 33, 63, 64])
@pytest.mark.parametrize("largest", [2**15 - 1, 2**15, 2**31 - 1])
def test_wide_registers_saturate_at_their_ends(bits, largest):
    depth = min(9, (2**63 - 1) // largest**2)
    x, w = np.full((1, 2, depth), largest), np.full((1, 20, depth), largest)
    w[:, ::2] *= -1
    w[:, :, -1] *= -1
    for backend in BACKENDS:
        assert_sums_are_the_naive_ones(x, w, Accumulator(bits, "saturate"), backend)


@given(operands())
@settings(max_examples=25)
def test_the_check_finds_the_same_sums(drawn):
    x, w, accumulator = drawn
    got = LevelWeights(w[0]).dot(x[:1], accumulator)
    for n, m in [(0, 0), (w.shape[1] - 1, x.shape[1] - 1)]:
        register = Register(accumulator)
        for a, b in zip(x[0, m], w[0, n], strict=True):
            register.add(int(a) * int(b))
        assert got[0, n, m] == register.total()


def test_a_deep_convolution_saturates_step_by_step():
    rng = np.random.default_rng(1)
    x, w = rng.integers(0, 256, (1, 40, 4, 5)), rng.integers(-128, 128, (9, 40, 3, 3))
    for accumulator in (
        Accumulator(16, "saturate"),
        Accumulator(18, "wrap", Partial(9, 16, "wrap")),
    ):
        got = conv2d(x, LevelWeights(w), padding=(1, 1, 1, 1), accumulator=accumulator)
        geometry = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
        none = np.zeros(9, int)
        expected = naive.conv2d(x, w, none, **geometry, **registers(accumulator))
        np.testing.assert_array_equal(got, np.array(expected))
        assert accumulator.mode == "wrap" or np.isin([-(2**15), 2**15 - 1], got).any()


def guarded(array, fill):
    """A copy of an array in the middle of a buffer of this byte, and the buffer."""
    buffer = np.full(array.nbytes + 256, fill, np.uint8)
    inner = buffer[128:-128].view(array.dtype).reshape(array.shape)
    inner[...] = array
    return inner, buffer


@pytest.mark.parametrize("accumulator", KINDS, ids=str)
def test_nothing_beside_the_arrays_is_read_or_written(monkeypatch, accumulator):
    rng = np.random.default_rng(2)
    x, w = drawn_levels(rng, (1, 11, 9), 0, 255), drawn_levels(rng, (70, 9), -128, 127)
    results, buffers, multiply = [], [], saturating_tiles._multiply_tiles

    def multiply_guarded(tile, narrow, wide, products, *arrays):
        pairs = [guarded(array, fill) for array in arrays]
        multiply(tile, narrow, wide, products, *(inner for inner, _ in pairs))
        arrays[-1][...] = pairs[-1][0]
        buffers.extend(buffer for _, buffer in pairs)

    monkeypatch.setattr(saturating_tiles, "_multiply_tiles", multiply_guarded)
    for fill in (0x00, 0x7F, 0x80):
        results.append(RegisterWeights(w).sum_products(x, accumulator, BACKENDS[0]))
        assert all((buffer[:128] == fill).all() for buffer in buffers)
        assert all((buffer[-128:] == fill).all() for buffer in buffers)
        buffers.clear()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("shape", [(0, 2, 3), (1, 0, 3), (1, 2, 0)])
def test_nothing_to_multiply_is_summed_to_zeros(shape):
    groups, columns, depth = shape
    sums = RegisterWeights(np.zeros((4, depth), int)).sum_products(
        np.zeros(shape, int), Accumulator(8, "saturate")
    )
    rows = 4 if groups else 0
    assert sums.tolist() == np.zeros((groups, rows, columns), int).tolist()


def test_what_cannot_be_summed_exactly_is_refused():
    weights = RegisterWeights(np.full((2, 3), 2**31 - 1))
    with pytest.raises(ValueError, match=r"\(2, 3\) cannot multiply a depth of 4"):
        weights.sum_products(np.zeros((1, 1, 4), int), Accumulator(8, "saturate"))
    with pytest.raises(OverflowError, match="can overflow 64 bits"):
        weights.sum_products(np.full((1, 1, 3), 2**31 - 1), Accumulator(8, "saturate"))
    with pytest.raises(OverflowError, match="does not fit 32 bits"):
        RegisterWeights(np.ones((2, 3), int)).sum_products(
            np.full((1, 1, 3), -(2**31)), Accumulator(8, "wrap")
        )
    with pytest.raises(TypeError, match="levels are integers"):
        weights.sum_products(np.zeros((1, 1, 3)), Accumulator(8, "saturate"))
