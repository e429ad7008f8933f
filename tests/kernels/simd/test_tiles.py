"""Tiles in memory do what is documented of tile registers, at every shape."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit, types
from numba.extending import intrinsic

from qsim.kernels.simd.ir import I64
from qsim.kernels.simd.tiles import EmulatedTiles, configuration

ROOT = Path(__file__).parents[3]
compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="needs numba's compiler")
TOTAL, LEFT, RIGHT = 2, 7, 0


@intrinsic
def _multiply_added(typingctx, block, left, left_pitch, right, sums, sums_pitch):
    """Load all three tiles, multiply, store; rows of the right one are 64 bytes apart."""

    def codegen(context, builder, signature, arguments):
        block, left, left_pitch, right, sums, sums_pitch = arguments
        tiles = EmulatedTiles(builder)
        tiles.configure(block)
        tiles.load(TOTAL, sums, sums_pitch)
        tiles.load(LEFT, left, left_pitch)
        tiles.load(RIGHT, right, I64(64))
        tiles.multiply(TOTAL, LEFT, RIGHT)
        tiles.store(TOTAL, sums, sums_pitch)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@njit
def multiply_added(block, left, left_pitch, right, sums):
    _multiply_added(
        block.ctypes.data,
        left.ctypes.data,
        left_pitch,
        right.ctypes.data,
        sums.ctypes.data,
        sums.strides[0],
    )


def block_of(rows, groups, columns, right_rows=None):
    """A configuration for a product of ``rows`` by ``4 groups`` bytes by ``columns``."""
    shapes = [(1, 4)] * 8
    shapes[TOTAL] = rows, 4 * columns
    shapes[LEFT] = rows, 4 * groups
    shapes[RIGHT] = groups if right_rows is None else right_rows, 4 * columns
    return np.frombuffer(configuration(shapes), np.uint8)


sides = st.integers(1, 16)


@compiled
@given(sides, sides, sides, st.integers(0, 90), st.integers(0, 2**32))
def test_a_product_of_any_shape_is_that_of_integers(rows, groups, columns, pitch, seed):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, 15 * pitch + 64).astype(np.uint8)
    right = rng.integers(-128, 128, (16, 16, 4)).astype(np.int8)
    sums = rng.integers(-(2**31), 2**31, (16, 20)).astype(np.int32)
    expected = sums.astype(object)
    for m in range(rows):
        for n in range(columns):
            for k in range(4 * groups):
                expected[m, n] += int(left[m * pitch + k]) * int(right[k // 4, n, k % 4])
            expected[m, n] = (expected[m, n] + 2**31) % 2**32 - 2**31
    multiply_added(block_of(rows, groups, columns), left, pitch, right, sums)
    assert sums.tolist() == expected.tolist()


@compiled
@pytest.mark.parametrize(
    "block",
    ["block_of(16, 16, 16, right_rows=15)", "np.zeros(64, np.uint8)"],
    ids=["shapes that do not fit", "no shapes"],
)
def test_what_stops_the_processor_stops_the_process(block):
    code = (
        "import numpy as np; from test_tiles import *;"
        f"multiply_added({block}, np.zeros(2000, np.uint8), 0, np.zeros(2000, np.int8),"
        " np.zeros((16, 16), np.int32)); print('survived')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode < 0, result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("shape", [(0, 64), (17, 64), (16, 0), (16, 65)])
def test_a_shape_that_no_tile_has_is_refused(shape):
    with pytest.raises(ValueError, match=r"no tile 0 of \d+ rows of \d+ bytes"):
        configuration([shape])


def test_a_ninth_tile_is_refused():
    with pytest.raises(ValueError, match="no tile 8 of 1 rows of 4 bytes"):
        configuration([(1, 4)] * 9)
