"""Rounding to integers by chance, without bias."""

import numpy as np


def stochastic(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each ``x``, finite float64, rounded up with the probability of its fraction, else down.

    The mean over many draws is ``x`` (the probability is a multiple of 2**-53). Returns float64
    integers. Source: Krishnamoorthi (arXiv 1806.08342), section 2.3, with the noise of one step
    inside the rounding: floor(x + u), u uniform in [0, 1).
    """
    floor = np.floor(x)
    return floor + (rng.random(np.shape(x)) < x - floor)
