"""The spatial array on an ASIC: laws, values worked by hand, and what it refuses."""

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_works import tables
from work_tables import zoo_table

from hwmodels.array_cycles import Dataflow
from hwmodels.asic.array import OUTPUTS, Cost, Design, evaluate
from hwmodels.asic.gates import pe_gates, requantizer_gates, threshold_gates
from hwmodels.asic.technology import load_device
from hwmodels.errors import DesignError
from hwmodels.explain import recording, unknown
from hwmodels.work import LayerWork, WorkTable
from qsim.formats import Fixed

CELLS = load_device("standard_cells")
DATAFLOWS = Dataflow.__args__
PARTS = ("product_j", "register_j", "sram_j", "dram_j")
BANDS = [name.removesuffix("_low") for name in Cost.__dataclass_fields__ if name.endswith("_low")]


@st.composite
def designs(draw, **given):
    return Design(
        **{
            "rows": draw(st.integers(1, 40)),
            "columns": draw(st.integers(1, 40)),
            "dot_length": draw(st.sampled_from([1, 1, 4, 16])),
            "dataflow": draw(st.sampled_from(DATAFLOWS)),
            "images": draw(st.integers(1, 4)),
            "node_nm": draw(st.sampled_from([180, 65, 45, 32, 16, 7])),
            "input_buffer_bytes": draw(st.integers(1, 5000)),
            "weight_buffer_bytes": draw(st.integers(1, 5000)),
            "accumulator_buffer_bytes": draw(st.integers(160, 5000)),
            "double_buffered": draw(st.booleans()),
        }
        | given
    )


@settings(max_examples=60)
@given(tables(), designs())
def test_latency_is_no_less_than_computing_and_moving(table, design):
    cost = evaluate(table, design, CELLS)
    assert (cost.layer_latency_s >= cost.layer_compute_s).all()
    assert (cost.layer_latency_s >= cost.layer_dram_s).all()
    products = float(design.rows * design.columns * design.dot_length)
    bound = table.column("macs") / products / design.clock_hz
    assert (cost.layer_compute_s >= bound * (1 - 1e-12)).all()
    moved = table.column("weight_bytes") / design.images + table.column("input_bytes")
    least = (moved + table.column("output_bytes")) / (design.dram_gb_per_s * 1e9)
    assert (cost.layer_dram_s >= least * (1 - 1e-12)).all()
    assert cost.gops <= cost.peak_gops * (1 + 1e-12)


@settings(max_examples=40)
@given(tables(most=1), tables(most=1), designs())
def test_time_and_energy_add_up_over_layers(one, other, design):
    design = msgspec.structs.replace(
        design, weight_bits=8, activation_bits=8, datapath="bit_serial"
    )
    plain = {"multiplied_as": "fixed", "rows_shift_add": 0, "activation_scheme": "unsigned"}
    layers = [replace(t.layers[0], **plain, rows_multiply=t.layers[0].out_channels)
              for t in (one, other)]  # fmt: skip
    alone = [evaluate(WorkTable((layer,)), design, CELLS) for layer in layers]
    both = evaluate(WorkTable(tuple(layers)), design, CELLS)
    for name in ("latency_s", "energy_j", "energy_j_high", "sram_j_low", "dram_bytes"):
        apart = sum(float(getattr(cost, name)) for cost in alone)
        assert getattr(both, name) == pytest.approx(apart, rel=1e-12)
    assert both.layer_energy_j.sum() == pytest.approx(float(both.energy_j), rel=1e-12)


@settings(max_examples=40)
@given(tables(formats=("fixed",)), designs(), st.sampled_from(["weight_bits", "activation_bits"]))
def test_more_bits_never_cost_less(table, design, name):
    """Elements as wide as the work, whose operands have a bit more."""
    wider = WorkTable(tuple(replace(layer, **{name: getattr(layer, name) + 1}) for layer in table))
    before, after = evaluate(table, design, CELLS), evaluate(wider, design, CELLS)
    for each in ("latency_s", "energy_j", "energy_j_low", "energy_j_high", "logic_mm2", "area_mm2"):
        assert getattr(after, each) >= getattr(before, each) * (1 - 1e-12)
    for each in ("product_j", "register_j", "dram_j"):
        assert getattr(after, each) >= getattr(before, each) * (1 - 1e-12)


@settings(max_examples=40)
@given(tables(), designs())
def test_twice_the_bandwidth_never_hurts(table, design):
    double = msgspec.structs.replace(design, dram_gb_per_s=2 * design.dram_gb_per_s)
    before, after = evaluate(table, design, CELLS), evaluate(table, double, CELLS)
    assert (after.layer_latency_s <= before.layer_latency_s).all()
    assert after.energy_j == before.energy_j


@settings(max_examples=40)
@given(tables(), designs())
def test_bands_hold_their_figures_and_parts_make_the_whole(table, design):
    cost = evaluate(table, design, CELLS)
    for name in BANDS:
        assert getattr(cost, f"{name}_low") <= getattr(cost, name) <= getattr(cost, f"{name}_high")
    assert sum(float(getattr(cost, part)) for part in PARTS) == pytest.approx(float(cost.energy_j))
    assert cost.logic_mm2 + cost.sram_mm2 == cost.area_mm2
    assert cost.power_w * cost.latency_s == pytest.approx(float(cost.energy_j))
    assert cost.gops_per_w == pytest.approx(float(2 * table.macs / cost.energy_j / 1e9))


@settings(max_examples=6)
@given(tables(), designs(), st.data())
def test_a_sweep_equals_its_designs_one_by_one(table, design, data):
    grids = {
        "rows": np.array([4, 16, 33]).reshape(3, 1),
        "node_nm": np.array([65, 16]),
        "clock_hz": np.array([1e8, 7e8]),
    }
    held = {name: data.draw(st.booleans()) for name in ("input_buffer_bytes", "dot_length")}
    if held["dot_length"]:
        grids["dot_length"] = np.array([1, 4, 16]).reshape(3, 1)
    if held["input_buffer_bytes"]:
        grids["input_buffer_bytes"] = np.array([100, 3000, 2**20]).reshape(3, 1)
    sweep = evaluate(table, msgspec.structs.replace(design, **grids), CELLS)
    assert sweep.energy_j.shape == (3, 2)
    for at in np.ndindex(3, 2):
        own = {name: np.broadcast_to(grid, (3, 2))[at].item() for name, grid in grids.items()}
        alone = evaluate(table, msgspec.structs.replace(design, **own), CELLS)
        for each in fields(Cost):
            ours, theirs = getattr(sweep, each.name)[at], getattr(alone, each.name)
            assert np.array_equal(ours, theirs), each.name


@pytest.mark.parametrize("scheme", ["fixed", "sp2", "xnor", "bit_serial"])
def test_sweeps_over_everything_else_equal_their_designs_too(scheme):
    shifts = {"rows_multiply": 0, "rows_shift_add": 4} if scheme == "sp2" else {}
    counts = {"multiplied_as": "binary", "activation_scheme": "plus_minus_one", "weight_bits": 1,
              "activation_bits": 1} if scheme == "xnor" else {}  # fmt: skip
    layer = replace(LAYER, weight_bits=4, activation_bits=4)
    work = WorkTable((replace(layer, **shifts | counts),) * 2)
    grids = {
        "columns": np.array([3, 17]), "images": np.array([1, 5]), "dot_length": np.array([2, 9]),
        "voltage_v": np.array([0.8, 1.0]), "weight_bits": np.array([4, 7]),
        "activation_bits": np.array([4, 8]), "accumulator_bits": np.array([24, 31]),
        "weight_buffer_bytes": np.array([9, 9000]), "dram_gb_per_s": np.array([0.5, 80.0]),
    }  # fmt: skip
    shaped = {name: values if at % 2 else values[:, None]
              for at, (name, values) in enumerate(grids.items())}  # fmt: skip
    given = {"rows": 5, "datapath": scheme, "dataflow": "output_stationary"}
    sweep = evaluate(work, Design(**given, **shaped), CELLS)
    for at in np.ndindex(2, 2):
        own = {name: np.broadcast_to(grid, (2, 2))[at].item() for name, grid in shaped.items()}
        alone = evaluate(work, Design(**given, **own), CELLS)
        for each in fields(Cost):
            assert np.array_equal(getattr(sweep, each.name)[at], getattr(alone, each.name))


@pytest.mark.parametrize(("dataflow", "bits"), [("weight_stationary", 8 + 8), ("output_stationary",
                          8 + 6 + 8), ("input_stationary", 6 + 8)])  # fmt: skip
def test_products_pass_registers_of_what_moves(dataflow, bits):
    layer = replace(LAYER, weight_bits=6)
    design = Design(rows=4, columns=4, dot_length=4, voltage_v=0.9, dataflow=dataflow)
    cost = evaluate(WorkTable((layer,)), design, CELLS)
    assert cost.register_j == pytest.approx(layer.macs * bits * 0.009e-12)


def test_serial_bits_take_a_cycle_and_the_energy_of_each_pair():
    one, many = (replace(LAYER, weight_bits=w, activation_bits=a) for w, a in ((1, 1), (3, 5)))
    design = Design(rows=8, columns=4, datapath="bit_serial", dot_length=8, weight_bits=8,
                    activation_bits=8)  # fmt: skip
    once, often = (evaluate(WorkTable((each,)), design, CELLS) for each in (one, many))
    assert often.product_j == pytest.approx(15 * float(once.product_j))
    assert (often.layer_cycles + 1 == 15 * (once.layer_cycles + 1)).all()


LAYER = LayerWork("l", "conv", 8, 4, 1, 1, 1, 2, 2, 2, 2, 4, 0, 8, 8, 16, 8)


def test_a_small_design_worked_by_hand():
    design = Design(rows=4, columns=4, voltage_v=0.9, input_buffer_bytes=8192,
                    weight_buffer_bytes=8192, accumulator_buffer_bytes=8192)  # fmt: skip
    cost = evaluate(WorkTable((LAYER,)), design, CELLS)
    macs = 8 * 4 * 4
    assert cost.layer_cycles.tolist() == [2 * (2 * 4 + 4 - 2 + 4) - 1]  # two folds of the depth
    assert cost.peak_gops == 2 * 16 * 0.5
    assert cost.product_j == pytest.approx(macs * 0.3e-12)  # multiplier 0.2, adder 0.1 pJ
    assert cost.register_j == pytest.approx(macs * (8 + 32) * 0.009e-12)
    moved = 8 * 4 + 8 * 4 + 16  # inputs, weights, results, bytes
    assert cost.dram_bytes == moved
    assert cost.dram_j == pytest.approx(moved * 8 * 20e-12)
    inputs, weights, sums = 32 * 8, 32 * 8, (2 + 1) * 16 * 32  # bits at the edges
    bit = 10e-12 / 64
    assert cost.sram_j == pytest.approx((inputs + weights + sums + moved * 8) * bit)
    gates = 4 * (4 * (pe_gates("fixed", 8, 8, 1, 32) + 4 * 16) + requantizer_gates(32))
    assert cost.logic_mm2 == pytest.approx(gates * 0.798e-6)
    assert cost.buffer_bytes == 2 * 3 * 8192
    assert cost.sram_mm2 == pytest.approx(2 * 3 * 8192 * 8 * 0.346e-6 / 0.6)
    assert cost.latency_s == max(28 / 500e6, moved / 25.6e9)


def test_thresholds_take_the_place_of_requantizers():
    made = {name: evaluate(WorkTable((LAYER,)), Design(rows=1, columns=2, requantize=name), CELLS)
            for name in ("multiplier", "thresholds")}  # fmt: skip
    more = made["thresholds"].logic_mm2 - made["multiplier"].logic_mm2
    gates = 2 * (threshold_gates(32, 8) - requantizer_gates(32))
    assert more == pytest.approx(float(gates) * 0.798e-6)


@pytest.mark.parametrize("bits", [16, 32])
def test_floating_point_has_the_published_units(bits):
    layer = replace(LAYER, multiplied_as="float", activation_scheme="float", weight_bits=bits,
                    activation_bits=bits)  # fmt: skip
    cost = evaluate(WorkTable((layer,)), Design(rows=4, columns=4, voltage_v=0.9), CELLS)
    each = {16: (1.1 + 0.4, 1640 + 1360), 32: (3.7 + 0.9, 7700 + 4184)}[bits]
    assert cost.product_j == pytest.approx(layer.macs * each[0] * 1e-12)
    assert cost.logic_mm2 == pytest.approx(16 * each[1] / 1e6)


def test_fewer_bits_are_worth_their_while_on_resnet18():
    """A whole network in 8, 4 and 2 bits: each step saves energy in every part and area."""
    costs = [
        evaluate(zoo_table("resnet18", Fixed(b), Fixed(b, signed=False)),
                 Design(rows=32, columns=32, dot_length=4), CELLS)
        for b in (8, 4, 2)
    ]  # fmt: skip
    for name in ("energy_j", *PARTS, "logic_mm2", "latency_s"):
        values = [float(getattr(cost, name)) for cost in costs]
        assert values[0] > values[1] >= values[2], name


def test_every_figure_is_told_of_and_has_its_field():
    names = {each.name for each in fields(Cost)}
    totals = {name for name in names if not name.startswith("layer_")}
    banded = {f"{name}_{end}" for name in OUTPUTS for end in ("low", "high")}
    assert set(OUTPUTS) <= totals <= set(OUTPUTS) | banded


def test_figures_explain_themselves_down_to_the_tables():
    with recording() as calls:
        cost = evaluate(WorkTable((LAYER,)), Design(rows=4, columns=4), CELLS)
    leaves = {leaf.name for leaf in calls.node_of(cost.energy_j).leaves()}
    assert {"int8_mult", "register_1b", "sram_64b_32kb", "ddr nominal", "rows"} <= leaves
    assert {"NAND2 at 45 nm", "cell_share nominal"} <= {
        leaf.name for leaf in calls.node_of(cost.area_mm2).leaves()
    }
    for name in OUTPUTS:
        assert calls.node_of(getattr(cost, name)) is not None, name


def test_an_unknown_figure_makes_what_rests_on_it_absent_with_the_reason():
    table = CELLS.tables["other"]
    gone = msgspec.structs.replace(
        table.energy_pj["register_1b"], value=None, status="unknown", source="was not measured"
    )
    changed = msgspec.structs.replace(table, energy_pj=table.energy_pj | {"register_1b": gone})
    device = msgspec.structs.replace(CELLS, tables=CELLS.tables | {"other": changed})
    with recording() as calls:
        cost = evaluate(WorkTable((LAYER,)), Design(rows=4, columns=4), device)
    for name in ("register_j", "energy_j", "power_w", "gops_per_w"):
        assert np.isnan(getattr(cost, name)), name
    for name in ("product_j", "dram_j", "area_mm2", "latency_s"):
        assert np.isfinite(getattr(cost, name)), name
    reasons = unknown(calls.node_of(cost.power_w))
    assert any("register_1b" in each and "was not measured" in each for each in reasons)


def test_low_power_without_a_voltage_has_no_energy_and_says_why():
    with recording() as calls:
        cost = evaluate(WorkTable((LAYER,)), Design(rows=4, columns=4, process="lp"), CELLS)
    assert np.isnan(cost.energy_j)
    assert np.isfinite(cost.area_mm2)
    assert any("give voltage_v" in each for each in unknown(calls.node_of(cost.energy_j)))
    known = Design(rows=4, columns=4, process="lp", voltage_v=1.0)
    assert np.isfinite(evaluate(WorkTable((LAYER,)), known, CELLS).energy_j)


MIXED = replace(LAYER, rows_multiply=2, rows_shift_add=2)


@pytest.mark.parametrize(
    ("layer", "design", "text"),
    [
        (MIXED, {}, "several datapaths: fixed, sp2; give one weight format"),
        (LAYER, {"datapath": "sp2"}, "sp2 does not compute layer 'l', which calls for fixed"),
        (LAYER, {"weight_bits": 4}, "layer 'l' has 8-bit operands but the elements take 4 bits"),
        (LAYER, {"columns": 9, "accumulator_buffer_bytes": 32}, "8 sums do not fill 9 columns"),
        (replace(LAYER, multiplied_as="float", activation_scheme="float", weight_bits=24,
                 activation_bits=24), {}, "operands of 16 bits, or all of 32 bits"),
    ],
)  # fmt: skip
def test_what_the_elements_cannot_compute_is_refused(layer, design, text):
    with pytest.raises(DesignError, match=text):
        evaluate(WorkTable((layer,)), Design(**{"rows": 4, "columns": 4} | design), CELLS)


def test_what_no_circuit_was_synthesised_for_is_not_known():
    """Shifted weights of 4 bits by activations of 16: an area, and not that of floating point."""
    layer = replace(
        LAYER, rows_multiply=0, rows_shift_add=LAYER.out_channels, weight_bits=4, activation_bits=16
    )
    with recording() as calls:
        cost = evaluate(WorkTable((layer,)), Design(rows=4, columns=4), CELLS)
    assert np.isnan(cost.logic_mm2)
    assert np.isnan(cost.area_mm2_high)
    assert cost.sram_mm2 > 0
    for figure in (cost.logic_mm2, cost.product_j, cost.energy_j_high, cost.gops_per_w):
        assert np.isnan(figure)
        assert any("no circuit of sp2" in reason for reason in unknown(calls.node_of(figure)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"node_nm": 28}, "node_nm: 28 nm is not among the nodes .* planar transistors to fins"),
        ({"rows": 0}, "rows must be a whole number from 1 to 65,536"),
        ({"columns": 1.5}, "columns must be a whole number"),
        ({"voltage_v": 0.0}, r"voltage_v must be 0.1 to 5"),
        ({"clock_hz": np.nan}, "clock_hz must be 1 to"),
        ({"weight_bits": 65}, "weight_bits must be a whole number from 1 to 64"),
        ({"input_buffer_bytes": 2**41}, "input_buffer_bytes must be"),
        ({"dram_gb_per_s": -1.0}, "dram_gb_per_s must be"),
    ],
)
def test_impossible_designs_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        Design(**{"rows": 4, "columns": 4} | changes)
