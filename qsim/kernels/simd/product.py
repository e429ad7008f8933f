"""Products of bytes by signed bytes, a tile of rows by columns at a time: the heart of every layer.

A row is the window that one output position reads: ``n_runs`` runs of contiguous bytes, each read
in ``steps`` whole steps of ``depth`` bytes. Where a row begins and where its runs lie are tables,
so that one kernel serves matrix products and convolutions of any stride and dilation, and none
copies its windows. The weights of what lies beyond a run are 0.
"""

from dataclasses import dataclass, replace

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from qsim.kernels.simd.amx import as_tiles, emit_emulated_tiles, emit_tiles
from qsim.kernels.simd.emit_dot import emit_dot
from qsim.kernels.simd.emit_pairs import emit_pairs


@dataclass(frozen=True)
class Tile:
    """What a back end multiplies at once: ``rows`` by ``columns``, ``depth`` bytes a step."""

    rows: int
    columns: int
    depth: int
    is_spaced: bool = False  # whether rows lie equally spaced in groups of 16


TILES = {
    "amx": Tile(32, 32, 64, True),
    "amx-emulated": Tile(32, 32, 64, True),  # for tests
    "vnni512": Tile(6, 64, 4),
    "pairs16": Tile(4, 64, 4),
    "pairs8": Tile(4, 16, 4),
    "plain": Tile(4, 16, 1),
}
LINE = 64  # bytes of a cache line, to which packed weights and scratch tiles are aligned


def multiply_tile(
    backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, count, sums
):
    """Write the products of a tile's rows with a panel of weights.

    backend         the ``Tag`` of a back end
    data            bytes, uint8 (any,)
    rows, row       int64 offsets in ``data``; those of the tile begin at ``rows[row]``
    pitch           the distance of consecutive rows in a group of 16, which back end amx reads
    runs, run       int64 offsets from the beginning of a row; those of the layer begin at
                    ``runs[run]``, and there are ``n_runs`` of them
    steps           how many steps each run is read in
    weights, weight int8, packed as ``pack_weights`` says; the panel begins at ``weights[weight]``
    count           how many rows of the tile are wanted: the sums of others may be left out
    sums            int32 (tile rows, tile columns), overwritten; they wrap around
    """
    _multiply_plainly(data, rows, row, runs, run, n_runs, steps, weights, weight, sums)


@njit(nogil=True)
def _multiply_plainly(data, rows, row, runs, run, n_runs, steps, weights, weight, sums):
    """As ``multiply_tile``, by the definition: the tile is as large as ``sums``, its depth 1."""
    height, width = sums.shape
    for m in range(height):
        for n in range(width):
            sums[m, n] = 0
        at = weight
        for r in range(run, run + n_runs):
            for k in range(steps):
                x = np.int32(data[rows[row + m] + runs[r] + k])
                for n in range(width):
                    sums[m, n] += x * np.int32(weights[at + n])
                at += width


@overload(multiply_tile, jit_options={"nogil": True})
def _multiply_tile(
    backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, count, sums
):
    if backend.backend == "plain":

        def multiply(
            backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, count, sums
        ):
            _multiply_plainly(data, rows, row, runs, run, n_runs, steps, weights, weight, sums)

    elif TILES[backend.backend].is_spaced:

        def multiply(
            backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, count, sums
        ):
            _whole_tile(
                backend, data.ctypes.data, rows.ctypes.data + 8 * row, pitch,
                runs.ctypes.data + 8 * run, n_runs, steps, weights.ctypes.data + weight,
                sums.ctypes.data,
            )  # fmt: skip

    else:

        def multiply(
            backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, count, sums
        ):
            places = (
                data.ctypes.data, rows.ctypes.data + 8 * row, pitch, runs.ctypes.data + 8 * run,
                n_runs, steps, weights.ctypes.data + weight, sums.ctypes.data,
            )  # fmt: skip
            if count == 1:
                _one_row(backend, *places)
            else:
                _whole_tile(backend, *places)

    return multiply


EMITTERS = {
    "amx": emit_tiles,
    "amx-emulated": emit_emulated_tiles,
    "vnni512": emit_dot,
    "pairs16": emit_pairs,
    "pairs8": emit_pairs,
}


@intrinsic
def _whole_tile(typing, backend, data, rows, pitch, runs, n_runs, steps, weights, sums):
    """The product of a tile in the instructions of a back end, on addresses."""
    return _emitted(backend, TILES[backend.backend])


@intrinsic
def _one_row(typing, backend, data, rows, pitch, runs, n_runs, steps, weights, sums):
    """That of its first row alone."""
    return _emitted(backend, replace(TILES[backend.backend], rows=1))


def _emitted(backend, tile: Tile):
    """The signature and the code of a product of bytes."""

    def generate(context, builder: ir.IRBuilder, signature, arguments):
        EMITTERS[backend.backend](builder, tile, *arguments[1:])
        return context.get_dummy_value()

    return types.void(backend, *[types.intp] * 8), generate


def pack_weights(weights: np.ndarray, backend: str) -> np.ndarray:
    """Weights as a back end reads them: [panel][run][step][column][byte of the step], 0 where a row
    or a run has no more.

    weights   int8 (rows, runs, bytes of a run)
    returns   int8 (panels, runs, steps, columns, depth), for amx with the axes of ``as_tiles``
    """
    tile = TILES[backend]
    rows, runs, length = weights.shape
    panels, steps = -(-rows // tile.columns), -(-length // tile.depth)
    whole = np.zeros((panels * tile.columns, runs, steps * tile.depth), np.int8)
    whole[:rows, :, :length] = weights
    parts = whole.reshape(panels, tile.columns, runs, steps, tile.depth)
    packed = np.ascontiguousarray(parts.transpose(0, 2, 3, 1, 4))
    if backend in ("pairs16", "pairs8"):  # one pair after the other
        pairs = packed.reshape(panels, runs, steps, tile.columns, tile.depth // 2, 2)
        return np.ascontiguousarray(np.swapaxes(pairs, 3, 4))
    return as_tiles(packed) if tile.is_spaced else packed


def pack_channelwise(weights: np.ndarray, columns: int) -> np.ndarray:
    """Weights of channels by themselves: int8 (channels, taps) as (panels, taps, columns)."""
    channels, taps = weights.shape
    panels = -(-channels // columns)
    whole = np.zeros((panels * columns, taps), np.int8)
    whole[:channels] = weights
    return np.ascontiguousarray(whole.reshape(panels, columns, taps).transpose(0, 2, 1))


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy whose first byte begins a line of the cache."""
    room = np.zeros(array.nbytes + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    copy = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
