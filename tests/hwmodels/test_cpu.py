"""The time of networks on a Pixel 2: the published table, its fit, and laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_tables import zoo_table

from hwmodels import cpu
from hwmodels.cpu import Design, device_names, evaluate, fitted_cells, load_constants, load_device
from hwmodels.errors import DesignError, InputError
from hwmodels.work import LayerWork, Step, WorkTable
from qsim.formats import Fixed, Float

PIXEL = load_device("pixel2")
TABLE_7 = {  # Krishnamoorthi, arXiv 1806.08342: ms on the CPU in float and in fixed point
    "mobilenet-v1": (155, 68),
    "mobilenet-v2": (105, 63),
    "inception-v3": (1391, 536),
    "resnet50-slim": (874, 440),
    "resnet50-v2-slim": (1667, 1145),
    "resnet152-slim": (2581, 1274),
    "resnet152-v2-slim": (4885, 3240),
}
PRECISIONS = ("float", "fixed")


@pytest.fixture(scope="module")
def works():
    return {name: zoo_table(name) for name in TABLE_7}


def times(works, precision):
    return np.array(
        [evaluate(works[n], Design(precision=precision), PIXEL).latency_s for n in works]
    )


def published(precision):
    return np.array([each[PRECISIONS.index(precision)] for each in TABLE_7.values()]) / 1e3


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_seven_networks_are_within_7_percent(works, precision):
    assert fitted_cells("pixel2") >= {f"{name}/{precision}" for name in TABLE_7}
    assert abs(times(works, precision) / published(precision) - 1).max() < 0.07


def amounts(works):
    """MACs, values read and values rescaled of each network, counted here."""
    rows = []
    for work in works.values():
        made = {step.name: step.values for step in work.steps}
        read = sum(made[name] for step in work.steps for name in step.reads)
        rescaled = sum(s.values for s in work.steps if s.kind in ("add", "batch_norm"))
        rows.append((work.macs, read, rescaled))
    return np.array(rows, np.float64)


def fit(columns, offset, target):
    """Least squares of the relative errors."""
    scaled = columns / target[:, None]
    return np.linalg.lstsq(scaled, 1 - offset / target, rcond=None)[0]


def problem(works, precision):
    """What the two constants of a precision multiply, the rest of the time, and the constants."""
    work, constants = amounts(works), load_constants("pixel2")
    per_value = constants.float.s_per_value_read.value
    if precision == "float":
        held = constants.float.s_per_mac, constants.float.s_per_value_read
        return work[:, :2], np.zeros(len(work)), [each.value for each in held]
    held = constants.fixed.s_per_mac, constants.fixed.s_per_rescaled_value
    return work[:, [0, 2]], per_value * work[:, 1], [each.value for each in held]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_constants_are_those_of_the_stated_fit(works, precision):
    columns, offset, constants = problem(works, precision)
    assert fit(columns, offset, published(precision)) == pytest.approx(constants, rel=1e-3)


@pytest.mark.parametrize(("precision", "low", "high"), [("float", -0.025, 0.030),
                                                        ("fixed", -0.128, 0.047)])  # fmt: skip
def test_a_network_left_out_of_the_fit_is_met_with_the_stated_error(works, precision, low, high):
    columns, offset, _ = problem(works, precision)
    target, errors = published(precision), []
    for out in range(len(target)):
        others = np.arange(len(target)) != out
        constants = fit(columns[others], offset[others], target[others])
        errors.append((columns[out] @ constants + offset[out]) / target[out] - 1)
    assert min(errors) == pytest.approx(low, abs=5e-4)
    assert max(errors) == pytest.approx(high, abs=5e-4)


def test_fixed_point_gains_less_where_batch_norms_stand_alone(works):
    gain = times(works, "float") / times(works, "fixed")
    by_name = dict(zip(works, gain, strict=True))
    assert by_name["resnet50-v2-slim"] < 1.6 < 1.8 < by_name["resnet50-slim"]


LAYER = LayerWork("c", "conv", 3, 8, 3, 3, 1, 8, 8, 8, 8, 8, 0, 8, 8, 512, 8)


def two_layers():
    steps = (
        Step("input", "input", (), 192, 8),
        Step("c", "conv", ("input",), 512, 8, macs=LAYER.macs),
        Step("r", "relu", ("c",), 512, 8),
        Step("d", "conv", ("r",), 512, 8, macs=LAYER.macs),
        Step("s", "add", ("d", "r"), 512, 8),
    )
    return WorkTable((LAYER, replace(LAYER, name="d")), steps)


def test_a_small_network_worked_by_hand():
    cost = evaluate(two_layers(), Design(), PIXEL)
    fixed = load_constants("pixel2").fixed
    mac, value = fixed.s_per_mac.value, fixed.s_per_value_read.value
    rescaled = fixed.s_per_rescaled_value.value
    expected = [(192 + 512) * value, (512 + 1024) * value + 512 * rescaled]
    assert cost.layer_mac_s == pytest.approx([LAYER.macs * mac] * 2, rel=1e-12)
    assert cost.layer_element_wise_s == pytest.approx(expected, rel=1e-12)
    assert cost.latency_s == pytest.approx(2 * LAYER.macs * mac + sum(expected), rel=1e-12)
    assert cost.gops == pytest.approx(4 * LAYER.macs / float(cost.latency_s) / 1e9)
    assert cost.mac_s + cost.element_wise_s == pytest.approx(float(cost.latency_s), rel=1e-12)


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_time_is_that_of_its_parts(first, second):
    def table(counts):
        steps, layers = [Step("input", "input", (), 192, 8)], []
        for at, channels in enumerate(counts):
            layer = replace(LAYER, name=f"l{at}", out_channels=channels, rows_multiply=channels)
            layers.append(layer)
            steps.append(Step(layer.name, "conv", ("input",), channels * 64, 8, macs=layer.macs))
        return WorkTable(tuple(layers), tuple(steps))

    alone = [evaluate(table([each]), Design(), PIXEL).latency_s for each in (first, second)]
    both = evaluate(table([first, second]), Design(), PIXEL)
    assert both.latency_s == pytest.approx(float(sum(alone)), rel=1e-12)
    assert (np.argsort(both.layer_mac_s) == np.argsort([first, second])).all() or first == second


def test_what_was_measured_on_the_dsp_is_held_as_it_is():
    held = load_constants("pixel2").hvx_latency_s
    assert {name: figure.value for name, figure in held.items()} == {
        "mobilenet-v1": 0.016, "mobilenet-v2": 0.0155,
    }  # fmt: skip


def test_steps_with_several_layers_take_them_in_order():
    one, two, three = (replace(LAYER, name=name) for name in ("r.input", "r.state", "d"))
    steps = (
        Step("input", "input", (), 192, 8),
        Step("r", "lstm", ("input",), 512, 8, macs=one.macs + two.macs),
        Step("d", "linear", ("r",), 512, 8, macs=three.macs),
    )
    cost = evaluate(WorkTable((one, two, three), steps), Design(), PIXEL)
    assert (cost.layer_element_wise_s > 0).tolist() == [True, False, True]
    bert = evaluate(zoo_table("bert-base", Fixed(8), Fixed(8)), Design(), PIXEL)
    assert (bert.layer_element_wise_s > 0).all()


def test_precision_is_that_of_the_layers_where_it_is_left_open(works):
    work = works["mobilenet-v1"]
    assert evaluate(work, Design(), PIXEL).latency_s == times({"n": work}, "fixed")[0]
    floats = zoo_table("mobilenet-v1", Float(), Float())
    assert evaluate(floats, Design(), PIXEL).latency_s == times({"n": work}, "float")[0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"multiplied_as": "float"}, "layer 'd' is computed in floating point; quantize it"),
        ({"weight_bits": 9}, "has 9-bit operands, and fixed point was measured with 8 bits"),
    ],
)
def test_what_fixed_point_was_not_measured_with_is_refused(changes, text):
    table = two_layers()
    changed = WorkTable((table.layers[0], replace(table.layers[1], **changes)), table.steps)
    with pytest.raises(DesignError, match=text):
        evaluate(changed, Design(precision="fixed"), PIXEL)


def test_several_threads_unknown_processors_and_missing_steps_are_refused():
    with pytest.raises(ValueError, match="threads must be 1"):
        Design(threads=2)
    assert device_names() == ["pixel2"]
    with pytest.raises(InputError, match="did you mean 'pixel2'"):
        load_device("pixel3")
    with pytest.raises(DesignError, match="lists no steps"):
        cpu.check(WorkTable((LAYER,)), Design())
