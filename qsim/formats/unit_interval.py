"""Activations clipped to [0, 1]: DoReFa-Net's and WRPN's, which are one quantizer."""

from abc import ABC
from dataclasses import dataclass

import numpy as np

from qsim.formats.base import TrainedFormat, UniformFormat, check_bits


class UnitInterval(UniformFormat, TrainedFormat, ABC):
    """Levels 0 .. n with n = 2**bits - 1, at scale 1/n: round(n * clip(x, 0, 1)) / n.

    The product with n is rounded to float32, a tie goes to the even level.
    """

    example = "bits=2"
    roles = ("activations",)
    granularities = ("per_tensor",)
    datapath = "and_popcount"
    scale_text = "1 / (2**bits - 1)"

    def code_table(self) -> np.ndarray:
        return np.arange(2**self.bits, dtype=np.int64)

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """1/n, float32 of shape ()."""
        return np.asarray(1 / self.max_level, np.float32)

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The levels, int32."""
        return self.nearest(np.float32(self.max_level) * self.before_rounding(real))

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` clipped to [0, 1], float32."""
        return np.clip(real, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class DorefaActivations(UnitInterval):
    """``bits``-bit levels (1 to 16) of [0, 1]; what lies outside is clipped."""

    bits: int

    source = "DoReFa-Net (arXiv 1606.06160v3), Eq. 5, 11"

    def __post_init__(self):
        check_bits(self.bits, 1, 16, "a DoReFa activation")


@dataclass(frozen=True)
class WrpnActivations(UnitInterval):
    """``bits``-bit levels (1 to 16) of [0, 1]; what lies outside is clipped."""

    bits: int

    source = "WRPN (arXiv 1709.01134), section 5, Eq. 2"

    def __post_init__(self):
        check_bits(self.bits, 1, 16, "a WRPN activation")
