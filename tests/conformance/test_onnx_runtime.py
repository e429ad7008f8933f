"""ONNX Runtime's integer operators on the CPU, on generated operands.

Two things depend on the processor there, and the arithmetic here is that of current x86-64 and Arm:
without VNNI products of uint8 and int8 saturate in pairs, so weights are kept small then; and
QLinearAdd uses fused multiply-adds, which processors from before AVX2 do not have.
"""

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.onnx_models import MICROSOFT, run_operator
from conformance.onnx_operators import OPERATORS, IntegerType
from conformance.peers import ONNX_RUNTIME, RECORD
from hypothesis import given, settings

EXAMPLES = settings(max_examples=150)
INTEGERS = pytest.mark.parametrize("integer", [np.uint8, np.int8])


def _compare(name, inputs, integer, *, subject=None, domain="", **attributes):
    """Compare one operator whose result has the type ``integer``."""
    kind = np.dtype(integer)
    out_type = IntegerType(kind.itemsize * 8, kind.kind == "i")
    [expected] = run_operator(name, inputs, [kind], domain=domain, **attributes)
    [got] = OPERATORS[name](inputs, attributes, out_type)
    assert got.dtype == expected.dtype == kind
    RECORD.compare(ONNX_RUNTIME, subject or name, got, expected)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_a_convolution_is_exact(integer, seed):
    """Per tensor and per channel, in groups and by depth, strided, dilated, padded unevenly."""
    random = Random.seeded(seed)
    groups = random.one_of(1, 1, 2, 3, "depthwise")
    channels = random.integer(1, 9)
    if groups == "depthwise":
        groups, inside, outside = channels, 1, random.one_of(1, 1, 2)
    else:
        inside, outside = channels, random.integer(1, 9)
    kernel = [random.integer(1, 3), random.integer(1, 3)]
    dilations = [random.integer(1, 2), random.integer(1, 2)]
    pads = [random.integer(0, 2) for _ in range(4)]
    sides = [
        max(1, dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + 2]) + random.integer(0, 5)
        for i in (0, 1)
    ]
    x = random.codes((random.integer(1, 2), groups * inside, *sides), integer)
    w = random.weights((groups * outside, inside, *kernel))
    attributes = {
        "pads": pads,
        "strides": [random.integer(1, 3), random.integer(1, 3)],
        "dilations": dilations,
        "group": groups,
    }
    scales = _scales(random, len(w), inside * kernel[0] * kernel[1])
    x_scale, w_scale, y_scale, bias = scales
    x_zero, y_zero = random.codes((), integer), random.codes((), integer)
    w_zero = np.zeros(w_scale.shape, np.int8)
    inputs = [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias]
    _compare("QLinearConv", inputs, integer, **attributes)


def _scales(random, rows, depth):
    """Scales of x, weights (one, or one for each row) and y, and a bias or none."""
    spread = 128 * 64 * int(np.sqrt(depth)) + 1
    x_scale = random.scales()
    w_scale = random.scales(random.one_of((), (rows,)))
    y_scale = random.output_scale(x_scale, w_scale, spread)
    multiplier = np.broadcast_to(float(x_scale) * w_scale.astype(float) / float(y_scale), rows)
    bias = random.one_of(None, *[random.bias(multiplier, spread)] * 4)
    return x_scale, w_scale, np.asarray(y_scale), bias


@EXAMPLES
@given(SEEDS)
def test_sums_that_lie_beside_a_half_are_exact(seed):
    """The input is its zero point, so that the sums are the biases, chosen to be hard."""
    random = Random.seeded(seed)
    rows = 256
    x_scale, w_scale, y_scale = random.scales(), random.scales((rows,)), random.scales()
    multiplier = float(x_scale) * w_scale.astype(float) / float(y_scale)
    x, w = np.full((1, 1, 1, 1), 7, np.uint8), random.weights((rows, 1, 1, 1))
    zeros = np.uint8(7), np.zeros(rows, np.int8), np.uint8(random.integer(0, 255))
    bias = random.bias(multiplier, 2**24)
    inputs = [x, x_scale, zeros[0], w, w_scale, zeros[1], y_scale, zeros[2], bias]
    _compare("QLinearConv", inputs, np.uint8, subject="QLinearConv, sums beside a half")


@pytest.mark.parametrize("integers", [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8,) * 2])
@EXAMPLES
@given(SEEDS)
def test_a_matrix_product_is_exact(integers, seed):
    random, (left, right) = Random.seeded(seed), integers
    outer = random.one_of((), (), (2,))
    rows, depth, columns = (random.integer(1, n) for n in (6, 40, 20))
    a = random.codes((*outer, rows, depth), left)
    b = random.weights((*outer, depth, columns))
    b = abs(b).astype(right) if right is np.uint8 else b
    a_scale, y_zero = random.scales(), random.codes((), left)
    b_scale = random.scales(random.one_of((), (columns,)) if not outer else ())
    y_scale = np.asarray(random.output_scale(a_scale, b_scale, 128 * 64 * int(np.sqrt(depth))))
    b_zero = np.broadcast_to(
        random.one_of(np.zeros((), right), random.codes((), right)), b_scale.shape
    )
    inputs = [a, a_scale, random.codes((), left), b, b_scale, b_zero, y_scale, y_zero]
    _compare("QLinearMatMul", inputs, left)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_an_addition_is_exact(integer, seed):
    """All 65,536 pairs of codes of some scales and zero points."""
    random = Random.seeded(seed)
    every = np.arange(256, dtype=np.uint8).view(integer)
    a, b = (grid.copy() for grid in np.meshgrid(every, every))
    scales = [random.scales() for _ in range(3)]
    zeros = [random.codes((), integer) for _ in range(3)]
    inputs = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
    _compare("QLinearAdd", inputs, integer, domain=MICROSOFT)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_an_addition_of_one_to_several_is_exact(integer, seed):
    random = Random.seeded(seed)
    whole = (2, 3, 16, 16)
    other = random.one_of((), (1,), (3, 1, 1), (16,), (2, 1, 1, 16), (1, 1, 16, 1), whole)
    shapes = (whole, other) if random.integer(0, 1) else (other, whole)
    a, b = (random.codes(shape, integer) for shape in shapes)
    scales = [random.scales() for _ in range(3)]
    zeros = [random.codes((), integer) for _ in range(3)]
    inputs = [np.asarray(a), scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
    subject = "QLinearAdd of one to several"
    _compare("QLinearAdd", inputs, integer, subject=subject, domain=MICROSOFT)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_a_global_average_is_exact(integer, seed):
    """Of images in either order of their sides; the runtime refuses multipliers of 256 and more,
    and of less than 2**-32."""
    random = Random.seeded(seed)
    sides = [random.integer(1, n) for n in (2, 40, 12, 12)]
    scales = [random.scales() for _ in range(2)]
    scales[1] = np.clip(scales[1], scales[0] / np.float32(128), scales[0] * np.float32(2**20))
    zeros = [random.codes((), integer) for _ in range(2)]
    inputs = [random.codes(sides, integer), scales[0], zeros[0], scales[1], zeros[1]]
    attributes = {"channels_last": random.one_of(0, 1)}
    _compare("QLinearGlobalAveragePool", inputs, integer, domain=MICROSOFT, **attributes)


@pytest.mark.parametrize("integer", [np.uint8, np.int8, np.uint16, np.int16])
@EXAMPLES
@given(SEEDS)
def test_quantization_is_exact(integer, seed):
    """Values on and beside halves, far out of range, infinite; scales in all three ways.

    Blocks along an axis that is not the last are the exception: there the runtime makes the lowest
    code of every quotient of 2**31 and more, also of infinity, where along the last axis it makes
    the highest. What is generated for them stays below.
    """
    random = Random.seeded(seed)
    shape, scale, zeros, attributes = _lying(random, integer)
    inner_blocks = "block_size" in attributes and attributes["axis"] < len(shape) - 1
    far, wide = (1e6, 1e5) if inner_blocks else (random.one_of(np.inf, 3e38), 1e37)
    halves = random.generator.integers(-600, 600, shape).astype(np.float32) / 2
    spread = np.broadcast_to(random.generator.choice(scale.reshape(-1)), shape)
    towards = np.float32(random.one_of(-1e9, 1e9))
    normal = random.generator.standard_normal(shape) * random.one_of(1, 1e3, wide)
    choice = random.generator.integers(0, 8, shape)
    real = np.select(
        [choice < 3, choice < 5, choice < 7],
        [halves * spread, np.nextafter(halves * spread, towards), normal.astype(np.float32)],
        np.copysign(np.float32(far), normal).astype(np.float32),
    )
    _compare("QuantizeLinear", [real, scale, zeros], integer, **attributes)


@pytest.mark.parametrize("integer", [np.uint8, np.int8, np.uint16, np.int16, np.int32])
@EXAMPLES
@given(SEEDS)
def test_dequantization_is_exact(integer, seed):
    random = Random.seeded(seed)
    shape, scale, zeros, attributes = _lying(random, integer)
    if integer is np.int32:
        zeros = np.zeros_like(zeros)  # ONNX asks for 0 there
    codes = random.codes(shape, integer)
    inputs = [codes, scale, zeros]
    [expected] = run_operator("DequantizeLinear", inputs, [np.float32], **attributes)
    [got] = OPERATORS["DequantizeLinear"](inputs, attributes, None)
    RECORD.compare(ONNX_RUNTIME, "DequantizeLinear", got, expected)


def _lying(random, integer):
    """A shape, scales and zero points for it, and the attributes that say how they lie."""
    shape = tuple(random.integer(1, n) for n in (4, 6, 20))
    sides, attributes = (), {}
    axis = random.integer(0, 2)
    kind = random.one_of("tensor", "axis", "block")
    if kind == "axis":
        sides, attributes = (shape[axis],), {"axis": axis}
    if kind == "block":
        block = random.integer(1, shape[axis])
        sides = tuple(-(-n // block) if i == axis else n for i, n in enumerate(shape))
        attributes = {"axis": axis, "block_size": block}
    return shape, random.scales(sides), random.codes(sides, integer), attributes


@EXAMPLES
@given(SEEDS)
def test_a_dynamic_range_is_exact(seed):
    random = Random.seeded(seed)
    real = random.generator.standard_normal(random.integer(1, 50)) + random.one_of(0, -3, 3)
    real = (real * random.one_of(1e-3, 1, 1e3, 0)).astype(np.float32)
    expected = run_operator("DynamicQuantizeLinear", [real], [np.uint8, np.float32, np.uint8])
    got = OPERATORS["DynamicQuantizeLinear"]([real], {}, None)
    RECORD.compare(ONNX_RUNTIME, "DynamicQuantizeLinear", tuple(got), tuple(expected))
