"""Float: values that pass through unquantized."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import Facts, finite


@dataclass(frozen=True)
class Float(Facts):
    """IEEE float32, not quantized: a layer that reads or holds it is computed in floating point."""

    example = ""
    bits = 32
    scheme = "float"
    roles = ("weights", "activations")
    scale_text = "none"
    rounding_text = "none"
    granularities = ("per_channel", "per_tensor")

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real``."""
        return real

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """``real`` as float32. Raises ValueError on NaN or infinity."""
        return finite(real).astype(np.float32)
