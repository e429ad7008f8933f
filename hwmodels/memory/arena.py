"""Buffers packed into one piece of memory: an offset for each, none overlapping while alive.

Greedy by size: the largest first, each at the lowest offset where it fits (Pisarchyk and Lee,
arXiv 2001.03288, "greedy by size for offset calculation").
"""

from collections.abc import Sequence

import numpy as np

from hwmodels.memory.buffers import Buffer


def pack(buffers: Sequence[Buffer], batch: int, *, alignment: int = 1) -> tuple[np.ndarray, int]:
    """Offsets of the buffers for ``batch`` images, and the size of the memory, in bytes.

    alignment   what sizes, and so offsets, are a multiple of
    """
    sizes = np.array([each.bytes_at(batch) for each in buffers], np.float64)
    whole = (np.ceil(sizes / alignment) * alignment).astype(np.int64)
    begin = np.array([each.uses[0] for each in buffers], np.int64)
    end = np.array([each.uses[-1] for each in buffers], np.int64)
    offsets = np.zeros(len(buffers), np.int64)
    placed: list[int] = []
    for index in np.argsort(-whole, kind="stable"):
        others = np.array(placed, np.int64)
        meets = others[(begin[others] <= end[index]) & (end[others] >= begin[index])]
        offsets[index] = _lowest_gap(offsets[meets], whole[meets], whole[index])
        placed.append(index)
    return offsets, int((offsets + whole).max(initial=0))


def _lowest_gap(offsets: np.ndarray, sizes: np.ndarray, size: int) -> int:
    """The lowest offset at which ``size`` bytes lie apart from all taken ones."""
    at = 0
    for index in np.argsort(offsets, kind="stable"):
        if offsets[index] - at >= size:
            break
        at = max(at, offsets[index] + sizes[index])
    return at
