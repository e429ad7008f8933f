"""Patterns of DequantizeLinear, an operator and QuantizeLinear as ONNX Runtime runs them.

With all its graph optimizations, as by default, it makes other operators of them; which ones is a
part of what is tested, as the arithmetic depends on it.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.onnx_operators import IntegerType
from conformance.peers import ONNX_RUNTIME, RECORD
from conformance.quantized_graphs import Graph, run_graph
from conformance.runtime_operators import OPERATORS, RELU, by_table, code_of
from hypothesis import given, settings

from qsim.kernels.code_table import clip, identity
from qsim.kernels.pool import max_pool
from qsim.kernels.quantize_linear import dequantize_linear, quantize_bias, quantize_linear
from qsim.kernels.reduce_mean import reduce_mean

EXAMPLES = settings(max_examples=25)
CODES = IntegerType(8, signed=False)
MOVES = Counter(Transpose=2)  # a convolution has its channels last


@dataclass
class Case:
    """A graph that reads uint8 codes and gives some, and scales that fit them."""

    random: Random
    shape: tuple[int, ...] = (2, 4, 6, 5)
    graph: Graph = field(default_factory=Graph)

    def __post_init__(self):
        self.x = self.random.codes(self.shape, np.uint8)
        self.x_scale, self.x_zero = self.random.scales(), self.random.codes((), np.uint8)
        self.fed = self.graph.feed(self.x)
        self.real = self.graph.dequantize(self.fed, self.x_scale, self.x_zero)

    @property
    def inputs(self):
        return [self.x, self.x_scale, self.x_zero]

    def weights(self, shape, axis, *, transposed_columns=False):
        """Weights of one scale or one per row, and a bias that fits them; or none."""
        w, rows = self.random.weights(shape), shape[axis]
        scale = self.random.scales(self.random.one_of((), (rows,)))
        along = {"axis": axis} if scale.ndim else {}
        zeros = np.zeros(scale.shape, np.int8)
        held = self.graph.dequantize(self.graph.constant(w), scale, zeros, **along)
        return w, scale, zeros, held

    def biased(self, w_scale, y_scale, rows, depth):
        """An int32 bias, and the real one in the graph; or none of both."""
        multiplier = float(self.x_scale) * np.broadcast_to(w_scale, rows).astype(float)
        bias = self.random.bias(multiplier / float(y_scale), 128 * 64 * depth)
        if self.random.integer(0, 3) == 0:
            return None, None
        scale = self.x_scale * w_scale
        zeros, along = np.zeros(scale.shape, np.int32), {"axis": 0} if scale.ndim else {}
        return bias, self.graph.dequantize(self.graph.constant(bias), scale, zeros, **along)

    def compare(self, subject, real, y_scale, y_zero, got, ran):
        """Compare the codes that the runtime makes of a real tensor of the graph."""
        result = self.graph.quantize(real, y_scale, y_zero)
        self.compare_result(subject, result, np.uint8, got, ran)

    def compare_result(self, subject, result, kind, got, ran):
        self.graph.output(result, kind)
        expected, operators = run_graph(self.graph.model(), self.graph.feeds)
        assert operators in ([Counter(each) for each in ran] if isinstance(ran, list) else [ran])
        RECORD.compare(ONNX_RUNTIME, f"QDQ {subject}", got, expected[result])


@pytest.mark.parametrize("bound", ["", "Relu", "Clip 0 6"])
@EXAMPLES
@given(SEEDS)
def test_a_convolution(bound, seed):
    """Grouped, by depth or not, with a bound that the codes of the result make redundant."""
    case = Case(Random.seeded(seed))
    random, graph = case.random, case.graph
    groups = random.one_of(1, 1, 2, 4)
    rows, inside = 4 * random.integer(1, 2), 4 // groups
    w, w_scale, w_zero, held = case.weights((rows, inside, 3, 3), 0)
    y_scale = np.asarray(random.output_scale(case.x_scale, w_scale, 128 * 64 * inside))
    y_scale = np.asarray(np.float32(6 / 255)) if bound == "Clip 0 6" else y_scale
    y_zero = np.uint8(0) if bound else random.codes((), np.uint8)
    bias, real_bias = case.biased(w_scale, y_scale, rows, 9 * inside)
    attributes = {"pads": [1, 0, 1, 1], "strides": [random.integer(1, 2)] * 2, "group": groups}
    operands = [case.real, held] + ([] if bias is None else [real_bias])
    real = graph.node("Conv", *operands, kernel_shape=[3, 3], **attributes)
    if bound:
        ends = [graph.constant(np.float32(end)) for end in (0, 6)] if "Clip" in bound else []
        real = graph.node(bound.split()[0], real, *ends)
    inputs = [*case.inputs, w, w_scale, w_zero, y_scale, y_zero, bias]
    [got] = OPERATORS["QLinearConv"](inputs, attributes, CODES)
    ran = MOVES + Counter(QLinearConv=1)
    case.compare(f"Conv {bound}".strip(), real, y_scale, y_zero, got, ran)


@pytest.mark.parametrize("result", ["codes", "relu", "float"])
@EXAMPLES
@given(SEEDS)
def test_a_gemm(result, seed):
    """Turned around or not; without a QuantizeLinear its result is float32."""
    random = Random.seeded(seed)
    case = Case(random, (random.integer(1, 4), random.integer(1, 30)))
    turned, depth, rows = random.one_of(0, 1), case.shape[1], random.integer(1, 9)
    shape = (rows, depth) if turned else (depth, rows)
    w, w_scale, w_zero, held = case.weights(shape, 0 if turned else 1)
    y_scale = np.asarray(random.output_scale(case.x_scale, w_scale, 128 * 64 * depth))
    y_zero = np.uint8(0) if result == "relu" else random.codes((), np.uint8)
    bias, real_bias = case.biased(w_scale, y_scale, rows, depth)
    operands = [case.real, held] + ([] if bias is None else [real_bias])
    real = case.graph.node("Gemm", *operands, transB=turned)
    inputs = [*case.inputs, w, w_scale, w_zero, bias]
    if result == "float":
        [got] = OPERATORS["QGemm"](inputs, {"transB": turned}, None)
        case.compare_result("Gemm to float32", real, np.float32, got, {"QGemm": 1})
        return
    if result == "relu":
        real = case.graph.node("Relu", real)
    [got] = OPERATORS["QGemm"]([*inputs, y_scale, y_zero], {"transB": turned}, CODES)
    case.compare("Gemm", real, y_scale, y_zero, got, {"QGemm": 1})


@pytest.mark.parametrize("result", ["codes", "float"])
@EXAMPLES
@given(SEEDS)
def test_a_matrix_product(result, seed):
    random = Random.seeded(seed)
    case = Case(random, (2, random.integer(1, 4), random.integer(1, 30)))
    depth, columns = case.shape[2], random.integer(1, 9)
    w, w_scale, w_zero, held = case.weights((depth, columns), 1)
    real = case.graph.node("MatMul", case.real, held)
    if result == "float":
        inputs = [case.x, w, case.x_scale, w_scale, case.x_zero, w_zero]
        [got] = OPERATORS["MatMulIntegerToFloat"](inputs, {}, None)
        ran = {"MatMulIntegerToFloat": 1}
        case.compare_result("MatMul to float32", real, np.float32, got, ran)
        return
    y_scale = np.asarray(random.output_scale(case.x_scale, w_scale, 128 * 64 * depth))
    y_zero = random.codes((), np.uint8)
    inputs = [*case.inputs, w, w_scale, w_zero, y_scale, y_zero]
    [got] = OPERATORS["QLinearMatMul"](inputs, {}, CODES)
    case.compare("MatMul", real, y_scale, y_zero, got, {"QLinearMatMul": 1})


@EXAMPLES
@given(SEEDS)
def test_a_product_of_two_activations(seed):
    case = Case(Random.seeded(seed), (2, 3, 7))
    other, scale = case.random.codes((2, 7, 4), np.uint8), case.random.scales()
    zero, y_zero = (case.random.codes((), np.uint8) for _ in range(2))
    y_scale = np.asarray(case.random.output_scale(case.x_scale, scale, 128 * 128 * 7))
    right = case.graph.dequantize(case.graph.feed(other), scale, zero)
    real = case.graph.node("MatMul", case.real, right)
    inputs = [*case.inputs, other, scale, zero, y_scale, y_zero]
    [got] = OPERATORS["QLinearMatMul"](inputs, {}, CODES)
    case.compare("MatMul of activations", real, y_scale, y_zero, got, {"QLinearMatMul": 1})


@pytest.mark.parametrize("kind", ["Add", "Mul"])
@pytest.mark.parametrize("relu", [False, True])
@EXAMPLES
@given(SEEDS)
def test_two_tensors(kind, relu, seed):
    case = Case(Random.seeded(seed))
    other, scale, zero = (case.random.codes(case.shape, np.uint8), case.random.scales(),
                          case.random.codes((), np.uint8))  # fmt: skip
    right = case.graph.dequantize(case.graph.feed(other), scale, zero)
    y_scale, y_zero = case.random.scales(), case.random.codes((), np.uint8) * np.uint8(not relu)
    real = case.graph.node(kind, case.real, right)
    real = case.graph.node("Relu", real) if relu else real
    inputs = [*case.inputs, other, scale, zero, y_scale, y_zero]
    [got] = OPERATORS[f"QLinear{kind}"](inputs, {}, CODES)
    case.compare(kind, real, y_scale, y_zero, got, {f"QLinear{kind}": 1})


@EXAMPLES
@given(SEEDS)
def test_a_concatenation(seed):
    case = Case(Random.seeded(seed))
    other, scale, zero = (case.random.codes(case.shape, np.uint8), case.random.scales(),
                          case.random.codes((), np.uint8))  # fmt: skip
    right = case.graph.dequantize(case.graph.feed(other), scale, zero)
    y_scale, y_zero = case.random.scales(), case.random.codes((), np.uint8)
    real = case.graph.node("Concat", case.real, right, axis=1)
    inputs = [y_scale, y_zero, *case.inputs, other, scale, zero]
    [got] = OPERATORS["QLinearConcat"](inputs, {"axis": 1}, CODES)
    case.compare("Concat", real, y_scale, y_zero, got, {"QLinearConcat": 1})


POOLS = {
    "GlobalAveragePool": ("QLinearGlobalAveragePool", {}),
    "AveragePool": ("QLinearAveragePool", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
    "AveragePool counting": (
        "QLinearAveragePool",
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "count_include_pad": 1},
    ),
    "AveragePool of all": ("QLinearAveragePool", {"kernel_shape": [6, 5]}),
    "LeakyRelu": ("QLinearLeakyRelu", {"alpha": 0.125}),
    "Sigmoid": ("QLinearSigmoid", {}),
    "Softmax": ("QLinearSoftmax", {"axis": -1}),
}


@pytest.mark.parametrize("name", POOLS)
@EXAMPLES
@given(SEEDS)
def test_an_operator_of_one_tensor(name, seed):
    case = Case(Random.seeded(seed))
    ran, attributes = POOLS[name]
    y_scale, y_zero = case.x_scale * np.float32(0.7), case.random.codes((), np.uint8)
    if name in ("Sigmoid", "Softmax"):
        y_scale = np.float32(case.random.one_of(1 / 256, 1 / 255, 0.01))
    real = case.graph.node(name.split()[0], case.real, **attributes)
    inputs = [*case.inputs, np.asarray(y_scale), y_zero]
    [got] = OPERATORS[ran](inputs, attributes, CODES)
    case.compare(name, real, np.asarray(y_scale), y_zero, got, {ran: 1})


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kind", ["Relu", "Clip"])
@EXAMPLES
@given(SEEDS)
def test_a_bound_of_codes_is_dequantized_bounded_and_quantized(kind, same, seed):
    case = Case(Random.seeded(seed))
    y_scale, y_zero = case.random.scales(), case.random.codes((), np.uint8)
    if same:
        y_scale, y_zero = case.x_scale, case.x_zero
    low, high = (0.0, np.inf) if kind == "Relu" else (-0.3, 6.0)
    ends = [case.graph.constant(np.float32(end)) for end in (low, high)] if kind == "Clip" else []
    real = case.graph.node(kind, case.real, *ends)
    function = RELU if kind == "Relu" else clip(low, high)
    codes = code_of(case.x_scale, case.x_zero), code_of(y_scale, y_zero)
    got = by_table(function, case.x, *codes, CODES)
    redundant = {"DequantizeLinear": 1, "QuantizeLinear": 1}
    ran = [redundant | {kind: 1}, redundant, {"Identity": 1}]
    case.compare(kind, real, y_scale, y_zero, got, ran)


MOVED = {
    "MaxPool": (
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]},
        lambda x: max_pool(x, (3, 2), stride=(2, 2), padding=(1, 0, 1, 1)).astype(x.dtype),
    ),
    "Flatten": ({}, lambda x: x.reshape(len(x), -1)),
    "Transpose": ({"perm": [0, 2, 3, 1]}, lambda x: x.transpose(0, 2, 3, 1)),
    "Reshape": ({}, lambda x: x.reshape(4, 60)),
    "Resize": (
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        lambda x: x.repeat(2, axis=2).repeat(3, axis=3),
    ),
}


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kind", MOVED)
@EXAMPLES
@given(SEEDS)
def test_what_moves_values_moves_codes(kind, same, seed):
    """Where the result has another scale the values are dequantized, moved and quantized."""
    case = Case(Random.seeded(seed))
    y_scale, y_zero = case.x_scale, case.x_zero
    if not same:
        y_scale, y_zero = y_scale * np.float32(1.5), case.random.codes((), np.uint8)
    attributes, move = MOVED[kind]
    more = {"Reshape": [np.array([4, 60])], "Resize": [None, np.float32([1, 1, 2, 3])]}
    others = [each if each is None else case.graph.constant(each) for each in more.get(kind, [])]
    real = case.graph.node(kind, case.real, *others, **attributes)
    codes = code_of(case.x_scale, case.x_zero), code_of(y_scale, y_zero)
    got = by_table(identity, move(case.x), *codes, CODES)
    ran = {kind: 1} if same else {kind: 1, "DequantizeLinear": 1, "QuantizeLinear": 1}
    case.compare(kind, real, np.asarray(y_scale), y_zero, got, ran)


@EXAMPLES
@given(SEEDS)
def test_a_max_pool_of_sums_is_of_their_codes(seed):
    """Quantizing rises with the values, so the runtime quantizes before it looks for the largest."""
    case = Case(Random.seeded(seed))
    w, w_scale, w_zero, held = case.weights((5, 4, 1, 1), 0)
    y_scale = np.asarray(case.random.output_scale(case.x_scale, w_scale, 128 * 64 * 2))
    y_zero = case.random.codes((), np.uint8)
    real = case.graph.node("Conv", case.real, held, kernel_shape=[1, 1])
    attributes, largest = MOVED["MaxPool"]
    real = case.graph.node("MaxPool", real, **attributes)
    operands = [*case.inputs, w, w_scale, w_zero, y_scale, y_zero, None]
    [codes] = OPERATORS["QLinearConv"](operands, {}, CODES)
    ran = MOVES + Counter(QLinearConv=1, NhwcMaxPool=1)
    case.compare("MaxPool of Conv", real, y_scale, y_zero, largest(codes), ran)


@EXAMPLES
@given(SEEDS)
def test_a_mean_over_the_image_is_of_float32(seed):
    random = Random.seeded(seed)
    case = Case(random, (2, random.integer(1, 9), random.integer(1, 9), random.integer(1, 9)))
    y_scale, y_zero = case.x_scale * np.float32(0.6), case.random.codes((), np.uint8)
    axes = case.graph.constant(np.array([2, 3]))
    real = case.graph.node("ReduceMean", case.real, axes, keepdims=0)
    mean = reduce_mean(dequantize_linear(case.x, case.x_scale, case.x_zero), 2)
    got = quantize_linear(mean, np.asarray(y_scale), y_zero, 0, 255)
    ran = {"DequantizeLinear": 1, "ReduceMean": 1, "QuantizeLinear": 1}
    case.compare("ReduceMean", real, np.asarray(y_scale), y_zero, got, ran)


@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
@EXAMPLES
@given(SEEDS)
def test_a_bias_in_float32_is_quantized(kind, seed):
    """To the scale of the sums, where what is read and the weights are quantized."""
    random = Random.seeded(seed)
    case = Case(random, (2, 4, 3, 3) if kind == "Conv" else (2, 7))
    rows, depth = 5, 4 if kind == "Conv" else 7
    w, w_scale, w_zero, held = case.weights((rows, 4, 1, 1) if kind == "Conv" else (rows, 7), 0)
    y_scale, y_zero = (
        np.asarray(random.output_scale(case.x_scale, w_scale, 128 * 64 * depth)),
        random.codes((), np.uint8),
    )
    real = random.generator.standard_normal(rows) * 50 * float(y_scale)
    bias = real.astype(np.float32)
    attributes = {"kernel_shape": [1, 1]} if kind == "Conv" else {"transB": 1}
    made = case.graph.node(kind, case.real, held, case.graph.constant(bias), **attributes)
    levels = quantize_bias(bias, case.x_scale, w_scale)
    operands, y = [*case.inputs, w, w_scale, w_zero], [y_scale, y_zero]
    if kind == "Conv":
        [got] = OPERATORS["QLinearConv"]([*operands, *y, levels], attributes, CODES)
    else:
        [got] = OPERATORS["QGemm"]([*operands, levels, *y], attributes, CODES)
    ran = MOVES + Counter(QLinearConv=1) if kind == "Conv" else {"QGemm": 1}
    case.compare(f"{kind} with a float bias", made, y_scale, y_zero, got, ran)


def _kept(operator, **attributes):
    return lambda case, x: case.graph.node(operator, x, **attributes)


def _convolution(case, x, *, bias_off=None):
    """Of 4 channels to 4, with a bias whose scale may be off."""
    w = case.graph.constant(case.random.weights((4, 4, 1, 1)))
    held = case.graph.dequantize(w, np.float32(0.02), np.int8(0))
    if bias_off is None:
        return case.graph.node("Conv", x, held)
    scale = case.x_scale * np.float32(0.02) * np.float32(bias_off)
    bias = case.graph.constant(np.arange(4, dtype=np.int32))
    return case.graph.node("Conv", x, held, case.graph.dequantize(bias, scale, np.int32(0)))


IN_FLOAT = {
    "a relu that the codes of the result do not make redundant": (
        lambda case, x: case.graph.node("Relu", _convolution(case, x)), "FusedConv", 7,
    ),
    "a clip within the codes of the result": (
        lambda case, x: case.graph.node(
            "Clip", _convolution(case, x), case.graph.constant(np.float32(0)),
            case.graph.constant(np.float32(1)),
        ), "FusedConv", 0,
    ),
    "an addition of what is not quantized": (
        lambda case, x: case.graph.node("Add", _convolution(case, x), x), "Add", 7,
    ),
    "a bias at another scale": (
        lambda case, x: _convolution(case, x, bias_off=1.05), "Conv", 7,
    ),
    "tanh": (_kept("Tanh"), "Tanh", 7),
}  # fmt: skip


@pytest.mark.parametrize("what", IN_FLOAT)
def test_a_step_that_stays_in_float32(what):
    """What none of the patterns above is: the runtime's float kernel computes it."""
    make, operator, y_zero = IN_FLOAT[what]
    case = Case(Random.seeded(0))
    result = case.graph.quantize(make(case, case.real), np.float32(0.1), np.uint8(y_zero))
    case.graph.output(result, np.uint8)
    _, ran = run_graph(case.graph.model(), case.graph.feeds)
    assert ran[operator] == 1
    assert not any(name.startswith(("QLinear", "QGemm")) for name in ran)
