"""DoReFa-Net's Algorithm 1 for one layer: quantized weights, activations and gradients, multiplied
by counting bits, stand for the products of what they stand for."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.formats import DorefaActivations, DorefaGradients, DorefaWeights
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.gradients import (
    input_gradient,
    linear_input_gradient,
    linear_weight_gradient,
    weight_gradient,
)


def odd(bits):
    """The code of the odd levels of DoReFa's weights and gradients."""
    return AffineCode(bits, 2, 1 - 2**bits)


@settings(max_examples=40)
@given(*[st.integers(1, 4)] * 3, st.integers(0, 2**16))
def test_a_linear_layer_backward_is_the_real_products_in_units_of_the_scales(w, a, g, seed):
    rng = np.random.default_rng(seed)
    weights = DorefaWeights(w).quantize(rng.normal(size=(5, 7)))
    x = DorefaActivations(a).quantize(rng.random((3, 7)))
    gradient = DorefaGradients(g, seed).quantize(rng.normal(size=(3, 5)))
    by_bits = partial(BitSerialWeights, code=odd(w), x_code=odd(g))
    to_input = linear_input_gradient(gradient.levels, weights.levels, datapath=by_bits)
    np.testing.assert_array_equal(to_input, gradient.levels @ weights.levels)
    by_bits = partial(BitSerialWeights, code=odd(g), x_code=AffineCode(a))
    to_weights = linear_weight_gradient(x.levels, gradient.levels, datapath=by_bits)
    np.testing.assert_array_equal(
        to_weights, gradient.levels[:, :, None].astype(int) * x.levels[:, None, :]
    )
    scaled = to_input * (gradient.scale.astype(float) * weights.scale.astype(float))
    np.testing.assert_allclose(scaled, gradient.real @ weights.real, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_backward_is_the_derivative_of_the_forward_products(stride):
    rng = np.random.default_rng(0)
    weights = DorefaWeights(1).quantize(rng.normal(size=(4, 2, 3, 3))).levels
    x = DorefaActivations(2).quantize(rng.random((2, 2, 7, 7))).levels.astype(np.int64)
    side = (7 + 2 - 3) // stride + 1
    gradient = DorefaGradients(4).quantize(rng.normal(size=(2, 4, side, side))).levels
    geometry = {"stride": (stride, stride), "padding": (1, 1, 1, 1)}
    by_bits = partial(BitSerialWeights, code=odd(1), x_code=odd(4))
    to_input = input_gradient(gradient, weights, x.shape, datapath=by_bits, **geometry)
    by_bits = partial(BitSerialWeights, code=odd(4), x_code=AffineCode(2))
    to_weights = weight_gradient(x, gradient, (3, 3), datapath=by_bits, **geometry)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    wanted_x, wanted_w = np.zeros_like(padded), np.zeros((2, *weights.shape), np.int64)
    for n, o, i, j in np.ndindex(gradient.shape):
        window = (
            n,
            slice(None),
            slice(i * stride, i * stride + 3),
            slice(j * stride, j * stride + 3),
        )
        wanted_x[window] += weights[o].astype(np.int64) * int(gradient[n, o, i, j])
        wanted_w[n, o] += padded[window] * int(gradient[n, o, i, j])
    np.testing.assert_array_equal(to_input, wanted_x[:, :, 1:-1, 1:-1])
    np.testing.assert_array_equal(to_weights, wanted_w)
