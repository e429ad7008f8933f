"""Networks at the edge of what can be compiled: outputs that are levels, images that were flattened,
registers that wrap around in depthwise layers."""

import re

import numpy as np
import pytest
from compiled import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import program_for

from qsim.engine import Engine
from qsim.errors import QsimError
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.simd.host import available
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Concat, Conv, Flatten, Linear, Relu
from qsim.network.pointwise import Scale
from qsim.network.pools import MaxPool

LEFT = (Conv(name="left", out_channels=2, kernel=1), Flatten(name="flat"))
RIGHT = (
    Conv(name="right", out_channels=6, kernel=(3, 1), inputs=("input",)),
    Flatten(name="other"),
)


def program_of(*layers, **arguments):
    given = {"activations": {"affine": {"bits": 8}}} | arguments
    return program_for(Network("odd", (2, 3, 3), layers), {"fixed": {"bits": 8}}, **given)


@pytest.mark.parametrize(
    "layers",
    [
        [MaxPool(name="pool", kernel=(2, 1))],
        [Flatten(name="flat")],
        [Scale(name="scaled", factor=0.3)],
        [Scale(name="once", factor=0.3), MaxPool(name="pool", kernel=2), Scale(name="twice", factor=3.0)],
        [Add(name="double", inputs=("input", "input"))],
        [Relu(name="positive")],
        [Conv(name="conv", out_channels=3, kernel=1), Add(name="double", inputs=("conv", "conv")),
         Scale(name="scaled", factor=2.0), Flatten(name="flat")],
    ],
)  # fmt: skip
def test_an_output_that_is_levels_has_the_scale_of_what_it_moves(layers):
    program, images = program_of(*layers)
    assert_same(program, images - np.float32(0.5), None)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (
            [*LEFT, *RIGHT, Add(name="last", inputs=("flat", "other"))],
            "it adds images of different shapes that were flattened",
        ),
        (
            [*LEFT, Linear(name="same", out_features=18), Add(name="last", inputs=("flat", "same"))],
            "it adds images of different shapes that were flattened",
        ),
        (
            [*LEFT, BatchNorm(name="last"), Linear(name="end", out_features=2)],
            "it reads an image that was flattened",
        ),
        ([Concat(name="last", inputs=("input", "input"))], "its results are not rounded"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("requantize", ["onnx", "onnxruntime"])
def test_what_lies_in_another_order_is_refused(layers, reason, requantize):
    program, _ = program_of(*layers, requantize=requantize)
    text = f"network odd: layer 'last' cannot be compiled: {reason}"
    with pytest.raises(QsimError, match=re.escape(text)):
        Engine(program)


@pytest.mark.parametrize("backend", available())
@settings(max_examples=20)
@given(st.integers(2, 33), st.sampled_from([1, 2]), st.booleans(), st.integers(0, 99))
def test_sums_of_each_channel_wrap_around(backend, bits, multiplier, is_output, seed):
    layers = [Conv(name="alone", out_channels=2 * multiplier, kernel=3, padding=1, groups=2)]
    if not is_output:
        layers += [Flatten(name="flat"), Linear(name="end", out_features=3)]
    program, images = program_of(
        *layers, activations=8, signed=True, seed=seed, accumulator=Accumulator(bits, "wrap")
    )
    assert_same(program, images - np.float32(0.5), backend)
