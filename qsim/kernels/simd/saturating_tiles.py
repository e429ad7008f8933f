"""Products summed in registers of any width and mode, every step modelled, many at a time.

A tile is a few rows of activations times a panel of rows of weights, a row of weights a lane.
``register_lanes`` says which lanes model a register, ``register_tile`` writes their code.
"""

from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload
from numpy import uint64 as U  # of indices that are not negative: numba would look

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.ir import I64
from qsim.kernels.simd.register_lanes import LANE_BITS, Absent, Lanes, choose_lanes
from qsim.kernels.simd.register_tile import VECTORS, TileCode

FEW_ROWS = 16  # of weights: then the activations take the lanes, if they have more rows


class Tile(NamedTuple):
    """How many rows of activations a tile has, and how many lanes.

    The subclass says the instructions, so that compiled code knows them by its type.
    """

    rows: int
    lanes: int


class PlainTile(Tile):
    """Loops over single integers of 64 bits."""


class Tile32(Tile):
    """Vectors of 32 bytes, in which 16 of them have room."""

    vector_bytes: ClassVar[int] = 32
    most_rows: ClassVar[int] = 4


class Tile64(Tile):
    """Vectors of 64 bytes, in which 32 of them have room."""

    vector_bytes: ClassVar[int] = 64
    most_rows: ClassVar[int] = 8


_TILES = {"amx": Tile64, "vnni512": Tile64, "pairs16": Tile64, "pairs8": Tile32}


class RegisterWeights:
    """Weights (rows, ...), integers not to be changed, arranged for tiles when first multiplied."""

    def __init__(self, levels: np.ndarray):
        self._levels = levels.reshape(levels.shape[0], int(np.prod(levels.shape[1:])))
        self._arranged = {}

    def sum_products(
        self, x: np.ndarray, accumulator: Accumulator, backend: str | None = None
    ) -> np.ndarray:
        """Products of every row of weights with every row of ``x``, within each group.

        x            (groups, columns, depth), integers within 32 bits signed
        accumulator  of any width and mode, with a partial register or without
        backend      as ``host.choose`` takes it
        returns      (groups, rows // groups, columns) int64; groups take the rows in turn

        Raises OverflowError where ``Accumulator.check`` does and on levels beyond 32 bits,
        ValueError on another depth.
        """
        groups, columns, depth = x.shape
        if depth != self._levels.shape[1]:
            raise ValueError(f"weights {self._levels.shape} cannot multiply a depth of {depth}")
        rows = self._levels.shape[0] // groups if groups else 0
        max_x = magnitude(x)
        accumulator.check(depth, max_x, self._max_magnitude)
        if 0 in (rows, columns, depth):
            return np.zeros((groups, rows, columns), np.int64)
        name = choose(backend).name
        lane_bits = LANE_BITS[-1:] if name == "plain" else LANE_BITS
        lanes = choose_lanes(accumulator, depth, max_x, self._max_magnitude, lane_bits)
        x, tile = as_integers(x, _operand_type(lanes)), _tile_of(name, lanes)
        if rows < min(FEW_ROWS, columns):
            panels = _panels(x, tile, lanes.narrow.lane_bits)
            sums = _multiply(tile, lanes, self._operands(lanes, groups), panels, columns)
            return np.swapaxes(sums, 1, 2)
        return _multiply(tile, lanes, x, self._panels_of(tile, lanes, groups), rows)

    @cached_property
    def _max_magnitude(self) -> int:
        return magnitude(self._levels)

    def _operands(self, lanes: Lanes, groups: int) -> np.ndarray:
        """The weights (groups, rows // groups, depth) as they are multiplied."""
        dtype = _operand_type(lanes)
        operands = as_integers(self._levels, dtype) << dtype(lanes.weight_shift)
        return operands.reshape(groups, -1, operands.shape[1])

    def _panels_of(self, tile: Tile, lanes: Lanes, groups: int) -> np.ndarray:
        lane_bits = lanes.narrow.lane_bits
        key = (groups, tile.lanes, lane_bits, lanes.weight_shift)
        if key not in self._arranged:
            self._arranged[key] = _panels(self._operands(lanes, groups), tile, lane_bits)
        return self._arranged[key]


def _operand_type(lanes: Lanes) -> type:
    return np.int32 if lanes.operand_bits == 32 else np.int16


def _tile_of(backend: str, lanes: Lanes) -> Tile:
    """The tile of a back end: half the rows where it holds two registers for each sum."""
    if backend == "plain":
        return PlainTile(1, 1)
    kind = _TILES[backend]
    return kind(
        _rows_of(kind, type(lanes.wide)), VECTORS * kind.vector_bytes * 8 // lanes.narrow.lane_bits
    )


def _rows_of(tile: type[Tile], wide: type) -> int:
    return tile.most_rows if wide is Absent else tile.most_rows // 2


def _panels(rows: np.ndarray, tile: Tile, lane_bits: int) -> np.ndarray:
    """Rows (G, N, K) as panels (G, P, K, lanes), with zeros in the lanes that are left.

    In lanes of 32 bits only the lower half holds an operand, of 16 bits; the upper half is 0.
    """
    groups, count, depth = rows.shape
    shape = (groups, -(-count // tile.lanes), depth, tile.lanes)
    panels = np.zeros(shape, np.int16 if lane_bits == 16 else np.int32)
    _arrange(rows.view(np.uint16) if lane_bits == 32 else rows, panels)
    return panels


def _multiply(
    tile: Tile, lanes: Lanes, rows: np.ndarray, panels: np.ndarray, count: int
) -> np.ndarray:
    """Sums (G, count, M) of the products of rows (G, M, K) with the first ``count`` lanes."""
    groups, columns, depth = rows.shape
    whole = columns - columns % tile.rows
    rest = np.zeros((groups, tile.rows, depth), rows.dtype)
    rest[:, : columns - whole] = rows[:, whole:]
    out = np.empty((groups, count, columns), np.int64)
    sums = np.empty((tile.rows, tile.lanes), np.int64)
    registers = (lanes.narrow, lanes.wide, lanes.products)
    _multiply_tiles(tile, *registers, rows, rest, panels, sums, out)
    return out


@njit(cache=True, nogil=True)
def _arrange(rows, panels):
    for g in range(rows.shape[0]):
        for p in range(panels.shape[1]):
            first = p * panels.shape[3]
            for k in range(rows.shape[2]):
                for n in range(min(panels.shape[3], rows.shape[1] - first)):
                    panels[g, p, k, n] = rows[g, first + n, k]


@njit(cache=True, nogil=True)
def _multiply_tiles(tile, narrow, wide, products, rows, rest, panels, sums, out):
    """Sums of products of all rows with all lanes of all panels.

    rows     (G, M, K) int16, or int32 for lanes of 64 bits
    rest     (G, tile.rows, K) as ``rows``: the last M % tile.rows rows, then zeros
    panels   (G, P, K, tile.lanes) as ``_panels`` makes them
    sums     (tile.rows, tile.lanes) int64, overwritten
    out      (G, N, M) int64, overwritten; N <= P * tile.lanes
    """
    tile_rows, lanes = sums.shape
    for g in range(rows.shape[0]):
        for m in range(0, rows.shape[1], tile_rows):
            count = min(tile_rows, rows.shape[1] - m)
            for p in range(panels.shape[1]):
                if count == tile_rows:
                    _sum_tile(tile, narrow, wide, products, rows[g, m:], panels[g, p], sums)
                else:
                    _sum_tile(tile, narrow, wide, products, rest[g], panels[g, p], sums)
                first = p * lanes
                for n in range(min(lanes, out.shape[1] - first)):
                    for i in range(count):
                        out[U(g), U(first + n), U(m + i)] = sums[U(i), U(n)]


def _sum_tile(tile, narrow, wide, products, rows, panel, sums):
    """The sums of one tile, by plain loops: of the first rows with all lanes of a panel."""
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            total = np.int64(0)
            for first in range(0, panel.shape[0], products):
                part = np.int64(0)
                for k in range(first, min(first + products, panel.shape[0])):
                    part += np.int64(rows[i, k]) * np.int64(panel[k, j])
                    part = min(max(part, narrow.low), narrow.high)
                part = (part << narrow.up) >> narrow.down
                total = min(max(total + part, wide.low), wide.high)
            sums[i, j] = (total << wide.up) >> wide.down


@overload(_sum_tile)
def _compiled_sum_tile(tile, narrow, wide, products, rows, panel, sums):
    if tile.instance_class is PlainTile:
        return _sum_tile

    def sum_tile(tile, narrow, wide, products, rows, panel, sums):
        _sum_vectors(tile, narrow, wide, products, rows, panel, sums)

    return sum_tile


@intrinsic
def _sum_vectors(typingctx, tile, narrow, wide, products, rows, panel, sums):
    def generate(context, builder, signature, arguments):
        arrays = [
            context.make_array(kind)(context, builder, argument)
            for kind, argument in zip(signature.args[4:], arguments[4:], strict=True)
        ]
        shape = tile.instance_class
        code = TileCode(
            builder,
            shape.vector_bytes,
            _rows_of(shape, wide.instance_class),
        )
        code.emit(
            (narrow.instance_class, arguments[1]),
            (wide.instance_class, arguments[2]),
            tuple(builder.ptrtoint(array.data, I64) for array in arrays),
            (builder.extract_value(arrays[1].shape, 0), arguments[3]),
        )
        return context.get_dummy_value()

    return types.void(tile, narrow, wide, products, rows, panel, sums), generate
