"""Products of bytes on tiles, given by what they are made of, and by numpy."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from qsim.kernels.simd.product import multiply_tile, pack_weights
from qsim.kernels.simd.tag import Tag
from qsim.kernels.simd.thread_tiles import begin, end

GUARD = 64  # int32 places before and behind the sums
MARK = -559038737
NOWHERE = -(2**40)  # an offset that nothing may be read at


@dataclass(frozen=True)
class Operands:
    """What one tile of 32 by 32 is computed of; weights are (32, runs, run bytes), not packed."""

    data: np.ndarray
    begins: tuple[int, int]  # of rows 0 and 16
    pitch: int
    runs: np.ndarray
    weights: np.ndarray

    def expected(self):
        """By numpy in int64, then modulo 2**32."""
        run_bytes = self.weights.shape[2]
        sums = np.zeros((32, 32), np.int64)
        for m in range(32):
            row = self.begins[m // 16] + m % 16 * self.pitch
            for i, run in enumerate(self.runs):
                x = self.data[row + run : row + run + run_bytes].astype(np.int64)
                sums[m] += self.weights[:, i].astype(np.int64) @ x
        return sums.astype(np.int32)


def random_operands(rng, runs, steps, pitch, fill="random"):
    """Operands whose data end with the last byte that is read."""
    run_bytes = int(rng.integers(64 * steps - 63, 64 * steps + 1))
    offsets = rng.integers(0, 300, runs)
    begins = rng.integers(0, 500, 2)
    size = int(begins.max() + 15 * pitch + offsets.max() + 64 * steps)
    shape = (32, runs, run_bytes)
    if fill == "random":
        data, weights = rng.integers(0, 256, size), rng.integers(-128, 128, shape)
    else:
        data, weights = np.full(size, 255), np.full(shape, -128)
    places = int(begins[0]), int(begins[1])
    return Operands(data.astype(np.uint8), places, pitch, offsets, weights.astype(np.int8))


def product(backend, operands):
    """The sums that a back end writes, after a look at what lies around them."""
    row, run, weight = 3, 2, 2048
    rows = np.full(row + 32, NOWHERE)
    rows[[row, row + 16]] = operands.begins
    runs = np.concatenate([np.full(run, NOWHERE), operands.runs])
    tiles = pack_weights(operands.weights, backend)
    packed = np.concatenate([np.full(weight, 99, np.int8), tiles.ravel()])
    read = (operands.data, rows, runs, packed)
    before = [array.copy() for array in read]
    buffer = np.full(2 * GUARD + 32 * 32, MARK, np.int32)
    sums = buffer[GUARD:-GUARD].reshape(32, 32)
    _multiply(
        Tag(backend),
        *(operands.data, rows, row, operands.pitch),
        *(runs, run, operands.runs.size, tiles.shape[2]),
        *(packed, weight, sums),
    )
    np.testing.assert_array_equal(buffer[:GUARD], MARK)
    np.testing.assert_array_equal(buffer[-GUARD:], MARK)
    for array, earlier in zip(read, before, strict=True):
        np.testing.assert_array_equal(array, earlier)
    return sums


@njit(nogil=True)
def _multiply(backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, sums):
    begin(backend)
    multiply_tile(backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, sums)
    end(backend)


def check(backend, operands):
    """Compare a product with that of integers."""
    np.testing.assert_array_equal(product(backend, operands), operands.expected())


def check_random(backend, seed, count):
    """Compare random products; from any thread."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        runs, steps, pitch = (int(rng.integers(*limits)) for limits in ((1, 5), (1, 4), (0, 200)))
        check(backend, random_operands(rng, runs, steps, pitch))
