"""Compiled programs give the integers of executed ones, on every back end of the machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import odd_network, program_for, residual_network

from qsim.engine import Engine
from qsim.errors import QsimError, WorkloadError
from qsim.execute import execute
from qsim.kernels.simd.host import available
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
