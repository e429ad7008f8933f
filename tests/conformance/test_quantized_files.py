"""Quantized graphs that are read: what ONNX Runtime computes with them, and what is refused."""

import numpy as np
import pytest
from conformance.generators import WEIGHT_LIMIT
from conformance.onnx_models import MICROSOFT
from conformance.peers import ONNX, ONNX_RUNTIME, RECORD, load
from conformance.program_files import read
from conformance.quantized_graphs import Graph, run_graph
from conformance.quantized_networks import quantize_statically, with_outputs
from conformance.test_quantized_networks import inverted, residual

from qsim.execute import execute
from qsim.formats import AffineGrid, Fixed, Float, QuantizedAffine
from qsim.kernels.accumulator import Accumulator
from qsim.onnx_reader import read_onnx
from qsim.onnx_runtime import zero_point_of
from qsim.program import settled_precision
from qsim.values import Levels, real
from qsim.verify import count_checked
from qsim.work import work_table

SCALE = np.float32(0.04)
RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.standard_normal((2, 3, 6, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def peers():
    load(ONNX), load(ONNX_RUNTIME)


class Small(Graph):
    """A graph of images (N, 3, 6, 6), quantized at its input."""

    def __init__(self, integer=np.uint8, zero_point=120):
        super().__init__()
        self.image = self.feed(IMAGES)
        self.random = np.random.default_rng(7)
        self.zero = np.array(zero_point, integer)
        self.codes = self.quantize(self.image, SCALE, self.zero)
        self.real = self.dequantize(self.codes, SCALE, self.zero)

    def weights(self, shape, *, scales=(), zeros=None, axis=0):
        """Dequantized weights of seeded codes."""
        codes = self.random.integers(-100, 101, shape)
        codes = (codes + 128).astype(np.uint8) if zeros is not None else codes.astype(np.int8)
        self.weight_scale = self.random.uniform(0.001, 0.01, scales).astype(np.float32)
        zeros = np.full(scales, 0 if zeros is None else zeros, codes.dtype)
        return self.dequantize(self.constant(codes), self.weight_scale, zeros, axis=axis)

    def rounded(self, real, scale=0.05, zero_point=110, integer=np.uint8):
        """The codes of a tensor, and its real values again."""
        scale, zero = np.float32(scale), np.array(zero_point, integer)
        codes = self.quantize(real, scale, zero)
        return codes, self.dequantize(codes, scale, zero)

    def conv(self, x, rows=4, kernel=3, **arguments):
        """A convolution of three channels without a bias."""
        weight = self.weights((rows, 3, kernel, kernel), **arguments)
        return self.node("Conv", x, weight, kernel_shape=[kernel] * 2)

    def ending(self, name, dtype=np.float32):
        """The model whose result is a tensor."""
        self.output(name, dtype)
        return self.model()


def compare(model, subject, integer=np.uint8):
    """All integers of a model beside the runtime's."""
    if WEIGHT_LIMIT < 127:
        pytest.skip("without VNNI the runtime's products of large weights saturate")
    held = read(model)
    assert held.notes == ()
    steps = execute(held.program, IMAGES)
    assert count_checked(held.program, steps, 10)[1] == []
    exposed = with_outputs(model, list(held.layers), integer)
    theirs, _ = run_graph(exposed, {"input0": IMAGES})
    for tensor, layer in held.layers.items():
        ours = steps[layer].value.levels + zero_point_of(held.program.formats[layer])
        RECORD.compare(ONNX_RUNTIME, f"files: {subject}", ours, theirs[tensor])
    return held, steps, theirs


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("pool", ["GlobalAveragePool", "AveragePool"])
@pytest.mark.parametrize("network", [residual, inverted])
def test_networks_of_the_runtimes_quantizer(network, pool, form):
    images = np.random.default_rng(3).standard_normal((4, 3, 32, 32)).astype(np.float32)
    model = quantize_statically(network(1, pool), images, form)
    held = read(model)
    steps, name = execute(held.program, images[:1]), model.graph.input[0].name
    assert held.notes == ()
    theirs, _ = run_graph(with_outputs(model, list(held.layers)), {name: images[:1]})
    for tensor, layer in held.layers.items():
        ours = steps[layer].value.levels + zero_point_of(held.program.formats[layer])
        RECORD.compare(ONNX_RUNTIME, "files: small networks", ours, theirs[tensor])


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("zeros", [None, 128])
def test_weights_with_or_without_zero_points(scales, zeros):
    graph = Small()
    codes, real_again = graph.rounded(graph.conv(graph.real, scales=scales, zeros=zeros))
    held, _, _ = compare(graph.ending(real_again), "weights")
    [name] = held.program.biases
    weights = held.program.weights[name]
    assert weights.scale.size == (scales[0] if scales else 1)
    assert isinstance(weights, QuantizedAffine) == (zeros is not None)
    assert held.layers[codes] == name


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_a_real_bias_is_quantized_as_the_runtime_does(kind, scales):
    for _ in range(10):
        graph = Small()
        if kind == "Conv":
            operands, attributes = [graph.real, graph.weights((4, 3, 3, 3), scales=scales)], {}
        else:
            rows = graph.rounded(graph.node("Flatten", graph.real), SCALE, 120)[1]
            operands, attributes = [rows, graph.weights((4, 108), scales=scales)], {"transB": 1}
        bias = graph.constant((RANDOM.standard_normal(4) * 0.3).astype(np.float32))
        made = graph.node(kind, *operands, bias, **attributes)
        compare(graph.ending(graph.rounded(made, 0.0005)[1]), f"{kind} with a real bias")


def with_bias_scale(factor, kind):
    """A layer whose bias has ``factor`` times the scale of its sums."""
    graph = Small()
    operands, attributes = [graph.real, graph.weights((4, 3, 1, 1), scales=(4,))], {}
    if kind == "Gemm":
        rows = graph.rounded(graph.node("Flatten", graph.real), SCALE, 120)[1]
        operands, attributes = [rows, graph.weights((4, 108), scales=(4,))], {"transB": 1}
    scale = SCALE * graph.weight_scale * np.float32(factor)
    bias = graph.constant(np.array([500, -600, 700, 0], np.int32))
    operands.append(graph.dequantize(bias, scale, np.zeros(4, np.int32), axis=0))
    return graph.ending(graph.rounded(graph.node(kind, *operands, **attributes), 0.002)[1])


@pytest.mark.parametrize(
    ("kind", "factor"), [("Conv", 1), ("Conv", 1.009), ("Conv", 0.991), ("Gemm", 1), ("Gemm", 3)]
)
def test_the_integers_of_a_bias_are_taken_as_they_are(kind, factor):
    compare(with_bias_scale(factor, kind), f"{kind} with a bias of a scale of its own")


def test_a_convolution_with_a_bias_of_another_scale_is_computed_in_float32():
    model = with_bias_scale(1.2, "Conv")
    held = read(model)
    assert "is computed in float32" in held.notes[0]
    theirs, ran = run_graph(model, {"input0": IMAGES})
    assert not ran["QLinearConv"]
    [theirs] = theirs.values()
    ours = real_result(held)
    np.testing.assert_allclose(ours, theirs, atol=0.0021)


def test_matrix_products_with_constants_are_linear_layers_over_the_last_axis():
    graph = Small()
    rows = graph.node("Reshape", graph.real, graph.constant(np.array([0, 18, -1])))
    _, rows = graph.rounded(rows, SCALE, 120)
    _, made = graph.rounded(graph.node("MatMul", rows, graph.weights((6, 5), scales=(5,), axis=1)))
    held, steps, _ = compare(graph.ending(made), "MatMul with weights")
    assert steps[held.program.network.output].value.levels.shape == (2, 18, 5)


def test_moves_between_quantize_and_dequantize_keep_integers():
    graph = Small()
    _, x = graph.rounded(graph.node("Transpose", graph.real, perm=[0, 2, 3, 1]), SCALE, 120)
    bounds = [graph.constant(np.array([each])) for each in (-5, 6, 2, 2)]
    _, x = graph.rounded(graph.node("Slice", x, *bounds), SCALE, 120)
    _, x = graph.rounded(graph.node("Unsqueeze", x, graph.constant(np.array([1]))), SCALE, 120)
    _, x = graph.rounded(graph.node("Squeeze", x, graph.constant(np.array([1]))), SCALE, 120)
    _, x = graph.rounded(graph.node("Flatten", x), 0.07, 100)  # with another scale: rounded again
    compare(graph.ending(x), "moves")


def test_an_image_may_be_moved_before_it_is_quantized():
    graph = Small()
    x = graph.node("Transpose", graph.image, perm=[0, 2, 3, 1])
    x = graph.node("Relu", graph.rounded(x, 0.03)[1])
    held, _, _ = compare(graph.ending(graph.rounded(x, 0.03, 0)[1]), "an image moved")
    assert isinstance(held.program.formats["input"], Float)


def test_real_numbers_may_be_moved_before_they_are_quantized():
    graph = Small()
    x = graph.node("Softmax", graph.node("Relu", graph.image))
    made = graph.rounded(graph.node("Flatten", x), 0.01)[1]
    held = read(graph.ending(made))
    assert len(held.notes) == 1
    theirs, _ = run_graph(graph.model(), {"input0": IMAGES})
    ours = real_result(held)
    np.testing.assert_allclose(ours, theirs[made], atol=0.0101)


def real_result(held):
    return real(execute(held.program, IMAGES)[held.program.network.output].value)


def test_bounds_of_integers_narrow_their_format():
    graph = Small()
    codes = graph.quantize(graph.conv(graph.real), np.float32(0.2), np.uint8(9))
    ends = [graph.constant(np.array(end, np.uint8)) for end in (0, 31)]
    clipped = graph.node("Clip", codes, *ends)
    held, _, _ = compare(
        graph.ending(graph.dequantize(clipped, np.float32(0.2), np.uint8(9))), "5 bits"
    )
    assert held.program.formats[held.layers[clipped]] == AffineGrid(5, 9)


def test_bounds_within_a_format_are_a_layer():
    graph = Small()
    codes = graph.quantize(graph.conv(graph.real), np.float32(0.1), np.uint8(100))
    ends = [graph.constant(np.array(end, np.uint8)) for end in (97, 124)]
    clipped = graph.node("Clip", codes, *ends)
    made = graph.dequantize(clipped, np.float32(0.1), np.uint8(100))
    held, steps, _ = compare(graph.ending(made), "bounds of integers")
    levels = steps[held.layers[clipped]].value.levels
    assert (levels.min(), levels.max()) == (-3, 24)


def test_sums_are_rounded_by_whoever_reads_them_alone():
    """A bound and a max pool between a convolution and its rounding."""
    graph = Small()
    x = graph.node("Relu", graph.conv(graph.real))
    x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    _, x = graph.rounded(x, 0.05, 0)
    compare(graph.ending(x), "max pool before the rounding")


def q_conv(graph, x, zero, integer):
    codes = graph.random.integers(-100, 101, (3, 3, 1, 1)).astype(np.int8)
    scales = graph.random.uniform(0.001, 0.01, 3).astype(np.float32)
    inputs = [SCALE, zero, codes, scales, np.zeros(3, np.int8), np.float32(0.05), integer(95)]
    return graph.node("QLinearConv", x, *map(graph.constant, inputs), kernel_shape=[1, 1])


def test_int8_operators_have_the_runtimes_integers():
    graph = Small(np.int8, -7)
    codes = q_conv(graph, graph.codes, graph.zero, np.int8)
    made = graph.dequantize(codes, np.float32(0.05), np.int8(95))
    held, _, _ = compare(graph.ending(made), "int8 QLinearConv", np.int8)
    assert held.program.formats[held.layers[codes]] == AffineGrid(8, 95 + 128, signed_codes=True)


def test_int8_without_a_zero_point_is_twos_complement():
    graph = Small(np.int8, 0)
    held = read(graph.ending(graph.node("Flatten", graph.real)))
    assert held.program.formats["input"] == Fixed(8, full_range=True)


def test_int8_tensors_between_real_operators_are_noted():
    graph = Small(np.int8, 0)
    made = graph.rounded(graph.conv(graph.real), integer=np.int8, zero_point=3)[1]
    assert "session.qdqisint8allowed" in read(graph.ending(made)).notes[0]


def test_a_bound_that_the_runtime_does_not_fuse_is_noted():
    graph = Small()
    x = graph.node("Relu", graph.conv(graph.real))
    [note] = read(graph.ending(graph.rounded(x, zero_point=20)[1])).notes
    assert "is bounded within the range of its integers, so that ONNX Runtime computes it" in note


def test_a_tensor_that_stays_real_is_computed_in_float32_and_noted():
    graph = Small()
    x = graph.conv(graph.real)  # two read it, so that nothing rounds it first
    left, right = graph.rounded(x, 0.05)[1], graph.rounded(x, 0.07)[1]
    model = graph.ending(graph.rounded(graph.node("Add", left, right))[1])
    held = read(model)
    [note] = held.notes
    assert "is computed in float32, in an order of additions that need not be" in note
    [conv] = held.program.weights
    assert held.program.weights[conv] is None
    assert isinstance(held.program.formats[conv], Float)
    steps = execute(held.program, IMAGES)
    theirs, _ = run_graph(model, {"input0": IMAGES})
    [theirs] = theirs.values()
    ours = real(steps[held.program.network.output].value)
    np.testing.assert_allclose(ours, theirs, atol=0.051)  # a step


def test_a_leaky_relu_of_integers_is_exact():
    graph = Small()
    compare(
        graph.ending(graph.rounded(graph.node("LeakyRelu", graph.real, alpha=0.1))[1]), "LeakyRelu"
    )


def test_a_leaky_relu_operator_is_exact():
    graph = Small()
    inputs = [
        graph.codes,
        *map(graph.constant, (SCALE, graph.zero, np.float32(0.03), np.uint8(40))),
    ]
    codes = graph.node("QLinearLeakyRelu", *inputs, domain=MICROSOFT, alpha=0.25)
    made = graph.dequantize(codes, np.float32(0.03), np.uint8(40))
    compare(graph.ending(made), "QLinearLeakyRelu")


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh", "Softmax", "HardSwish"])
def test_curves_of_integers_are_exact(kind):
    graph = Small()
    compare(graph.ending(graph.rounded(graph.node(kind, graph.real), 1 / 128, 128)[1]), kind)


@pytest.mark.parametrize("kind", ["Sigmoid", "Softmax"])
@pytest.mark.parametrize("zero_point", [-128, -7])
def test_curves_of_int8_are_exact(kind, zero_point):
    graph = Small(np.int8, -7)
    ends = [SCALE, graph.zero, np.float32(1 / 100), np.int8(zero_point)]
    attributes = {"axis": 3, "opset": 13} if kind == "Softmax" else {}
    inputs = [graph.codes, *map(graph.constant, ends)]
    codes = graph.node(f"QLinear{kind}", *inputs, domain=MICROSOFT, **attributes)
    made = graph.dequantize(codes, *ends[2:])
    compare(graph.ending(made), f"int8 QLinear{kind}", np.int8)


def test_int8_sums_are_rounded_with_their_own_zero_points():
    graph = Small(np.int8, -7)
    ends = [SCALE, graph.zero, SCALE, graph.zero, np.float32(0.07), np.int8(33)]
    held = [graph.constant(end) for end in ends]
    inputs = [graph.codes, *held[:2], graph.codes, *held[2:]]
    for kind in ("QLinearAdd", "QLinearMul"):
        codes = graph.node(kind, *inputs, domain=MICROSOFT)
        inputs = [codes, *held[4:], graph.codes, *held[2:]]
    compare(graph.ending(graph.dequantize(codes, *ends[4:])), "int8 sums", np.int8)


def test_a_curve_that_is_not_rounded_is_near_and_noted():
    graph = Small()
    model = graph.ending(graph.node("Softmax", graph.real))
    held = read(model)
    assert len(held.notes) == 1
    theirs, _ = run_graph(model, {"input0": IMAGES})
    [theirs] = theirs.values()
    ours = execute(held.program, IMAGES)[held.program.network.output].value
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_mean_over_the_image_is_near_and_noted(kept):
    graph = Small()
    axes = graph.constant(np.array([-1, 2]))
    mean = graph.node("ReduceMean", graph.real, axes, keepdims=kept)
    model = graph.ending(graph.rounded(mean, 0.01)[1])
    held = read(model)
    theirs, _ = run_graph(model, {"input0": IMAGES})
    [theirs] = theirs.values()
    ours = real_result(held)
    np.testing.assert_allclose(ours, theirs, atol=0.0101)
    assert ours.shape == theirs.shape and len(held.notes) == 1


def test_a_register_that_could_overflow_wraps_as_the_runtimes_does():
    graph, depth = Graph(), 2**17
    image = np.full((1, depth), 255, np.float32)
    x = graph.dequantize(
        graph.quantize(graph.feed(image), np.float32(1), np.uint8(0)), np.float32(1), np.uint8(0)
    )
    weight = graph.constant(np.full((1, depth), 127, np.int8))
    weight = graph.dequantize(weight, np.float32(1), np.int8(0))
    made = graph.node("Gemm", x, weight, transB=1)
    codes = graph.quantize(made, np.float32(2**24), np.uint8(128))
    graph.output(codes, np.uint8)
    held = read(graph.model())
    assert held.program.arithmetic.accumulator == Accumulator(32, "wrap")
    theirs, _ = run_graph(graph.model(), graph.feeds)
    ours = execute(held.program, image)[held.layers[codes]].value.levels + 128
    RECORD.compare(ONNX_RUNTIME, "files: a sum beyond 32 bits", ours, theirs[codes])


def test_a_file_has_a_table_of_work_as_any_program(tmp_path):
    graph = Small()
    _, x = graph.rounded(graph.conv(graph.real, scales=(4,)))
    model = graph.ending(x)
    load(ONNX).save(model, tmp_path / "small.onnx")
    held = read_onnx(tmp_path / "small.onnx")
    assert held.network is held.program.network and held.notes == ()
    assert isinstance(execute(held.program, IMAGES)[held.network.output].value, Levels)
    [layer] = work_table(held.network, settled_precision(held.program)).layers
    assert (layer.weight_bits, layer.activation_bits, layer.out_channels) == (8, 8, 4)
