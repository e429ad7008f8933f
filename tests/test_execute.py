"""Integer programs: against a composition of naive layers, and against their own check."""

from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.documents import convert
from qsim.errors import QsimError, WeightsError, WorkloadError
from qsim.execute import Levels, Step, Sums, execute, multipliers, real, shifts
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import Network
from qsim.network.layers import Add, AveragePool, Conv, Flatten, Linear, MaxPool, Relu
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic, build
from qsim.verify import count_checked

EVERYTHING = 10**6  # checks every output of these small networks
WEIGHTS = [
    {"fixed": {"bits": 4}},
    {"fixed": {"bits": 8, "full_range": True}},
    {"sp2": {"bits": 4}},
    {"sp2": {"bits": 8}},
    {"power_of_two": {"bits": 4}},
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}},
    "float",
]


def residual_network(kernel=3, stride=1, groups=1):
    """A stem, a block with a projected shortcut, a pooled head: every kind of layer and value."""
    layers = (
        Conv(name="stem", out_channels=4, kernel=3, padding=1),
        Relu(name="relu"),
        MaxPool(name="pool", kernel=2, padding=1, stride=2),
        Conv(name="conv1", out_channels=4, kernel=kernel, stride=stride, padding=kernel // 2,
             groups=groups),
        Relu(name="relu1"),
        Conv(name="conv2", out_channels=6, kernel=1, bias=False),
        Conv(name="short", out_channels=6, kernel=1, stride=stride, inputs=("pool",)),
        Add(name="add", inputs=("conv2", "short")),
        Relu(name="relu2"),
        AveragePool(name="mean"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
    )  # fmt: skip
    return Network("residual", (2, 7, 7), layers)


def program_for(network, weights, *, activations=4, seed=0, layers=None, values=None, **arithmetic):
    data = {
        "default": {
            "weights": weights,
            "activations": {"fixed": {"bits": activations, "signed": False}},
        },
        "layers": layers or {},
    }
    precision = resolve(convert(data, PrecisionDocument, where="w"), network, where="w")
    images = np.random.default_rng(seed).random((2, *network.input_shape), np.float32)
    values = values or seeded_weights(network, seed)
    return build(network, values, precision, images, Arithmetic(**arithmetic)), images


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


@pytest.mark.parametrize("weights", [WEIGHTS[0], WEIGHTS[2], WEIGHTS[5]], ids=str)
@pytest.mark.parametrize("requantize", ["onnx", "shift"])
@pytest.mark.parametrize("name", ["stem", "pool", "relu1", "add", "mean", "flat", "fc"])
def test_the_check_notices_one_wrong_integer(weights, requantize, name):
    program, images = program_for(residual_network(), weights, requantize=requantize)
    steps = execute(program, images)

    def spoiled(value):
        if isinstance(value, Levels):
            changed = value.levels.copy()
            changed.flat[-1] += 1
            return Levels(changed, value.scale)
        (levels, scale), *rest = value.terms
        changed = levels.copy()
        changed.flat[-1] += 1
        return Sums(((changed, scale), *rest), value.relu)

    step = steps[name]
    same = step.unrounded is step.value
    unrounded = spoiled(step.unrounded) if same else step.unrounded
    steps[name] = Step(unrounded, unrounded if same else spoiled(step.value))
    _, differences = count_checked(program, steps, EVERYTHING)
    assert any(f"layer {name!r}" in sentence for sentence in differences)


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
