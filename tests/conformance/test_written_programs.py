"""Programs written as QDQ and as QOperator models: ONNX Runtime has the same integers, and so has
qsim when it reads them back."""

import numpy as np
import pytest
from conformance.generators import WEIGHT_LIMIT
from conformance.peers import ONNX, ONNX_RUNTIME, RECORD, load
from conformance.program_files import input_name, read
from conformance.quantized_graphs import run_graph
from conformance.quantized_networks import with_outputs
from conformance.test_onnxruntime_mode import networks
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from programs import program_for, residual_network

from qsim.errors import QsimError, WorkloadError
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Add, Clip, Concat, Conv, Flatten, Linear, Relu, Sigmoid
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import HardSwish, LeakyRelu, Multiply
from qsim.network.pools import AveragePool, MaxPool
from qsim.onnx_writer import onnx_model
from qsim.onnx_writer.plan import Plan
from qsim.values import Sums, by_channel, real

WEIGHTS = [
    {"affine": {"bits": 8, "mode": "symmetric"}},
    {"fixed": {"bits": 8}},
    {"affine": {"bits": 6}},
    {"sp2": {"bits": 5}},
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}},
    {"power_of_two": {"bits": 4}},
    "bwn",
    "twn",
]
ACTIVATIONS = [{"affine": {"bits": 8}}, {"affine": {"bits": 8}}, {"affine": {"bits": 5}}]
FORMS = ["qdq", "qoperator"]


@pytest.fixture(autouse=True)
def peers():
    load(ONNX), load(ONNX_RUNTIME)
    if WEIGHT_LIMIT < 127:
        pytest.skip("without VNNI the runtime's products of large weights saturate")


def built(network, weights, activations, seed, **arguments):
    """A program and images with negative values; trained formats have no scale for zeros."""
    try:
        program, images = program_for(
            network, weights, activations=activations, seed=seed, requantize="onnxruntime",
            **arguments,
        )  # fmt: skip
    except WorkloadError as error:
        assert "no scale" in str(error)
        reject()
    return program, images * np.float32(1.5) - np.float32(0.4)


def zero_points(program):
    """Those of the tensors of integers of a written program."""
    plan = Plan(program)
    made = {step.name: step.codes for step in plan.steps if step.codes is not None}
    return {name: codes.zero_point for name, codes in (made | {INPUT: plan.input}).items()}


def executed(program, images):
    try:
        return execute(program, images)
    except QsimError as error:  # the runtime's softmax overflows at so small a scale
        assert "an exponential over" in str(error)
        reject()


def compare(program, images, form):
    """A written program run by ONNX Runtime and read back, with the program itself."""
    steps, model = executed(program, images), onnx_model(program, form)
    zeros, tensors = zero_points(program), {name: f"{name}_quantized" for name in program.formats}
    fed = {input_name(model): images}
    theirs, _ = run_graph(with_outputs(model, list(tensors.values())), fed)
    for name, tensor in tensors.items():
        ours = steps[name].value.levels + zeros[name]
        RECORD.compare(ONNX_RUNTIME, f"written as {form}", ours, theirs[tensor])
    [result] = [output.name for output in model.graph.output]
    ours = _real32(steps[program.network.output].value)
    alone, _ = run_graph(model, fed)
    for run in (theirs, alone):
        RECORD.compare(ONNX_RUNTIME, f"written as {form}, result", ours, run[result])
    compare_read_back(program, steps, model, images)


def _real32(value):
    """A result in float32, sums as the runtime scales them."""
    if isinstance(value, Sums):
        axis = value.axis
        value = value.channels_first
        [(sums, scale)] = value.terms
        made = sums.astype(np.float32) * by_channel(scale.astype(np.float32), sums)
        return np.moveaxis(np.clip(made, np.float32(value.low), np.float32(value.high)), 1, axis)
    return value.levels.astype(np.float32) * value.scale


def compare_read_back(program, steps, model, images):
    held = read(model)
    assert held.notes == ()
    again = execute(held.program, images)
    for name in program.formats:
        layer = held.layers[f"{name}_quantized"]
        assert held.program.scales[layer] == program.scales[name]
        assert np.array_equal(again[layer].value.levels, steps[name].value.levels)
    ends = [each.network.output for each in (program, held.program)]
    assert np.array_equal(_real32(steps[ends[0]].value), _real32(again[ends[1]].value))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60)
@given(networks(), st.sampled_from(WEIGHTS), st.sampled_from(ACTIVATIONS), st.integers(0, 2**16))
def test_random_networks_have_the_runtimes_integers(form, network, weights, activations, seed):
    compare(*built(network, weights, activations, seed), form)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from(WEIGHTS))
def test_a_residual_network_has_the_runtimes_integers(form, seed, weights):
    compare(*built(residual_network(), weights, {"affine": {"bits": 8}}, seed), form)


def plain_network():
    """Every kind of layer whose arithmetic does not depend on zero points, tokens included."""
    layers = (
        Conv(name="stem", out_channels=4, kernel=(2, 3), stride=(1, 2), padding=(0, 1, 2, 3)),
        Relu(name="relu"),
        MaxPool(name="pool", kernel=2, stride=1),
        Conv(name="wide", out_channels=4, kernel=3, padding=2, dilation=2, groups=2),
        Upsample(name="up", factor=(1, 2)),
        Slice(name="part", axis=2, start=1, stop=7, step=2),
        Reshape(name="tokens", shape=(4, -1)),
        Transpose(name="turned", order=(1, 0)),
        Linear(name="each", out_features=3),
        Relu(name="bounded"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=5, bias=False),
    )
    return Network("plain", (2, 6, 7), layers)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activations", [8, 4, 2])
@pytest.mark.parametrize("weight_scale", ["per_channel", "per_tensor"])
def test_signed_formats_without_a_zero_point_are_written_about_128(form, activations, weight_scale):
    program, images = built(
        plain_network(), {"fixed": {"bits": 8}}, {"fixed": {"bits": activations}}, 3,
        weight_scale=weight_scale,
    )  # fmt: skip
    compare(program, images, form)


@pytest.mark.parametrize("form", FORMS)
def test_unsigned_weights_are_written_with_their_zero_point(form):
    program, images = built(
        plain_network(), {"affine": {"bits": 8}}, {"affine": {"bits": 8}}, 5,
        weight_scale="per_tensor",
    )  # fmt: skip
    model = onnx_model(program, form)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    unsigned = load(ONNX).TensorProto.UINT8
    assert unsigned in {kinds[f"{name}.weight"] for name in ("stem", "wide", "each", "fc")}
    compare(program, images, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_a_gate_by_channel_has_the_runtimes_integers(form, seed):
    """As in MobileNet-v3: each channel is multiplied by one value."""
    layers = (
        Conv(name="stem", out_channels=4, kernel=3),
        HardSwish(name="swish"),
        AveragePool(name="mean"),
        Conv(name="squeeze", out_channels=2, kernel=1),
        Relu(name="relu"),
        Conv(name="excite", out_channels=4, kernel=1),
        Sigmoid(name="gate"),
        Multiply(name="gated", inputs=("swish", "gate")),
        Conv(name="next", out_channels=3, kernel=3),
        LeakyRelu(name="leaky", slope=0.1),
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
    )
    network = Network("gated", (3, 7, 6), layers)
    compare(*built(network, {"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, seed), form)


def ending_in(*tail):
    """A network whose result is that of the last of some layers."""
    layers = (
        Conv(name="stem", out_channels=3, kernel=3, padding=1),
        Relu(name="relu"),
        Conv(name="next", out_channels=3, kernel=1),
        *tail,
    )
    return Network("ending", (3, 6, 5), layers)


EXACT = {
    "conv": (Conv(name="end", out_channels=4, kernel=3, padding=(1, 0, 2, 1), groups=1, stride=2),),
    "depthwise": (Conv(name="end", out_channels=3, kernel=3, groups=3, bias=False),),
    "bounded": (Conv(name="end", out_channels=4, kernel=3), Relu(name="last")),
    "dense": (Flatten(name="flat"), Linear(name="end", out_features=4), Clip(name="last", low=-0.1, high=0.2)),
    "tokens": (Reshape(name="rows", shape=(3, 30)), Linear(name="end", out_features=4)),
    "pooled": (Conv(name="end", out_channels=4, kernel=1), MaxPool(name="last", kernel=2)),
}  # fmt: skip
REAL = {
    "added": (Add(name="end", inputs=("next", "relu")),),
    "averaged": (AveragePool(name="end"), Flatten(name="last")),
    "joined": (Concat(name="end", inputs=("next", "relu")),),
    "moved": (MaxPool(name="end", kernel=2),),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("weight_scale", ["per_channel", "per_tensor"])
def test_a_result_of_products_is_their_sums_at_their_scale(form, name, weight_scale):
    program, images = built(
        ending_in(*EXACT[name]), {"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, 1,
        weight_scale=weight_scale,
    )  # fmt: skip
    compare(program, images, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", REAL)
def test_another_result_that_is_not_rounded_is_real_numbers(form, name):
    program, images = built(
        ending_in(*REAL[name]), {"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, 1
    )
    steps, model = execute(program, images), onnx_model(program, form)
    result, _ = run_graph(model, {input_name(model): images})
    ours = real(steps[program.network.output].value)
    [theirs] = result.values()
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-6)
