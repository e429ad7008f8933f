"""The systolic array: laws, values worked by hand, and what it refuses."""

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_works import FORMATS, tables, with_figure
from work_tables import zoo_table

from hwmodels.array_cycles import Dataflow, layer_array_cycles, matrix_products
from hwmodels.documents import convert
from hwmodels.errors import DesignError, InputError
from hwmodels.explain import recording, unknown
from hwmodels.fpga import systolic
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.dsp import load_dsp_type
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.requantizers import requantizer_dsp, requantizer_lut
from hwmodels.fpga.systolic import Cost, Design, evaluate
from hwmodels.outputs import excess, fits
from hwmodels.work import LayerWork, WorkTable

ULTRA = load_device("xczu9eg")
RESOURCES = ("luts", "luts_low", "luts_high", "flip_flops", "dsp", "ram_blocks", "uram_288kb")
DATAFLOWS = Dataflow.__args__


@st.composite
def designs(draw, **given):
    return Design(
        **{
            "rows": draw(st.integers(1, 40)),
            "columns": draw(st.integers(1, 40)),
            "lanes": draw(st.sampled_from([1, 1, 4, 16])),
            "dataflow": draw(st.sampled_from(DATAFLOWS)),
            "images": draw(st.integers(1, 4)),
            "input_buffer_elements": draw(st.integers(1, 5000)),
            "weight_buffer_elements": draw(st.integers(1, 5000)),
            "accumulator_buffer_elements": draw(st.integers(40, 5000)),
            "double_buffered": draw(st.booleans()),
        }
        | given
    )


@settings(max_examples=60)
@given(tables(), designs())
def test_latency_is_no_less_than_computing_and_moving(table, design):
    cost = evaluate(table, design, ULTRA)
    assert (cost.layer_latency_s >= cost.layer_compute_s).all()
    assert (cost.layer_latency_s >= cost.layer_dram_s).all()
    products = float(design.rows * design.columns * design.lanes)
    bound = table.column("macs") / products / design.clock_hz
    assert (cost.layer_compute_s >= bound * (1 - 1e-12)).all()
    moved = table.column("weight_bytes") / design.images + table.column("input_bytes")
    assert (cost.layer_dram_s * 19.2e9 >= (moved + table.column("output_bytes")) * 0.999999).all()
    assert cost.gops <= cost.peak_gops * (1 + 1e-12)


@settings(max_examples=40)
@given(tables(), designs())
def test_twice_the_bandwidth_never_hurts(table, design):
    before = evaluate(table, design, ULTRA)
    after = evaluate(table, design, with_figure(ULTRA, dram_gb_per_s=2 * 19.2))
    assert (after.layer_latency_s <= before.layer_latency_s).all()
    assert after.luts == before.luts


@settings(max_examples=60)
@given(tables(formats=("fixed",)), designs(), st.data())
def test_more_bits_never_cost_less(table, design, data):
    path = data.draw(st.sampled_from(["lut", "dsp", "bit_serial"]))
    which = data.draw(st.sampled_from(["weight_bits", "activation_bits"]))
    design = msgspec.structs.replace(design, datapath=path)
    wider = WorkTable(
        tuple(replace(layer, **{which: getattr(layer, which) + 1}) for layer in table)
    )
    before, after = evaluate(table, design, ULTRA), evaluate(wider, design, ULTRA)
    assert (after.layer_latency_s >= before.layer_latency_s).all()
    assert after.dram_bytes >= before.dram_bytes
    for name in RESOURCES:
        assert getattr(after, name) >= getattr(before, name), name


@settings(max_examples=30)
@given(st.sampled_from(["sp2", "ternary", "binary"]), designs(), st.data())
def test_more_bits_never_cost_less_on_datapaths_that_select_and_shift(name, design, data):
    table = data.draw(tables(formats=(name,)))
    wider = WorkTable(
        tuple(replace(layer, activation_bits=layer.activation_bits + 1) for layer in table)
    )
    before, after = evaluate(table, design, ULTRA), evaluate(wider, design, ULTRA)
    for each in (*RESOURCES, "latency_s"):
        assert getattr(after, each) >= getattr(before, each), each


@settings(max_examples=40)
@given(tables(formats=("fixed",)), tables(formats=("fixed",)), designs())
def test_layers_add_up(first, second, design):
    design = msgspec.structs.replace(design, datapath="lut", weight_bits=8, activation_bits=8)
    both = evaluate(WorkTable(first.layers + second.layers), design, ULTRA)
    alone = [evaluate(table, design, ULTRA) for table in (first, second)]
    for name in ("layer_cycles", "layer_latency_s", "layer_dram_s"):
        np.testing.assert_array_equal(
            getattr(both, name), np.concatenate([getattr(one, name) for one in alone])
        )
    assert both.latency_s == pytest.approx(sum(one.latency_s for one in alone), rel=1e-12)
    assert both.dram_bytes == pytest.approx(sum(one.dram_bytes for one in alone), rel=1e-12)


@settings(max_examples=40)
@given(tables(), designs(), st.floats(0.001, 2), st.floats(1, 4))
def test_what_fits_a_device_fits_a_larger_one(table, design, share, more):
    cost = evaluate(table, design, ULTRA)
    names = ("luts", "flip_flops", "dsp", "ram_blocks")
    small = {name: share * getattr(ULTRA, name).value for name in names}
    large = {name: more * value for name, value in small.items()}
    if fits(cost, systolic.OUTPUTS, with_figure(ULTRA, **small)):
        assert fits(cost, systolic.OUTPUTS, with_figure(ULTRA, **large))
    for name, amount in excess(cost, systolic.OUTPUTS, with_figure(ULTRA, **small)).items():
        assert amount == float(getattr(cost, name)) - small[name]


@settings(max_examples=25)
@given(tables(), st.sampled_from(DATAFLOWS), st.sampled_from(["one", "shared_operand"]))
def test_a_sweep_equals_its_designs_one_by_one(table, dataflow, packing):
    arrays = {
        "rows": np.array([[4], [33]]),
        "columns": np.array([8, 16, 5]),
        "lanes": np.array([[1], [4]]),
        "images": np.array([1, 2, 1]),
        "clock_hz": np.array([1e8, 3e8, 1.5e8]),
        "accumulator_bits": np.array([24, 32, 20]),
        "accumulator_buffer_elements": np.array([[64], [5000]]),
    }
    given_all = {"dataflow": dataflow, "dsp_packing": packing, "input_buffer_elements": 100}
    together = evaluate(table, Design(**arrays, **given_all), ULTRA)
    for at in np.ndindex(2, 3):
        one = {name: np.broadcast_to(value, (2, 3))[at].item() for name, value in arrays.items()}
        alone = evaluate(table, Design(**one, **given_all), ULTRA)
        for field in fields(Cost):
            np.testing.assert_array_equal(
                getattr(together, field.name)[at], getattr(alone, field.name), field.name
            )


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_of_resnet18_are_those_of_scale_sim_where_sums_are_held(dataflow):
    work = zoo_table("resnet18")
    design = Design(rows=32, columns=16, dataflow=dataflow, accumulator_buffer_elements=2**20)
    cost = evaluate(work, design, ULTRA)
    expected = layer_array_cycles(matrix_products(work), 32, 16, dataflow)
    np.testing.assert_array_equal(cost.layer_cycles, expected)
    little = msgspec.structs.replace(design, accumulator_buffer_elements=2**10)
    assert (evaluate(work, little, ULTRA).layer_cycles >= expected).all()


def _layer(**changes):
    plain = LayerWork("l", "conv", 16, 8, 1, 1, 1, 2, 2, 2, 2, 8, 0, 6, 8, 32, 8)
    return replace(plain, **changes)


def test_a_small_design_worked_by_hand():
    """16 x 8 weights over 4 positions, two images, on 8 x 4 elements: 2 x 2 folds of 8 positions."""
    design = Design(
        rows=8, columns=4, images=2, clock_hz=1e8, input_buffer_elements=1024,
        weight_buffer_elements=256, accumulator_buffer_elements=32 * 4,
    )  # fmt: skip
    cost = evaluate(WorkTable((_layer(),)), design, ULTRA)
    fold = 2 * 8 + 4 + 8 - 2
    assert cost.layer_cycles.tolist() == [4 * fold - 1]
    assert cost.latency_s == 4 * fold / 1e8 / 2
    assert cost.dram_bytes == (16 * 8 * 6 / 8 + 2 * (16 * 4 + 8 * 4)) / 2
    assert cost.peak_gops == 2 * 32 * 0.1
    assert cost.buffer_bytes == 2 * (1024 * 8 + 256 * 6 + 128 * 32) / 8
    # inputs 128 words of 64 bits: 2 blocks of 18 Kb; weights 64 words of 24 bits and sums 32 words
    # of 128 bits: shallow, in LUTs; all of them twice
    assert cost.ram_blocks == 2
    memory = 2 * (4 * 8 + 4 * 22)
    # inputs are delayed by up to 7 cycles, sums by up to 3; a column adds to sums of 32 bits, and is
    # requantized to 8 bits by 16 in DSPs
    beside = 7 * 8 + 3 * 32 + 4 * 32 + 4 * float(requantizer_lut(32, 16, 8, in_dsp=True))
    assert cost.luts == memory + beside  # a lone product is summed in its DSP
    assert cost.dsp == 32 + 4 * float(requantizer_dsp(32, 16, load_dsp_type("dsp48e2")))
    assert cost.flip_flops == 32 * (6 + 8) + 4 * 8


def test_an_output_stationary_design_worked_by_hand():
    """Both operands enter delayed, sums stay in the elements and are not added again."""
    design = Design(
        rows=8, columns=4, dataflow="output_stationary", input_memory="block",
        weight_memory="block", accumulator_memory="block",
    )  # fmt: skip
    cost = evaluate(WorkTable((_layer(stored_bits=32),)), design, ULTRA)
    assert cost.luts == 7 * 8 + 3 * (6 + 32)
    assert cost.layer_cycles.tolist() == [2 * (16 + 8 + 4 - 2) - 1]


def test_images_share_weights_but_not_second_tensors():
    """A product of tensors of 16 x 8 for 4 positions; what one image moves is as before."""
    product = _layer(kind="matmul")
    for layer, shared in ((_layer(), 16 * 8 * 6 / 8), (product, 0)):
        one, three = (
            evaluate(WorkTable((layer,)), Design(rows=4, columns=4, images=images), ULTRA)
            for images in (1, 3)
        )
        assert one.dram_bytes - three.dram_bytes == pytest.approx(shared * 2 / 3, rel=1e-12)


def test_bits_that_are_serial_pass_pair_by_pair():
    """6 x 8 passes of what takes one in parallel."""
    serial, parallel = (
        evaluate(WorkTable((_layer(),)), Design(rows=4, columns=4, lanes=4, datapath=path), ULTRA)
        for path in ("bit_serial", "lut")
    )
    assert serial.layer_cycles + 1 == 48 * (parallel.layer_cycles + 1)
    assert serial.peak_gops == parallel.peak_gops / 48


@pytest.mark.parametrize(("held", "times"), [(16 * 8, 1), (16 * 8 - 1, 2)])
def test_weights_are_held_in_words_of_lanes(held, times):
    """16 x 8 weights for 4 positions, which pass in 2 tiles; 4 lanes."""
    design = Design(
        rows=4, columns=8, lanes=4, weight_buffer_elements=held, accumulator_buffer_elements=2 * 8
    )
    cost = evaluate(WorkTable((_layer(),)), design, ULTRA)
    assert cost.dram_bytes == times * 16 * 8 * 6 / 8 + 16 * 4 + 8 * 4


def test_elements_of_luts_are_those_that_were_synthesised():
    table = WorkTable((_layer(stored_bits=32),))
    large = {"rows": 1, "columns": 1, "lanes": 16, "datapath": "lut"}
    one, many = (
        evaluate(table, Design(**large | {"rows": rows}), ULTRA) for rows in (1, 33)
    )  # 33 rows: beside 32 more elements, inputs are delayed by 1 to 32 cycles
    delays = 32 * 16 * 8
    for name, cells in (("luts", "kept"), ("luts_low", "packed"), ("luts_high", "merged")):
        element = float(pe_lut("fixed", 6, 8, 16, 32, cells=cells))
        assert getattr(many, name) - getattr(one, name) == 32 * element + delays


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sp2", "sp2"),
        ("power_of_two", "power_of_two"),
        ("ternary", "ternary"),
        ("binary", "binary"),
        ("xnor", "xnor"),
    ],
)
def test_the_weights_of_all_layers_call_for_a_datapath(name, path):
    shifts = "shifted_as" in FORMATS[name][0]
    rows = {"rows_multiply": 0, "rows_shift_add": 8} if shifts else {}
    bits = {"weight_bits": FORMATS[name][1][0], "activation_bits": FORMATS[name][2][0]}
    table = WorkTable((_layer(**FORMATS[name][0] | rows | bits),))
    called = evaluate(table, Design(rows=4, columns=4), ULTRA)
    chosen = evaluate(table, Design(rows=4, columns=4, datapath=path), ULTRA)
    assert called.luts == chosen.luts


def test_products_go_to_dsps_from_nine_result_bits_on():
    for weight_bits, dsp in ((4, 0), (5, 16)):
        table = WorkTable((_layer(weight_bits=weight_bits, activation_bits=4, stored_bits=4),))
        assert evaluate(table, Design(rows=4, columns=4), ULTRA).dsp == dsp


def test_layers_of_several_formats_share_elements_that_multiply():
    table = WorkTable((_layer(), _layer(name="m", multiplied_as="ternary", weight_bits=2)))
    cost = evaluate(table, Design(rows=4, columns=4), ULTRA)
    assert cost.luts == evaluate(table, Design(rows=4, columns=4, datapath="dsp"), ULTRA).luts


def test_signed_activations_cost_what_signed_products_do():
    design = Design(rows=4, columns=4, lanes=16, datapath="lut")
    plain, signed = (
        evaluate(WorkTable((_layer(activation_scheme=scheme),)), design, ULTRA)
        for scheme in ("unsigned", "signed")
    )
    each = [float(pe_lut(name, 6, 8, 16, 32)) for name in ("fixed", "fixed_signed")]
    assert signed.luts - plain.luts == 16 * (each[1] - each[0])


def test_packed_products_take_fewer_dsps_and_luts_to_tell_them_apart():
    table = WorkTable((_layer(weight_bits=4, activation_bits=4, stored_bits=32),))
    design = Design(rows=8, columns=8, datapath="dsp")
    packed = msgspec.structs.replace(design, dsp_packing="shared_operand")
    one, more = (evaluate(table, each, ULTRA) for each in (design, packed))
    assert (one.dsp, more.dsp) == (64, 22)  # three of 4 x 4 bits in the 27-bit port
    assert more.luts > one.luts


MIXED = (_layer(), _layer(name="m", rows_multiply=4, rows_shift_add=4))


@pytest.mark.parametrize(
    ("layers", "design", "key", "text"),
    [
        (MIXED, {}, "datapath", "dsp does not compute layer 'm', which has 4 rows of sp2 weights"),
        ((_layer(),), {"datapath": "sp2"}, "datapath", "sp2 does not compute layer 'l'"),
        ((_layer(multiplied_as="ternary", weight_bits=2),), {"datapath": "xnor"}, "datapath", "xnor"),
        ((_layer(multiplied_as="float"),), {}, "", "layer 'l' is computed in floating point"),
        ((_layer(),), {"weight_bits": 4}, "weight_bits", "6-bit operands but the elements take 4"),
        ((_layer(),), {"activation_bits": 4}, "activation_bits", "8-bit operands"),
        ((_layer(),), {"accumulator_buffer_elements": 3}, "accumulator_buffer_elements", "do not hold"),
    ],
)  # fmt: skip
def test_what_elements_cannot_compute_is_refused(layers, design, key, text):
    with pytest.raises(DesignError, match=text) as refusal:
        evaluate(WorkTable(tuple(layers)), Design(rows=4, columns=4, **design), ULTRA)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("design", "text"),
    [
        ({"rows": 0, "columns": 4}, "rows must be a whole number from 1 to 65,536"),
        ({"rows": 4, "columns": 4, "clock_hz": 0}, "clock_hz must be 1 to"),
        ({"rows": 4, "columns": 4, "weight_bits": 65}, "weight_bits must be a whole number from 1"),
        ({"rows": 4, "columns": 4, "dataflow": "row"}, "dataflow: unknown value 'row'"),
        ({"rows": 4, "columns": 4, "lane": 2}, "unknown key 'lane'; did you mean 'lanes'"),
        ({"rows": 4}, "key 'columns' is missing"),
        ({"rows": 4, "columns": 4, "datapath": "dps"}, "did you mean 'dsp'"),
    ],
)
def test_an_impossible_design_is_refused(design, text):
    with pytest.raises(InputError, match=text):
        convert(design, Design, where="w.yaml", within=("hardware", 0, "design"))


def test_what_rests_on_an_unknown_figure_is_absent_with_the_reason():
    with recording() as calls:
        cost = evaluate(WorkTable((_layer(),)), Design(rows=4, columns=4), load_device("ecp5_85"))
    assert np.isnan(cost.latency_s)
    assert np.isnan(cost.energy_j)
    assert not np.isnan(cost.luts)
    assert "ULX3S" in unknown(calls.node_of(cost.latency_s))[0]
    reasons = unknown(calls.node_of(cost.energy_j))
    assert any("no source gives the energy" in reason for reason in reasons)


def test_every_figure_is_explained():
    with recording() as calls:
        cost = evaluate(zoo_table("resnet18"), Design(rows=32, columns=32), ULTRA)
    for name in systolic.OUTPUTS:
        assert calls.node_of(getattr(cost, name)) is not None, name
    leaves = {leaf.name for leaf in calls.node_of(cost.latency_s).leaves()}
    assert {"rows", "columns", "clock_hz", "dram_gb_per_s"} <= leaves
    assert {"rows", "columns"} <= {leaf.name for leaf in calls.node_of(cost.luts).leaves()}


@pytest.mark.parametrize("name", device_names())
def test_every_device_is_priced_within_its_band(name):
    cost = evaluate(zoo_table("resnet18"), Design(rows=32, columns=32), load_device(name))
    assert 0 < cost.luts_low <= cost.luts <= cost.luts_high
    assert cost.ram_blocks > 0


def test_a_design_in_words():
    words = systolic.describe(Design(rows=16, columns=8, lanes=4, clock_hz=150e6))
    assert words == "16 x 8 elements x 4 lanes, weight stationary, 150 MHz"
