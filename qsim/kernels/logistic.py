"""The logistic function in float32 by a ratio of polynomials, as ONNX Runtime computes it."""

import numpy as np

from qsim.kernels.fused import multiply_add

LARGEST = np.float32(18)  # beyond it the function is that of it
NUMERATOR = np.float32(
    [4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03,
     2.48287947061529e-01]
)  # fmt: skip
DENOMINATOR = np.float32(
    [6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
     1.16817656904453e-01, 9.93151921023180e-01]
)  # fmt: skip


def logistic(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` nearly, float32 of the shape of ``x``, not below 0.

    With x within -18 .. 18 it is ``x * p(x * x) / q(x * x) + 1/2``, p and q being the polynomials
    of NUMERATOR and DENOMINATOR, highest power first, by fused multiply-adds; every other step
    rounds to float32. The coefficients are those of MLAS (logistic.cpp) and of Eigen; it is what
    MLAS computes on processors with a fused multiply-add.

    Raises TypeError on anything but float32.
    """
    if x.dtype != np.float32:
        raise TypeError(f"the logistic function is of float32, not {x.dtype}")
    x = np.clip(x, -LARGEST, LARGEST)
    square = x * x
    ratio = _polynomial(NUMERATOR, square) * x / _polynomial(DENOMINATOR, square)
    return np.maximum(ratio + np.float32(0.5), np.float32(0))


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = np.broadcast_to(coefficients[0], x.shape)
    for coefficient in coefficients[1:]:
        total = multiply_add(total, x, coefficient)
    return total
