"""A sweep: every total as of the design alone, whatever the chunks and threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga import gemm
from hwmodels.fpga.device import load_device
from hwmodels.fpga.gemm import Design
from hwmodels.sweep import sweep
from hwmodels.work import LayerWork, WorkTable

DEVICE = load_device("xc7z020")
WORK = WorkTable(
    tuple(
        LayerWork(
            name, "conv", channels, rows, kernel, kernel, 1, 8, 8, 8, 8, rows // 2, rows - rows // 2,
            4, 4, 64 * rows, 4,
        )
        for name, channels, rows, kernel in [
            ("first", 3, 64, 7), ("a", 64, 64, 3), ("b", 64, 64, 3), ("c", 64, 100, 1),
        ]
    )
)  # fmt: skip
FIXED = WorkTable(
    tuple(replace(layer, rows_multiply=layer.out_channels, rows_shift_add=0) for layer in WORK)
)
EVALUATE = partial(gemm.evaluate, WORK, device=DEVICE)


@st.composite
def grids(draw):
    """Designs whose fields are scalars or arrays of any shapes that broadcast together."""
    sides = draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    shapes = [(), sides, (sides[0], 1), (1, sides[1]), (sides[1],)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    fields = {
        "bat": rng.integers(1, 9, draw(st.sampled_from(shapes))),
        "blk_in": rng.integers(1, 40, draw(st.sampled_from(shapes))),
        "blk_out_fixed": rng.integers(0, 40, draw(st.sampled_from(shapes))),
        "blk_out_sp2": rng.integers(1, 80, draw(st.sampled_from(shapes))),
        "clock_hz": rng.uniform(1e7, 1e9, draw(st.sampled_from(shapes))),
        "weight_bits": rng.integers(4, 6, draw(st.sampled_from(shapes))),
    }
    return {name: value if np.ndim(value) else value.item() for name, value in fields.items()}


@given(grids(), st.integers(1, 30), st.sampled_from([None, 2]))
def test_every_total_is_that_of_the_design_alone(fields, points, threads):
    shape = np.broadcast_shapes(*map(np.shape, fields.values()))
    if threads is None:
        columns = sweep(EVALUATE, Design(**fields), points_per_chunk=points)
    else:
        with ThreadPoolExecutor(threads) as executor:
            columns = sweep(EVALUATE, Design(**fields), points_per_chunk=points, executor=executor)
    assert set(columns) == set(gemm.OUTPUTS)
    spread = {name: np.broadcast_to(value, shape) for name, value in fields.items()}
    for place in np.ndindex(shape):
        alone = EVALUATE(Design(**{name: each[place].item() for name, each in spread.items()}))
        for name, column in columns.items():
            assert column.shape == shape
            assert np.array_equal(column[place], getattr(alone, name), equal_nan=True), name


@pytest.mark.parametrize(
    ("model", "devices", "device", "design"),
    [
        (
            "fpga.systolic",
            "fpga.device",
            "xc7z045",
            {"rows": np.arange(4, 24, 4), "columns": 8, "clock_hz": np.array([[1e8], [2e8]])},
        ),
        ("fpga.streaming", "fpga.device", "xczu9eg", {}),
        ("gpu.model", "gpu.device", "t4", {"batch": np.arange(1, 40, 3)}),
        (
            "asic.array",
            "asic.technology",
            "standard_cells",
            {"rows": np.array([8, 16, 32]), "columns": np.array([[8], [32]])},
        ),
    ],
)
def test_any_model_can_be_swept(model, devices, device, design):
    """In chunks of 2 as all at once."""
    model, devices = (import_module(f"hwmodels.{name}") for name in (model, devices))
    given = model.Design(**design)
    evaluate = partial(model.evaluate, FIXED, device=devices.load_device(device))
    columns, cost = sweep(evaluate, given, points_per_chunk=2), evaluate(given)
    assert set(columns) == {name for name in vars(cost) if not name.startswith("layer_")}
    for name, column in columns.items():
        assert np.array_equal(column, getattr(cost, name), equal_nan=True), name


def test_only_the_wanted_totals_are_kept():
    design = Design(bat=np.arange(1, 6), blk_in=16, blk_out_fixed=16, blk_out_sp2=16)
    columns = sweep(EVALUATE, design, outputs=["dsp", "latency_s"], points_per_chunk=2)
    assert list(columns) == ["dsp", "latency_s"]
    assert columns["dsp"].tolist() == [220.0] * 5


def test_a_function_may_give_figures_of_its_own():
    design = Design(bat=np.arange(1, 6), blk_in=16, blk_out_fixed=16)
    columns = sweep(lambda some: {"twice": 2 * some.bat, "layer_x": 0}, design, points_per_chunk=2)
    assert columns.keys() == {"twice"}
    assert columns["twice"].tolist() == [2, 4, 6, 8, 10]


def test_one_design_is_a_sweep_too():
    one = Design(bat=1, blk_in=16, blk_out_fixed=16, blk_out_sp2=24)
    columns = sweep(EVALUATE, one)
    assert columns["latency_s"].shape == ()
    assert columns["latency_s"] == EVALUATE(one).latency_s


@pytest.mark.parametrize("name", ["latency", "layer_latency_s"])
def test_an_unknown_total_is_refused_with_those_there_are(name):
    one = Design(bat=1, blk_in=16, blk_out_fixed=16, blk_out_sp2=24)
    with pytest.raises(ValueError, match=f"no total '{name}'; there are latency_s, images_per_s"):
        sweep(EVALUATE, one, outputs=[name])


def test_no_designs_are_refused():
    none = Design(bat=np.array([], np.int64), blk_in=16, blk_out_fixed=16)
    with pytest.raises(ValueError, match="there are 0 designs"):
        sweep(EVALUATE, none)
    with pytest.raises(ValueError, match="0 in a chunk"):
        sweep(EVALUATE, Design(bat=1, blk_in=16, blk_out_fixed=16), points_per_chunk=0)


def test_a_sweep_says_what_its_function_says():
    def refuses(design):
        raise ValueError("not this one")

    with ThreadPoolExecutor(2) as executor, pytest.raises(ValueError, match="not this one"):
        design = Design(bat=np.arange(1, 9), blk_in=16, blk_out_fixed=16)
        sweep(refuses, design, points_per_chunk=1, executor=executor)
