"""Thresholds that are evenly spaced, recognised as one multiplication, addition and clip.

A sum reaches level k by ``floor(multiplier * sum + offset)`` if it is ``ceil(step * k + start)`` or
more, where step is ``1 / multiplier``. So thresholds are uniform if some step and start round up to
all of them: two unknowns, an open lower and a closed upper bound from each threshold, solved
exactly in fractions. It is the question whether integer points are a digital straight line.
"""

from dataclasses import dataclass
from fractions import Fraction

from qsim.thresholds import Thresholds

Bounds = list[tuple[int, int]]  # (which threshold, its bound)


@dataclass(frozen=True)
class Affine:
    """The level ``floor(multiplier * sum + offset)``, clipped to the levels there are.

    Both are exact. Over their common denominator den they are integers num and off, and the level
    is ``(num * sum + off) // den``. The multiplier is negative in a falling channel, 0 in one of a
    single level.
    """

    multiplier: Fraction
    offset: Fraction


def uniform_thresholds(thresholds: Thresholds) -> tuple[Affine, ...] | None:
    """The affine function of each channel that gives every sum the level the thresholds give it.

    None if a channel has none. It is the same for all sums of ``lowest .. highest``; thresholds
    that all or none of these reach follow from the clip. Of the multipliers that would do, each is
    the simplest fraction.
    """
    channels = []
    for c, values in enumerate(thresholds.values.tolist()):
        least, most = int(thresholds.lowest[c]), int(thresholds.highest[c])
        if thresholds.falling[c]:  # a rising channel of the negated sums
            values, least, most = [-v for v in reversed(values)], -most, -least
        line = _rounded_line(values, least, most)
        if line is None:
            return None
        multiplier, offset = line
        sign = -1 if thresholds.falling[c] else 1
        channels.append(Affine(sign * multiplier, thresholds.low + offset))
    return tuple(channels)


def _rounded_line(values: list[int], least: int, most: int) -> tuple[Fraction, Fraction] | None:
    """Multiplier and offset that reach the k-th of ``values`` (from 1) just when a sum does.

    A value v asks of the line ``v - 1 < step * k + start <= v``, unless every sum or none of
    ``least .. most`` reaches it: then one of the two bounds is all it asks.
    """
    above = [(k, v - 1) for k, v in enumerate(values, 1) if v > least]
    upto = [(k, v) for k, v in enumerate(values, 1) if v <= most]
    if not above or not upto or above[0][0] > upto[-1][0]:
        return Fraction(0), Fraction(len(upto))  # no level changes within the range
    step = _feasible_step(above, upto)
    if step is None:
        return None
    start = min(bound - step * k for k, bound in upto)
    return 1 / step, -start / step


def _feasible_step(above: Bounds, upto: Bounds) -> Fraction | None:
    """The simplest positive step for which some start meets all bounds, or None.

    A step fails by a pair of bounds that leave no start between them. Steps on that side of a
    limit fail by the same pair, so the pair narrows the search, and no pair does so twice.
    """
    shortest, longest = Fraction(0), None
    while longest is None or shortest < longest:
        step = _simplest_between(shortest, longest)
        start, i = max((bound - step * k, k) for k, bound in above)
        end, j = min((bound - step * k, k) for k, bound in upto)
        if start < end:
            return step
        limit = step + (start - end) / (i - j)  # the pair leaves no start at the limit either
        if i > j:
            shortest = limit
        else:
            longest = limit
    return None


def _simplest_between(low: Fraction, high: Fraction | None) -> Fraction:
    """The fraction of least denominator strictly between, without bound above if None.

    Source: Stern-Brocot tree, by continued fractions.
    """
    floor = low.numerator // low.denominator
    if high is None or floor + 1 < high:
        return Fraction(floor + 1)
    largest = None if low == floor else 1 / (low - floor)
    return floor + 1 / _simplest_between(1 / (high - floor), largest)
