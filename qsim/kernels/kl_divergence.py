"""How much a histogram loses when it is cut off and merged to fewer levels, for every cut."""

import math

import numpy as np
from numba import njit


def divergences(
    counts: np.ndarray, candidates: np.ndarray, levels: int, smooth: float = 0.0
) -> np.ndarray:
    """The Kullback-Leibler divergence KL(P||Q) of each candidate number of bins i, float64 in nats.

    P are the first i bins, the counts beyond added to the last of them. Q are the first i bins
    without those, merged to ``levels`` levels (bin j to level ``j * levels // i``), each level's
    count spread evenly over those of its bins that are not empty. Both are normalised.

    counts       int64 (bins,), not negative, in all less than 2**53
    candidates   int64 (n,), each ``levels`` to ``bins``
    smooth       the share of a uniform distribution that both P and Q are mixed with; without it
                 a candidate with p > 0 where q = 0 is infinite, as is one whose bins are all empty

    Raises ValueError on a candidate or a share out of range. Source: S. Migacz, "8-bit inference
    with TensorRT", GTC 2017.
    """
    counts = np.ascontiguousarray(counts, np.int64)
    candidates = np.ascontiguousarray(candidates, np.int64)
    if counts.ndim != 1 or counts.min(initial=0) < 0 or int(counts.sum()) >= 2**53:
        raise ValueError("counts are a row of numbers, none negative, and less than 2**53 in all")
    if levels < 1 or not ((candidates >= levels) & (candidates <= counts.size)).all():
        raise ValueError(f"candidates have {levels} (levels) to {counts.size} bins")
    if not 0 <= smooth < 1:
        raise ValueError(f"the share to smooth with is from 0 to less than 1, not {smooth}")
    result = np.full(candidates.size, np.inf)
    _divergences(counts, np.cumsum(counts), candidates, levels, smooth, result)
    return result


@njit(cache=True)
def _divergences(counts, cumulative, candidates, levels, smooth, result):
    """counts, cumulative (bins,) int64; candidates (n,) int64; result (n,) float64, infinite
    before: of each candidate the sum over its bins in rising order."""
    total = cumulative[-1]
    for c in range(candidates.size):
        bins = candidates[c]
        kept = cumulative[bins - 1]
        beyond = total - kept
        lost = counts[bins - 1] == 0 and beyond > 0
        if kept == 0 or (lost and smooth == 0):
            continue
        divergence, uniform, first = 0.0, 1.0 / bins, 0
        for level in range(levels):
            # the first bin of the next level: the least j with j * levels // bins > level
            after = -((-(level + 1) * bins) // levels)
            held, filled = 0, 0
            for j in range(first, after):
                held += counts[j]
                filled += counts[j] > 0
            for j in range(first, after):
                p_count = counts[j] + (beyond if j == bins - 1 else 0)
                p = (1 - smooth) * (p_count / total) + smooth * uniform
                q = smooth * uniform
                if counts[j] > 0:
                    q += (1 - smooth) * (held / filled / kept)
                if p > 0:
                    divergence += p * math.log(p / q)
            first = after
        result[c] = divergence
