"""Functions of one value in float32 as ONNX Runtime computes them, most by ratios of polynomials.

A polynomial is evaluated by fused multiply-adds, highest power first; every other step rounds to
float32. The coefficients are those of MLAS (logistic.cpp, tanh.cpp) and of Eigen; it is what MLAS
computes on processors with a fused multiply-add.
"""

import numpy as np

from qsim.kernels.fused import multiply_add

LARGEST_LOGISTIC, LARGEST_TANGENT = np.float32(18), np.float32(9)  # beyond, as there
LOGISTIC = np.float32(
    [4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03,
     2.48287947061529e-01]
), np.float32(
    [6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
     1.16817656904453e-01, 9.93151921023180e-01]
)  # fmt: skip
TANGENT = np.float32(
    [-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
     1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03]
), np.float32(
    [1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03]
)  # fmt: skip


def logistic(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` nearly, float32 of the shape of ``x``, not below 0: with x within
    -18 .. 18 and the polynomials p and q of LOGISTIC, ``p(x * x) * x / q(x * x) + 1/2``.

    Raises TypeError on anything but float32.
    """
    return np.maximum(_ratio(x, LARGEST_LOGISTIC, LOGISTIC) + np.float32(0.5), np.float32(0))


def tangent(x: np.ndarray) -> np.ndarray:
    """``tanh(x)`` nearly, float32 of the shape of ``x``: with x within -9 .. 9 and the polynomials
    p and q of TANGENT, ``p(x * x) * x / q(x * x)``.

    Raises TypeError on anything but float32.
    """
    return _ratio(x, LARGEST_TANGENT, TANGENT)


def hard_swish(x: np.ndarray) -> np.ndarray:
    """``x`` times ``x / 6 + 1/2`` within 0 .. 1, float32: x is multiplied by the float32 nearest to
    1/6, the half added, and x multiplied, one after another.

    Raises TypeError on anything but float32.
    """
    share = _float32(x) * np.float32(1 / 6) + np.float32(0.5)
    return x * np.clip(share, np.float32(0), np.float32(1))


def _ratio(x: np.ndarray, largest: np.float32, polynomials) -> np.ndarray:
    x = np.clip(_float32(x), -largest, largest)
    square = x * x
    numerator, denominator = (_polynomial(each, square) for each in polynomials)
    return numerator * x / denominator


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = np.broadcast_to(coefficients[0], x.shape)
    for coefficient in coefficients[1:]:
        total = multiply_add(total, x, coefficient)
    return total


def _float32(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.float32:
        raise TypeError(f"the function is of float32, not {x.dtype}")
    return x
