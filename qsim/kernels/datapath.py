"""What every datapath of weights that are held as levels has."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.accumulator import magnitude


@dataclass(frozen=True)
class HeldLevels:
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
