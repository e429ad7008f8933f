"""The GEMM model: laws, published cells, and the values that were fitted."""

from dataclasses import replace
from math import ceil

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import InputError
from hwmodels.fpga import gemm
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.gemm import Design
from hwmodels.outputs import excess
from hwmodels.published import read_published
from hwmodels.work import LayerWork, WorkTable
from qsim import shipped
from qsim.evaluate import evaluate
from qsim.workload import load_workload

ZEDBOARD = load_device("xc7z020")
FAST_DRAM = msgspec.structs.replace(
    ZEDBOARD, dram_gb_per_s=msgspec.structs.replace(ZEDBOARD.dram_gb_per_s, value=1e9)
)


@st.composite
def layer_works(draw, divisible_by=1):
    groups = draw(st.sampled_from([1, 1, 2]))
    channels, fixed, sp2 = (draw(st.integers(1, 40)) * divisible_by for _ in range(3))
    kernel, side = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    return LayerWork(
        name="layer", kind="conv", in_channels=groups * channels,
        out_channels=groups * (fixed + sp2), kernel_h=kernel, kernel_w=draw(st.integers(1, 5)),
        groups=groups, in_h=side, in_w=side, out_h=side, out_w=draw(st.integers(1, 9)),
        rows_multiply=groups * fixed, rows_shift_add=groups * sp2,
        weight_bits=4, activation_bits=4, stored_values=draw(st.integers(1, 999)), stored_bits=4,
    )  # fmt: skip


@st.composite
def tables(draw, **arguments):
    return WorkTable(tuple(draw(st.lists(layer_works(**arguments), min_size=1, max_size=3))))


@st.composite
def designs(draw):
    blocks = {name: draw(st.integers(1, 48)) for name in ("blk_in", "blk_out_fixed", "blk_out_sp2")}
    return Design(bat=draw(st.integers(1, 4)), **blocks)


def cost_of(table, design, device=ZEDBOARD, efficiency=1.0):
    return gemm.evaluate(table, design, device, efficiency=efficiency)


@given(tables(), designs())
def test_tile_cycles_equal_counting_the_tiles(table, design):
    for layer, cycles in zip(table, gemm.layer_cycles(table, design), strict=True):
        channels = layer.in_channels // layer.groups
        area = layer.kernel_h * layer.kernel_w
        groups = layer.groups if channels > 1 else 1  # depthwise: its channels are rows
        if channels < design.blk_in:
            depth = len(range(0, channels * area, design.blk_in))
        else:
            depth = area * len(range(0, channels, design.blk_in))
        fixed = len(range(0, layer.rows_multiply // groups, design.blk_out_fixed))
        sp2 = len(range(0, layer.rows_shift_add // groups, design.blk_out_sp2))
        passes = groups * depth * max(fixed, sp2)
        assert cycles == layer.out_h * layer.out_w * passes


@given(tables(), designs(), st.sampled_from(["blk_in", "blk_out_fixed", "blk_out_sp2", "bat"]))
def test_latency_never_rises_with_larger_blocks(table, design, name):
    larger = msgspec.structs.replace(design, **{name: getattr(design, name) + 1})
    before, after = cost_of(table, design), cost_of(table, larger)
    assert (after.layer_latency_s <= before.layer_latency_s * (1 + 1e-12)).all()


@given(st.data())
def test_latency_equals_the_roofline_when_all_dimensions_divide_the_blocks(data):
    blk = data.draw(st.sampled_from([1, 2, 4]))
    design = Design(
        bat=data.draw(st.integers(1, 3)), blk_in=blk, blk_out_fixed=blk, blk_out_sp2=blk
    )
    work = data.draw(layer_works(divisible_by=blk))
    rows = max(work.rows_multiply, work.rows_shift_add)
    balanced = replace(work, rows_multiply=rows, rows_shift_add=rows, out_channels=2 * rows)
    cost = cost_of(WorkTable((balanced,)), design, FAST_DRAM)
    assert cost.gops == pytest.approx(float(cost.peak_gops), rel=1e-12)
    assert cost.utilization == pytest.approx(1, rel=1e-12)
    slow = cost_of(WorkTable((balanced,)), design)
    moved = balanced.weight_bytes / design.bat + balanced.input_bytes + balanced.output_bytes
    roofline = max(2 * balanced.macs / (float(cost.peak_gops) * 1e9), moved / 4.264e9)
    assert slow.latency_s == pytest.approx(roofline, rel=1e-12)


@given(tables(), designs())
def test_no_latency_beats_the_roofline(table, design):
    cost = cost_of(table, design)
    assert cost.gops <= cost.peak_gops * (1 + 1e-12)
    assert (cost.layer_latency_s >= cost.layer_dram_s).all()


@given(tables())
def test_a_sweep_equals_its_designs_one_by_one(table):
    bat = np.array([1, 2, 4]).reshape(3, 1, 1)
    fixed, sp2 = np.array([8, 16]).reshape(2, 1), np.array([8, 24, 32, 40])
    clock_hz = np.array([100e6, 150e6]).reshape(2, 1)
    sweep = cost_of(
        table,
        Design(bat=bat, blk_in=16, blk_out_fixed=fixed, blk_out_sp2=sp2, clock_hz=clock_hz),
    )
    assert sweep.latency_s.shape == (3, 2, 4)
    assert sweep.layer_latency_s.shape == (3, 2, 4, len(table.layers))
    for i, j, k in np.ndindex(3, 2, 4):
        one = Design(
            bat=int(bat[i, 0, 0]), blk_in=16, blk_out_fixed=int(fixed[j, 0]),
            blk_out_sp2=int(sp2[k]), clock_hz=float(clock_hz[j, 0]),
        )  # fmt: skip
        alone = cost_of(table, one)
        assert alone.latency_s == sweep.latency_s[i, j, k]
        assert alone.gops == sweep.gops[i, j, k]
        for name in ("dsp", "lut", "bram_36kb", "peak_gops", "dram_bytes"):
            assert getattr(alone, name) == getattr(sweep, name)[i, j, k]


def test_rows_without_a_core_take_forever():
    work = WorkTable((_layer(rows_shift_add=8),))
    design = Design(bat=1, blk_in=16, blk_out_fixed=16)
    assert np.isinf(cost_of(work, design).latency_s)


def _layer(**changes):
    plain = LayerWork("l", "conv", 16, 8, 1, 1, 1, 2, 2, 2, 2, 8, 0, 4, 4, 32, 4)
    return replace(plain, **changes)


def test_a_small_design_worked_by_hand():
    table = WorkTable((_layer(in_channels=32, kernel_h=3, kernel_w=3, rows_multiply=8),))
    cost = cost_of(table, Design(bat=2, blk_in=16, blk_out_fixed=4))
    assert cost.layer_cycles.tolist() == [4 * 9 * 2 * 2]  # positions, taps, input and row tiles
    assert cost.latency_s == 144 / 100e6 / 2
    assert cost.peak_gops == 2 * 2 * 16 * 4 * 0.1
    assert cost.dram_bytes == (8 * 32 * 9 + 2 * (32 * 4 + 8 * 4)) / 2 / 2
    assert cost.layer_compute_s.tolist() == [144 / 100e6 / 2]
    assert cost.layer_dram_s.tolist() == [(8 * 32 * 9 + 2 * (32 * 4 + 8 * 4)) / 4 / 4.264e9]
    assert cost.layer_utilization.tolist() == [float(cost.utilization)] == [8 * 288 * 4 / 144 / 64]
    assert cost.buffer_bytes == 2 * (2**15 / 2 + 2**15 * 4) + 2**18 / 2 + 2**15
    assert cost.bram_36kb == ceil(float(cost.buffer_bytes) / 4608)


@pytest.fixture(scope="module")
def resnet18():
    """The four ResNet-18 designs of MSQ by name, priced without executing them."""
    pricings = {}
    for name in shipped.workloads():
        if name.startswith("resnet18"):
            workload = load_workload(name)
            document = msgspec.structs.replace(workload.document, execute=None)
            [pricing] = evaluate(replace(workload, document=document)).pricings
            pricings[pricing.name] = pricing
    return pricings


CELLS = read_published(shipped.WORKLOADS / "published" / "msq.yaml").cells
PUBLISHED = {(c.design, c.quantity): c for c in CELLS if c.network == "resnet18"}


@pytest.mark.parametrize("design", ["D1-3", "D2-1", "D2-3"])
def test_latencies_that_were_not_fitted_are_within_3_percent(resnet18, design):
    cell = PUBLISHED[design, "latency_ms"]
    assert cell.status == "blog"
    assert cell.key not in gemm.fitted_cells()
    assert float(resnet18[design].cost.latency_s) * 1e3 == pytest.approx(cell.value, rel=0.03)


@pytest.mark.parametrize(("fixed", "msq"), [("D1-1", "D1-3"), ("D2-1", "D2-3")])
def test_speedups_are_within_3_percent_without_a_fitted_constant(resnet18, fixed, msq):
    def latency(name):
        pricing = resnet18[name]
        return float(
            cost_of(pricing.work, pricing.hardware.design, pricing.hardware.device).latency_s
        )

    published = PUBLISHED[fixed, "latency_ms"].value / PUBLISHED[msq, "latency_ms"].value
    assert latency(fixed) / latency(msq) == pytest.approx(published, rel=0.03)


def test_luts_of_d1_3_are_within_5_percent_and_dsps_saturate(resnet18):
    cell = PUBLISHED["D1-3", "lut"]
    assert cell.status == "quoted"
    assert cell.key not in gemm.fitted_cells()
    assert float(resnet18["D1-3"].cost.lut) == pytest.approx(cell.value, rel=0.05)
    for design, pricing in resnet18.items():
        assert (
            pricing.cost.dsp == pricing.hardware.device.dsp.value == PUBLISHED[design, "dsp"].value
        )


def test_fitted_constants_give_back_what_they_were_fitted_to(resnet18):
    assert float(resnet18["D1-1"].cost.latency_s) * 1e3 == pytest.approx(100.7, rel=1e-4)
    for design in ("D1-1", "D2-1"):
        cell = PUBLISHED[design, "lut"]
        assert cell.key in gemm.fitted_cells()
        assert float(resnet18[design].cost.lut) == pytest.approx(cell.value, rel=1e-4)


def test_every_fitted_cell_is_a_published_one():
    keys = {cell.key for cell in CELLS}
    assert gemm.fitted_cells() <= keys


def test_luts_are_unknown_where_nothing_was_calibrated():
    eight = Design(bat=1, blk_in=16, blk_out_fixed=16, weight_bits=8)
    assert np.isnan(gemm.lut(eight, ZEDBOARD))
    other = msgspec.structs.replace(ZEDBOARD, name="other")
    assert np.isnan(gemm.lut(Design(bat=1, blk_in=16, blk_out_fixed=16), other))
    widths = Design(bat=1, blk_in=16, blk_out_fixed=16, weight_bits=np.array([4, 8]))
    assert np.isnan(gemm.lut(widths, ZEDBOARD)).tolist() == [False, True]


def test_what_does_not_fit_is_told_with_its_excess():
    design = Design(bat=1, blk_in=16, blk_out_fixed=16, blk_out_sp2=64)
    cost = cost_of(WorkTable((_layer(),)), design)
    over = excess(cost, gemm.OUTPUTS, ZEDBOARD)
    assert over == {"lut6": pytest.approx(2270 + 38.633 * 256 + 42 * 1024 - 53200)}


@pytest.mark.parametrize("name", device_names())
def test_device_files_are_named_after_their_device(name):
    assert load_device(name).name == name


def test_an_unknown_device_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'xc7z020'"):
        load_device("xc7z02")


@pytest.mark.parametrize(
    "change",
    [
        {"bat": 0},
        {"blk_in": -1},
        {"blk_in": 2**63},
        {"blk_out_fixed": -1},
        {"clock_hz": 0.0},
        {"clock_hz": np.nan},
        {"clock_hz": np.inf},
        {"weight_bits": 65},
        {"input_buffer_elements": 2**41},
    ],
)
def test_impossible_blocks_are_refused(change):
    with pytest.raises(ValueError, match=r"must be .*\d"):
        Design(**({"bat": 1, "blk_in": 16, "blk_out_fixed": 16} | change))
    with pytest.raises(ValueError, match="must not both be 0"):
        Design(bat=1, blk_in=16, blk_out_fixed=0)
