"""Programs written as QONNX: QONNX's executor gives our integers with ``==``, its own inference takes
the file, and what is read of the file is the program.

All scales and factors are powers of two and all biases few multiples of them, so that a run in
float32 is exact (see ``test_qonnx_models``).
"""

from dataclasses import replace

import numpy as np
import pytest
from conformance import qonnx_models as models
from conformance.generators import SEEDS
from conformance.peers import QONNX, RECORD
from conformance.test_qonnx_models import read
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from programs import program_for

from qsim.datasets import digits
from qsim.errors import QsimError, WorkloadError
from qsim.evaluate import make_program
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Add, Clip, Concat, Conv, Flatten, Linear, Relu
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.weights import seeded_weights
from qsim.onnx_writer import qonnx_model
from qsim.values import Levels, real
from qsim.workload import load_workload

EXAMPLES = settings(max_examples=25)
CHANNELS, SIDE = 3, 4
KINDS = {
    "conv": lambda draw, name: Conv(
        name=name, out_channels=CHANNELS, kernel=3, padding=1, groups=draw(st.sampled_from([1, 3])),
        bias=draw(st.booleans()),
    ),
    "relu": lambda draw, name: Relu(name=name),
    "clip": lambda draw, name: Clip(name=name, low=draw(st.sampled_from([-0.5, 0.25])), high=1.5),
    "max_pool": lambda draw, name: MaxPool(name=name, kernel=2, stride=1, padding=(0, 0, 1, 1)),
}  # fmt: skip
FOUND = [  # scales are found from data, and raised to powers of two
    {"fixed": {"bits": 4}}, {"affine": {"bits": 4}}, {"sp2": {"bits": 4}},
    {"power_of_two": {"bits": 4}}, {"msq": {"bits": 4, "fixed_to_sp2": "1:1"}},
    {"quant": {"bits": 3, "narrow": True, "rounding": "floor"}},
]  # fmt: skip
OWN = ["binary_connect", "twn", "bwn", {"dorefa_weights": {"bits": 1}},
       {"fixed_point": {"bits": 3, "fraction_bits": 2}}, {"wrpn_weights": {"bits": 2}}]  # fmt: skip
ROUNDED = [
    {"fixed": {"bits": 4}}, {"affine": {"bits": 5, "mode": "symmetric"}},
    *({"fixed_point": {"bits": 5, "fraction_bits": 2, "rounding": rounding}}
      for rounding in ("half_even", "half_away", "floor", "ceil", "toward_zero")),
    {"quant": {"bits": 4, "rounding": "half_toward"}}, {"quant": {"bits": 5, "rounding": "away"}},
]  # fmt: skip


@st.composite
def networks(draw):
    layers, made = [], [INPUT]
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from([*KINDS, "conv", "add", "concat"]))
        name, other = f"{kind}{number}", draw(st.sampled_from(made))
        if kind in ("add", "concat"):
            joined = {"add": Add, "concat": Concat}[kind]
            layers.append(joined(name=name, inputs=(made[-1], other)))
            if kind == "concat":
                layers.append(Conv(name=f"{name}.back", out_channels=CHANNELS, kernel=1))
                name = f"{name}.back"
        else:
            layers.append(KINDS[kind](draw, name))
        made.append(name)
    layers.append(AveragePool(name="mean", kernel=2))
    layers += [Flatten(name="flat"), Linear(name="fc", out_features=3, bias=draw(st.booleans()))]
    try:
        return Network("random", (CHANNELS, SIDE, SIDE), tuple(layers))
    except QsimError:
        reject()  # something is not read


def few_bits(network, seed, *, magnitude=None):
    """Weights and biases that are multiples of 1/16; weights of one ``magnitude`` or of any."""
    values = {k: np.rint(v * 16) / np.float32(16) for k, v in seeded_weights(network, seed).items()}
    for key, value in values.items():
        if key.endswith("weight"):
            value[np.abs(value) < 2.0**-4] = 2.0**-4
            values[key] = value if magnitude is None else np.sign(value) * np.float32(magnitude)
    return values


def built(network, weights, **arguments):
    try:
        return program_for(network, weights, **arguments)
    except WorkloadError as error:
        reject()
        raise AssertionError from error


def with_factors(program, seed):
    """The program with batch norms' factors that are powers of two, of either sign, and 0."""
    rng = np.random.default_rng(seed)
    factors = {
        name: np.float32(rng.choice([0.5, 1, 2, -1, -0.25, 0], len(factor)))
        for name, factor in program.factors.items()
    }
    return replace(program, factors=factors)


def assert_exported(program, images, subject):
    """Every rounded tensor and the result, as QONNX runs the file."""
    model = qonnx_model(program)
    models.prepared(model, datatypes=True)
    steps = execute(program, images)
    for index, image in enumerate(images):
        tensors = models.run_qonnx(model, image[None])
        ours, theirs = [], []
        for name, step in steps.items():
            if program.rounds(name):
                ours.append(step.value.levels[index])
                theirs.append(tensors[f"{name}_quant"][0] / program.scales[name])
        ours.append(real(steps[program.network.output].value)[index])
        theirs.append(tensors[model.graph.output[0].name][0])
        ours, theirs = (np.concatenate([a.reshape(-1) for a in each]) for each in (ours, theirs))
        RECORD.compare(QONNX, subject, ours, theirs)
    assert_reads_back(program, model, steps, images)


def assert_reads_back(program, model, steps, images):
    """The program that is read has the integers of the one that was written; written and read again
    it is itself."""
    first, layers = read(model)
    made = execute(first, images)
    for tensor, name in layers.items():
        ours = steps[tensor.removesuffix("_quant")].value if tensor.endswith("_quant") else None
        if ours is not None and isinstance(ours, Levels):
            np.testing.assert_array_equal(made[name].value.levels, ours.levels)
    np.testing.assert_array_equal(
        real(made[first.network.output].value), real(steps[program.network.output].value)
    )
    second, _ = read(qonnx_model(first))
    assert second.network.layers == first.network.layers
    assert (second.formats, second.scales) == (first.formats, first.scales)
    for name, quantized in first.weights.items():
        assert second.weights[name].format == quantized.format
        np.testing.assert_array_equal(second.weights[name].levels, quantized.levels)
        np.testing.assert_array_equal(second.weights[name].scale, quantized.scale)
        np.testing.assert_array_equal(second.biases[name], first.biases[name])
    assert second.factors.keys() == first.factors.keys()
    for name, factor in first.factors.items():
        np.testing.assert_array_equal(second.factors[name], factor)
    assert second.real.keys() == first.real.keys()
    for key, array in first.real.items():
        np.testing.assert_array_equal(second.real[key], array)


def images_of(network, seed):
    rng = np.random.default_rng(seed)
    return np.float32(rng.integers(-32, 33, (2, *network.input_shape)) / 16)


@EXAMPLES
@given(networks(), st.sampled_from(FOUND), st.sampled_from(ROUNDED), SEEDS)
def test_programs_of_shifts_are_run_alike(network, weights, activations, seed):
    values = few_bits(network, seed)
    program, _ = built(
        network, weights, activations=activations, requantize="shift", values=values, seed=seed
    )
    assert_exported(program, images_of(network, seed), "exported, shift")


@EXAMPLES
@given(
    networks(), st.sampled_from(OWN), st.sampled_from([*ROUNDED[2:7], "xnor_activations"]), SEEDS
)
def test_programs_of_trained_formats_are_run_alike(network, weights, activations, seed):
    """Binary and ternary weights, odd levels, and batch norms as factors; signs as activations."""
    values = few_bits(network, seed, magnitude=0.5)
    program, _ = built(
        network, weights, activations=activations, requantize="onnx", values=values, seed=seed
    )
    program = with_factors(program, seed)
    assert_exported(program, images_of(network, seed), "exported, onnx")


@settings(max_examples=20)
@given(
    networks(),
    st.sampled_from([*FOUND, *OWN, {"dorefa_weights": {"bits": 2}}]),
    st.sampled_from(
        [
            {"fixed": {"bits": 4}},
            {"dorefa_activations": {"bits": 2}},
            {"hwgq": {"bits": 2}},
            {"affine": {"bits": 4}},
            {"quant": {"bits": 3, "rounding": "ceil"}},
        ]
    ),
    st.sampled_from(["onnx", "shift", "tflite", "tflite-reference", "thresholds"]),
    SEEDS,
)
def test_thresholds_are_the_integers_of_any_arithmetic(
    network, weights, activations, requantize, seed
):
    """At any scale: of a float32 run only the sums must be exact."""
    program, _ = built(
        network, weights, activations=activations, requantize=requantize, seed=seed % 2**31
    )
    lowest = np.float32(0 if program.formats[INPUT].refuses_negative else 1)
    images = np.abs(images_of(network, seed)) - lowest
    try:
        steps = execute(program, images)
    except QsimError:
        reject()  # not every arithmetic rounds to every format
    try:
        model = qonnx_model(program, "thresholds")
    except QsimError as error:
        assert "it scales each branch by itself" in str(error)
        assert requantize not in ("shift", "thresholds")
        reject()
    assert_thresholds(program, model, images, steps)


def assert_thresholds(program, model, images, steps):
    """The levels of every rounded tensor, as QONNX counts them, and as our reading of the file does."""
    models.prepared(model, datatypes=True)
    read_back, layers = read(model)
    again = execute(read_back, images)
    for index, image in enumerate(images):
        tensors = models.run_qonnx(model, image[None])
        ours, theirs = [], []
        for name in filter(program.rounds, steps):
            ours.append(steps[name].value.levels[index].reshape(-1))
            theirs.append(tensors[f"{name}_levels"][0].reshape(-1))
            made = again[layers[f"{name}_levels"]].value
            np.testing.assert_array_equal(made.levels[index], steps[name].value.levels[index])
            assert made.scale == 1
        RECORD.compare(
            QONNX,
            f"exported, thresholds of {program.arithmetic.requantize}",
            np.concatenate(ours),
            np.concatenate(theirs),
        )


SHIPPED = ["digits-dorefa-w1a2", "digits-wrpn-w2a4", "digits-lsq", "digits-pact", "digits-ternary",
           "digits-affine4", "digits-msq", "digits-bwn"]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_trained_digits_networks_are_written_and_read_as_they_are(name):
    """At the scales that they have: what is read of the file is the program to the last bit, and of
    QONNX's run next to no level differs."""
    program, images = make_program(load_workload(name)), digits().images[:2]
    model, steps = qonnx_model(program), execute(program, images)
    read_back, _ = read(model)
    made = execute(read_back, images)[read_back.network.output].value
    np.testing.assert_array_equal(real(made), real(steps[program.network.output].value))
    for index, image in enumerate(images):
        tensors = models.run_qonnx(model, image[None])
        ours, theirs = [], []
        for tensor in filter(program.rounds, steps):
            ours.append(steps[tensor].value.levels[index].reshape(-1))
            theirs.append(
                np.rint(tensors[f"{tensor}_quant"][0] / program.scales[tensor]).reshape(-1)
            )
        subject = "exported, trained digits networks"
        differing, total = RECORD.count(QONNX, subject, *map(np.concatenate, (ours, theirs)))
        assert differing <= 0.001 * total


def test_a_trained_network_of_thresholds_is_run_alike():
    """XNOR-Net of the digits, whose batch norms and signs become thresholds, at scales as learned."""
    program, images = make_program(load_workload("digits-xnor")), digits().images[:3]
    assert_thresholds(program, qonnx_model(program, "thresholds"), images, execute(program, images))
