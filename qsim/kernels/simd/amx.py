"""Tiles of the byte product on a processor with AMX: 32 rows by 32 columns, 64 bytes at a time.

Four tiles hold the sums, two the bytes of 16 rows each, two the weights of 16 columns each. A step
is four loads and four products. A product takes 16 cycles, a load of 16 rows 8 (two lines a cycle),
and what is loaded is used twice, so loads fit behind products, which are issued as soon as their
operands are there.

The bytes are read in place: 16 equally spaced rows are one load, so neither a patch matrix nor a
copy is made. The same emitter runs on emulated tiles as back end ``amx-emulated``, of tests only.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir as llvm
from numba.core import cgutils

from qsim.kernels.simd.ir import I8, I32, I64, VOID, Loop, call, load
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


def pack_amx(weights: np.ndarray) -> np.ndarray:
    """Weights in the order in which ``emit_tiles`` reads them.

    weights   (channels, runs, run bytes) int8
    returns   (panels, runs, steps, 2, 16, 16, 4) int8, C-contiguous: for 32 channels, a run and 64
              of its bytes, two tiles of 1 KiB, each of 16 channels; zeros where channels or bytes
              end. Reading is fastest from an address that 64 divides, and right from any.

    It is the general packing (panels, runs, steps, NR, KS), see ``as_tiles``.
    """
    channels, runs, run_bytes = weights.shape
    panels, steps = -(-channels // NR), -(-run_bytes // KS)
    padded = np.zeros((panels * NR, runs, steps * KS), np.int8)
    padded[:channels, :, :run_bytes] = weights
    return as_tiles(padded.reshape(panels, NR, runs, steps, KS).transpose(0, 2, 3, 1, 4))


def as_tiles(packed: np.ndarray) -> np.ndarray:
    """The general packing (panels, runs, steps, NR, KS) int8 with the axes of a tile exchanged.

    A channel's 64 bytes are 16 groups of 4. In a tile a row is one group, of 16 channels side by
    side: (NR, KS) = (2, 16 channels, 16 groups, 4) becomes (2, 16 groups, 16 channels, 4).
    """
    split = (*packed.shape[:3], NR // ROWS, ROWS, KS // _GROUP, _GROUP)
    return np.ascontiguousarray(packed.reshape(split).swapaxes(-3, -2))


def emit_begin(builder: llvm.IRBuilder) -> None:
    """Give the thread its tiles. To be done once, before ``emit_tiles``; needs the permission that
    ``host.tiles_permitted`` asks for, else the process stops."""
    TileRegisters(builder).configure(_configuration_address(builder))


def emit_end(builder: llvm.IRBuilder) -> None:
    """Give the thread's tiles back, so that the system need not save them any more."""
    TileRegisters(builder).release()


def emit_tiles(
    builder: llvm.IRBuilder,
    bytes_address: llvm.Value,
    rows_address: llvm.Value,
    pitch: llvm.Value,
    runs_address: llvm.Value,
    n_runs: llvm.Value,
    steps: llvm.Value,
    weights_address: llvm.Value,
    sums_address: llvm.Value,
    *,
    tiles: Tiles | None = None,
    prefetch_bytes: int = 0,
) -> None:
    """Write sums, modulo 2**32, of unsigned bytes times signed weights.

    All operands are 64-bit integers. Row 16 g + r of the 32 starts at
    ``bytes_address + rows[16 g] + r pitch``; its bytes are those of ``n_runs`` runs, each of
    ``64 steps`` contiguous bytes at the row's start plus ``runs[i]``. Both counts are at least 1.
    Weights are in the order of ``pack_amx``, sums a C-contiguous (32, 32) int32. All 32 rows are
    read whole, real or not.

    ``tiles`` are the thread's, from ``emit_begin``, if no others are given. ``prefetch_bytes``, if
    not 0, is how far ahead of their use weights are asked for.
    """
    tiles = tiles or TileRegisters(builder)
    for tile in (*_SUMS[0], *_SUMS[1]):
        tiles.zero(tile)
    starts = [
        builder.add(bytes_address, load(builder, builder.add(rows_address, I64(8 * row)), I64))
        for row in (0, ROWS)
    ]
    run = Loop(builder, n_runs, [weights_address], "run")
    offset = load(builder, builder.add(runs_address, builder.mul(run.index, I64(8))), I64)
    starts = [builder.add(start, offset) for start in starts]
    step = Loop(builder, steps, [*starts, *run.carried], "step")
    *rows, weights = step.carried
    _emit_step(tiles, builder, rows, pitch, weights, _prefetch(builder, weights, prefetch_bytes))
    weights = builder.add(weights, I64(2 * TILE_BYTES))
    step.close([*(builder.add(row, I64(KS)) for row in rows), weights])
    run.close([weights])
    for i, j in np.ndindex(2, 2):
        at = builder.add(sums_address, I64(i * ROWS * _SUMS_PITCH + j * ROW_BYTES))
        tiles.store(_SUMS[i][j], at, I64(_SUMS_PITCH))


def emit_emulated_tiles(builder: llvm.IRBuilder, *operands: llvm.Value) -> None:
    """As ``emit_tiles`` on tiles in memory, which are configured and released around each call."""
    tiles = EmulatedTiles(builder)
    tiles.configure(_configuration_address(builder))
    emit_tiles(builder, *operands, tiles=tiles)
    tiles.release()


def _emit_step(
    tiles: Tiles,
    builder: llvm.IRBuilder,
    rows: list[llvm.Value],
    pitch: llvm.Value,
    weights: llvm.Value,
    prefetch: Callable[[int], None],
) -> None:
    """Four loads and four products; the first product needs two loads, each later one at most one.

    ``prefetch(i)`` asks for the i-th quarter of weights to come.
    """
    further = builder.add(weights, I64(TILE_BYTES))
    tiles.load(_WEIGHTS[0], weights, I64(ROW_BYTES))
    tiles.load(_BYTES[0], rows[0], pitch)
    prefetch(0)
    tiles.multiply(_SUMS[0][0], _BYTES[0], _WEIGHTS[0])
    tiles.load(_WEIGHTS[1], further, I64(ROW_BYTES))
    prefetch(1)
    tiles.multiply(_SUMS[0][1], _BYTES[0], _WEIGHTS[1])
    tiles.load(_BYTES[1], rows[1], pitch)
    prefetch(2)
    tiles.multiply(_SUMS[1][0], _BYTES[1], _WEIGHTS[0])
    prefetch(3)
    tiles.multiply(_SUMS[1][1], _BYTES[1], _WEIGHTS[1])


def _prefetch(builder: llvm.IRBuilder, weights: llvm.Value, distance: int) -> Callable[[int], None]:
    """What asks for a quarter of the weights of a step, ``distance`` bytes ahead; 0: nothing."""

    def prefetch(quarter: int) -> None:
        lines = range(quarter * 8, quarter * 8 + 8) if distance else ()
        for line in lines:
            at = builder.add(weights, I64(distance + line * ROW_BYTES))
            pointer = builder.inttoptr(at, llvm.PointerType(I8))
            call(builder, "llvm.prefetch.p0", VOID, pointer, I32(0), I32(3), I32(1))

    return prefetch


def _configuration_address(builder: llvm.IRBuilder) -> llvm.Value:
    """The address of the configuration block, which is data of the compiled module."""
    name = "qsim.amx.configuration"
    data = builder.module.globals.get(name)
    if data is None:
        data = cgutils.global_constant(builder.module, name, cgutils.make_bytearray(CONFIGURATION))
        data.align = ROW_BYTES
    return builder.ptrtoint(data, I64)
