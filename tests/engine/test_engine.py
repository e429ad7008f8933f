"""Compiled programs give the integers of executed ones, on every back end of the machine."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import odd_network, program_for, residual_network

from qsim.engine import Engine
from qsim.engine.lower import lower
from qsim.errors import QsimError, WorkloadError
from qsim.execute import execute
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.simd.host import available
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Flatten, Linear, Relu, Softmax
from qsim.requantize import REQUANTIZERS
from qsim.values import real

BACKENDS = available()
WEIGHTS = [
    {"fixed": {"bits": 8}}, {"fixed": {"bits": 3}}, {"affine": {"bits": 8}}, {"sp2": {"bits": 4}},
    {"sp2": {"bits": 6}}, {"sp2": {"bits": 8}}, {"power_of_two": {"bits": 5}}, "ternary", "bwn",
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1"}}, "xnor", {"wrpn": {"bits": 4}},
]  # fmt: skip
ACTIVATIONS = [
    {"fixed": {"bits": 4}}, {"fixed": {"bits": 8}}, {"affine": {"bits": 8}},
    {"affine": {"bits": 5}}, {"sp2": {"bits": 4}}, {"lsq": {"bits": 4}},
]  # fmt: skip
KINDS = ("conv", "relu", "relu6", "hard_tanh", "clip", "max_pool", "add", "mean")


def assert_same(program, images, backend):
    """The compiled program makes every rounded tensor and the output of the executed one."""
    engine = Engine(program, backend)
    steps = execute(program, images)
    for name, levels in engine.tensors(images).items():
        assert levels.dtype == np.int32
        assert np.array_equal(levels, steps[name].value.levels), name
    output = real(steps[program.network.output].value)
    for _ in range(2):  # nothing is left of the run before
        assert np.array_equal(engine.run(images), output)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("requantize", REQUANTIZERS)
@settings(max_examples=12)
@given(
    st.sampled_from([residual_network(), residual_network(1, 2, 1), residual_network(3, 1, 4), odd_network()]),
    st.sampled_from(WEIGHTS),
    st.sampled_from(ACTIVATIONS),
    st.integers(0, 2**16),
    st.sampled_from(["per_channel", "per_tensor"]),
)  # fmt: skip
def test_every_requantizer(backend, requantize, network, weights, activations, seed, weight_scale):
    try:
        program, images = program_for(
            network, weights, activations=activations, seed=seed, weight_scale=weight_scale,
            requantize=requantize,
        )  # fmt: skip
        execute(program, images)
    except (WorkloadError, QsimError):
        return  # formats that do not go with the requantizer: there is no program
    try:
        assert_same(program, images, backend)
    except QsimError as error:
        assert "the values under its windows are added in float32" in str(error)
        assert requantize == "onnxruntime"


def test_what_an_addition_reads_is_made_where_another_layer_reads_it_too():
    layers = (
        Conv(name="left", out_channels=4, kernel=3),
        Flatten(name="flat"),
        Conv(name="right", out_channels=4, kernel=3, inputs=("input",)),
        Flatten(name="other"),
        Add(name="sum", inputs=("flat", "other")),
        Relu(name="relu"),
        Linear(name="end", out_features=3),
        Linear(name="beside", out_features=3, inputs=("flat",)),
        Add(name="result", inputs=("end", "beside")),
    )
    for requantize in ("onnxruntime", "tflite"):
        program, images = program_for(
            Network("shared", (2, 6, 6), layers), {"fixed": {"bits": 8}},
            activations={"affine": {"bits": 8}}, requantize=requantize,
        )  # fmt: skip
        assert_same(program, images, None)


def test_an_addition_is_a_part_of_the_step_before_it():
    program, images = program_for(
        residual_network(), {"fixed": {"bits": 8}}, activations={"affine": {"bits": 8}},
        requantize="onnxruntime",
    )  # fmt: skip
    assert len(lower(program).steps) == len(lower(program, every=True).steps) - 1
    assert_same(program, images, None)


@pytest.mark.parametrize(
    ("layers", "arguments", "reason"),
    [
        ([Softmax(name="s")], {}, "layer 's' cannot be compiled: there is no step for a softmax"),
        ([Relu(name="r")], {"activations": 12}, "input cannot be compiled: its levels are more than a byte holds"),
        (
            [Conv(name="c", out_channels=2, kernel=1)],
            {"accumulator": Accumulator(8, "saturate"), "signed": True},
            "layer 'c' cannot be compiled: its accumulator saturates or has a partial register",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_said_by_layer(layers, arguments, reason):
    tail = [Flatten(name="flat"), Linear(name="fc", out_features=2)]
    network = Network("refused", (2, 4, 4), (*layers, *tail))
    program, _ = program_for(network, {"fixed": {"bits": 8}}, **arguments)
    with pytest.raises(QsimError, match=re.escape(f"network refused: {reason}")):
        Engine(program)


def test_a_back_end_that_there_is_not_is_refused():
    program, _ = program_for(residual_network(), {"fixed": {"bits": 8}})
    with pytest.raises(QsimError, match="unknown back end 'fast'"):
        Engine(program, "fast")


def test_images_of_another_shape_are_refused():
    program, images = program_for(residual_network(), {"fixed": {"bits": 8}})
    with pytest.raises(QsimError, match=r"reads finite images of \(2, 7, 7\)"):
        Engine(program).run(images[:, :, :3])


@pytest.mark.parametrize("backend", BACKENDS)
@given(st.integers(2, 33), st.sampled_from([residual_network(), odd_network()]), st.integers(0, 99))
@settings(max_examples=10)
def test_accumulators_that_wrap_around(backend, bits, network, seed):
    program, images = program_for(
        network, {"fixed": {"bits": 8}}, signed=True, seed=seed,
        accumulator=Accumulator(bits, "wrap"),
    )  # fmt: skip
    assert_same(program, images, backend)
