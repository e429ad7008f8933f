"""Integer programs: against a composition of naive layers, and against their own check."""

import re
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import EVERYTHING, odd_network, program_for, residual_network, varied_network

from hwmodels.documents import convert
from qsim.build import build
from qsim.errors import QsimError, WeightsError, WorkloadError
from qsim.execute import execute
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Conv, Flatten, HardTanh, Linear, Relu, Softmax
from qsim.network.moves import Reshape, Slice
from qsim.network.pointwise import Embedding, Gelu
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic
from qsim.requantize import multipliers, shifts
from qsim.values import Levels, real
from qsim.verify import count_checked

WEIGHTS = [
    {"affine": {"bits": 4, "mode": "symmetric"}},
    {"affine": {"bits": 3, "rounding": "stochastic"}},
    {"fixed": {"bits": 4}},
    {"fixed": {"bits": 8, "full_range": True}},
    {"affine": {"bits": 8}},
    {"sp2": {"bits": 4}},
    {"sp2": {"bits": 8}},
    {"power_of_two": {"bits": 4}},
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}},
    "float",
]


ARITHMETIC = st.fixed_dictionaries(
    {
        "requantize": st.sampled_from(["onnx", "shift"]),
        "range": st.sampled_from(["max", "mse"]),
        "accumulator": st.sampled_from(
            [Accumulator(48), Accumulator(9, "wrap"), Accumulator(10, "saturate")]
        ),
    }
)


@settings(max_examples=60)
@given(
    st.sampled_from(WEIGHTS),
    st.sampled_from([1, 4, 8]),
    st.integers(0, 2**16),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2, 4]),
    ARITHMETIC,
)
def test_every_integer_of_a_program_is_confirmed(
    weights, activations, seed, kernel, stride, groups, arithmetic
):
    network = residual_network(kernel, stride, groups)
    program, images = program_for(
        network, weights, activations=activations, seed=seed, **arithmetic
    )
    checked, differences = count_checked(program, execute(program, images), EVERYTHING)
    assert differences == []
    assert checked > (300 if weights != "float" else 0)


@settings(max_examples=40)
@given(
    st.sampled_from(WEIGHTS),
    st.integers(0, 2**16),
    st.sampled_from(["per_channel", "per_tensor"]),
    ARITHMETIC,
)
def test_every_integer_of_an_odd_program_is_confirmed(weights, seed, weight_scale, arithmetic):
    program, images = program_for(
        odd_network(), weights, signed=True, seed=seed, weight_scale=weight_scale, **arithmetic
    )
    steps = execute(program, images - 0.5)
    assert count_checked(program, steps, EVERYTHING)[1] == []
    assert (real(steps["result"].value) >= 0).all()


@settings(max_examples=40)
@given(st.sampled_from(WEIGHTS), st.integers(1, 8), st.integers(0, 2**16), ARITHMETIC)
def test_every_integer_of_an_affine_program_is_confirmed(weights, bits, seed, arithmetic):
    for network, offset in ((odd_network(), 0.5), (residual_network(), 0.2)):
        program, images = program_for(
            network, weights, activations={"affine": {"bits": bits}}, seed=seed, **arithmetic
        )
        steps = execute(program, images - np.float32(offset))
        assert count_checked(program, steps, EVERYTHING)[1] == []


TRAINED_WITH = [
    "binary_connect",
    {"binary_connect": {"stochastic": True}},
    "bwn",
    {"dorefa_weights": {"bits": 1}},
    {"dorefa_weights": {"bits": 3}},
    {"fixed_point": {"bits": 6, "fraction_bits": 4, "rounding": "half_up", "overflow": "wrap"}},
    {"lsq": {"bits": 3}},
    "ttq",
    "twn",
    {"wrpn_weights": {"bits": 1}},
    {"wrpn_weights": {"bits": 4}},
]
ACTIVATIONS = [
    {"fixed": {"bits": 4}},
    {"affine": {"bits": 4}},
    {"dorefa_activations": {"bits": 2}},
    {"wrpn_activations": {"bits": 4}},
    {"fixed_point": {"bits": 6, "fraction_bits": 3, "rounding": "toward_zero"}},
    {"hwgq": {"bits": 2}},
    {"lsq": {"bits": 4, "signed": False}},
    {"pact": {"bits": 4, "alpha": 1.5}},
    "xnor_activations",
    {"xnor_activations": {"scale_map": True}},
]
OTHER_ROUNDINGS = ("fixed_point", "hwgq", "xnor_activations")
UNIFORM = [a for a in ACTIVATIONS if not any(name in str(a) for name in OTHER_ROUNDINGS)]
WRAPPING = {"fixed_point": {"bits": 5, "fraction_bits": 3, "overflow": "wrap"}}
ACCUMULATORS = [
    Accumulator(48),
    Accumulator(9, "wrap"),
    Accumulator(12, "saturate", Partial(5, 7, "wrap")),
    Accumulator(40, "exact", Partial(3, 6, "saturate")),
]


@settings(max_examples=120)
@given(
    st.sampled_from(TRAINED_WITH),
    st.sampled_from([*ACTIVATIONS, WRAPPING]),
    st.integers(0, 2**16),
    st.sampled_from(ACCUMULATORS),
)
def test_every_integer_of_a_format_that_is_trained_with_is_confirmed(
    weights, activations, seed, accumulator
):
    program, images = program_for(
        odd_network(), weights, activations=activations, seed=seed, accumulator=accumulator,
        layers={name: {"activations": {"fixed": {"bits": 8}}} for name in ("first", "mean", "third")},
    )  # fmt: skip
    checked, differences = count_checked(program, execute(program, images - 0.5), EVERYTHING)
    assert differences == []
    assert checked > 100


PLAIN = Network(
    "plain",
    (2, 6, 6),
    (
        Conv(name="a", out_channels=5, kernel=3, padding=1),
        MaxPool(name="pool", kernel=2, stride=1),
        AveragePool(name="mean", kernel=2, stride=1),
        Conv(name="deep", out_channels=10, kernel=2, groups=5),
        Conv(name="b", out_channels=3, kernel=2, bias=False),
        HardTanh(name="bounded"),
        Flatten(name="flat"),
        Linear(name="c", out_features=4),
        Relu(name="relu"),
        Linear(name="d", out_features=2),
    ),
)
INTEGER_ONLY = ["tflite", "tflite-reference", "tflite-builtin", "thresholds"]


@settings(max_examples=80)
@given(
    st.sampled_from(WEIGHTS[:-1] + TRAINED_WITH),
    st.sampled_from(ACTIVATIONS[:-1]),
    st.sampled_from(INTEGER_ONLY),
    st.integers(0, 2**16),
)
def test_every_integer_of_an_integer_only_program_is_confirmed(
    weights, activations, requantize, seed
):
    unsupported = weights == "ttq" or (requantize != "thresholds" and activations not in UNIFORM)
    layers = {name: {"activations": {"fixed": {"bits": 8}}} for name in "ad"}
    program, images = program_for(
        PLAIN, weights, activations=activations, seed=seed, layers=layers,
        requantize=requantize, integer_only=requantize != "tflite-reference",
        accumulator=Accumulator(40),
    )  # fmt: skip
    if unsupported:
        with pytest.raises(QsimError, match=f"cannot be rounded by {requantize}: "):
            execute(program, images - 0.5)
        return
    checked, differences = count_checked(program, execute(program, images - 0.5), EVERYTHING)
    assert differences == []
    assert checked > 100


@settings(max_examples=40)
@given(
    st.sampled_from(WEIGHTS[:-1]),
    st.sampled_from([{"fixed": {"bits": 8}}, {"affine": {"bits": 8}}, {"lsq": {"bits": 4}}]),
    st.sampled_from(["tflite", "tflite-reference", "tflite-builtin"]),
    st.sampled_from([residual_network, varied_network]),
    st.sampled_from(["per_channel", "per_tensor"]),
    st.integers(0, 2**16),
)
def test_every_integer_of_a_program_that_adds_rounded_tensors_is_confirmed(
    weights, activations, requantize, network, weight_scale, seed
):
    program, images = program_for(
        network(), weights, activations=activations, seed=seed, weight_scale=weight_scale,
        requantize=requantize, integer_only=requantize != "tflite-reference",
    )  # fmt: skip
    checked, differences = count_checked(program, execute(program, images), EVERYTHING)
    assert differences == []
    assert checked > 400


@settings(max_examples=30)
@given(
    st.sampled_from(WEIGHTS[:-1] + TRAINED_WITH),
    st.sampled_from(ACTIVATIONS[:2]),
    st.integers(0, 2**16),
    st.sampled_from(ACCUMULATORS),
)
def test_every_integer_of_a_varied_program_is_confirmed(weights, activations, seed, accumulator):
    program, images = program_for(
        varied_network(), weights, activations=activations, seed=seed, accumulator=accumulator
    )
    checked, differences = count_checked(program, execute(program, images), EVERYTHING)
    assert differences == []
    assert checked > 1000


def test_varied_layers_compute_the_float_networks_function():
    for requantize in ("onnx", "shift"):
        program, images = program_for(
            varied_network(), {"fixed": {"bits": 14}}, activations=14, signed=True,
            requantize=requantize, accumulator=Accumulator(48),
        )  # fmt: skip
        wanted, steps = run_float(program.network, program.real, images), execute(program, images)
        for name in ("six", "both", "weights", "mixed", "bounded", "gate", "result"):
            got = real(steps[name].value)
            np.testing.assert_allclose(got, wanted[name], atol=0.01)  # 8-bit tables


@pytest.mark.parametrize("weights", WEIGHTS[:4], ids=str)
@pytest.mark.parametrize("accumulator", ACCUMULATORS, ids=str)
def test_every_integer_of_weights_with_a_scale_per_group_is_confirmed(weights, accumulator):
    grouped = {name: {"weight_scale": "per_group", "group_size": 2} for name in ("conv2", "fc")}
    program, images = program_for(
        residual_network(), weights, signed=True, layers=grouped, accumulator=accumulator
    )
    assert len(program.terms["conv2"]) == 2
    assert len(program.terms["fc"]) == 3
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


def test_affine_activations_reach_beyond_zero_on_both_sides():
    program, images = program_for(
        odd_network(), {"affine": {"bits": 8}}, activations={"affine": {"bits": 8}}
    )
    grids = {name: program.formats[name] for name in ("pool", "flat")}
    assert all(0 < grid.zero_point < 255 for grid in grids.values())
    steps = execute(program, images)
    for name, grid in grids.items():
        levels = steps[name].value.levels
        assert grid.min_level <= levels.min() < 0 < levels.max() <= grid.max_level


def test_odd_windows_compute_the_float_networks_function():
    network = odd_network()
    for weight_scale in ("per_channel", "per_tensor"):
        program, images = program_for(
            network, {"fixed": {"bits": 14}}, activations=14, signed=True,
            weight_scale=weight_scale, accumulator=Accumulator(48),
        )  # fmt: skip
        wanted = run_float(network, program.real, images)
        steps = execute(program, images)
        for name in ("pool", "mean", "third", "flat", "result"):
            largest = np.abs(wanted[name]).max()
            np.testing.assert_allclose(
                real(steps[name].value), wanted[name], atol=0.002 * largest
            )  # 14-bit rounding


def test_weight_scales_are_one_for_each_row_or_one_for_all():
    for weight_scale, count in (("per_channel", 4), ("per_tensor", 1)):
        program, _ = program_for(
            residual_network(), {"fixed": {"bits": 4}}, weight_scale=weight_scale
        )
        assert program.weights["stem"].scale.size == count


def test_biases_are_the_nearest_integers_in_the_scale_of_the_sums():
    program, _ = program_for(residual_network(), {"fixed": {"bits": 4}})
    [scale] = program.accumulator_scales(program.network.nodes["stem"])
    for bias, s, level in zip(
        program.real["stem.bias"], scale, program.biases["stem"], strict=True
    ):
        assert level == naive.half_even(Fraction(float(bias) / float(s)))


def test_a_channel_of_nearly_nothing_keeps_its_bias():
    network = residual_network()
    values = seeded_weights(network, 0)
    values["stem.weight"][1] *= np.float32(1e-30)
    program, images = program_for(network, {"sp2": {"bits": 4}}, values=values)
    assert abs(program.biases["stem"][1]) == pytest.approx(2**24, rel=1e-6)
    steps = execute(program, images)
    assert count_checked(program, steps, EVERYTHING)[1] == []
    got = real(steps["stem"].value)[:, 1]
    np.testing.assert_allclose(got, values["stem.bias"][1], rtol=1e-6)


def test_integer_weights_that_read_a_float_tensor_are_computed_in_float():
    program, images = program_for(
        residual_network(), {"fixed": {"bits": 4}}, layers={"fc": {"activations": "float"}}
    )
    assert "fc" not in program.biases
    steps = execute(program, images)
    weights = program.weights["fc"].real.astype(np.float32)
    assert (weights != program.real["fc.weight"]).any()
    expected = steps["flat"].value @ weights.T + program.real["fc.bias"]
    np.testing.assert_allclose(steps["fc"].value, expected, rtol=1e-5, atol=1e-6)


def test_a_nearly_dead_channel_is_executed_in_every_arithmetic():
    network = residual_network()
    for factor, bias in ((1e-20, 0), (1e-38, 0), (1e-30, 1e-30)):
        values = seeded_weights(network, 0)
        values["conv1.weight"][2] *= np.float32(factor)
        values["conv1.bias"][2] = bias
        for requantize in ("onnx", "shift"):
            program, images = program_for(
                network, {"fixed": {"bits": 4}}, values=values, requantize=requantize
            )
            assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


def test_a_pruned_channel_fits_a_narrow_exact_accumulator():
    network = residual_network()
    values = seeded_weights(network, 0)
    values["conv1.weight"][2] *= np.float32(1e-30)
    program, images = program_for(
        network, {"fixed": {"bits": 4}}, values=values, accumulator=Accumulator(16)
    )
    assert abs(program.biases["conv1"][2]) > 2**14
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


def test_negative_calibration_is_not_read_as_unsigned():
    network = residual_network()
    program, images = program_for(network, {"fixed": {"bits": 4}})
    data = {
        "default": {"weights": WEIGHTS[0], "activations": {"fixed": {"bits": 4, "signed": False}}}
    }
    precision = resolve(convert(data, PrecisionDocument, where="w"), network, where="w")
    with pytest.raises(WorkloadError, match="tensor 'input'"):
        build(network, program.real, precision, -images, Arithmetic())


def test_a_sum_is_unsigned_only_where_all_its_branches_are():
    def network(*kinds):
        layers = [
            Conv(name="a", out_channels=2, kernel=1),
            Conv(name="b", out_channels=2, kernel=1, inputs=("input",)),
            Relu(name="ra", inputs=("a",)),
            Relu(name="rb", inputs=("b",)),
            Add(name="s", inputs=kinds),
            Conv(name="c", out_channels=1, kernel=1),
        ]
        read = {"input", "s", *kinds} | {k.removeprefix("r") for k in kinds}
        return Network("n", (1, 2, 2), tuple(x for x in layers if x.name in read | {"c"}))

    program_for(network("ra", "rb"), {"fixed": {"bits": 4}})
    with pytest.raises(WorkloadError, match=r"tensor 's' .* each layer that reads it \(c\)"):
        program_for(network("ra", "b"), {"fixed": {"bits": 4}})


def test_a_full_range_counts_its_last_code_towards_the_overflow():
    network = Network("n", (1, 1, 1), (Conv(name="c", out_channels=1, kernel=1, bias=False),))
    full = {"c": {"activations": {"fixed": {"bits": 4, "full_range": True}}}}
    weights = {"fixed": {"bits": 4, "full_range": True}}
    program_for(network, weights, layers=full, accumulator=Accumulator(8))
    with pytest.raises(WorkloadError, match="1 products of up to 8 x 8"):
        program_for(network, weights, layers=full, accumulator=Accumulator(7))


@pytest.mark.parametrize(
    "images", [np.ones((1, 1, 7, 7)), np.full((1, 2, 7, 7), np.nan), np.full((1, 2, 7, 7), 1e300)]
)
def test_images_that_cannot_be_read_are_refused(images):
    program, _ = program_for(residual_network(), {"fixed": {"bits": 4}})
    with pytest.raises(QsimError, match="reads finite images"):
        execute(program, images)


@pytest.mark.parametrize("weights", WEIGHTS[:-1], ids=str)
def test_a_program_equals_a_composition_of_naive_layers(weights):
    network = residual_network()
    program, images = program_for(network, weights, seed=3)
    scale, exact = program.scales, {"bits": 64, "mode": "exact"}
    unit = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}

    def conv(x, name, padding):
        w = program.weights[name]
        sums = naive.conv2d(x, w.levels, program.biases[name], padding=padding, **unit, **exact)
        row_scales = np.broadcast_to(w.scale.reshape(-1), w.levels.shape[:1])
        return np.array(sums), row_scales

    def rounded(terms, tensor, low=0):
        factors = [s.astype(np.float32) / scale[tensor] for _, s in terms]
        out = np.empty_like(terms[0][0])
        for at in np.ndindex(out.shape):
            pairs = [(int(v[at]), f[at[1]]) for (v, _), f in zip(terms, factors, strict=True)]
            out[at] = naive.requantize_float(pairs, low, 15)
        return out

    x = np.empty(images.shape, int)
    for at in np.ndindex(x.shape):
        quotient = Fraction(float(images[at])) / Fraction(float(scale["input"]))
        x[at] = naive.nearest_level(quotient, range(16), "even")
    stem, s = conv(x, "stem", (1, 1, 1, 1))
    pool = naive.pool(np.maximum(stem, 0), (2, 2), (2, 2), (1, 1, 1, 1), max)
    pool = rounded([(np.array(pool), scale["input"] * s)], "pool")
    conv1, s = conv(pool, "conv1", (1, 1, 1, 1))
    relu1 = rounded([(np.maximum(conv1, 0), scale["pool"] * s)], "relu1")
    conv2, s2 = conv(relu1, "conv2", (0,) * 4)
    short, s3 = conv(pool, "short", (0,) * 4)
    relu2 = rounded([(conv2, scale["relu1"] * s2), (short, scale["pool"] * s3)], "relu2")
    mean = np.array(naive.pool(relu2, (4, 4), (4, 4), (0,) * 4, sum)).reshape(2, 6)
    flat = rounded([(mean, np.full(6, scale["relu2"] / np.float32(16)))], "flat", low=0)
    fc = naive.linear(flat, program.weights["fc"].levels, program.biases["fc"], **exact)

    steps = execute(program, images)
    for name, levels in {"pool": pool, "relu1": relu1, "relu2": relu2, "flat": flat}.items():
        np.testing.assert_array_equal(steps[name].value.levels, levels)
    np.testing.assert_array_equal(steps["fc"].value.terms[0][0], fc)


def test_more_bits_come_closer_to_floating_point():
    network, errors = residual_network(), []
    for bits in (4, 8, 12):
        program, images = program_for(network, {"fixed": {"bits": bits}}, activations=bits)
        wanted = run_float(network, program.real, images)["fc"]
        got = real(execute(program, images)["fc"].value)
        errors.append(np.abs(got - wanted).max() / np.abs(wanted).max())
    assert errors[0] > 8 * errors[1] > 64 * errors[2]
    assert errors[2] < 0.003


def test_a_float_layer_between_integer_layers_computes_the_same_function():
    network = residual_network()
    layers = {"conv1": {"weights": "float"}, "fc": {"weights": "float", "activations": "float"}}
    program, images = program_for(network, {"fixed": {"bits": 12}}, activations=12, layers=layers)
    steps = execute(program, images)
    assert isinstance(steps["conv1"].value, np.ndarray)
    assert isinstance(steps["relu1"].value, Levels)
    wanted = run_float(network, program.real, images)["fc"]
    np.testing.assert_allclose(
        real(steps["fc"].value), wanted, atol=0.004 * np.abs(wanted).max()
    )  # 12-bit rounding


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["stem", "conv1", "conv2", "short", "fc"]), st.integers(-44, 38)
    ),
    st.sampled_from(["onnx", "shift"]),
    st.sampled_from(WEIGHTS),
)
def test_weights_of_any_size_are_executed_exactly_or_refused(exponents, requantize, weights):
    network = residual_network()
    scaled = seeded_weights(network, 0)
    with np.errstate(over="ignore", under="ignore"):
        for name, exponent in exponents.items():
            scaled[f"{name}.weight"] *= np.float32(10.0**exponent)
    scaled = {key: np.nan_to_num(array) for key, array in scaled.items()}
    try:
        program, images = program_for(
            network, weights, values=scaled, requantize=requantize, accumulator=Accumulator(60)
        )
        steps = execute(program, images)
    except QsimError:
        return
    assert count_checked(program, steps, 20)[1] == []
    assert np.isfinite(real(steps["fc"].value)).all()


def test_an_accumulator_that_could_overflow_is_refused_by_layer():
    with pytest.raises(
        WorkloadError, match=r"layer 'stem': 18 products .* widest safe depth is 16"
    ):
        program_for(residual_network(), {"fixed": {"bits": 8}}, accumulator=Accumulator(16))


def test_a_tensor_that_can_be_negative_is_not_read_as_unsigned():
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        Conv(name="b", out_channels=2, kernel=1),
    )
    with pytest.raises(WorkloadError, match=r"tensor 'a' .* can be negative"):
        program_for(Network("n", (1, 2, 2), layers), {"fixed": {"bits": 4}})


def test_negative_images_are_not_read_as_unsigned():
    program, images = program_for(residual_network(), {"fixed": {"bits": 4}})
    with pytest.raises(QsimError, match="the images have negative values"):
        execute(program, -images)


def test_weights_that_overflow_in_float_are_refused():
    layers = [Conv(name=name, out_channels=1, kernel=1, bias=False) for name in "ab"]
    network = Network("n", (1, 2, 2), (layers[0], Relu(name="r"), layers[1]))
    huge = {f"{name}.weight": np.full((1, 1, 1, 1), 3e38, np.float32) for name in "ab"}
    data = {
        "default": {"weights": WEIGHTS[0], "activations": {"fixed": {"bits": 4, "signed": False}}}
    }
    precision = resolve(convert(data, PrecisionDocument, where="w"), network, where="w")
    with pytest.raises(WeightsError, match="tensor 'a' overflows in floating point"):
        build(network, huge, precision, np.full((1, 1, 2, 2), 9.0, np.float32), Arithmetic())


def test_multipliers_and_shifts_are_ratios_of_scales():
    scale = np.array([0.5, 0.25], np.float32)
    np.testing.assert_array_equal(multipliers(scale, np.float32(2)), [0.25, 0.125])
    np.testing.assert_array_equal(shifts(scale, np.float32(2)), [2, 3])
    with pytest.raises(ValueError, match="powers of two"):
        shifts(np.array([0.3], np.float32), np.float32(1))


def test_a_batch_norm_of_its_own_is_not_shifted_unless_by_powers_of_two():
    layers = (Relu(name="relu"), BatchNorm(name="norm"), Linear(name="fc", out_features=2))
    network = Network("n", (4,), layers)
    with pytest.raises(
        WorkloadError, match=r"batch_norm 'norm' follows no layer .* no powers of two"
    ):
        program_for(network, {"fixed": {"bits": 4}}, activations=8, signed=True, requantize="shift")
    layers = (Relu(name="relu"), BatchNorm(name="norm", epsilon=0), layers[2])
    values = seeded_weights(network, 0) | {
        "norm.weight": np.float32([0.5, -2, 0, 1]),
        "norm.running_var": np.ones(4, np.float32),
    }
    program, images = program_for(
        Network("n", (4,), layers),
        {"fixed": {"bits": 4}},
        activations=8,
        signed=True,
        requantize="shift",
        values=values,
    )
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


def test_a_curve_of_more_than_32_bits_is_refused_with_what_would_fit():
    def program(extra_bits, activations):
        layers = (Gelu(name="g", extra_bits=extra_bits), Linear(name="fc", out_features=2))
        fixed = {"fixed": {"bits": 8}}
        return program_for(
            Network("n", (4,), layers),
            fixed,
            layers={"g": {"activations": activations}},
            activations={"affine": {"bits": 8}},
        )

    for number in ({"affine": {"bits": 16}}, {"fixed": {"bits": 16}}):
        with pytest.raises(WorkloadError, match=r"layer 'g' .* at most") as caught:
            program(16, number)
        fits = int(re.search("at most ([0-9]+)", str(caught.value))[1])
        built, images = program(fits, number)
        assert count_checked(built, execute(built, images), EVERYTHING)[1] == []
        with pytest.raises(WorkloadError, match=f"at most {fits} extra_bits"):
            program(fits + 1, number)


def test_numbers_of_rows_stay_whole_where_they_are_moved_before_they_are_read():
    layers = (
        Reshape(name="row", shape=(-1,)),
        Slice(name="first", start=1, stop=4),
        Embedding(name="e", entries=900, features=3),
        Linear(name="fc", out_features=2),
    )
    network = Network("n", (2, 3), layers)
    assert network.rows_read == 900
    document = {
        "default": {"weights": {"fixed": {"bits": 8}}, "activations": {"affine": {"bits": 8}}}
    }
    precision = resolve(convert(document, PrecisionDocument, where="w"), network, where="w")
    images = np.float32([[[3, 899, 0], [511, 7, 2]]])
    weights = seeded_weights(network, 0)
    program = build(network, weights, precision, images, Arithmetic())
    steps = execute(program, images)
    np.testing.assert_array_equal(real(steps["first"].value), [[899, 0, 511]])
    np.testing.assert_array_equal(real(steps["e"].unrounded)[0], weights["e.weight"][[899, 0, 511]])


def test_a_softmax_whose_sum_could_overflow_is_refused_with_what_would_fit():
    def program(fraction_bits):
        layers = (Softmax(name="s", fraction_bits=fraction_bits), Linear(name="fc", out_features=2))
        affine = {"affine": {"bits": 8}}
        return program_for(Network("n", (2, 8), layers), {"fixed": {"bits": 8}}, activations=affine)

    with pytest.raises(WorkloadError, match=r"adds 8 exponentials in 32 bits; .* at most 28"):
        program(29)
    built, _ = program(28)
    steps = execute(built, np.zeros((1, 2, 8), np.float32))  # every exponential is 1
    np.testing.assert_array_equal(real(steps["s"].unrounded), np.full((1, 2, 8), 1 / 8))
