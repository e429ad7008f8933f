"""The product of a tile on a processor with AMX: 32 rows by 32 columns, 64 bytes a step.

Four tile registers hold the sums, two the bytes of 16 rows each, two the weights of 16 columns
each. A step is four loads and four products. A product of 16 rows takes 16 cycles, and a load of 16
lines 8 where they are in the first cache, so the loads of a step fit behind its products.

Rows are read in place: 16 equally spaced ones are one load, so neither a matrix of windows nor a
copy is made. On emulated tiles the same code is back end ``amx-emulated``, which only tests name.
"""

import numpy as np
from llvmlite import ir as llvm
from numba.core import cgutils

from qsim.kernels.simd.ir import I64, Loop, load
from qsim.kernels.simd.tiles import (
    ROW_BYTES,
    ROWS,
    TILE_BYTES,
    TILES,
    EmulatedTiles,
    TileRegisters,
    Tiles,
    configuration,
)

MR, NR, KS = 32, 32, 64
CONFIGURATION = configuration([(ROWS, ROW_BYTES)] * TILES)

_SUMS = ((0, 1), (2, 3))  # of rows 0..15 and 16..31, by columns 0..15 and 16..31
_BYTES = (4, 5)
_WEIGHTS = (6, 7)
_SUMS_PITCH = NR * 4
_GROUP = 4  # bytes along the depth that one product of a tile's element takes together


def emit_begin(builder: llvm.IRBuilder) -> None:
    """Give the thread its tiles, once before ``emit_tiles``.

    Without the permission that ``host.tiles_permitted`` asks for, this stops the process.
    """
    TileRegisters(builder).configure(_configuration_address(builder))


def emit_end(builder: llvm.IRBuilder) -> None:
    """Give the thread's tiles back, so that the system need not save them any more."""
    TileRegisters(builder).release()


def emit_tiles(builder, tile, data, rows, pitch, runs, n_runs, steps, weights, sums) -> None:
    """As ``product.multiply_tile``, on addresses; ``emit_begin`` has given the thread its tiles.

    Row 16 g + r of the 32 begins at ``data + rows[16 g] + r pitch``. All 32 are read, real or not.
    ``n_runs`` and ``steps`` are at least 1. Weights are in the order of ``as_tiles``.
    """
    operands = (data, rows, pitch, runs, n_runs, steps, weights, sums)
    _emit(TileRegisters(builder), builder, tile, *operands)


def emit_emulated_tiles(builder, tile, *operands: llvm.Value) -> None:
    """As ``emit_tiles``, on tiles in memory, which are configured and released around each call."""
    tiles = EmulatedTiles(builder)
    tiles.configure(_configuration_address(builder))
    _emit(tiles, builder, tile, *operands)
    tiles.release()


def as_tiles(packed: np.ndarray) -> np.ndarray:
    """Packed weights in the order in which ``emit_tiles`` reads them.

    packed    int8 (panels, runs, steps, 32 columns, 64 bytes of a step), as other back ends read it
    returns   int8 (panels, runs, steps, 2, 16, 16, 4): two tiles a step, each of 16 columns

    A column's 64 bytes are 16 groups of 4. A row of a tile has one group of all 16 columns side by
    side, so what is (2, 16 columns, 16 groups, 4) becomes (2, 16 groups, 16 columns, 4).
    """
    split = (*packed.shape[:3], NR // ROWS, ROWS, KS // _GROUP, _GROUP)
    return np.ascontiguousarray(packed.reshape(split).swapaxes(-3, -2))


def _emit(
    tiles: Tiles, builder, tile, data, rows, pitch, runs, n_runs, steps, weights, sums
) -> None:
    if (tile.rows, tile.columns, tile.depth) != (MR, NR, KS):
        raise ValueError(f"tiles multiply {MR} by {NR} by {KS}, not as {tile}")
    for register in (*_SUMS[0], *_SUMS[1]):
        tiles.zero(register)
    begins = [
        builder.add(data, load(builder, builder.add(rows, I64(8 * row)), I64)) for row in (0, ROWS)
    ]
    over_runs = Loop(builder, n_runs, [weights], "run")
    offset = load(builder, builder.add(runs, builder.mul(over_runs.index, I64(8))), I64)
    begins = [builder.add(begin, offset) for begin in begins]
    over_steps = Loop(builder, steps, [*begins, *over_runs.carried], "step")
    *begins, w = over_steps.carried
    _emit_step(tiles, builder, begins, pitch, w)
    w = builder.add(w, I64(2 * TILE_BYTES))
    over_steps.close([*(builder.add(begin, I64(KS)) for begin in begins), w])
    over_runs.close([w])
    for i, j in np.ndindex(2, 2):
        at = builder.add(sums, I64(i * ROWS * _SUMS_PITCH + j * ROW_BYTES))
        tiles.store(_SUMS[i][j], at, I64(_SUMS_PITCH))


def _emit_step(tiles: Tiles, builder, begins, pitch, weights) -> None:
    """Each product stands directly behind the load that it waits for, so that the next load runs
    beside it."""
    further_weights = builder.add(weights, I64(TILE_BYTES))
    tiles.load(_WEIGHTS[0], weights, I64(ROW_BYTES))
    tiles.load(_BYTES[0], begins[0], pitch)
    tiles.multiply(_SUMS[0][0], _BYTES[0], _WEIGHTS[0])
    tiles.load(_WEIGHTS[1], further_weights, I64(ROW_BYTES))
    tiles.multiply(_SUMS[0][1], _BYTES[0], _WEIGHTS[1])
    tiles.load(_BYTES[1], begins[1], pitch)
    tiles.multiply(_SUMS[1][0], _BYTES[1], _WEIGHTS[0])
    tiles.multiply(_SUMS[1][1], _BYTES[1], _WEIGHTS[1])


def _configuration_address(builder: llvm.IRBuilder) -> llvm.Value:
    """The address of the configuration block, which is data of the compiled module."""
    name = "qsim.amx.configuration"
    data = builder.module.globals.get(name)
    if data is None:
        data = cgutils.global_constant(builder.module, name, cgutils.make_bytearray(CONFIGURATION))
        data.align = ROW_BYTES
    return builder.ptrtoint(data, I64)
