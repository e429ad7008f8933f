"""Networks of any layers in any order: every layer is the float layer of what it read, and every
integer is confirmed."""

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from programs import program_for
from test_composition import assert_every_layer_is_its_float_function

from qsim.errors import WorkloadError
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    MaxPool,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
)  # fmt: skip
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
}  # fmt: skip
TWO_INPUTS = {"add": Add, "matmul": MatMul}
WEIGHTS = ["bwn", "ttq", {"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, {"sp2": {"bits": 5}}]
ACTIVATIONS = [{"affine": {"bits": 8}}, {"fixed": {"bits": 8}}, {"lsq": {"bits": 8}}]


@st.composite
def networks(draw, tails=("flatten", "concat", "average")):
    """Layers that keep the shape of the image, each reading the one before it or any other."""
    layers, made = [], [INPUT]
    for number in range(draw(st.integers(2, 7))):
        kind = draw(st.sampled_from([*ONE_INPUT, "conv", "conv", *TWO_INPUTS, "add"]))
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


@settings(max_examples=150)
@given(networks(), st.sampled_from(WEIGHTS), st.sampled_from(ACTIVATIONS), st.integers(0, 2**16))
def test_every_layer_computes_its_function_of_what_it_read(network, weights, activations, seed):
    program, images = built(network, weights, activations=activations, seed=seed)
    steps = execute(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)


@settings(max_examples=100)
@given(
    networks(tails=("flatten", "concat")),  # a mean is rounded to a level first
    st.sampled_from(WEIGHTS[2:]),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(["tflite", "tflite-reference", "tflite-builtin"]),
    st.integers(0, 2**16),
)
def test_so_it_does_where_every_tensor_is_rounded(network, weights, activations, requantize, seed):
    program, images = built(
        network, weights, activations=activations, seed=seed, requantize=requantize
    )
    steps = execute(program, images - np.float32(0.25))
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.02)
