"""PACT: activations clipped at a learned value."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import (
    Adjustment,
    CalibratedBy,
    Found,
    Quantized,
    ScaleRule,
    UniformFormat,
    check_bits,
    positive,
)


@dataclass(frozen=True)
class Pact(UniformFormat):
    """Levels 0 .. 2**bits - 1 (1 to 16 bits) of [0, ``alpha``], a learned value.

    Without ``alpha`` calibration finds it.
    """

    bits: int
    alpha: float | None = None

    roles = ("activations",)
    granularities = ("per_tensor",)
    datapath = "and_popcount"
    scale_text = "alpha / (2**bits - 1)"
    source = "PACT (arXiv 1805.06085), Eq. 1-3"

    def __post_init__(self):
        check_bits(self.bits, 1, 16, "PACT")
        if self.alpha is not None and not 1e-30 < self.alpha < 1e30:
            raise ValueError(f"alpha lies between 1e-30 and 1e30, which {self.alpha:g} does not")

    def code_table(self) -> np.ndarray:
        return np.arange(2**self.bits, dtype=np.int64)

    def quantize(
        self,
        real: np.ndarray,
        *,
        scale: "np.ndarray | ScaleRule | None" = None,
        axis: int | None = None,
    ) -> Quantized:
        """As of every format; with ``alpha`` at its own scale, so that none can be given."""
        if self.alpha is None:
            return super().quantize(real, scale=scale, axis=axis)
        if scale is not None and not callable(scale):
            raise ValueError("PACT with alpha has a scale of its own; none can be given")
        return super().quantize(real, scale=self._own_scale())

    @property
    def calibrated_by(self) -> CalibratedBy:
        """What it asks calibration for: nothing where alpha is given."""
        return "threshold" if self.alpha is None else "nothing"

    def bind(
        self, found: Found, adjust: Adjustment = lambda scale: scale
    ) -> tuple["Pact", np.ndarray]:
        """This format and its scale, as ``Format.bind``."""
        if self.alpha is None:
            return super().bind(found, adjust)
        return self, self._own_scale()

    def _own_scale(self) -> np.ndarray:
        return positive(np.float64(self.alpha) / self.max_level)

    def scale_words(self) -> str:
        if self.alpha is None:
            return f"alpha / {self.max_level}, alpha by the range rule"
        return f"alpha / {self.max_level} = {self.alpha / self.max_level:g}"

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` clipped to [0, alpha], float32."""
        return np.clip(real, 0, self.alpha).astype(np.float32)


def alpha_gradient(x: np.ndarray, alpha: float) -> np.ndarray:
    """d y_q / d alpha for each ``x``, float64 (Eq. 3): 1 where it is clipped, else 0."""
    return (np.asarray(x, np.float64) >= alpha).astype(np.float64)
