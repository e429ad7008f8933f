"""The streaming design: laws, values worked by hand, and what it refuses."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_works import tables, with_figure
from work_tables import zoo_table

from hwmodels.documents import convert
from hwmodels.errors import DesignError, InputError
from hwmodels.explain import recording, unknown
from hwmodels.fpga import streaming
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.dsp import load_dsp_type
from hwmodels.fpga.folding import LayerFolding, attainable_cycles
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.requantizers import requantizer_dsp, requantizer_lut, threshold_lut
from hwmodels.fpga.streaming import Cost, evaluate
from hwmodels.fpga.streaming_design import Design
from hwmodels.outputs import fits
from hwmodels.work import LayerWork, Step, WorkTable

ULTRA, LARGE = load_device("xczu9eg"), load_device("alveo_u250")
CONTROL = 600  # of an engine and its window, from FINN
RESOURCES = ("luts", "luts_low", "luts_high", "flip_flops", "dsp", "ram_blocks")


def balanced(table, slack, **given):
    """A design whose interval is so many times the fewest cycles that are possible."""
    cycles = float(attainable_cycles(table)[0]) * slack
    return Design(target_images_per_s=200e6 / cycles, **given)


slacks = st.floats(1.0001, 50)


@settings(max_examples=50)
@given(tables(), slacks)
def test_the_target_is_met_and_no_bound_is_beaten(table, slack):
    design = balanced(table, slack)
    cost = evaluate(table, design, ULTRA)
    interval = 200e6 / float(cost.interval_cycles)
    assert interval >= design.target_images_per_s
    assert cost.images_per_s <= interval * (1 + 1e-12)
    assert cost.images_per_s <= 19.2e9 / cost.dram_bytes * (1 + 1e-12)
    assert cost.latency_cycles >= cost.interval_cycles
    assert (cost.interval_cycles >= cost.layer_cycles).all()
    assert (cost.interval_cycles >= cost.layer_input_cycles).all()
    assert cost.latency_s >= cost.latency_cycles / 200e6
    assert cost.latency_s >= cost.dram_bytes / 19.2e9
    assert cost.gops <= cost.peak_gops * (1 + 1e-12)
    assert (cost.layer_utilization <= 1 + 1e-12).all()


@settings(max_examples=30)
@given(tables(), slacks, st.floats(1e-5, 1e-2))
def test_twice_the_bandwidth_never_hurts(table, slack, gb_per_s):
    design = balanced(table, slack)
    before = evaluate(table, design, with_figure(ULTRA, dram_gb_per_s=gb_per_s))
    after = evaluate(table, design, with_figure(ULTRA, dram_gb_per_s=2 * gb_per_s))
    assert after.latency_s <= before.latency_s
    assert after.images_per_s >= before.images_per_s


@settings(max_examples=40)
@given(tables(formats=("fixed",)), slacks, st.sampled_from(["lut", "dsp"]), st.data())
def test_more_bits_never_cost_less(table, slack, path, data):
    which = data.draw(st.sampled_from(["weight_bits", "activation_bits"]))
    wider = WorkTable(
        tuple(replace(layer, **{which: getattr(layer, which) + 1}) for layer in table)
    )
    design = balanced(table, slack, products_in=path)
    before, after = evaluate(table, design, ULTRA), evaluate(wider, design, ULTRA)
    for name in (*RESOURCES, "latency_s", "dram_bytes", "weight_bytes"):
        assert getattr(after, name) >= getattr(before, name), name


@settings(max_examples=30)
@given(st.sampled_from(["sp2", "ternary", "binary"]), slacks, st.data())
def test_more_bits_never_cost_less_on_datapaths_that_select_and_shift(name, slack, data):
    table = data.draw(tables(formats=(name,)))
    wider = WorkTable(
        tuple(replace(layer, activation_bits=layer.activation_bits + 1) for layer in table)
    )
    design = balanced(table, slack)
    before, after = evaluate(table, design, ULTRA), evaluate(wider, design, ULTRA)
    for each in RESOURCES:
        assert getattr(after, each) >= getattr(before, each), each


@settings(max_examples=30)
@given(tables(most=2), tables(most=2), slacks)
def test_engines_add_up(first, second, slack):
    renamed = tuple(replace(layer, name=f"second.{layer.name}") for layer in second)
    both = WorkTable(first.layers + renamed)
    design = balanced(both, slack)
    whole = evaluate(both, design, ULTRA)
    alone = [evaluate(table, design, ULTRA) for table in (first, WorkTable(renamed))]
    for name in ("luts", "luts_low", "luts_high", "flip_flops", "dsp", "uram_288kb"):
        together = sum(float(getattr(one, name)) for one in alone)
        assert getattr(whole, name) == pytest.approx(together, rel=1e-12)
    assert whole.interval_cycles == max(one.interval_cycles for one in alone)
    np.testing.assert_array_equal(
        whole.layer_luts, np.concatenate([one.layer_luts for one in alone])
    )


@settings(max_examples=25)
@given(tables(), st.sampled_from(["one", "shared_operand"]), st.sampled_from(["auto", "luts"]))
def test_a_sweep_equals_its_designs_one_by_one(table, packing, memory):
    fastest = float(attainable_cycles(table)[0])
    arrays = {
        "target_images_per_s": np.array([[1e8 / fastest], [1e7 / fastest]]),
        "clock_hz": np.array([1e8, 2e8, 3e8]),
        "accumulator_bits": np.array([24, 32, 20]),
    }
    given_all = {"dsp_packing": packing, "weight_memory": memory, "products_in": "dsp"}
    together = evaluate(table, Design(**arrays, **given_all), ULTRA)
    for at in np.ndindex(2, 3):
        one = {name: np.broadcast_to(value, (2, 3))[at].item() for name, value in arrays.items()}
        alone = evaluate(table, Design(**one, **given_all), ULTRA)
        for field in fields(Cost):
            np.testing.assert_array_equal(
                getattr(together, field.name)[at], getattr(alone, field.name), field.name
            )


@settings(max_examples=15)
@given(tables(), st.floats(0.002, 0.5), st.floats(1, 4))
def test_without_a_target_a_larger_device_is_never_slower(table, share, more):
    names = ("luts", "flip_flops", "dsp", "ram_blocks")
    small = {name: share * getattr(ULTRA, name).value for name in names}
    large = {name: more * value for name, value in small.items()}
    devices = [with_figure(ULTRA, **each) for each in (small, large)]
    costs = [evaluate(table, Design(), device) for device in devices]
    fitting = [fits(cost, streaming.OUTPUTS, device) for cost, device in zip(costs, devices, strict=True)]  # fmt: skip
    assert costs[1].interval_cycles <= costs[0].interval_cycles
    assert fitting[1] or not fitting[0]
    assert fits(costs[0], streaming.OUTPUTS, devices[1]) or not fitting[0]


@settings(max_examples=15)
@given(tables(most=2), st.floats(0.0001, 0.1))
def test_without_a_target_the_fastest_that_fits_is_taken(table, share):
    """Each pace that a layer can be folded to, one after another; the slowest where none fits."""
    device = with_figure(ULTRA, luts=share * ULTRA.luts.value, dsp=share * ULTRA.dsp.value)
    for cycles in attainable_cycles(table):
        target = 200e6 / (float(cycles) + 0.5)  # between two whole numbers of cycles
        expected = evaluate(table, Design(target_images_per_s=target), device)
        if fits(expected, streaming.OUTPUTS, device):
            break
    found = evaluate(table, Design(), device)
    assert found.luts == expected.luts
    assert found.interval_cycles == expected.interval_cycles
    assert fits(found, streaming.OUTPUTS, device) == fits(expected, streaming.OUTPUTS, device)


def _layer(**changes):
    plain = LayerWork("l", "conv", 4, 8, 3, 3, 1, 6, 6, 6, 6, 8, 0, 6, 8, 288, 8)
    return replace(plain, **changes)


def folded(simd, pe, **given):
    return Design(folding={"l": LayerFolding(simd=simd, pe=pe)}, **given)


def test_a_small_engine_worked_by_hand():
    """4 x 3 x 3 products, 8 rows, 36 positions; 2 elements of 4 products."""
    cost = evaluate(WorkTable((_layer(),)), folded(4, 2, products_in="lut"), ULTRA)
    assert cost.layer_cycles.tolist() == [36 * 4 * 9]
    assert cost.layer_input_cycles.tolist() == [36]
    assert cost.images_per_s == 200e6 / (36 * 4 * 9)
    assert cost.peak_gops == 2 * 8 * 0.2
    assert cost.weight_bytes == 8 * 36 * 6 / 8
    assert cost.dram_bytes == 4 * 36 + 288
    # sums of 14 + 6 bits; an element and its requantizer
    element = float(pe_lut("fixed", 6, 8, 4, 20)) + float(requantizer_lut(20, 16, 8, in_dsp=True))
    # 36 words of 48 bits of constants weights; 4 of 2 x (16 + 20); a window of 15 words of 32 bits;
    # 9 words that wait; a queue
    weights, constants = 48, 72 / 2
    window, waiting, queue = 4 * 6, 4 * 6, 32
    memory = weights + constants + window + waiting + queue
    assert cost.luts == 2 * element + memory + CONTROL
    assert cost.ram_blocks == 0
    assert cost.dsp == 2 * float(requantizer_dsp(20, 16, load_dsp_type("dsp48e2")))


def test_words_are_kept_where_row_folds_read_them_again():
    """Of two foldings with as many products a cycle, the one with all rows at once keeps none."""
    kept, once = (
        evaluate(WorkTable((_layer(stored_bits=32),)), folded(simd, pe, products_in="dsp"), ULTRA)
        for simd, pe in ((4, 4), (2, 8))
    )
    # 18 words of 96 bits of weights in 48 LUTs, either way; words of 32 and of 16 bits
    window, queue = 4 * 6, 32
    chain = 4 * 2 * (6 + 8 + 6)  # sums of four or eight chains of DSPs
    assert kept.luts == CONTROL + 48 + window + queue + 4 * 6 + chain
    assert once.luts == CONTROL + 48 + 4 * 3 + 16 + 2 * chain


def test_deep_memories_go_to_blocks():
    """64 channels and rows, one product a cycle: 36,864 words of 6 bits."""
    table = WorkTable((_layer(in_channels=64, out_channels=64, rows_multiply=64),))
    cost = evaluate(table, folded(1, 1), ULTRA)
    weights = min(3 * 6, 5 * 3, 9 * 2, 18 * 1, 36, 72)  # of the shapes from the deepest
    window = 1  # 15 pixels of 64 words of 8 bits: 960 words
    waiting = 1  # 576 words
    constants = 0  # 64 words of 16 + 24 bits, in LUTs
    assert cost.ram_blocks == np.ceil((weights + window + waiting + constants) / 2)
    large = evaluate(table, folded(1, 1, weight_memory="ultra"), ULTRA)
    assert large.uram_288kb == 9
    assert large.ram_blocks == np.ceil((window + waiting) / 2)


def test_a_window_read_at_several_places_has_a_memory_for_each_line():
    """3 x 3 of 64 channels of 8 bits over an input 100 wide: all of a window, or a third, at once."""
    wide = _layer(in_channels=64, in_w=100, out_w=100, rows_multiply=1, out_channels=1)
    blocks = {}
    for simd in (64, 64 * 3):
        cost = evaluate(WorkTable((wide,)), folded(simd, 1, weight_memory="luts"), ULTRA)
        blocks[simd] = float(cost.ram_blocks)
    # 203 pixels of 512 bits in one memory of 15 blocks of 18 Kb; two of 100 pixels of 15 each
    assert blocks == {64: 8, 192: 15}


def test_rows_that_shift_have_elements_of_their_own():
    mixed = _layer(
        rows_multiply=2, rows_shift_add=6, weight_bits=4, activation_bits=4, stored_bits=4
    )
    folding = {"l": LayerFolding(simd=4, pe=1, pe_shift_add=3)}
    cost = evaluate(WorkTable((mixed,)), Design(folding=folding, accumulator_bits=24), ULTRA)
    ends = float(threshold_lut(24, 4))
    elements = (
        float(pe_lut("fixed", 4, 4, 4, 24)) + 3 * float(pe_lut("sp2", 4, 4, 4, 24)) + 4 * ends
    )
    # 18 words of 16 and of 48 bits; 2 words of 15 thresholds of 24 bits for each element; a window
    # of 15 words of 16 bits, 9 words that wait, and a queue
    memory = 8 + 24 + 360 / 2 + 3 * 360 / 2 + 2 * 4 * 3 + 16
    assert cost.luts == pytest.approx(elements + memory + CONTROL, rel=1e-12)
    assert cost.layer_cycles.tolist() == [36 * 2 * 9]


def test_a_tensor_that_waits_for_another_takes_memory():
    layer = _layer(in_channels=8, stored_bits=8)
    steps = (
        Step("input", "input", (), 288, 8),
        Step("l", "conv", ("input",), 288, 32, is_stored=False),
        Step("add", "add", ("l", "input"), 288, 8),
    )
    chain, joined = (
        evaluate(WorkTable((layer,), given_steps), folded(8, 8), ULTRA)
        for given_steps in ((), steps)
    )
    # 8 or more pixels of 8 channels of 8 bits in LUTs, 32 deep at most: 11 cells of 4 LUTs
    assert joined.luts - chain.luts == 4 * np.ceil(64 / 6)
    assert joined.interval_cycles == chain.interval_cycles


def test_resnet18_on_a_large_device_reaches_the_pace_of_its_first_image():
    """All layers keep up with an image that enters a pixel a cycle."""
    cost = evaluate(zoo_table("resnet18"), Design(), LARGE)
    assert cost.interval_cycles == 224 * 224
    assert fits(cost, streaming.OUTPUTS, LARGE)


def test_resnet18_is_too_large_for_a_small_device_at_any_pace():
    work, small = zoo_table("resnet18"), load_device("xc7z020")
    cost = evaluate(work, Design(), small)
    assert not fits(cost, streaming.OUTPUTS, small)
    assert cost.ram_blocks * 36 * 1024 >= work.weight_bytes * 8


@pytest.mark.parametrize(
    ("changes", "design", "key", "text"),
    [
        ({"kind": "matmul"}, {}, "", "layer 'l' is a product of two tensors"),
        ({"kind": "recurrent"}, {}, "", "layer 'l' is a recurrent layer"),
        ({"activation_scheme": "float"}, {}, "", "layer 'l' is computed in floating point"),
        ({}, {"target_images_per_s": 1e9}, "target_images_per_s", "takes at least 36 cycles"),
        ({}, {"folding": {}}, "folding", "layer 'l' has none"),
    ],
)
def test_what_engines_cannot_compute_is_refused(changes, design, key, text):
    with pytest.raises(DesignError, match=text) as refusal:
        evaluate(WorkTable((_layer(**changes),)), Design(**design), ULTRA)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("design", "text"),
    [
        ({"target_images_per_s": 0}, "target_images_per_s must be 1e-06 to"),
        ({"queue_words": 0}, "queue_words must be a whole number from 1"),
        (
            {"target_images_per_s": 1, "folding": {}},
            "give target_images_per_s or folding, not both",
        ),
        ({"folding": {"l": {"simd": 1, "pes": 1}}}, "unknown key 'pes'"),
    ],
)
def test_an_impossible_design_is_refused(design, text):
    with pytest.raises(InputError, match=text):
        convert(design, Design, where="w.yaml", within=("hardware", 0, "design"))


def test_what_rests_on_an_unknown_figure_is_absent_with_the_reason():
    with recording() as calls:
        cost = evaluate(WorkTable((_layer(),)), folded(4, 2), load_device("ecp5_85"))
    assert np.isnan(cost.images_per_s)
    assert cost.interval_cycles == 36 * 4 * 9
    assert "ULX3S" in unknown(calls.node_of(cost.images_per_s))[0]


def test_without_a_target_what_is_needed_must_be_known():
    wide = WorkTable((_layer(stored_bits=16),))  # such requantizers were not synthesised
    with pytest.raises(DesignError, match="it is not known how many luts") as refusal:
        evaluate(wide, Design(), ULTRA)
    assert refusal.value.key == "target_images_per_s"


def test_every_figure_is_explained():
    with recording() as calls:
        cost = evaluate(WorkTable((_layer(),)), folded(4, 2, products_in="lut"), ULTRA)
    for name in streaming.OUTPUTS:
        assert calls.node_of(getattr(cost, name)) is not None, name
    assert "clock_hz" in {leaf.name for leaf in calls.node_of(cost.latency_s).leaves()}
    assert "lane_lut" in {leaf.name for leaf in calls.node_of(cost.luts).leaves()}


@pytest.mark.parametrize("name", device_names())
def test_every_device_is_priced_within_its_band(name):
    cost = evaluate(zoo_table("resnet18"), Design(target_images_per_s=50.0), load_device(name))
    assert 0 < cost.luts_low <= cost.luts <= cost.luts_high
    assert cost.ram_blocks > 0


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (folded(4, 2), "an engine for each layer, folded as given, 200 MHz"),
        (
            Design(target_images_per_s=60.0),
            "an engine for each layer, folded to 60 images/s, 200 MHz",
        ),
        (Design(), "an engine for each layer, unfolded as far as the device allows, 200 MHz"),
    ],
)
def test_a_design_in_words(design, words):
    assert streaming.describe(design) == words
