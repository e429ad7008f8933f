"""Calibration of whole networks, up to the integers of their programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import EVERYTHING, program_for, residual_network, varied_network

from qsim.build import build
from qsim.calibrate.exact_sum import MagnitudeSum
from qsim.calibrate.extremes import MinMax
from qsim.calibrate.observe import observe
from qsim.errors import WeightsError, WorkloadError
from qsim.execute import execute
from qsim.formats import Affine, Fixed, from_document
from qsim.network import reference
from qsim.network.graph import Network
from qsim.network.layers import Conv, Relu
from qsim.network.weights import seeded_weights
from qsim.precision import Granularity, Precision
from qsim.program import Arithmetic
from qsim.verify import count_checked

METHODS = [
    "min_max",
    {"moving_average": {"batch": 2, "constant": 0.25}},
    {"percentile": {"percent": 97}},
    "mse",
    {"kl": {"bins": 512}},
    {"kl": {"bins": 300, "start": 16, "empty_bins": "smooth", "zero_bin": "keep", "stride": 3}},
]
ACTIVATIONS = [
    {"affine": {"bits": 4}},
    {"affine": {"bits": 8, "mode": "symmetric"}},
    {"fixed": {"bits": 4}},
    {"pact": {"bits": 4}},
    {"lsq": {"bits": 4}},
]
RELU = Network("n", (1, 3, 3), (Conv(name="c", out_channels=2, kernel=1), Relu(name="r")))


@settings(max_examples=15)
@given(
    st.sampled_from(METHODS),
    st.sampled_from(ACTIVATIONS[:3]),
    st.sampled_from(["onnx", "shift", "tflite"]),
    st.integers(0, 2**16),
)
def test_every_integer_of_a_calibrated_program_is_confirmed(method, activations, requantize, seed):
    program, images = program_for(
        varied_network(), {"fixed": {"bits": 4}}, activations=activations, seed=seed,
        calibration=method, requantize=requantize,
    )  # fmt: skip
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []
    if requantize == "shift":
        assert all(np.frexp(scale)[0] == 0.5 for scale in program.scales.values())


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("activations", ACTIVATIONS, ids=str)
def test_scales_do_not_depend_on_how_many_images_are_run_at_once(monkeypatch, method, activations):
    def scales(batch_bytes):
        monkeypatch.setattr(reference, "BATCH_BYTES", batch_bytes)
        network = residual_network()
        program, _ = program_for(network, {"fixed": {"bits": 4}}, activations=activations)
        images = np.random.default_rng(1).standard_normal((7, *network.input_shape), np.float32)
        asked = Precision(
            {node.name: program.weights[node.name].format for node in network.product_nodes},
            {node.name: Granularity("per_channel") for node in network.product_nodes},
            {name: from_document(activations, where="w") for name in program.formats},
        )
        again = build(network, program.real, asked, images, Arithmetic(calibration=method))
        return again.formats, {name: float(scale) for name, scale in again.scales.items()}

    assert scales(1) == scales(2**27) == scales(3 * 4 * 1000)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("activations", ACTIVATIONS[:4], ids=str)
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30])
def test_images_of_one_value_have_scales(method, activations, value):
    program, images = program_of_one_value(method, activations, value)
    assert all(np.isfinite(scale) and scale > 0 for scale in program.scales.values())
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_denormal_images_have_no_scale_of_sums(method):
    with pytest.raises(WeightsError, match="the scale of its sums leaves the range of float32"):
        program_of_one_value(method, ACTIVATIONS[0], 2.0**-149)


def program_of_one_value(method, activations, value):
    layers = (Conv(name="c", out_channels=2, kernel=1, bias=False), Relu(name="r"),
              Conv(name="d", out_channels=2, kernel=1))  # fmt: skip
    network = Network("n", (1, 3, 3), layers)
    asked = from_document(activations, where="w")
    weights = {"c": Fixed(4), "d": Fixed(4)}
    granularity = dict.fromkeys(weights, Granularity("per_channel"))
    precision = Precision(weights, granularity, {"input": asked, "r": asked})
    images = np.full((3, 1, 3, 3), value, np.float32)
    arithmetic = Arithmetic(calibration=method)
    return build(network, seeded_weights(network, 0), precision, images, arithmetic), images


def test_no_more_than_a_batch_of_images_is_read_at_once(monkeypatch):
    class Watched:
        """Images that say which of them were asked for."""

        def __init__(self):
            self.slices = []

        def __len__(self):
            return 5

        def __getitem__(self, wanted):
            self.slices.append(range(5)[wanted])
            return np.ones((len(range(5)[wanted]), 1, 3, 3), np.float32)

    monkeypatch.setattr(reference, "BATCH_BYTES", 2 * 4 * 2 * 2 * 9)  # two images' tensors
    images, steps = Watched(), []
    observe(RELU, seeded_weights(RELU, 0), images, {}, progress=lambda *both: steps.append(both))
    assert images.slices == [range(0, 2), range(2, 4), range(4, 5)]
    assert steps == [(done, 6) for done in range(1, 7)]  # two layers of three batches


def test_the_least_values_are_those_of_all_images(monkeypatch):
    monkeypatch.setattr(reference, "BATCH_BYTES", 1)
    images = np.random.default_rng(0).standard_normal((6, 1, 3, 3), np.float32)
    lowest = observe(RELU, seeded_weights(RELU, 0), images, {})
    assert lowest["input"] == images.min()
    assert lowest["r"] >= 0


def test_without_images_there_are_no_ranges():
    images = np.zeros((0, 1, 3, 3), np.float32)
    with pytest.raises(WorkloadError, match="network n: has no calibration images"):
        observe(RELU, seeded_weights(RELU, 0), images, {})


def test_a_tensor_that_was_never_seen_is_named():
    images, observers = np.zeros((1, 1, 3, 3), np.float32), {"x": MinMax().observer()}
    with pytest.raises(WorkloadError, match="calibration saw no value of tensor 'x'"):
        observe(RELU, seeded_weights(RELU, 0), images, observers)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_refused(bad):
    images = np.zeros((2, 1, 3, 3), np.float32)
    images[1, 0, 2, 2] = bad
    with pytest.raises(WorkloadError, match="its calibration images hold values that are no"):
        observe(RELU, seeded_weights(RELU, 0), images, {})


def test_a_tensor_that_overflows_is_named():
    weights = {"c.weight": np.full((2, 1, 1, 1), 3e38, np.float32), "c.bias": np.zeros(2)}
    images = np.full((1, 1, 3, 3), 10, np.float32)
    with pytest.raises(WeightsError, match="tensor 'c' overflows in floating point"):
        observe(RELU, weights, images, {})


def test_a_method_that_cannot_serve_the_format_names_the_tensor():
    with pytest.raises(WorkloadError, match="tensor 'input' of network residual: kl merges 2,048"):
        program_for(
            residual_network(), {"fixed": {"bits": 4}},
            activations={"affine": {"bits": 16}}, calibration="kl",
        )  # fmt: skip


def test_the_step_of_lsq_is_of_all_values():
    network = residual_network()
    program, images = program_for(
        network, {"fixed": {"bits": 4}}, activations={"lsq": {"bits": 4, "signed": False}}
    )
    total = MagnitudeSum()
    total.add(images)
    assert program.scales["input"] == np.float32(2 * float(np.float32(total.mean)) / 15**0.5)


@pytest.mark.parametrize("weight_scale", ["per_channel", "per_tensor"])
def test_weights_alone_are_quantized_beside_float_activations(weight_scale):
    network, weights = residual_network(), {"affine": {"bits": 4}}
    values = seeded_weights(network, 3)
    program, images = program_for(
        network, weights, activations="float", weight_scale=weight_scale, values=values
    )
    steps = execute(program, images)
    axis = 0 if weight_scale == "per_channel" else None
    held = values | {
        f"{node.name}.weight": Affine(4)
        .quantize(values[f"{node.name}.weight"], axis=axis)
        .real.astype(np.float32)
        for node in network.product_nodes
    }
    expected = reference.run_float(network, held, images)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(steps[name].value, tensor)
    assert count_checked(program, steps, EVERYTHING)[1] == []
