"""ONNX Runtime's own quantized operators on the CPU, one by one, on generated operands.

Processors without a fused multiply-add compute another QLinearSigmoid.
"""

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.onnx_models import MICROSOFT, run_operator
from conformance.onnx_operators import IntegerType
from conformance.peers import ONNX_RUNTIME, RECORD
from conformance.quantized_graphs import Graph, run_graph
from conformance.runtime_operators import OPERATORS
from hypothesis import given, settings

from qsim.kernels.float_curves import hard_swish, logistic, tangent
from qsim.kernels.reduce_mean import reduce_mean

EXAMPLES = settings(max_examples=60)
INTEGERS = pytest.mark.parametrize("integer", [np.uint8, np.int8])


def _compare(name, inputs, out_type, *, subject=None, **attributes):
    kind = np.dtype(out_type)
    integers = None if kind == np.float32 else IntegerType(8, kind.kind == "i")
    [expected] = run_operator(name, inputs, [kind], domain=MICROSOFT, **attributes)
    [got] = OPERATORS[name](inputs, attributes, integers)
    assert got.dtype == expected.dtype == kind
    RECORD.compare(ONNX_RUNTIME, subject or name, got, expected)


def _codes(random, integer):
    return random.scales(), random.codes((), integer)


def _every(integer):
    return np.arange(256, dtype=np.uint8).view(integer)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_a_product_of_two_tensors_is_exact(integer, seed):
    """All 65,536 pairs of codes of some scales and zero points."""
    random = Random.seeded(seed)
    a, b = (grid.copy() for grid in np.meshgrid(_every(integer), _every(integer)))
    (a_scale, a_zero), (b_scale, b_zero), (_, y_zero) = (_codes(random, integer) for _ in range(3))
    y_scale = np.asarray(random.output_scale(a_scale, b_scale, 64 * 64))
    inputs = [a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero]
    _compare("QLinearMul", inputs, integer)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_an_average_is_exact(integer, seed):
    """Strided, padded unevenly, counting the padding or not, in either order of the sides; some of
    the whole image, which the runtime computes as a global average."""
    random = Random.seeded(seed)
    kernel = [random.integer(1, 4), random.integer(1, 4)]
    pads = [random.integer(0, kernel[i % 2] - 1) * random.integer(0, 1) for i in range(4)]
    sides = [max(1, kernel[i] - pads[i] - pads[i + 2]) + random.integer(0, 5) for i in (0, 1)]
    x = random.codes((random.integer(1, 2), random.integer(1, 5), *sides), integer)
    (x_scale, x_zero), (_, y_zero) = (_codes(random, integer) for _ in range(2))
    y_scale = np.float32(float(x_scale) * random.one_of(0.25, 0.3, 1, 0.7, 2))
    attributes = {
        "kernel_shape": kernel,
        "strides": [random.integer(1, 3), random.integer(1, 3)],
        "pads": pads,
        "count_include_pad": random.one_of(0, 1),
        "channels_last": random.one_of(0, 1),
    }
    if attributes["channels_last"]:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    inputs = [x, x_scale, x_zero, np.asarray(y_scale), y_zero]
    _compare("QLinearAveragePool", inputs, integer, **attributes)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_a_concatenation_is_exact(integer, seed):
    """Of every code; some parts have the scale and the zero point of the result."""
    random = Random.seeded(seed)
    y = list(_codes(random, integer))
    parts = [y if random.one_of(0, 0, 1) else list(_codes(random, integer)) for _ in range(3)]
    graph, x = Graph(), _every(integer).reshape(2, 128)
    fed = graph.feed(x)
    constants = [[graph.constant(value) for value in pair] for pair in (y, *parts)]
    names = [name for pair in constants[1:] for name in (fed, *pair)]
    result = graph.node("QLinearConcat", *constants[0], *names, domain=MICROSOFT, axis=1)
    graph.output(result, integer)
    expected, _ = run_graph(graph.model(), graph.feeds)
    inputs = [*y, *(value for pair in parts for value in (x, *pair))]
    [got] = OPERATORS["QLinearConcat"](inputs, {"axis": 1}, IntegerType(8, integer is np.int8))
    RECORD.compare(ONNX_RUNTIME, "QLinearConcat", got, expected[result])


@pytest.mark.parametrize("result", ["codes", "float"])
@pytest.mark.parametrize("integers", [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8,) * 2])
@EXAMPLES
@given(SEEDS)
def test_a_gemm_is_exact(result, integers, seed):
    """Turned around or not, per column or not, with an alpha, with a bias or without one."""
    random, (left, right) = Random.seeded(seed), integers
    a, b, a_pair, b_scale, b_zero = _operands(random, left, right)
    columns, transposed = b.shape[1], random.one_of(0, 1)
    alpha = random.one_of(1.0, 1.0, 0.37)
    y_scale = np.asarray(random.output_scale(a_pair[0], b_scale, 128 * 64 * len(b)))
    multiplier = alpha * float(a_pair[0]) * b_scale.astype(float) / float(y_scale)
    bias = random.bias(np.broadcast_to(multiplier, columns), 128 * 64 * len(b))
    inputs = [a, *a_pair, b.T.copy() if transposed else b, b_scale, b_zero, bias]
    if random.integer(0, 3) == 0:
        inputs[6] = None
    attributes = {"transB": transposed, "alpha": alpha}
    if result == "float":
        _compare("QGemm", inputs, np.float32, subject="QGemm to float32", **attributes)
    else:
        _compare("QGemm", [*inputs, y_scale, random.codes((), left)], left, **attributes)


def _operands(random, left, right):
    rows, depth, columns = (random.integer(1, n) for n in (6, 40, 20))
    a, b = random.codes((rows, depth), left), random.weights((depth, columns))
    b = abs(b).astype(right) if right is np.uint8 else b
    b_scale = random.scales(random.one_of((), (columns,)))
    b_zero = random.one_of(np.zeros((), right), random.codes((), right))
    return a, b, _codes(random, left), b_scale, np.broadcast_to(b_zero, b_scale.shape).copy()


@EXAMPLES
@given(SEEDS)
def test_a_matrix_product_to_float_is_exact(seed):
    """A bias is added in a rounding of its own."""
    random = Random.seeded(seed)
    a, b, (a_scale, a_zero), b_scale, b_zero = _operands(random, np.uint8, np.int8)
    bias = random.generator.standard_normal(b.shape[1]).astype(np.float32)
    inputs = [a, b, a_scale, b_scale, a_zero, b_zero, random.one_of(None, bias)]
    _compare("MatMulIntegerToFloat", inputs, np.float32)


@INTEGERS
@pytest.mark.parametrize("name", ["QLinearLeakyRelu", "QLinearSigmoid"])
@EXAMPLES
@given(SEEDS)
def test_a_function_of_every_code_is_exact(name, integer, seed):
    random = Random.seeded(seed)
    (x_scale, x_zero), (y_scale, y_zero) = (_codes(random, integer) for _ in range(2))
    if name == "QLinearSigmoid":
        y_scale = np.float32(random.one_of(1 / 256, 1 / 255, 0.01))
    slope = np.float32(random.one_of(0.01, 0.1, 0.25, 0.333))
    attributes = {"alpha": float(slope)} if name == "QLinearLeakyRelu" else {}
    inputs = [_every(integer), x_scale, x_zero, np.asarray(y_scale), y_zero]
    _compare(name, inputs, integer, **attributes)


@INTEGERS
@EXAMPLES
@given(SEEDS)
def test_a_softmax_is_exact(integer, seed):
    """Rows of two values to a hundred, zero points at the end or anywhere."""
    random = Random.seeded(seed)
    low = np.iinfo(integer).min
    x = random.codes((random.integer(1, 20), random.integer(2, 100)), integer)
    if random.integer(0, 1):
        x = (x // 16).astype(integer)  # near to one another
    y_scale = np.float32(random.one_of(1 / 256, 1 / 255, 0.01, 0.003921569, 1 / 128))
    y_zero = random.one_of(low, low + random.integer(0, 255))
    constants = [random.scales(), random.codes((), integer), y_scale, np.array(y_zero, integer)]
    graph = Graph()
    names = [graph.feed(x), *map(graph.constant, constants)]
    result = graph.node("QLinearSoftmax", *names, domain=MICROSOFT, axis=-1, opset=13)
    graph.output(result, integer)
    expected, _ = run_graph(graph.model(), graph.feeds)
    [got] = OPERATORS["QLinearSoftmax"]([x, *constants], {}, IntegerType(8, integer is np.int8))
    RECORD.compare(ONNX_RUNTIME, "QLinearSoftmax", got, expected[result])


CURVES = {"Sigmoid": logistic, "Tanh": tangent, "HardSwish": hard_swish}


@pytest.mark.parametrize("name", CURVES)
@EXAMPLES
@given(SEEDS)
def test_a_curve_in_float_is_exact(name, seed):
    random = Random.seeded(seed)
    x = (random.generator.standard_normal(2000) * random.one_of(0.1, 3, 20)).astype(np.float32)
    [expected] = run_operator(name, [x], [np.float32])
    RECORD.compare(ONNX_RUNTIME, f"{name} in float32", CURVES[name](x), expected)


@EXAMPLES
@given(SEEDS)
def test_a_mean_over_the_last_axes_in_float_is_exact(seed):
    random = Random.seeded(seed)
    shape = tuple(random.integer(1, n) for n in (2, 70, 14, 14))
    x = (random.codes(shape, np.uint8).astype(np.float32) - 100) * random.scales()
    for axes in ([2, 3], [1, 2, 3], [3]):
        [expected] = run_operator("ReduceMean", [x, np.array(axes)], [np.float32], keepdims=0)
        RECORD.compare(ONNX_RUNTIME, "ReduceMean in float32", reduce_mean(x, len(axes)), expected)
