"""Networks executed with ``requantize: onnxruntime`` beside ONNX Runtime on the same integers."""

import numpy as np
import pytest
from conformance.generators import WEIGHT_LIMIT
from conformance.peers import ONNX, ONNX_RUNTIME, RECORD, load
from conformance.program_graphs import quantized_graph
from conformance.quantized_graphs import run_graph
from conformance.quantized_networks import with_outputs
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from programs import program_for, residual_network

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import (
    Add,
    Clip,
    Concat,
    Conv,
    Flatten,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.pointwise import HardSwish, LeakyRelu, Multiply
from qsim.network.pools import AveragePool, MaxPool
from qsim.onnx_runtime import zero_point_of
from qsim.verify import count_checked

CHANNELS, SIDE = 3, 5
LAYERS = {
    "conv": lambda draw, name, x: Conv(name=name, inputs=x, out_channels=CHANNELS, kernel=3, padding=1),
    "depthwise": lambda draw, name, x: Conv(
        name=name, inputs=x, out_channels=CHANNELS, kernel=3, padding=1, groups=CHANNELS
    ),
    "relu": lambda draw, name, x: Relu(name=name, inputs=x),
    "relu6": lambda draw, name, x: Relu6(name=name, inputs=x),
    "clip": lambda draw, name, x: Clip(name=name, inputs=x, low=-0.3, high=draw(st.sampled_from([0.4, 3]))),
    "max_pool": lambda draw, name, x: MaxPool(name=name, inputs=x, kernel=3, stride=1, padding=1),
    "mean": lambda draw, name, x: AveragePool(
        name=name, inputs=x, kernel=3, stride=1, padding=1, count_padding=draw(st.booleans())
    ),
    "sigmoid": lambda draw, name, x: Sigmoid(name=name, inputs=x),
    "tanh": lambda draw, name, x: Tanh(name=name, inputs=x),
    "leaky_relu": lambda draw, name, x: LeakyRelu(name=name, inputs=x, slope=draw(st.sampled_from([0.1, 0.25]))),
    "hard_swish": lambda draw, name, x: HardSwish(name=name, inputs=x),
    "softmax": lambda draw, name, x: Softmax(name=name, inputs=x),
    "add": lambda draw, name, x: Add(name=name, inputs=x),
    "multiply": lambda draw, name, x: Multiply(name=name, inputs=x),
    "matmul": lambda draw, name, x: MatMul(name=name, inputs=x, transposed=draw(st.booleans())),
}  # fmt: skip
OF_TWO = ("add", "multiply", "matmul")


@st.composite
def networks(draw):
    """Layers that keep the shape of the image, each reading the one before it or any other."""
    layers, made = [], [INPUT]
    for number in range(draw(st.integers(2, 8))):
        kind = draw(st.sampled_from([*LAYERS, "conv", "add"]))
        name, x = f"{kind}{number}", (made[-1],)
        if kind in OF_TWO:
            x += (draw(st.sampled_from(made)),)
        layers.append(LAYERS[kind](draw, name, x))
        made.append(name)
    if draw(st.booleans()):
        layers.append(Concat(name="both", inputs=(made[-1], draw(st.sampled_from(made)))))
    if draw(st.booleans()):
        layers.append(AveragePool(name="whole"))
    layers += [Flatten(name="flat"), Linear(name="fc", out_features=4)]
    return Network("random", (CHANNELS, SIDE, SIDE), tuple(layers))


def compare(network, seed, subject):
    """Every rounded tensor and the result, of two images, with ONNX Runtime's."""
    if WEIGHT_LIMIT < 127:
        pytest.skip("without VNNI the runtime's products of large weights saturate")
    load(ONNX), load(ONNX_RUNTIME)
    program, images = program_for(
        network, {"fixed": {"bits": 8}}, activations={"affine": {"bits": 8}},
        weight_scale="per_channel", seed=seed, requantize="onnxruntime",
    )  # fmt: skip
    images = images * np.float32(1.5) - np.float32(0.4)
    try:
        steps = execute(program, images)
    except QsimError as error:  # the runtime's softmax overflows at so small a scale
        assert "an exponential over" in str(error)
        reject()
    assert count_checked(program, steps, 5)[1] == []
    graph, codes, result = quantized_graph(program, images)
    theirs, _ = run_graph(with_outputs(graph.model(), list(codes.values())), graph.feeds)
    for tensor, name in codes.items():
        ours = steps[tensor].value.levels + zero_point_of(program.formats[tensor])
        RECORD.compare(ONNX_RUNTIME, f"onnxruntime mode, {subject}", ours, theirs[name])
    [(sums, scale)] = steps[network.output].value.terms
    ours = sums.astype(np.float32) * scale.astype(np.float32)
    RECORD.compare(ONNX_RUNTIME, f"onnxruntime mode, {subject}", ours, theirs[result])
    alone, _ = run_graph(graph.model(), graph.feeds)
    subject = f"onnxruntime mode, {subject}, result alone"
    RECORD.compare(ONNX_RUNTIME, subject, ours, alone[result])


@settings(max_examples=150)
@given(networks(), st.integers(0, 2**16))
def test_random_networks_have_the_runtimes_integers(network, seed):
    compare(network, seed, "random networks")


@given(st.integers(0, 2**16))
@settings(max_examples=20)
def test_a_residual_network_has_the_runtimes_integers(seed):
    compare(residual_network(), seed, "residual network")
