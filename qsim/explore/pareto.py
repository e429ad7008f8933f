"""Pareto fronts: the designs that no other beats in everything asked for."""

import numpy as np
from numpy.typing import ArrayLike


def non_dominated(*objectives: ArrayLike) -> np.ndarray:
    """Which points no other dominates, a mask of their shape. Less is better in every objective
    (give a negative where more is).

    A point dominates another where it is nowhere worse and somewhere better; of points that are
    equal in everything all are kept, or none.

    objectives   arrays of one shape, of numbers or infinities

    Raises ValueError without objectives, on arrays of different shapes, and on NaN: a figure that
    is not known compares with nothing.
    """
    arrays = [np.asarray(each, np.float64) for each in objectives]
    if len({each.shape for each in arrays}) != 1:
        shapes = ", ".join(str(each.shape) for each in arrays) or "none"
        raise ValueError(f"objectives must be arrays of one shape, not {shapes}")
    if any(np.isnan(each).any() for each in arrays):
        raise ValueError("an objective has figures that are not known; leave these designs out")
    points = np.stack([each.ravel() for each in arrays])
    order = np.lexsort(points[::-1])  # what dominates a point comes before it
    ordered = points[:, order]
    first = np.ones(order.size, bool)
    first[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    kept = np.zeros(order.size, bool)
    kept[first] = _front(ordered[:, first])
    number = np.cumsum(first) - 1  # of the different point that each one is
    mask = np.zeros(order.size, bool)
    mask[order] = kept[first][number]
    return mask.reshape(arrays[0].shape)


def _front(points: np.ndarray) -> np.ndarray:
    """The same of different points (objectives, n) in the order of their numbers."""
    kept = np.ones(points.shape[1], bool)
    if len(points) == 2:  # the best of the second so far decides
        kept[1:] = points[1, 1:] < np.minimum.accumulate(points[1])[:-1]
        return kept
    left = np.arange(points.shape[1])  # those that nothing before them dominates
    kept[:] = False
    while left.size:
        best, left = left[0], left[1:]
        kept[best] = True
        left = left[(points[:, left] < points[:, best, None]).any(axis=0)]
    return kept
