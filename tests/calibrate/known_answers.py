"""Thresholds that others found for data that anyone can draw again.

Drawn by numpy's default_rng(0), in this order, each 100,000 values cast to float32. ``keep`` and
``drop`` are an independent implementation of the algorithm of S. Migacz, "8-bit inference with
TensorRT" (GTC 2017), with its bin of zeros and without. ``unsigned`` is what nvidia-modelopt 0.47.0
returns for unsigned data of 8 bits. ``percentile`` is the quantile of the magnitudes at
99.99 %, ``mse`` the best of 400 thresholds for 127 levels on either side.
"""

import numpy as np

COUNT = 100_000

THRESHOLDS = {
    #                  max    keep    drop  percentile  mse
    "normal":         (4.732,  4.146,  4.146,  3.902,  3.887),
    "laplace":        (13.498, 10.331, 10.331, 9.620, 10.252),
    "relu_normal":    (4.324,  1.893,  4.325,  3.616,  3.830),
    "uniform":        (1.000,  1.000,  1.000,  1.000,  0.995),
    "normal_outlier": (40.000, 4.404,  4.404,  4.119, 26.381),
    "half_normal":    (4.529,  3.986,  3.986,  3.926,  3.903),
    "exponential":    (11.665, 9.065,  9.065,  8.844,  9.610),
}  # fmt: skip


def draw():
    rng = np.random.default_rng(0)
    return {
        "normal": rng.standard_normal(COUNT).astype(np.float32),
        "laplace": rng.laplace(size=COUNT).astype(np.float32),
        "relu_normal": np.maximum(rng.standard_normal(COUNT), 0).astype(np.float32),
        "uniform": rng.uniform(-1, 1, COUNT).astype(np.float32),
        "normal_outlier": np.append(rng.standard_normal(COUNT - 1), 40.0).astype(np.float32),
        "half_normal": np.abs(rng.standard_normal(COUNT)).astype(np.float32),
        "exponential": rng.exponential(size=COUNT).astype(np.float32),
    }


DATA = draw()

UNSIGNED = {"relu_normal": 3.921, "half_normal": 3.985, "exponential": 9.854}
