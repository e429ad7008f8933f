"""The operations on tile registers: those of the processor, and the same in plain memory.

A processor with AMX has eight *tiles*, each of up to 16 rows of 64 bytes, whose shapes a 64-byte
configuration block gives. ``TileRegisters`` emits its instructions; ``EmulatedTiles`` emits plain
loops that do what they are documented to do, so that what is written for tiles runs, and can be
compared, on any machine.

Source of the operations: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
chapter "Programming with Intel Advanced Matrix Extensions", and volume 2, LDTILECFG, TILELOADD,
TILESTORED, TILEZERO, TILERELEASE, TDPBUSD.
"""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Protocol

from llvmlite import ir as llvm
from numba.core import cgutils

from qsim.kernels.simd.ir import I8, I16, I32, I64, VOID, call, load, store

TILES, ROWS, ROW_BYTES = 8, 16, 64
TILE_BYTES = ROWS * ROW_BYTES
CONFIG_BYTES = 64
_PALETTE, _COLUMN_BYTES_AT, _ROWS_AT = 1, 16, 48


def configuration(shapes: list[tuple[int, int]]) -> bytes:
    """The block that gives tiles 0, 1, ... their (rows, bytes of a row); the others are unused.

    Source: the manual's table of the memory area of LDTILECFG. Byte 0 is the palette, bytes 16 + 2t
    the width of tile t, byte 48 + t its rows, all others are 0.
    """
    block = bytearray(CONFIG_BYTES)
    block[0] = _PALETTE
    for tile, (rows, row_bytes) in enumerate(shapes):
        if tile >= TILES or not (1 <= rows <= ROWS and 4 <= row_bytes <= ROW_BYTES):
            raise ValueError(f"no tile {tile} of {rows} rows of {row_bytes} bytes")
        block[_COLUMN_BYTES_AT + 2 * tile] = row_bytes
        block[_ROWS_AT + tile] = rows
    return bytes(block)


class Tiles(Protocol):
    """What can be done with tiles. A tile is its number; addresses and pitches have 64 bits."""

    def configure(self, address: llvm.Value) -> None:
        """Take the shapes from a configuration block and clear all tiles."""

    def release(self) -> None:
        """Give the tiles up; until the next ``configure`` none may be used."""

    def zero(self, tile: int) -> None:
        """Clear a tile."""

    def load(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        """Fill a tile from rows that are ``pitch`` bytes apart."""

    def multiply(self, total: int, left: int, right: int) -> None:
        """Add to each int32 of ``total`` at (m, n) the products of the unsigned bytes of row m of
        ``left`` and the signed bytes of column n of ``right``, modulo 2**32.

        Row k of ``right`` has, for each n, the four bytes that meet bytes 4k to 4k + 3 of ``left``.
        """

    def store(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        """Write a tile's rows ``pitch`` bytes apart."""


class TileRegisters:
    """The processor's instructions; see ``Tiles``. They need the features amx-tile and amx-int8."""

    def __init__(self, builder: llvm.IRBuilder):
        self._builder = builder

    def _call(self, name: str, *arguments: llvm.Value) -> None:
        call(self._builder, f"llvm.x86.{name}", VOID, *arguments)

    def _pointer(self, address: llvm.Value) -> llvm.Value:
        return self._builder.inttoptr(address, llvm.PointerType(I8))

    def configure(self, address: llvm.Value) -> None:
        self._call("ldtilecfg", self._pointer(address))

    def release(self) -> None:
        self._call("tilerelease")

    def zero(self, tile: int) -> None:
        self._call("tilezero", I8(tile))

    def load(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        self._call("tileloadd64", I8(tile), self._pointer(address), pitch)

    def multiply(self, total: int, left: int, right: int) -> None:
        self._call("tdpbusd", I8(total), I8(left), I8(right))

    def store(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        self._call("tilestored64", I8(tile), self._pointer(address), pitch)


class EmulatedTiles:
    """The same operations as loops over memory; see ``Tiles``.

    The state, all tiles and behind them the configuration, is a block on the stack of the function
    that is being built, so tiles do not outlive it. What stops the processor, a tile without shape
    or shapes that do not fit each other, stops the process here too.
    """

    def __init__(self, builder: llvm.IRBuilder):
        self._builder = builder
        state = cgutils.alloca_once(builder, I8, size=I64(TILES * TILE_BYTES + CONFIG_BYTES))
        self._state = builder.ptrtoint(state, I64)
        self.release()

    def _call(self, body: Callable, *arguments: llvm.Value) -> None:
        """Call the internal function whose body that is, writing it where the module lacks it."""
        module, name = self._builder.module, f"qsim.tiles.{body.__name__.strip('_')}"
        function = module.globals.get(name)
        if function is None:
            kind = llvm.FunctionType(VOID, [I64] * (1 + len(arguments)))
            function = llvm.Function(module, kind, name)
            function.linkage = "internal"
            inside = llvm.IRBuilder(function.append_basic_block("entry"))
            body(inside, *function.args)
            inside.ret_void()
        self._builder.call(function, [self._state, *arguments])

    def configure(self, address: llvm.Value) -> None:
        self._call(_configure, address)

    def release(self) -> None:
        self._call(_release)

    def zero(self, tile: int) -> None:
        self._call(_zero, I64(tile))

    def load(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        self._call(_load, I64(tile), address, pitch)

    def multiply(self, total: int, left: int, right: int) -> None:
        if len({total, left, right}) < 3:
            raise ValueError(f"a product needs three tiles, not {total}, {left}, {right}")
        self._call(_multiply, I64(total), I64(left), I64(right))

    def store(self, tile: int, address: llvm.Value, pitch: llvm.Value) -> None:
        self._call(_store, I64(tile), address, pitch)


def _configure(builder, state, address):
    _release(builder, state)
    config = builder.add(state, I64(TILES * TILE_BYTES))
    with _each(builder, I64(CONFIG_BYTES)) as at:
        store(builder, load(builder, builder.add(address, at), I8), builder.add(config, at))


def _release(builder, state):
    with _each(builder, I64(TILES * TILE_BYTES + CONFIG_BYTES)) as at:
        store(builder, I8(0), builder.add(state, at))


def _zero(builder, state, tile):
    _shape(builder, state, tile)
    with _each(builder, I64(TILE_BYTES)) as at:
        store(builder, I8(0), builder.add(_start(builder, state, tile), at))


def _load(builder, state, tile, address, pitch):
    """Bytes beyond the shape become 0."""
    _zero(builder, state, tile)
    with _each_byte(builder, state, tile, address, pitch) as (inside, outside):
        store(builder, load(builder, outside, I8), inside)


def _store(builder, state, tile, address, pitch):
    with _each_byte(builder, state, tile, address, pitch) as (inside, outside):
        store(builder, load(builder, inside, I8), outside)


def _multiply(builder, state, total, left, right):
    rows, total_bytes = _shape(builder, state, total)
    left_rows, left_bytes = _shape(builder, state, left)
    right_rows, right_bytes = _shape(builder, state, right)
    groups, columns = (builder.udiv(size, I64(4)) for size in (left_bytes, total_bytes))
    _demand(builder, builder.icmp_unsigned("==", left_rows, rows))
    _demand(builder, builder.icmp_unsigned("==", right_rows, groups))
    _demand(builder, builder.icmp_unsigned("==", right_bytes, total_bytes))
    with _each(builder, rows) as m, _each(builder, groups) as k, _each(builder, columns) as n:
        out = _element(builder, state, total, m, n)
        unsigned = _element(builder, state, left, m, k)
        signed = _element(builder, state, right, k, n)
        summed = load(builder, out, I32)
        for byte in range(4):
            x = builder.zext(load(builder, builder.add(unsigned, I64(byte)), I8), I32)
            w = builder.sext(load(builder, builder.add(signed, I64(byte)), I8), I32)
            summed = builder.add(summed, builder.mul(x, w))
        store(builder, summed, out)


def _shape(builder, state, tile):
    """The rows of a tile and the bytes of a row; a tile that has none stops the process."""
    config = builder.add(state, I64(TILES * TILE_BYTES))
    width_at = builder.add(builder.add(config, I64(_COLUMN_BYTES_AT)), builder.mul(tile, I64(2)))
    rows_at = builder.add(builder.add(config, I64(_ROWS_AT)), tile)
    rows = builder.zext(load(builder, rows_at, I8), I64)
    _demand(builder, builder.icmp_unsigned("!=", rows, I64(0)))
    return rows, builder.zext(load(builder, width_at, I16), I64)


def _demand(builder, condition):
    with cgutils.if_unlikely(builder, builder.not_(condition)):
        call(builder, "llvm.trap", VOID)


def _start(builder, state, tile):
    return builder.add(state, builder.mul(tile, I64(TILE_BYTES)))


def _element(builder, state, tile, row, column):
    """The address of a tile's four bytes at (row, column)."""
    at = builder.add(builder.mul(row, I64(ROW_BYTES)), builder.mul(column, I64(4)))
    return builder.add(_start(builder, state, tile), at)


@contextmanager
def _each_byte(builder, state, tile, address, pitch):
    """Loops over a tile's shape: a byte's address in the tile and in memory."""
    rows, row_bytes = _shape(builder, state, tile)
    with _each(builder, rows) as row, _each(builder, row_bytes) as at:
        in_tile = builder.add(_start(builder, state, tile), builder.mul(row, I64(ROW_BYTES)))
        in_memory = builder.add(address, builder.mul(row, pitch))
        yield builder.add(in_tile, at), builder.add(in_memory, at)


@contextmanager
def _each(builder, count):
    """A loop: its index, from 0."""
    with cgutils.for_range(builder, count) as loop:
        yield loop.index
