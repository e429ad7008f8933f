"""Recurrent layers as integers: against the naive cells, and against their own check."""

from dataclasses import replace
from fractions import Fraction

import naive_recurrent as naive
import numpy as np
import pytest
from exactness import registers
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import EVERYTHING, program_for

from qsim.errors import WorkloadError
from qsim.execute import execute
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.network.graph import Network
from qsim.network.layers import Flatten, Linear
from qsim.network.recurrent import Gru, Lstm
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights
from qsim.values import HiddenStates, Step, real
from qsim.verify import count_checked

SIGNED = {"fixed": {"bits": 8}}


def recurrent_network(cell_state=(16, 11), **formats):
    """Sequences through an LSTM and a GRU, whose states of all steps a linear layer reads;
    ``cell_state`` are the bits and fraction bits of the LSTM's."""
    layers = (
        Lstm(
            name="lstm",
            hidden=3,
            cell_bits=cell_state[0],
            cell_fraction_bits=cell_state[1],
            **formats,
        ),
        Gru(name="gru", hidden=2, bias=False, **formats),
        Flatten(name="flat"),
        Linear(name="fc", out_features=2),
    )
    return Network("recurrent", (4, 5), layers)


FOUND = [
    {"fixed": {"bits": 8}},
    {"affine": {"bits": 5}},
    {"sp2": {"bits": 4}},
    {"power_of_two": {"bits": 4}},
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}},
]
TRAINED = [
    "binary_connect",
    "bwn",
    {"dorefa_weights": {"bits": 3}},
    {"fixed_point": {"bits": 6, "fraction_bits": 4}},
    {"lsq": {"bits": 3}},
    "twn",
    {"wrpn_weights": {"bits": 2}},
]
ANY_SCALE = ["onnx", "tflite", "tflite-reference", "thresholds"]
ARITHMETIC = st.one_of(
    st.tuples(st.sampled_from(FOUND), st.sampled_from([*ANY_SCALE, "shift"])),
    st.tuples(st.sampled_from(TRAINED), st.sampled_from(ANY_SCALE)),
)
ACCUMULATORS = [
    Accumulator(40),
    Accumulator(40, "exact", Partial(3, 20, "saturate")),
    Accumulator(9, "wrap"),
    Accumulator(12, "saturate", Partial(5, 7, "wrap")),
    Accumulator(10, "saturate"),
]
NARROW = {"cell_state": (7, 4), "gate_bits": 6, "gate_fraction_bits": 2,
          "unit_fraction_bits": 5, "hidden_bits": 5, "hidden_fraction_bits": 2}  # fmt: skip
FORMATS = [{}, {"hidden_bits": 16, "hidden_fraction_bits": 15}, NARROW]


@settings(max_examples=120)
@given(
    ARITHMETIC,
    st.sampled_from([{"fixed": {"bits": 4}}, SIGNED, {"affine": {"bits": 6}}]),
    st.sampled_from([None, "per_tensor"]),
    st.integers(0, 2**16),
    st.sampled_from(ACCUMULATORS),
    st.sampled_from(FORMATS),
)
def test_every_integer_of_a_recurrent_program_is_confirmed(
    arithmetic, activations, weight_scale, seed, accumulator, formats
):
    weights, requantize = arithmetic
    program, images = program_for(
        recurrent_network(**formats), weights, activations=activations, seed=seed,
        weight_scale=weight_scale, accumulator=accumulator, requantize=requantize,
        integer_only=requantize not in ("onnx",),
    )  # fmt: skip
    checked, differences = count_checked(program, execute(program, images - 0.5), EVERYTHING)
    assert differences == []
    inputs, hidden, cells = 2 * 4 * 5, 2 * 4 * (3 + 2), 2 * 4 * 3
    assert checked == inputs + 2 * hidden + cells + 2 * 4 * 2 + 2 * 2


def triple(bits, fraction_bits):
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, Fraction(1, 2**fraction_bits)


def naive_cell(program, name):
    """The cell of a layer as the naive program takes it."""
    recurrence, layer = program.recurrences[name], program.network.nodes[name].layer
    products = recurrence.products
    cell = {
        "gate": triple(layer.gate_bits, layer.gate_fraction_bits),
        "unit": triple(layer.unit_fraction_bits + 1, layer.unit_fraction_bits),
        "state": triple(16, 11),
        "out": triple(layer.hidden_bits, layer.hidden_fraction_bits),
        "step_bits": 6,
    }
    for key, suffix, source in (
        ("x", "ih", program.network.nodes[name].inputs[0]),
        ("h", "hh", name),
    ):
        matrix = products.weights[f"{name}.weight_{suffix}"]
        read = Fraction(float(program.scales[source])) if key == "x" else cell["out"][2]
        rows = np.broadcast_to(matrix.scale.ravel(), len(matrix.levels))
        scales = [Fraction(float(scale)) * read for scale in rows]
        real_bias = program.real.get(f"{name}.bias_{suffix}", np.zeros(len(rows)))
        bias = [round(Fraction(float(b)) / s) for b, s in zip(real_bias, scales, strict=True)]
        held = registers(program.arithmetic.accumulator)
        cell[key] = (matrix.levels, bias, scales, held)
    return cell


@pytest.mark.parametrize("weights", FOUND[:3], ids=str)
@pytest.mark.parametrize("requantize", ["onnx", "shift", "thresholds"])
@pytest.mark.parametrize("accumulator", [Accumulator(32), Accumulator(11, "saturate")], ids=str)
def test_layers_equal_the_naive_cells(weights, requantize, accumulator):
    program, images = program_for(
        recurrent_network(), weights, activations=SIGNED, seed=7, requantize=requantize,
        accumulator=accumulator,
    )  # fmt: skip
    steps = execute(program, images)
    lstm, gru = naive_cell(program, "lstm"), naive_cell(program, "gru")
    for image in range(len(images)):
        h, c, g = [0] * 3, [0] * 3, [0] * 2
        for step in range(4):
            h, c = naive.lstm_step(lstm, steps["input"].value.levels[image, step].tolist(), h, c)
            assert steps["lstm"].unrounded.terms[0][0][image, step].tolist() == h
            assert steps["lstm"].unrounded.cells[image, step].tolist() == c
            g = naive.gru_step(gru, steps["lstm"].value.levels[image, step].tolist(), g)
            assert steps["gru"].unrounded.terms[0][0][image, step].tolist() == g


def test_wide_formats_compute_the_float_networks_function():
    wide = recurrent_network(gate_fraction_bits=12, hidden_bits=16, hidden_fraction_bits=15)
    for requantize in ("onnx", "shift", "tflite", "thresholds"):
        program, images = program_for(
            wide, {"fixed": {"bits": 12}}, activations=12, signed=True, requantize=requantize
        )
        wanted, steps = run_float(wide, program.real, images), execute(program, images)
        for name in ("lstm", "gru", "fc"):
            got = real(steps[name].value)
            np.testing.assert_allclose(got, wanted[name], atol=0.002)  # scales of 2**-11 and less
        assert np.abs(wanted["gru"]).max() > 0.1


def test_a_float_layer_computes_the_float_networks_function():
    network = recurrent_network()
    layers = {"lstm": {"weights": "float", "activations": "float"}, "gru": {"weights": "float"}}
    program, images = program_for(
        network, {"fixed": {"bits": 12}}, activations=12, signed=True, layers=layers
    )
    assert program.recurrences == {}
    assert program.weights["lstm"] is program.weights["gru"] is None
    steps = execute(program, images)
    wanted = run_float(network, program.real, images)
    np.testing.assert_array_equal(steps["lstm"].unrounded, wanted["lstm"])
    np.testing.assert_allclose(real(steps["fc"].value), wanted["fc"], atol=0.002)
    assert count_checked(program, steps, EVERYTHING)[1] == []
    with pytest.raises(WorkloadError, match="layer 'gru' is computed in floating point"):
        program_for(network, SIGNED, activations=SIGNED, requantize="tflite", integer_only=True,
                    layers={"gru": {"weights": "float"}})  # fmt: skip


def test_rows_of_next_to_nothing_keep_their_bias():
    network = recurrent_network()
    values = seeded_weights(network, 0)
    values["lstm.weight_ih"][1] *= np.float32(1e-30)
    values["lstm.weight_hh"][4] = 0
    program, images = program_for(network, SIGNED, activations=SIGNED, values=values)
    products = program.recurrences["lstm"].products
    assert abs(products.biases["lstm.weight_ih"][1]) == pytest.approx(2**24, rel=1e-6)
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


@pytest.fixture
def ran():
    program, images = program_for(recurrent_network(), SIGNED, activations=SIGNED, seed=3)
    return program, execute(program, images)


def differences(program, steps):
    return count_checked(program, steps, EVERYTHING)[1]


@pytest.mark.parametrize("at", [(0, 0, 0), (1, 3, 2), (1, 2, 1)])
def test_one_wrong_cell_state_is_noticed(ran, at):
    program, steps = ran
    made = steps["lstm"].unrounded
    cells = made.cells.copy()
    cells[at] += 1
    steps["lstm"] = Step(replace(made, cells=cells), steps["lstm"].value)
    assert isinstance(made, HiddenStates)
    assert any(f"'lstm' at {at}: computed cell" in found for found in differences(program, steps))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_one_wrong_hidden_state_is_noticed(ran, name):
    program, steps = ran
    made = steps[name].unrounded
    [(levels, scale)] = made.terms
    levels = levels.copy()
    levels[0, 1, 1] += 1
    steps[name] = Step(replace(made, terms=((levels, scale),)), steps[name].value)
    assert any(f"layer {name!r} at (0, 1, 1)" in found for found in differences(program, steps))


@pytest.mark.parametrize("array", ["biases", "weights"])
def test_a_cell_of_other_products_is_noticed(ran, array):
    program, steps = ran
    recurrence = program.recurrences["gru"]
    name = "gru.weight_hh"
    if array == "weights":
        held = recurrence.products.weights[name]
        changed = {name: replace(held, levels=np.roll(held.levels, 1, axis=0))}
        products = replace(recurrence.products, weights=recurrence.products.weights | changed)
    else:
        key = "gru.weight_ih.bias"
        real_bias = recurrence.products.real | {key: np.full(6, 0.5, np.float32)}
        products = replace(recurrence.products, real=real_bias)
    spoilt = {**program.recurrences, "gru": replace(recurrence, products=products)}
    spoilt = replace(program, recurrences=spoilt)
    assert any("layer 'gru'" in found for found in differences(spoilt, steps))


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"weights": "ttq"}, "w.default.weights: layer 'lstm' is recurrent, so each row"),
        (
            {"layers": {"gru": {"weight_scale": "per_group", "group_size": 1}}},
            "w.layers.gru.weight_scale: layer 'gru' is recurrent, so each row",
        ),
        (
            {"activations": {"xnor_activations": {"scale_map": True}}},
            "w.default.activations: layer 'lstm' is recurrent, whose sums no map scales",
        ),
        (
            {"layers": {"lstm": {"activations": "float"}}},
            "w.layers.lstm.activations: layer 'lstm' is recurrent and has quantized weights",
        ),
        (
            {"accumulator": Accumulator(16)},
            "execute.accumulator: layer 'lstm.weight_ih': 5 products",
        ),
        (
            {"weights": {"fixed": {"bits": 16}}, "activations": {"fixed": {"bits": 16}},
             "accumulator": Accumulator(48)},
            "recurrent layer 'lstm': its sums of up to .* leave the 32 bits",
        ),
    ],
)  # fmt: skip
def test_what_has_no_integer_cell_is_refused_by_layer(keys, problem):
    keys = {"weights": SIGNED, "activations": SIGNED} | keys
    weights = keys.pop("weights")
    with pytest.raises(WorkloadError, match=problem):
        program_for(recurrent_network(), weights, **keys)


def test_products_too_large_for_the_gates_are_refused():
    network = recurrent_network()
    values = seeded_weights(network, 0)
    values["lstm.weight_ih"] *= np.float32(1e6)
    with pytest.raises(WorkloadError, match=r"'lstm': its sums may reach .* of its gates, and 2\*"):
        program_for(network, SIGNED, activations=SIGNED, values=values)


def test_hidden_states_can_be_negative():
    unsigned = {"gru": {"activations": {"fixed": {"bits": 8, "signed": False}}}}
    with pytest.raises(WorkloadError, match=r"tensor 'lstm' .* can be negative"):
        program_for(recurrent_network(), SIGNED, activations=SIGNED, layers=unsigned)
