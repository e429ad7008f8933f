"""Integer levels of up to 16 bits, and 32768, stored exactly as signed bytes.

A product of bytes by signed bytes multiplies them as they are. A level that is no signed byte is

  split     the sum of two: the products of both go to the same sums
  in passes 256 * high + low, low from -128 to 127: the sums of each pass are apart, of 32 bits, and
            are joined in 64 bits as 256 * high_sum + low_sum; high may have to be split again

The fewest arrays are chosen, of two with as many the one with fewer passes. For the levels of the
formats that are multiplied by shifts and additions that is

  levels                  largest   arrays of each pass
  sp2(bits=3)             2         1
  sp2(bits=4)             8         1
  sp2(bits=5)             8         1
  sp2(bits=6)             128       2
  sp2(bits=7)             128       2
  sp2(bits=8)             32768     1 + 2
  power_of_two(bits=2)    1         1
  power_of_two(bits=3)    4         1
  power_of_two(bits=4)    64        1
  power_of_two(bits=5)    16384     1 + 1
"""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.accumulator import magnitude

BYTE_LOW, BYTE_HIGH = -128, 127
MOST = 2**15  # the largest magnitude of a level
INT32_MAX = 2**31 - 1
BASE = 256  # of the passes


@dataclass(frozen=True)
class ByteLevels:
    """Levels as the sum over passes of 256**pass times the sum of the arrays of that pass.

    passes   int8 arrays, all of the shape of the levels, those of the lowest pass first

    Made by ``byte_levels``, which is where levels are refused.
    """

    passes: tuple[tuple[np.ndarray, ...], ...]

    @property
    def arrays(self) -> tuple[int, ...]:
        """How many arrays each pass has."""
        return tuple(len(parts) for parts in self.passes)

    def pass_levels(self, index: int) -> np.ndarray:
        """What the arrays of a pass add up to, int16."""
        return np.sum(self.passes[index], axis=0, dtype=np.int16)

    def levels(self) -> np.ndarray:
        """The levels that are stored, int32."""
        held = [self.pass_levels(at).astype(np.int32) for at in range(len(self.passes))]
        return sum(BASE**at * levels for at, levels in enumerate(held))

    def widest_sum(self, at: int, max_x: int = 255) -> int:
        """The largest magnitude that a sum of pass ``at`` can have, of a row of levels (rows, ...)
        by activations from 0 to ``max_x``."""
        levels = self.pass_levels(at).astype(np.int64)
        rows = levels.reshape(len(levels), int(np.prod(levels.shape[1:])))
        ends = np.maximum(rows, 0).sum(axis=1), -np.minimum(rows, 0).sum(axis=1)
        return max_x * max((int(end.max(initial=0)) for end in ends), default=0)


def byte_levels(levels: np.ndarray, max_x: int = 255) -> ByteLevels:
    """The storage of integer ``levels`` (rows, ...) in the fewest arrays of signed bytes.

    Raises TypeError on anything but integers; OverflowError on a level beyond 16 bits other than
    32768, and where a sum of a pass, of activations from 0 to ``max_x``, might not fit 32 bits.
    """
    _check_magnitude(levels)
    low, high = levels.min(initial=0), levels.max(initial=0)
    if low >= BYTE_LOW and high <= BYTE_HIGH:
        stored = ByteLevels(((np.ascontiguousarray(levels, np.int8),),))
    elif low >= 2 * BYTE_LOW and high <= 2 * BYTE_HIGH:
        stored = ByteLevels((_split(levels),))
    else:
        levels = levels.astype(np.int32)
        low = (levels - BYTE_LOW) % BASE + BYTE_LOW
        high = (levels - low) // BASE
        stored = ByteLevels(((low.astype(np.int8),), _split(high)))
    if not fits_bytes(levels):
        _check_sums(stored, max_x)
    return stored


def fits_bytes(levels: np.ndarray) -> bool:
    """Whether ``byte_levels`` is sure to take integer ``levels`` (rows, ...), by their largest
    magnitude and their number in a row alone."""
    depth = int(np.prod(levels.shape[1:]))
    return magnitude(levels) <= MOST and depth * 255 * -2 * BYTE_LOW <= INT32_MAX


def join_passes(sums: list[np.ndarray]) -> np.ndarray:
    """The sums of products, int64, from the sums of each pass, those of the lowest first."""
    total = sums[-1].astype(np.int64, copy=False)
    for part in sums[-2::-1]:
        total = BASE * total + part
    return total


def _split(levels: np.ndarray) -> tuple[np.ndarray, ...]:
    """One int8 array, or two that add up to ``levels``, from -256 to 254."""
    levels = levels.astype(np.int32)
    first = np.clip(levels, BYTE_LOW, BYTE_HIGH)
    rest = levels - first
    return (first.astype(np.int8), rest.astype(np.int8))[: 1 + rest.any()]


def _check_magnitude(levels: np.ndarray) -> None:
    if magnitude(levels) > MOST:
        raise OverflowError(
            f"a level of {magnitude(levels)} in magnitude does not fit signed bytes in two passes,"
            f" which hold up to {MOST}"
        )


def _check_sums(stored: ByteLevels, max_x: int) -> None:
    for at in range(len(stored.passes)):
        widest = stored.widest_sum(at, max_x)
        if widest > INT32_MAX:
            raise OverflowError(
                f"a sum of levels by activations of up to {max_x} can be {widest} in pass {at},"
                f" and is kept in 32 bits, which hold up to {INT32_MAX}"
            )
