"""LSQ: a learned step, for weights and activations."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from qsim.formats.base import (
    Adjustment,
    CalibratedBy,
    Found,
    TrainedFormat,
    UniformFormat,
    as_float32,
    check_bits,
    mean_magnitude,
    positive,
)


@dataclass(frozen=True)
class Lsq(UniformFormat, TrainedFormat):
    """Levels -2**(bits-1) .. 2**(bits-1) - 1, or 0 .. 2**bits - 1 where not ``signed``.

    ``step`` is learned; without it it is the value that its training starts from, 2 * mean of |v| /
    sqrt(largest level). 2 to 16 bits signed, 1 to 16 unsigned.
    """

    bits: int
    signed: bool = True
    step: float | None = None

    roles = ("weights", "activations")
    granularities = ("per_tensor",)
    scale_text = "step: learned, at first 2 * mean of |v| / sqrt(largest level)"
    source = "LSQ (Esser et al., ICLR 2020), Eq. 1-5"

    def __post_init__(self):
        check_bits(self.bits, 2 if self.signed else 1, 16, "LSQ")
        if self.step is not None and not 1e-30 < self.step < 1e30:
            raise ValueError(f"step lies between 1e-30 and 1e30, which {self.step:g} does not")

    def code_table(self) -> np.ndarray:
        codes = np.arange(2**self.bits, dtype=np.int64)
        half = 2 ** (self.bits - 1)
        return np.where(codes < half, codes, codes - 2 * half) if self.signed else codes

    def scale_words(self) -> str:
        return self.scale_text if self.step is None else f"{self.step:g}"

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` clipped to the values of the levels, float32, if the step is given."""
        if self.step is None:
            return real
        return np.clip(real, self.min_level * self.step, self.max_level * self.step).astype(
            np.float32
        )

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The step, float32 of shape (). Raises ValueError where it is not given and all are 0."""
        if self.step is not None:
            return np.asarray(self.step, np.float32)
        return self._first_step(mean_magnitude(real, None))

    @property
    def calibrated_by(self) -> CalibratedBy:
        """What activations of it ask calibration for: nothing where the step is given."""
        return "mean_magnitude" if self.step is None else "nothing"

    def bind(
        self, found: Found, adjust: Adjustment = lambda scale: scale
    ) -> tuple["Lsq", np.ndarray]:
        """This format and the step, or that which its training starts from, as ``Format.bind``."""
        if self.step is not None:
            return super().bind(found)
        mean = as_float32(found.mean_magnitude)
        if not mean:
            raise ValueError("all values are 0 (or too small), so their mean magnitude is no scale")
        return self, positive(self._first_step(mean))

    def _first_step(self, mean: np.ndarray) -> np.ndarray:
        return as_float32(2 * mean.astype(np.float64) / sqrt(self.max_level))


def step_gradient(v: np.ndarray, step: float, number: Lsq) -> np.ndarray:
    """d v_hat / d step for each ``v``, float64 (Eq. 3): the lowest level below the range, the
    highest above it, and round(v / step) - v / step inside."""
    x = np.asarray(v, np.float64) / step
    inside = np.rint(x) - x
    low, high = number.min_level, number.max_level
    return np.where(x <= low, low, np.where(x >= high, high, inside)).astype(np.float64)


def gradient_scale(values: int, number: Lsq) -> float:
    """What the gradient of the step of a tensor of ``values`` values is multiplied by (section
    2.2): 1 / sqrt(values * largest level)."""
    return 1 / sqrt(values * number.max_level)
