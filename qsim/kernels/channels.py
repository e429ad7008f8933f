"""Arrays of sums (images, channels, ...) with one value per channel, and the levels they become."""

import numpy as np

from qsim.kernels.accumulator import as_integers


def by_channel(sums: np.ndarray) -> np.ndarray:
    """``sums`` as C-contiguous int64 (images, channels, the rest in one).

    Raises TypeError on anything but integers, OverflowError on a sum that does not fit.
    """
    inner = int(np.prod(sums.shape[2:]))
    return as_integers(sums, np.int64).reshape(*sums.shape[:2], inner)


def check_per_channel(sums: np.ndarray, shape: tuple[int, ...], per_channel: np.ndarray) -> None:
    """Raises ValueError unless ``sums`` has ``shape``, and ``per_channel`` a value per channel."""
    if sums.ndim < 2 or sums.shape != shape or per_channel.shape != shape[1:2]:
        raise ValueError(f"{sums.shape} with {per_channel.shape} does not fit {shape}")


def check_limits(low: int, high: int) -> None:
    """Raises ValueError unless ``low .. high`` is a range of levels within 24 bits."""
    if not -(2**24) <= low <= high <= 2**24:
        raise ValueError(f"levels from {low} to {high} are no range within 24 bits")
