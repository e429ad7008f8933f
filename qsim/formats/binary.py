"""Binary: -1 and +1, for weights and for activations."""

from abc import ABC
from dataclasses import dataclass

import numpy as np

from qsim.formats.base import TrainedFormat, mean_magnitude


class BinaryFormat(TrainedFormat, ABC):
    """Levels -1 and +1 in one bit, 1 being +1. The level of 0 (and of -0.0) is +1."""

    example = ""
    bits = 1
    datapath = "xnor_popcount"
    rounding_text = "sign, of 0: +1"

    def code_table(self) -> np.ndarray:
        return np.array([-1, 1], np.int64)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """+1 where ``x`` is not negative, else -1, int32."""
        return np.where(np.asarray(x) >= 0, 1, -1).astype(np.int32)


@dataclass(frozen=True)
class BinaryConnect(BinaryFormat):
    """The sign of a weight, at scale 1; by chance where ``stochastic``.

    Then +1 has the probability clip((w + 1) / 2, 0, 1), drawn from ``seed``.
    """

    stochastic: bool = False
    seed: int = 0

    granularities = ("per_tensor",)
    scale_text = "1"
    source = "BinaryConnect (arXiv 1511.00363), Eq. 1-3"

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"a seed is not negative, as {self.seed} is")

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """1, float32 of shape ()."""
        return np.ones((), np.float32)

    def rounding_words(self) -> str:
        if self.stochastic:
            return f"+1 with probability clip((w + 1) / 2, 0, 1) (seed {self.seed})"
        return self.rounding_text

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The signs, int32, or drawn ones."""
        if not self.stochastic:
            return self.nearest(real)
        chance = np.clip((real.astype(np.float64) + 1) / 2, 0, 1)
        drawn = np.random.default_rng(self.seed).random(real.shape)
        return np.where(drawn < chance, 1, -1).astype(np.int32)


@dataclass(frozen=True)
class BinaryWeights(BinaryFormat):
    """The sign of a weight times the mean magnitude of its filter, or of its layer."""

    granularities = ("per_channel", "per_tensor")
    scale_text = "mean of |w| per filter (or layer)"
    source = "BWN and XNOR-Net (arXiv 1603.05279), Eq. 1-6"

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The mean of |real|, float32. Raises ValueError where it is 0."""
        return mean_magnitude(real, axis)


@dataclass(frozen=True)
class BinaryActivations(BinaryFormat):
    """The sign of an activation, at scale 1.

    With ``scale_map`` the sums of a convolution are multiplied by XNOR-Net's map K: the mean of
    the unrounded |x| over the channels, averaged over the window of each output. Zero padding
    adds nothing to a sum.
    """

    scale_map: bool = False

    roles = ("activations",)
    granularities = ("per_tensor",)
    scale_text = "1; scale_map: K for each position"
    source = "XNOR-Net (arXiv 1603.05279), Eq. 7-11; without K also BNN"

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """1, float32 of shape ()."""
        return np.ones((), np.float32)

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """The signs as float32; with a map, ``real``, which sign times K stands for."""
        return real if self.scale_map else self.nearest(real).astype(np.float32)
