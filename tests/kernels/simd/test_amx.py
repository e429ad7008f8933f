"""The byte product on tiles: emulated ones, and the instructions themselves."""

import numpy as np
import pytest
import tile_products
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from qsim.kernels.simd import amx

compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="needs numba's compiler")


@compiled
@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 200),
    st.sampled_from(["random", "most"]),
)
def test_the_emulated_product_is_that_of_integers(seed, runs, steps, pitch, fill):
    rng = np.random.default_rng(seed)
    operands = tile_products.random_operands(rng, runs, steps, pitch, fill)
    sums = tile_products.product(tile_products.multiply_emulated, operands)
    np.testing.assert_array_equal(sums, operands.expected())


@compiled
@pytest.mark.parametrize("steps", [1028, 1029])
def test_sums_wrap_around_beyond_32_bits(steps):
    """255 * -128 * 64 * 1028 is the last within 32 bits."""
    operands = tile_products.Operands(
        np.full(64 * steps, 255, np.uint8),
        (0, 0),
        0,
        np.zeros(1, np.int64),
        np.full((32, 1, 64 * steps), -128, np.int8),
    )
    sums = tile_products.product(tile_products.multiply_emulated, operands)
    total = 255 * -128 * 64 * steps
    assert (total < -(2**31)) == (steps == 1029)
    np.testing.assert_array_equal(sums, (total + 2**31) % 2**32 - 2**31)


@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 3), st.integers(1, 130))
@settings(max_examples=10)
def test_a_packed_weight_lies_where_its_tile_has_it(seed, channels, runs, run_bytes):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (channels, runs, run_bytes)).astype(np.int8)
    packed = amx.pack_amx(weights)
    panels, steps = (channels + 31) // 32, (run_bytes + 63) // 64
    expected = [0] * (panels * runs * steps * 2048)
    for n in range(channels):
        for i in range(runs):
            for k in range(run_bytes):
                tile = (((n // 32) * runs + i) * steps + k // 64) * 2 + n % 32 // 16
                expected[tile * 1024 + k % 64 // 4 * 64 + n % 16 * 4 + k % 4] = int(
                    weights[n, i, k]
                )
    assert packed.dtype == np.int8
    assert packed.ravel().tolist() == expected
