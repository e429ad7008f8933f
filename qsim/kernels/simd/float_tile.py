"""The product of a tile of float32 matrices in order: products are added with the depth rising.

Each product and each sum is rounded, and lanes are columns, so that no two lanes are added: every
machine computes the same bits.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from qsim.kernels.simd.ir import I64, Loop, load, splat, store, vector, zeros

FLOAT = ir.FloatType()
FLOAT_BYTES, LINE = 4, 64


@dataclass(frozen=True)
class FloatTile:
    """What is multiplied at once: ``rows`` by ``vectors`` vectors of ``lanes`` columns."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        """The columns of all vectors."""
        return self.vectors * self.lanes


_WIDE = FloatTile(6, 4, 16)  # 24 of 32 registers hold sums
FLOAT_TILES = {"amx": _WIDE, "vnni512": _WIDE, "pairs16": _WIDE, "pairs8": FloatTile(4, 2, 8)}


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array of any values that begins with a line of the cache."""
    size = FLOAT_BYTES * prod(shape)
    room = np.empty(size + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + size].view(np.float32).reshape(shape)


@intrinsic
def multiply_float_tile(typing, backend, w, w_pitch, x, depth, out):
    """Write the product of a tile, on addresses.

    backend     the ``Tag`` of a back end, one of FLOAT_TILES
    w, w_pitch  float32 rows, so many bytes apart
    x           float32 (depth, columns), contiguous
    depth       at least 1
    out         float32 (rows, columns), contiguous
    """
    tile = FLOAT_TILES[backend.backend]

    def generate(context, builder: ir.IRBuilder, signature, arguments):
        _emit(builder, tile, *arguments[1:])
        return context.get_dummy_value()

    return types.void(backend, *[types.intp] * 5), generate


def _emit(builder: ir.IRBuilder, tile: FloatTile, w, w_pitch, x, depth, out) -> None:
    kind, size = vector(FLOAT, tile.lanes), FLOAT_BYTES * tile.lanes
    rows = [builder.add(w, builder.mul(w_pitch, I64(row))) for row in range(tile.rows)]
    sums = [zeros(kind)] * (tile.rows * tile.vectors)
    over_depth = Loop(builder, depth, [I64(0), x, *sums], "depth")
    at, x, *sums = over_depth.carried
    columns = [
        load(builder, builder.add(x, I64(size * i)), kind, FLOAT_BYTES) for i in range(tile.vectors)
    ]
    for row in range(tile.rows):
        factor = load(builder, builder.add(rows[row], at), FLOAT, FLOAT_BYTES)
        factor = splat(builder, factor, tile.lanes)
        for place, values in enumerate(columns, row * tile.vectors):
            sums[place] = builder.fadd(sums[place], builder.fmul(factor, values))
    at, x = builder.add(at, I64(FLOAT_BYTES)), builder.add(x, I64(size * tile.vectors))
    over_depth.close([at, x, *sums])
    for place, value in enumerate(sums):
        store(builder, value, builder.add(out, I64(size * place)), FLOAT_BYTES)
