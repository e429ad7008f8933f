"""What every datapath must satisfy: the naive sum, and the product of levels."""

import naive
import numpy as np

from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights


def registers(accumulator):
    """An accumulator as the naive programs take it."""
    narrow = accumulator.partial
    partial = None if narrow is None else (narrow.products, narrow.bits, narrow.mode)
    return {"bits": accumulator.bits, "mode": accumulator.mode, "partial": partial}


def assert_conv_is_exact(weights, x, w, arguments):
    """``conv2d`` with the datapath ``weights``, which holds the levels ``w``."""
    got = conv2d(x, weights, **arguments)
    np.testing.assert_array_equal(got, conv2d(x, LevelWeights(w), **arguments))
    geometry = {name: value for name, value in arguments.items() if name != "accumulator"}
    none = np.zeros(len(w), int)
    expected = naive.conv2d(x, w, none, **geometry, **registers(arguments["accumulator"]))
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


def assert_linear_is_exact(weights, x, w, arguments):
    """``linear`` with the datapath ``weights``, which holds the levels ``w``."""
    got = linear(x, weights, **arguments)
    np.testing.assert_array_equal(got, linear(x, LevelWeights(w), **arguments))
    none = np.zeros(len(w), int)
    expected = naive.linear(x, w, none, **registers(arguments["accumulator"]))
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))
