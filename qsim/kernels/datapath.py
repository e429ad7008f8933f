"""What every datapath has, and what those have that hold their weights as levels."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.simd.windows import Windows


class Datapath:
    """Weights (rows, ...) and a way to multiply by them.

    A datapath has ``shape``, ``max_magnitude``, ``columns`` and ``sum_products``; ``dot`` follows.
    """

    def dot(self, x: np.ndarray, accumulator: Accumulator) -> np.ndarray:
        """Products of every row of weights with every row of ``x``, within each group.

        x        (groups, columns, depth), integers within 32 bits signed
        returns  (groups, rows // groups, columns) int64; groups take the rows in turn

        The products are added in the order of the depth, as ``Accumulator`` says.

        Raises OverflowError where ``accumulator.check`` does, ValueError on another depth, and what
        ``sum_products`` raises.
        """
        partial = accumulator.partial
        if partial is None:
            return self.sum_products(x, accumulator)
        groups, columns, depth = x.shape
        if depth != int(np.prod(self.shape[1:])):
            raise ValueError(f"weights {self.shape} cannot multiply a depth of {depth}")
        accumulator.check(depth, magnitude(x), self.max_magnitude)
        total = np.zeros((groups, self.shape[0] // groups, columns), np.int64)
        for start in range(0, depth, partial.products):
            stop = min(start + partial.products, depth)
            held = self.columns(start, stop)
            sums = held.sum_products(x[:, :, start:stop], partial.register)
            total = accumulator.add_bias(total, sums)
        return total

    def convolve(
        self, x: np.ndarray, windows: Windows, groups: int, accumulator: Accumulator
    ) -> np.ndarray | None:
        """The sums of a convolution without gathering patches, where there is a way.

        x        (images, channels, height, width), integers within 32 bits signed, not empty
        returns  int64 (images, rows, out height, out width) as ``accumulator`` holds them, or None
                 where patches are to be gathered for ``dot``

        Raises as ``dot`` does.
        """
        return None

    def columns(self, start: int, stop: int) -> Self:
        """The weights (rows, stop - start) at these places of the depth."""
        raise NotImplementedError

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``dot``, in a register without a partial one."""
        raise NotImplementedError


@dataclass(frozen=True)
class HeldLevels(Datapath):
    """Weights held as levels: an integer array (rows, ...), not to be changed afterwards."""

    levels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weights."""
        return self.levels.shape

    @cached_property
    def max_magnitude(self) -> int:
        """The largest absolute level. Raises TypeError on anything but integers."""
        return magnitude(self.levels)

    def columns(self, start: int, stop: int) -> Self:
        return replace(self, levels=columns_of(self.levels, start, stop))


def columns_of(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The part (rows, stop - start) of ``array`` (rows, ...), all its other axes being one."""
    return array.reshape(array.shape[0], int(np.prod(array.shape[1:])))[:, start:stop]
