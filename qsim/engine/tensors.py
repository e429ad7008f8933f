"""What lies in the memory of a compiled program after a run, as arrays."""

from dataclasses import replace

import numpy as np

from qsim.engine.layout import Layout
from qsim.engine.steps import Buffer, Pending
from qsim.kernels.simd.product import TILES, aligned
from qsim.kernels.simd.step_table import Memory
from qsim.values import Sums


def new_memory(made: Layout, backend: str) -> Memory:
    """Memory for one run of a program at a time."""
    data, words = np.zeros(made.reach, np.uint8), np.zeros(made.sums, np.int32)
    return with_scratch(aligned(data), aligned(words), backend)


def with_scratch(data: np.ndarray, words: np.ndarray, backend: str) -> Memory:
    """Memory with scratch tiles of its own."""
    shape = TILES[backend].rows, TILES[backend].columns
    return Memory(
        data,
        words,
        tile=aligned(np.zeros(shape, np.int32)),
        wide=aligned(np.zeros(shape, np.int64)),
        levels=aligned(np.zeros(shape, np.int32)),
        others=aligned(np.zeros(shape, np.int32)),
    )


def levels_of(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    """The levels of a tensor, int32 (channels, height, width)."""
    at = made.places[buffer]
    channels, height, width = buffer.shape
    top, left, _, _ = buffer.border
    whole = memory.data[at : at + buffer.size].reshape(*buffer.padded, channels)
    inner = whole[top : top + height, left : left + width]
    return inner.transpose(2, 0, 1).astype(np.int32) - buffer.zero


def sums_of(made: Layout, memory: Memory, pending: Pending) -> Sums:
    """A tensor that is not rounded, of one image."""
    terms = tuple(
        (_integers(made, memory, term.source.source)[None], scale)
        for term, (_, scale) in zip(pending.terms, pending.sums.terms, strict=True)
    )
    return replace(pending.sums, terms=terms)


def _integers(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    if buffer.is_bytes:
        return levels_of(made, memory, buffer).astype(np.int64)
    at = made.places[buffer]
    channels, height, width = buffer.shape
    sums = memory.words[at : at + buffer.size].reshape(height, width, channels)
    return sums.transpose(2, 0, 1).astype(np.int64)
