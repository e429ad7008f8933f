"""Float: values that pass through unquantized."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import finite


@dataclass(frozen=True)
class Float:
    """IEEE float32, not quantized: a layer that reads or holds it is computed in floating point."""

    bits = 32

    def rows_by_datapath(self, rows: int) -> dict[str, int]:
        """All rows are multiplied."""
        return {"multiply": rows, "shift_add": 0}

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """``real`` as float32. Raises ValueError on NaN or infinity."""
        return finite(real).astype(np.float32)
