"""LiteRT's three families of int8 kernels on single layers, whose biases put sums beside halves.

Which arithmetic reproduces a family, with the multiplier formed as ``qsim.kernels.multipliers`` has
it under the name:

             convolution          depthwise                          dense
reference    tflite-reference     tflite-reference                   float64, a half away from zero
builtin      tflite-builtin       tflite-builtin; the channels       tflite-builtin
                                  after the last whole eight
                                  tflite-reference
xnnpack      float32, half even   float32, half even                 float32, half even

The multiplier is formed in float64 (tflite), except that XNNPACK forms it in float32 (onnx), and
builtin dense layers with one weight scale form the product of the scales in float32.

A family is not consistent with itself: the reference kernel of dense layers rounds otherwise than
that of convolutions, and the builtin kernel of depthwise convolutions otherwise in its last
channels than in the others, which it takes eight at a time.
"""

import numpy as np
import pytest
from conformance import tflite_models as models
from conformance.generators import SEEDS, Random
from conformance.peers import LITERT, RECORD
from hypothesis import given, settings

from qsim.kernels.add_fixed import add_fixed
from qsim.kernels.fixed_multiplier import requantize_fixed
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.multipliers import onnx_multiplier, tflite_dense_multiplier, tflite_multiplier
from qsim.kernels.requantize import requantize_float
from qsim.kernels.requantize_double import requantize_double

EXAMPLES = settings(max_examples=300)
FAMILIES = pytest.mark.parametrize("family", models.FAMILIES)
LANES = 8  # channels that the builtin depthwise kernel takes at a time
LOW, HIGH = -128, 127


class Operands:
    """Scales, zero points and biases of a layer; ``w`` are its int8 weights, rows first.

    hard   the input is its zero point, so that the biases alone are the sums
    """

    def __init__(self, random, w, hard):
        rows, depth = len(w), int(np.prod(w.shape[1:]))
        spread = 128 * 64 * int(np.sqrt(depth))
        self.random, self.w, self.hard = random, w, hard
        self.x_scale = random.scales()
        self.w_scale = random.scales(random.one_of((1,), (rows,)))
        self.y_scale = (
            random.scales() if hard else random.output_scale(self.x_scale, self.w_scale, spread)
        )
        largest = float(self.x_scale) * float(self.w_scale.max()) / float(self.y_scale)
        if largest >= 1:  # a sum shifted to the left overflows in C
            self.y_scale = np.float32(
                self.y_scale * np.float32(2.0 ** np.ceil(np.log2(2 * largest)))
            )
        self.x_zero, self.y_zero = (random.integer(LOW, HIGH) for _ in range(2))
        self.bias = random.bias(self.multiplier(tflite_multiplier), 2**24 if hard else spread)

    def x(self, shape):
        """int8 codes of the input."""
        if self.hard:
            return np.full(shape, self.x_zero, np.int8)
        return self.random.codes(shape, np.int8)

    def x_levels(self, x):
        return x.astype(np.int64) - self.x_zero

    def multiplier(self, formed):
        """By row, as one of the functions of ``multipliers`` forms it."""
        scales = self.x_scale, self.w_scale, np.asarray(self.y_scale)
        return np.broadcast_to(formed(*scales), len(self.w))

    def run(self, layer, x, held, y_shape, family):
        """LiteRT's int8 result; ``held`` are the weights in its order of sides."""
        axis = held.ndim - 1 if layer.operator == "DEPTHWISE_CONV_2D" else 0
        product = (self.x_scale * self.w_scale).astype(np.float32)
        inputs = [
            models.Tensor(x.shape, self.x_scale, self.x_zero),
            models.Tensor(held.shape, self.w_scale, 0, held, axis),
            models.Tensor(self.bias.shape, product, 0, self.bias),
        ]
        output = models.Tensor(y_shape, self.y_scale, self.y_zero)
        return models.run(layer, inputs, output, family, x)

    def codes(self, requantize, sums, formed, rows=slice(None), **options):
        """Codes of some rows of sums by one of our requantizations."""
        limits = LOW - self.y_zero, HIGH - self.y_zero
        multiplier = np.ascontiguousarray(self.multiplier(formed)[rows])
        return requantize(sums[:, rows], multiplier, *limits, **options) + self.y_zero


def _float32(sums, multiplier, low, high):
    return requantize_float([(sums, multiplier)], low, high)


@FAMILIES
@EXAMPLES
@given(SEEDS)
def test_a_convolution_is_exact(family, seed):
    random = Random.seeded(seed)
    hard = random.one_of(True, False)
    window = _window(random, hard)
    channels, rows = random.integer(1, 9), 200 if hard else random.integer(1, 24)
    held = Operands(random, random.weights((rows, channels, *window["kernel"])), hard)
    x = held.x((random.integer(1, 2), channels, *window.pop("sides")))
    del window["kernel"]
    sums = conv2d(held.x_levels(x), LevelWeights(held.w), held.bias, **window)
    if family == "xnnpack":
        got = held.codes(_float32, sums, onnx_multiplier)
    else:
        got = held.codes(requantize_fixed, sums, tflite_multiplier, rounding=f"tflite-{family}")
    layer = models.convolution(**window)
    expected = _run_images(held, layer, x, held.w.transpose(0, 2, 3, 1), sums, family)
    RECORD.compare(LITERT, f"{family} convolution", got, expected)


@FAMILIES
@EXAMPLES
@given(SEEDS)
def test_a_depthwise_convolution_is_exact(family, seed):
    random = Random.seeded(seed)
    hard = random.one_of(True, False)
    window = _window(random, hard)
    channels, multiplier = random.integer(1, 70 if hard else 20), random.one_of(1, 1, 2, 3)
    rows = channels * multiplier
    held = Operands(random, random.weights((rows, 1, *window["kernel"])), hard)
    x = held.x((random.integer(1, 2), channels, *window.pop("sides")))
    del window["kernel"]
    sums = conv2d(held.x_levels(x), LevelWeights(held.w), held.bias, groups=channels, **window)
    if family == "xnnpack":
        got = held.codes(_float32, sums, onnx_multiplier)
    else:
        whole = rows - rows % LANES if family == "builtin" else 0
        parts = (slice(whole), "tflite-builtin"), (slice(whole, None), "tflite-reference")
        got = np.concatenate(
            [
                held.codes(requantize_fixed, sums, tflite_multiplier, part, rounding=rounding)
                for part, rounding in parts
            ],
            axis=1,
        )
    layer = models.depthwise(**window, multiplier=multiplier)
    expected = _run_images(held, layer, x, held.w.transpose(1, 2, 3, 0), sums, family)
    RECORD.compare(LITERT, f"{family} depthwise convolution", got, expected)


@FAMILIES
@EXAMPLES
@given(SEEDS)
def test_a_dense_layer_is_exact(family, seed):
    random = Random.seeded(seed)
    hard = random.one_of(True, False)
    depth, rows = random.integer(1, 40), 300 if hard else random.integer(1, 24)
    held = Operands(random, random.weights((rows, depth)), hard)
    x = held.x((random.integer(1, 4), depth))
    sums = linear(held.x_levels(x), LevelWeights(held.w), held.bias)
    per_row = len(held.w_scale) > 1
    if family == "xnnpack":
        got = held.codes(_float32, sums, onnx_multiplier)
    elif family == "reference":
        got = held.codes(requantize_double, sums, tflite_multiplier)
    else:
        formed = tflite_multiplier if per_row else tflite_dense_multiplier
        got = held.codes(requantize_fixed, sums, formed, rounding="tflite-builtin")
    expected = held.run(models.dense(per_row), x, held.w, sums.shape, family)
    RECORD.compare(LITERT, f"{family} dense", got, expected)


@FAMILIES
@settings(max_examples=40)
@given(SEEDS)
def test_an_addition_is_exact(family, seed):
    """All pairs of codes, or so many of them that the last do not fill a vector."""
    random = Random.seeded(seed)
    every = np.arange(LOW, HIGH + 1, dtype=np.int8)
    pairs = np.stack([grid.reshape(1, -1) for grid in np.meshgrid(every, every)])
    pairs = pairs[:, :, : random.one_of(2**16, 2**16 - 3, 61)]
    a, b = (np.ascontiguousarray(codes) for codes in pairs)
    scales = [random.scales()[()] for _ in range(3)]
    scales[2] = max(scales[2], max(scales[:2]) / np.float32(64))
    zeros = [random.integer(LOW, HIGH) for _ in range(3)]
    levels = [codes.astype(np.int64) - zero for codes, zero in zip((a, b), zeros, strict=False)]
    addition = family if family == "xnnpack" else f"tflite-{family}"
    limits = LOW - zeros[2], HIGH - zeros[2]
    got = add_fixed(*levels, tuple(scales), *limits, addition=addition) + zeros[2]
    *inputs, output = (
        models.Tensor(a.shape, np.asarray(scale), zero)
        for scale, zero in zip(scales, zeros, strict=True)
    )
    expected = models.run(models.addition(), inputs, output, family, a, b)
    RECORD.compare(LITERT, f"{family} addition", got, expected)


def _window(random, hard):
    """Sides of kernel and image, stride and dilation; LiteRT has no dilation with a stride."""
    if hard:
        return {"kernel": (1, 1), "sides": (1, 1), "stride": (1, 1), "dilation": (1, 1)}
    kernel = random.one_of((3, 3), (1, 1), (random.integer(1, 3), random.integer(1, 3)))
    stride = random.one_of(1, 1, 2)
    dilation = random.one_of(1, 2) if stride == 1 else 1
    sides = tuple(dilation * (side - 1) + 1 + random.integer(0, 5) for side in kernel)
    return {"kernel": kernel, "sides": sides, "stride": (stride,) * 2, "dilation": (dilation,) * 2}


def _run_images(held, layer, x, weights, sums, family):
    """The result with its channels on axis 1; LiteRT has them last."""
    images, rows, *sides = sums.shape
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    weights = np.ascontiguousarray(weights)
    return held.run(layer, turned, weights, (images, *sides, rows), family).transpose(0, 3, 1, 2)
