"""Networks of any layers in any order: every layer is the float layer of what it read, and every
integer is confirmed."""

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from programs import program_for
from test_composition import assert_every_layer_is_its_float_function

from qsim.errors import QsimError, WorkloadError
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import (
    Add,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import (
    Gelu,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    LocalResponseNorm,
    Multiply,
    Offset,
    Scale,
    Silu,
)
from qsim.network.pools import AveragePool, MaxPool
from qsim.verify import count_checked

CHANNELS, SIDE = 2, 4
ONE_INPUT = {
    "conv": lambda draw, name: Conv(
        name=name, out_channels=CHANNELS, kernel=3, padding=1, groups=draw(st.sampled_from([1, 2])),
        bias=draw(st.booleans()),
    ),
    "relu": lambda draw, name: Relu(name=name),
    "relu6": lambda draw, name: Relu6(name=name),
    "hard_tanh": lambda draw, name: HardTanh(name=name),
    "clip": lambda draw, name: Clip(
        name=name, low=draw(st.sampled_from([-2.0, -0.5, 0.25])), high=draw(st.sampled_from([0.5, 3]))
    ),
    "max_pool": lambda draw, name: MaxPool(name=name, kernel=3, stride=1, padding=1),
    "sigmoid": lambda draw, name: Sigmoid(name=name, fraction_bits=12),
    "tanh": lambda draw, name: Tanh(name=name, fraction_bits=12),
    "softmax": lambda draw, name: Softmax(name=name, bits=12),
    "batch_norm": lambda draw, name: BatchNorm(name=name),
    "leaky_relu": lambda draw, name: LeakyRelu(name=name, slope=draw(st.sampled_from([0.1, 0.5]))),
    "gelu": lambda draw, name: Gelu(name=name, approximation=draw(st.sampled_from(["none", "tanh"]))),
    "silu": lambda draw, name: Silu(name=name),
    "hard_swish": lambda draw, name: HardSwish(name=name),
    "scale": lambda draw, name: Scale(name=name, factor=draw(st.sampled_from([0.125, 0.3, 2.0]))),
    "transpose": lambda draw, name: Transpose(name=name, order=(0, 2, 1)),
    "layer_norm": lambda draw, name: LayerNorm(name=name),
    "response_norm": lambda draw, name: LocalResponseNorm(name=name, size=2, alpha=0.5),
    "offset": lambda draw, name: Offset(name=name, shape=(1, SIDE, 1)),
    "mean": lambda draw, name: AveragePool(
        name=name, kernel=3, stride=1, padding=1, count_padding=draw(st.booleans())
    ),
}  # fmt: skip
TWO_INPUTS = {"add": Add, "matmul": MatMul, "multiply": Multiply}
ROUNDED_MEANS = ("mean",)  # where a mean is rounded to a level first, it is not the float function
WEIGHTS = ["bwn", "ttq", {"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, {"sp2": {"bits": 5}}]
ACTIVATIONS = [{"affine": {"bits": 8}}, {"fixed": {"bits": 8}}, {"lsq": {"bits": 8}}]


@st.composite
def networks(draw, tails=("flatten", "concat", "average"), without=()):
    """Layers that keep the shape of the image, each reading the one before it or any other."""
    layers, made = [], [INPUT]
    kinds = [*ONE_INPUT, "conv", "conv", *TWO_INPUTS, "add"]
    for number in range(draw(st.integers(2, 7))):
        kind = draw(st.sampled_from([kind for kind in kinds if kind not in without]))
        name, source = f"{kind}{number}", made[-1]
        if kind in TWO_INPUTS:
            other = draw(st.sampled_from(made))
            layers.append(TWO_INPUTS[kind](name=name, inputs=(source, other)))
        else:
            layers.append(ONE_INPUT[kind](draw, name))
        made.append(name)
    tail = draw(st.sampled_from(tails))
    if tail == "concat":
        layers.append(Concat(name="joined", inputs=(made[-1], draw(st.sampled_from(made)))))
    if tail == "average":
        layers.append(AveragePool(name="mean", kernel=2))
    layers += [Flatten(name="flat"), Linear(name="fc", out_features=3)]
    return Network("random", (CHANNELS, SIDE, SIDE), tuple(layers))


def built(network, weights, **arguments):
    """A program, unless a tensor is 0 throughout, of which LSQ has no first step."""
    try:
        return program_for(network, weights, **arguments)
    except WorkloadError as error:
        assert "their mean magnitude is no scale" in str(error)
        reject()


def executed(program, images):
    """A run, unless ONNX Runtime's softmax of few values overflows at so small a scale."""
    try:
        return execute(program, images)
    except QsimError as error:
        assert "an exponential over" in str(error)
        reject()


@settings(max_examples=150)
@given(networks(), st.sampled_from(WEIGHTS), st.sampled_from(ACTIVATIONS), st.integers(0, 2**16))
def test_every_layer_computes_its_function_of_what_it_read(network, weights, activations, seed):
    program, images = built(network, weights, activations=activations, seed=seed)
    steps = execute(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)


@settings(max_examples=100)
@given(
    networks(tails=("flatten", "concat"), without=ROUNDED_MEANS),
    st.sampled_from(WEIGHTS[2:]),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(["tflite", "tflite-reference", "tflite-builtin", "onnxruntime"]),
    st.integers(0, 2**16),
)
def test_so_it_does_where_every_tensor_is_rounded(network, weights, activations, requantize, seed):
    program, images = built(
        network, weights, activations=activations, seed=seed, requantize=requantize
    )
    steps = executed(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)


@settings(max_examples=100)
@given(
    networks(), st.sampled_from(WEIGHTS[2:]), st.sampled_from(ACTIVATIONS), st.integers(0, 2**16)
)
def test_so_it_does_as_onnx_runtime(network, weights, activations, seed):
    """Averages included, whose values are added in float32."""
    program, images = built(
        network, weights, activations=activations, seed=seed, requantize="onnxruntime"
    )
    steps = executed(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)


SEQUENCE = {
    "linear": lambda name: Linear(name=name, out_features=6),
    "gelu": lambda name: Gelu(name=name),
    "relu": lambda name: Relu(name=name),
    "layer_norm": lambda name: LayerNorm(name=name),
    "softmax": lambda name: Softmax(name=name, bits=12),
    "scale": lambda name: Scale(name=name, factor=0.35),
}


@st.composite
def sequences(draw):
    """Layers over (tokens, features), with attention over two heads among them."""
    layers, made = [], [INPUT]
    for number in range(draw(st.integers(2, 6))):
        kind = draw(st.sampled_from([*SEQUENCE, "linear", "add", "attention"]))
        name, source = f"{kind}{number}", made[-1]
        if kind == "add":
            layers.append(Add(name=name, inputs=(source, draw(st.sampled_from(made)))))
        elif kind == "attention":
            layers += attention(name, source)
        else:
            layers.append(SEQUENCE[kind](name))
        made.append(name)
    if draw(st.booleans()):
        layers.append(Slice(name="first", axis=0, stop=1))
    layers += [Flatten(name="flat"), Linear(name="fc", out_features=3)]
    return Network("sequence", (4, 6), tuple(layers))


def attention(name, source):
    """Of two heads, of three features each; what is multiplied is made by linear layers."""
    layers = []
    for part in ("query", "key", "value"):
        layers += [
            Linear(name=f"{name}.{part}", out_features=6, inputs=(source,)),
            Reshape(name=f"{name}.{part}.heads", shape=(4, 2, 3)),
            Transpose(name=f"{name}.{part}.by_head", order=(1, 0, 2)),
        ]
    query, key, value = (f"{name}.{part}.by_head" for part in ("query", "key", "value"))
    return [
        *layers,
        MatMul(name=f"{name}.scores", inputs=(query, key), transposed=True),
        Scale(name=f"{name}.scaled", factor=3**-0.5),
        Softmax(name=f"{name}.shares", bits=12),
        MatMul(name=f"{name}.mixed", inputs=(f"{name}.shares", value)),
        Transpose(name=f"{name}.by_token", order=(1, 0, 2)),
        Reshape(name=name, shape=(4, -1)),
    ]


@settings(max_examples=60)
@given(
    sequences(),
    st.sampled_from(WEIGHTS),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(["onnx", "tflite", "onnxruntime"]),
    st.integers(0, 2**16),
)
def test_so_it_does_over_tokens(network, weights, activations, requantize, seed):
    if requantize != "onnx" and weights in WEIGHTS[:2]:
        weights = WEIGHTS[2]
    program, images = built(
        network, weights, activations=activations, seed=seed, requantize=requantize
    )
    steps = executed(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)


@given(st.sampled_from(["onnx", "shift", "tflite", "onnxruntime"]), st.integers(0, 2**16))
def test_what_is_moved_keeps_its_levels(requantize, seed):
    """Upsampled, sliced and joined along any axis, then read by a convolution."""
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        Upsample(name="up", factor=(2, 1)),
        Slice(name="odd", axis=1, start=1, stop=8, step=2),
        Conv(name="b", out_channels=2, kernel=1, inputs=("input",)),
        Concat(name="wide", inputs=("odd", "b", "odd"), axis=2),
        Concat(name="high", inputs=("wide", "wide"), axis=1),
        Conv(name="c", out_channels=2, kernel=3),
    )
    network = Network("moves", (2, 4, 4), layers)
    program, images = program_for(
        network,
        {"fixed": {"bits": 6}},
        activations=8,
        signed=True,
        requantize=requantize,
        seed=seed,
    )
    steps = execute(program, images)
    assert count_checked(program, steps, 50)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)
