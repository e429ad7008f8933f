"""What lies in the memory of a compiled program after a run, as arrays."""

from dataclasses import replace

import numpy as np

from qsim.engine.layout import Layout
from qsim.engine.steps import Buffer, Pending
from qsim.kernels.simd import bit_tiles
from qsim.kernels.simd.product import TILES, aligned
from qsim.kernels.simd.step_table import Memory
from qsim.values import Sums


def new_memory(made: Layout, backend: str) -> Memory:
    """Memory for one run of a program at a time."""
    data, words = np.zeros(made.reach, np.uint8), np.zeros(made.sums, np.int32)
    planes = np.zeros(made.planes, np.uint32)
    return with_scratch(aligned(data), aligned(words), aligned(planes), backend)


def with_scratch(data: np.ndarray, words: np.ndarray, planes: np.ndarray, backend: str) -> Memory:
    """Memory with scratch tiles of its own."""
    shape = TILES[backend].rows, TILES[backend].columns
    counts = bit_tiles.TILES[bit_tiles.tile_for(backend, positions=2)]
    return Memory(
        data,
        words,
        planes,
        tile=aligned(np.zeros(shape, np.int32)),
        wide=aligned(np.zeros(shape, np.int64)),
        levels=aligned(np.zeros(shape, np.int32)),
        others=aligned(np.zeros(shape, np.int32)),
        counts=aligned(np.zeros((counts.rows, counts.channels), np.int32)),
    )


def levels_of(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    """The levels of a tensor, int32 (channels, height, width)."""
    at = made.places[buffer]
    channels, height, width = buffer.shape
    top, left, _, _ = buffer.border
    if buffer.planes:
        words = memory.planes[at : at + buffer.size].reshape(-1, *buffer.padded, buffer.pixel)
        bits = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :channels]
        codes = sum(plane.astype(np.int32) << i for i, plane in enumerate(bits))
        whole = buffer.code.step * codes + buffer.code.offset
    else:
        codes = memory.data[at : at + buffer.size].reshape(*buffer.padded, channels)
        whole = codes.astype(np.int32) - buffer.zero
    return whole[top : top + height, left : left + width].transpose(2, 0, 1)


def sums_of(made: Layout, memory: Memory, pending: Pending) -> Sums:
    """A tensor that is not rounded, of one image."""
    terms = tuple(
        (_integers(made, memory, term.source.source)[None], scale)
        for term, (_, scale) in zip(pending.terms, pending.sums.terms, strict=True)
    )
    return replace(pending.sums, terms=terms)


def _integers(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    if buffer.memory != "sums":
        return levels_of(made, memory, buffer).astype(np.int64)
    at = made.places[buffer]
    channels, height, width = buffer.shape
    sums = memory.words[at : at + buffer.size].reshape(height, width, channels)
    return sums.transpose(2, 0, 1).astype(np.int64)
