"""Products of bytes on tiles, as compiled here: on emulated tiles and by the instructions."""

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from qsim.kernels.simd import amx

GUARD = 64  # int32 places before and behind the sums
MARK = -559038737


@dataclass(frozen=True)
class Operands:
    """What one tile is computed of; weights are (32, runs, run bytes), not yet packed."""

    data: np.ndarray
    starts: tuple[int, int]
    pitch: int
    runs: np.ndarray
    weights: np.ndarray

    def rows(self):
        """The tables of row offsets, of which a tile uses entries 0 and 16."""
        rows = np.full(32, -(2**40))
        rows[[0, 16]] = self.starts
        return rows

    def expected(self):
        """By numpy in int64, then modulo 2**32."""
        run_bytes = self.weights.shape[2]
        sums = np.zeros((32, 32), np.int64)
        for m in range(32):
            start = self.starts[m // 16] + m % 16 * self.pitch
            for i, run in enumerate(self.runs):
                x = self.data[start + run : start + run + run_bytes].astype(np.int64)
                sums[m] += self.weights[:, i].astype(np.int64) @ x
        return sums.astype(np.int32)


def random_operands(rng, runs, steps, pitch, fill="random"):
    """Operands whose data end with the last byte that is read."""
    run_bytes = int(rng.integers(64 * steps - 63, 64 * steps + 1))
    offsets = rng.integers(0, 300, runs)
    starts = rng.integers(0, 500, 2)
    size = int(starts.max() + 15 * pitch + offsets.max() + 64 * steps)
    data = {"random": rng.integers(0, 256, size), "most": np.full(size, 255)}[fill]
    shape = (32, runs, run_bytes)
    weights = {"random": rng.integers(-128, 128, shape), "most": np.full(shape, -128)}[fill]
    return Operands(
        data.astype(np.uint8),
        (int(starts[0]), int(starts[1])),
        pitch,
        offsets,
        weights.astype(np.int8),
    )


def product(multiply, operands):
    """The sums that a compiled ``multiply`` writes, after a look at what lies around them."""
    packed = amx.pack_amx(operands.weights)
    buffer = np.full(2 * GUARD + 32 * 32, MARK, np.int32)
    before = operands.data.copy(), packed.copy()
    multiply(
        operands.data,
        operands.rows(),
        operands.pitch,
        operands.runs,
        packed.shape[2],
        packed,
        buffer,
        GUARD,
    )
    np.testing.assert_array_equal(buffer[:GUARD], MARK)
    np.testing.assert_array_equal(buffer[-GUARD:], MARK)
    np.testing.assert_array_equal(operands.data, before[0])
    np.testing.assert_array_equal(packed, before[1])
    return buffer[GUARD:-GUARD].reshape(32, 32)


_ADDRESSES = types.void(*[types.int64] * 8)


@intrinsic
def _emulated(typingctx, data, rows, pitch, runs, n_runs, steps, weights, sums):
    def codegen(context, builder, signature, arguments):
        amx.emit_emulated_tiles(builder, *arguments)
        return context.get_dummy_value()

    return _ADDRESSES, codegen


@intrinsic
def _instructions(typingctx, data, rows, pitch, runs, n_runs, steps, weights, sums):
    def codegen(context, builder, signature, arguments):
        amx.emit_begin(builder)
        amx.emit_tiles(builder, *arguments, prefetch_bytes=4096)
        amx.emit_end(builder)
        return context.get_dummy_value()

    return _ADDRESSES, codegen


@njit
def multiply_emulated(data, rows, pitch, runs, steps, weights, sums, first):
    _emulated(
        data.ctypes.data,
        rows.ctypes.data,
        pitch,
        runs.ctypes.data,
        runs.size,
        steps,
        weights.ctypes.data,
        sums.ctypes.data + 4 * first,
    )


@njit(nogil=True)
def multiply_by_instructions(data, rows, pitch, runs, steps, weights, sums, first):
    """Only to be called where tiles are permitted, or their instructions carried out."""
    _instructions(
        data.ctypes.data,
        rows.ctypes.data,
        pitch,
        runs.ctypes.data,
        runs.size,
        steps,
        weights.ctypes.data,
        sums.ctypes.data + 4 * first,
    )
