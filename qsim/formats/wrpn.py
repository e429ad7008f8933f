"""WRPN's weights: symmetric levels of [-1, 1]."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import INVALID, TrainedFormat, UniformFormat, check_bits, mean_magnitude


@dataclass(frozen=True)
class WrpnWeights(UniformFormat, TrainedFormat):
    """Weights of ``bits`` bits, 1 to 16.

    1 bit     the sign (of 0: +1) times the mean magnitude of the layer, or of the filter: the
              paper does not say which
    k bits    round(n * clip(w, -1, 1)) / n with n = 2**(k-1) - 1: two's complement without its
              last code, so that 2 bits are ternary; the product in float32, a tie to the even level
    """

    bits: int

    datapath = "and_popcount"
    scale_text = "1 bit: mean of |w|; else 1 / (2**(bits-1) - 1)"
    granularities = ("per_tensor", "per_channel")
    source = "WRPN (arXiv 1709.01134), section 5, Eq. 2"

    def __post_init__(self):
        check_bits(self.bits, 1, 16, "a WRPN weight")

    def code_table(self) -> np.ndarray:
        if self.bits == 1:
            return np.array([-1, 1], np.int64)
        half = 2 ** (self.bits - 1)
        codes = np.arange(2 * half, dtype=np.int64)
        return np.where(codes == half, INVALID, np.where(codes < half, codes, codes - 2 * half))

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The nearest level, int32, a tie to the even one; of 1 bit the sign, of 0: +1."""
        if self.bits == 1:
            return np.where(np.asarray(x) >= 0, 1, -1).astype(np.int32)
        return super().nearest(x)

    def scale_words(self) -> str:
        return "mean of |w|" if self.bits == 1 else f"1 / {self.max_level}"

    def rounding_words(self) -> str:
        return "sign, of 0: +1" if self.bits == 1 else self.rounding_text

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The scale, float32. Raises ValueError where 1-bit weights are all 0."""
        if self.bits == 1:
            return mean_magnitude(real, axis)
        return np.asarray(1 / self.max_level, np.float32)

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The levels, int32."""
        if self.bits == 1:
            return self.nearest(real)
        return self.nearest(np.float32(self.max_level) * np.clip(real, -1, 1).astype(np.float32))
