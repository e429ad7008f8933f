"""How layers go together: what each makes is the float layer of what it read, whatever came before.

The oracle shares no composition of bounds, offsets and terms with the run or its check.
"""

from dataclasses import replace

import numpy as np
import pytest
from programs import program_for

from hwmodels.documents import convert
from qsim.build import build
from qsim.datasets import digits
from qsim.errors import QsimError
from qsim.evaluate import evaluate
from qsim.execute import execute
from qsim.kernels.accumulator import Accumulator
from qsim.network.fold import fold_network, fold_weights, unfolded_weights
from qsim.network.graph import Network
from qsim.network.layers import (
    Add,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    Linear,
    Relu,
    Relu6,
    Sigmoid,
)
from qsim.network.pointwise import HardSwish, LeakyRelu, Scale, Silu
from qsim.network.pools import MaxPool
from qsim.network.reference import float_layer
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic, stands_for
from qsim.values import real
from qsim.verify import count_checked
from qsim.workload import load_workload

A8 = {"affine": {"bits": 8}}
MAP = {"xnor_activations": {"scale_map": True}}


def assert_every_layer_is_its_float_function(program, steps, atol=1e-3):
    """Each layer, before rounding, against the float layer of the values that it read, within
    ``atol`` of its largest value, and half a step where its bias is an integer."""
    weights = dict(program.real)
    for name, quantized in program.weights.items():
        if quantized is not None:
            weights[f"{name}.weight"] = program.held(name)
    for node in program.network.nodes.values():
        read = [real(steps[name].value).astype(np.float32) for name in node.inputs]
        wanted = float_layer(node, weights, read)
        allowed = atol * max(1.0, float(np.abs(wanted).max()))
        if node.name in program.biases and not program.has_real_bias(node):
            allowed += program.accumulator_scales(node)[0].max() / 2
        got = real(steps[node.name].unrounded)
        np.testing.assert_allclose(got, wanted, atol=allowed, err_msg=node.name)


@pytest.mark.parametrize("moved", [False, True])
def test_a_scaled_tensor_can_be_the_result(moved):
    layers = [
        Conv(name="a", out_channels=2, kernel=1),
        BatchNorm(name="n", inputs=("a",)),
        Sigmoid(name="s"),
        Scale(name="half", factor=0.3),
    ]
    if moved:
        layers.append(Flatten(name="flat"))
    network = Network("n", (2, 3, 3), tuple(layers))
    program, images = program_for(network, {"fixed": {"bits": 8}}, activations=A8)
    steps = execute(program, images)
    assert count_checked(program, steps, 20)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.01)


@pytest.mark.parametrize(
    "activations", [{"fixed": {"bits": 16}}, {"affine": {"bits": 12}}], ids=str
)
@pytest.mark.parametrize(
    "curve", [LeakyRelu(name="c", slope=0.5), Silu(name="c"), HardSwish(name="c")], ids=str
)
def test_a_curve_of_many_levels_holds_up_to_the_highest(curve, activations):
    """Where table entries stand for several levels, the last one lies beyond the highest."""
    network = Network("n", (4,), (curve,))
    program, _ = program_for(network, "bwn", activations=activations)
    top = program.formats["input"].max_level * float(program.scales["input"])
    images = np.linspace(-0.9 * top, top, 400).astype(np.float32).reshape(-1, 4)
    if not program.formats["input"].min_level:
        images = np.abs(images)
    steps = execute(program, images)
    assert count_checked(program, steps, 400)[1] == []
    read = real(steps["input"].value).astype(np.float32)
    wanted = float_layer(network.nodes["c"], {}, [read])
    np.testing.assert_allclose(real(steps["c"].unrounded), wanted, atol=1e-4 * top)


@pytest.mark.parametrize("weights", ["bwn", {"fixed": {"bits": 8}}], ids=str)
@pytest.mark.parametrize(
    "bound", [Relu(name="r"), Relu6(name="r"), Clip(name="r", low=-0.05, high=0.05)], ids=str
)
@pytest.mark.parametrize("carry", [MaxPool(name="p", kernel=2), Flatten(name="p")], ids=str)
def test_bounds_survive_up_to_an_addition(weights, bound, carry):
    pooled = isinstance(carry, MaxPool)
    layers = [
        Conv(name="a", out_channels=4, kernel=3, padding=1), bound, carry,
        Conv(name="b", out_channels=4, kernel=3, padding=1, stride=2 if pooled else 1,
             inputs=("input",)),
    ]  # fmt: skip
    if not pooled:
        layers.append(Flatten(name="bf"))
    layers.append(Add(name="sum", inputs=("p", "b" if pooled else "bf")))
    if pooled:
        layers.append(Flatten(name="f"))
    layers.append(Linear(name="fc", out_features=2))
    program, images = program_for(Network("n", (2, 8, 8), tuple(layers)), weights, activations=A8)
    assert_every_layer_is_its_float_function(program, execute(program, images))


def test_the_map_is_of_unrounded_values_behind_a_pool():
    program = evaluate(load_workload("digits-xnor-k")).execution.program
    steps = execute(program, digits().images[:4])
    node = program.network.nodes["conv3"]
    got = steps["conv3"].unrounded.terms[0][1]  # scales by place, row scale included
    [row_scales] = program.accumulator_scales(node)
    before = real(steps["conv2"].unrounded).astype(np.float32)
    pooled = float_layer(program.network.nodes["pool2"], {}, [before])
    mean = np.pad(np.abs(pooled).mean(1), ((0, 0), (1, 1), (1, 1)))
    h, w = pooled.shape[2:]
    k = sum(mean[:, i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(got, row_scales[None, :, None, None] * k[:, None], rtol=1e-4)


def test_the_map_is_not_forgotten_by_float_weights():
    network = Network(
        "n", (2, 4, 4), tuple(Conv(name=name, out_channels=2, kernel=1) for name in "abc")
    )
    results = []
    for scale_map in (True, False):
        layer = {"weights": "float", "activations": {"xnor_activations": {"scale_map": scale_map}}}
        try:
            program, images = program_for(network, "bwn", activations=A8, layers={"b": layer})
        except QsimError:
            return  # refused is right too
        results.append(real(execute(program, images)["b"].unrounded))
    assert not np.array_equal(*results)


@pytest.mark.parametrize(
    "weights", ["bwn", {"lsq": {"bits": 4, "step": 0.25}}, {"fixed": {"bits": 4}}], ids=str
)
def test_a_bias_does_not_change_the_weights(weights):
    network = Network(
        "n", (2, 4, 4), tuple(Conv(name=name, out_channels=2, kernel=1) for name in "ao")
    )
    values = {
        "a.weight": np.array([[0.5, -0.25], [0.25, 0.5]], np.float32).reshape(2, 2, 1, 1),
        "a.bias": np.array([8, 8 / 3], np.float32),
        "o.weight": np.full((2, 2, 1, 1), 0.5, np.float32),
        "o.bias": np.zeros(2, np.float32),
    }
    try:
        program, _ = program_for(
            network, weights, activations=8, signed=True, values=values,
            requantize="tflite", accumulator=Accumulator(12),
        )  # fmt: skip
    except QsimError:
        return  # refused is right
    apart = stands_for(program.weights["a"], None)
    if "a" in program.factors:
        np.testing.assert_array_equal(program.held("a"), apart)  # there is no batch norm
    np.testing.assert_allclose(apart, values["a.weight"], atol=0.26)


@pytest.mark.parametrize("second", [Relu(name="r"), Clip(name="r", low=0.5, high=1.0)], ids=str)
def test_bounds_are_applied_in_order(second):
    layers = (
        Conv(name="a", out_channels=2, kernel=1), Clip(name="c", low=-1, high=-0.2), second,
        Conv(name="b", out_channels=2, kernel=1),
    )  # fmt: skip
    program, images = program_for(
        Network("n", (2, 4, 4), layers), {"fixed": {"bits": 8}}, activations=A8
    )
    assert_every_layer_is_its_float_function(program, execute(program, images), atol=0.01)


@pytest.mark.parametrize("groups", [2, 4])
def test_grouped_convolutions_have_scales_per_group_or_are_refused(groups):
    layers = (
        Conv(name="a", out_channels=8, kernel=3, padding=1, groups=groups),
        Conv(name="b", out_channels=2, kernel=1),
    )
    layer = {"a": {"weight_scale": "per_group", "group_size": 2}}
    network = Network("n", (8, 4, 4), layers)
    try:
        program, images = program_for(network, {"fixed": {"bits": 8}}, activations=A8, layers=layer)
        steps = execute(program, images)
    except QsimError:
        return
    assert_every_layer_is_its_float_function(program, steps)


def test_integer_only_refuses_float64_products():
    network = Network("n", (8,), tuple(Linear(name=name, out_features=8) for name in "ab"))
    with pytest.raises(QsimError, match="integer_only"):
        program_for(network, {"fixed": {"bits": 8}}, activations=A8, integer_only=True,
                    requantize="tflite-reference")  # fmt: skip


def test_totals_beyond_float32_are_refused():
    network = Network("n", (2, 4, 4), (
        Conv(name="a", out_channels=2, kernel=1),
        Conv(name="b", out_channels=2, kernel=1, inputs=("input",)),
        Add(name="s", inputs=("a", "b")),
        Conv(name="o", out_channels=2, kernel=1),
    ))  # fmt: skip
    ones, sign = np.full((2, 2, 1, 1), 1e20, np.float32), np.float32([1, -1]).reshape(2, 1, 1, 1)
    values = {
        "a.weight": ones, "a.bias": np.float32([3e38, -3e38]),
        "b.weight": ones * sign, "b.bias": np.float32([-3e38, 3e38]),
        "o.weight": np.ones((2, 2, 1, 1), np.float32), "o.bias": np.zeros(2, np.float32),
    }  # fmt: skip
    narrow = {"fixed_point": {"bits": 8, "fraction_bits": 64}}
    program, images = program_for(network, "bwn", activations=A8, values=values,
                                  layers={"o": {"weights": "float", "activations": narrow}})  # fmt: skip
    with np.errstate(all="ignore"), pytest.raises(QsimError, match="cannot be rounded"):
        levels = execute(program, images)["s"].value.levels
        assert np.isin(levels, np.arange(-128, 128)).all(), levels.min()


def test_the_map_of_a_concatenation_is_not_of_signs():
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        Conv(name="b", out_channels=2, kernel=1, inputs=("input",)),
        Concat(name="c", inputs=("a", "b")),
        Conv(name="d", out_channels=2, kernel=1),
    )
    layer = {"a": {"activations": A8}, "b": {"activations": A8}}
    network = Network("n", (2, 4, 4), layers)
    try:
        program, images = program_for(network, "bwn", activations=MAP, layers=layer)
    except QsimError:
        return
    steps = execute(program, images)
    assert np.unique(steps["d"].unrounded.terms[0][1]).size > 2


NORMED = Network(
    "normed",
    (3, 6, 6),
    (
        Conv(name="a", out_channels=6, kernel=3, padding=1, bias=False),
        BatchNorm(name="na"),
        Relu(name="relu"),
        MaxPool(name="pool", kernel=2),
        Conv(name="short", out_channels=4, kernel=1),
        Conv(name="b", out_channels=4, kernel=3, padding=1, inputs=("pool",)),
        BatchNorm(name="nb"),
        Add(name="sum", inputs=("nb", "short")),
        Relu(name="bounded"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
    ),
)
TRAINED_WITH = [
    "binary_connect", "bwn", {"dorefa_weights": {"bits": 1}}, {"dorefa_weights": {"bits": 3}},
    {"lsq": {"bits": 3}}, "ttq", "twn", {"wrpn_weights": {"bits": 3}},
    {"fixed_point": {"bits": 4, "fraction_bits": 3}},
]  # fmt: skip


def normed_program(weights, gammas, *, activations=A8, **arithmetic):
    """NORMED, its first batch norm having these weights and its second negative ones; two images."""
    arrays = seeded_weights(NORMED, 3)
    arrays["na.weight"] = np.array(gammas, np.float32)
    arrays["nb.weight"] = -arrays["nb.weight"]
    network, wanted = fold_network(NORMED), Arithmetic(**arithmetic)
    data = {"default": {"weights": weights, "activations": activations}}
    document = convert(data, PrecisionDocument, where="w")
    precision = resolve(document, network, where="w", at_once=wanted.requantizer.at_once)
    images = np.random.default_rng(0).random((2, *NORMED.input_shape), np.float32)
    program = build(
        network, fold_weights(NORMED, arrays), precision, images, wanted,
        unfolded_weights(NORMED, arrays),
    )  # fmt: skip
    return program, images


@pytest.mark.parametrize("weights", TRAINED_WITH, ids=str)
@pytest.mark.parametrize(
    "gammas", [[1, -1, 0.5, -2, 1e-3, 1], [0, 1, -0.0, -1, 1e-12, 2], [0] * 6], ids=str
)
def test_batch_norms_scale_the_sums_of_trained_weights_and_add_to_them(weights, gammas):
    program, images = normed_program(weights, gammas)
    steps = execute(program, images)
    assert_every_layer_is_its_float_function(program, steps, atol=1e-5)
    assert count_checked(program, steps, 10**6)[1] == []
    dead = [row for row, gamma in enumerate(gammas) if gamma == 0]
    made = real(steps["a"].unrounded)[:, dead]
    assert (made == made[:, :, :1, :1]).all()  # its bias, exactly, wherever it is


@pytest.mark.parametrize("weights", [w for w in TRAINED_WITH if w != "ttq"], ids=str)
@pytest.mark.parametrize("mode", ["exact", "saturate", "wrap"])
def test_integer_biases_of_trained_weights_are_within_half_a_step(weights, mode):
    gammas = [1, -1, 0.5, -2, 1e-12, 0]
    accumulator = Accumulator(40, mode)
    program, images = normed_program(
        weights, gammas, requantize="tflite", accumulator=accumulator, integer_only=True
    )
    steps = execute(program, images)
    assert count_checked(program, steps, 10**6)[1] == []
    for name in ("a", "b"):
        node = program.network.nodes[name]
        [scale] = program.accumulator_scales(node)
        read = real(steps[node.inputs[0]].value).astype(np.float32)
        held = program.real | {f"{name}.weight": program.held(name)}
        error = np.abs(real(steps[name].unrounded) - float_layer(node, held, [read]))
        assert (error <= (scale / 2 + 1e-5).reshape(-1, 1, 1)).all()
    node = program.network.nodes["a"]
    bias, [scale] = program.real["a.bias"], program.accumulator_scales(node)
    assert scale[4] >= scale[:4].max() * 2.0**-24  # of next to nothing, and no less
    assert abs(bias[4] / scale[4]) <= 2**24


def test_a_negative_norm_turns_around_what_the_register_held():
    layers = (Conv(name="a", out_channels=1, kernel=1, bias=False), BatchNorm(name="n"))
    network = Network("n", (1, 1, 1), layers)
    arrays = {
        "a.weight": np.full((1, 1, 1, 1), -1.0, np.float32),
        "n.weight": np.full(1, -1.0, np.float32),
        "n.bias": np.zeros(1, np.float32),
        "n.running_mean": np.zeros(1, np.float32),
        "n.running_var": np.ones(1, np.float32),
    }
    folded = fold_network(network)
    data = {"default": {"weights": {"fixed_point": {"bits": 4, "fraction_bits": 3}},
                        "activations": {"fixed_point": {"bits": 8, "fraction_bits": 0}}}}  # fmt: skip
    precision = resolve(convert(data, PrecisionDocument, where="w"), folded, where="w")
    images = np.full((1, 1, 1, 1), 100, np.float32)
    program = build(
        folded, fold_weights(network, arrays), precision, images,
        Arithmetic(accumulator=Accumulator(8, "saturate")), unfolded_weights(network, arrays),
    )  # fmt: skip
    [(sums, _)] = execute(program, images)["a"].unrounded.terms
    assert sums.item() == 128  # -8 * 100 is held as -128


def test_ranges_follow_what_a_format_clips():
    names = ["a", "b", "c"]
    network = Network("n", (1, 2, 2), tuple(Conv(name=n, out_channels=1, kernel=1) for n in names))
    values = {f"{name}.weight": np.full((1, 1, 1, 1), 2.0, np.float32) for name in names}
    values |= {f"{name}.bias": np.zeros(1, np.float32) for name in names}
    eight = {"fixed": {"bits": 8, "signed": True}}
    program, _ = program_for(
        network, eight, activations=eight, values=values,
        layers={"b": {"activations": {"dorefa_activations": {"bits": 8}}}},
    )  # fmt: skip
    assert program.scales["b"] == pytest.approx(2 / 127, rel=1e-6)  # 2 times what is clipped to 1


def test_bounds_hold_for_levels_that_round_in_their_own_way():
    layers = (
        Conv(name="a", out_channels=2, kernel=1), Clip(name="c", low=-1.0, high=1.2),
        Conv(name="b", out_channels=2, kernel=1),
    )  # fmt: skip
    values = seeded_weights(Network("n", (1, 4, 4), layers), 0)
    values["a.bias"] = np.float32([5, -5])
    network = Network("n", (1, 4, 4), layers)
    for requantize in ("onnx", "thresholds"):
        program, images = program_for(
            network, "bwn", activations={"hwgq": {"bits": 4, "sigma": 3.0}}, values=values,
            requantize=requantize,
        )  # fmt: skip
        levels = execute(program, images)["c"].value.levels
        assert (levels[:, 0] == 2).all()  # 1.2 in steps of 0.5527
        assert (levels[:, 1] == 0).all()


@pytest.mark.parametrize("requantize", ["onnx", "shift", "tflite", "tflite-builtin"])
def test_a_pruned_channel_of_a_batch_norm_of_its_own_is_its_offset(requantize):
    layers = (BatchNorm(name="bn"), Relu(name="r"), Conv(name="c", out_channels=2, kernel=1))
    network = Network("n", (3, 4, 4), layers)
    values = seeded_weights(network, 0) | {
        "bn.weight": np.array([1.0, 2.0**-40, -0.5], np.float32),
        "bn.running_var": np.full(3, 1, np.float32),
        "bn.bias": np.array([0.1, 0.75, 0.2], np.float32),
        "bn.running_mean": np.zeros(3, np.float32),
    }
    network = replace(network, layers=(BatchNorm(name="bn", epsilon=0.0), *layers[1:]))
    program, images = program_for(
        network, {"fixed": {"bits": 8}}, activations=8, signed=True, values=values,
        requantize=requantize,
    )  # fmt: skip
    steps = execute(program, images)
    assert count_checked(program, steps, 100)[1] == []
    assert_every_layer_is_its_float_function(program, steps, atol=0.01)
    np.testing.assert_allclose(real(steps["bn"].unrounded)[:, 1], 0.75, atol=0.01)
