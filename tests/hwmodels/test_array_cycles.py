"""Spatial arrays: against arrays simulated cycle by cycle, and against SCALE-Sim."""

import csv
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_systolic import multiply
from work_tables import zoo_table

from hwmodels.array_cycles import (
    Dataflow,
    MatrixProducts,
    layer_array_cycles,
    matrix_products,
)
from hwmodels.array_traffic import Capacities, edge_traffic, layer_tiles, memory_passes
from hwmodels.work import LayerWork, WorkTable

DATAFLOWS = Dataflow.__args__
RECORDED = Path(__file__).parent.parent / "data" / "scale_sim.csv"


def products(*sizes):
    return MatrixProducts(*(np.array([float(size)]) for size in sizes))


def scale_sim():
    with RECORDED.open() as file:
        file.readline()  # says where they are from
        return list(csv.DictReader(file))


@settings(max_examples=40)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7),
    st.sampled_from(DATAFLOWS), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_cycles_and_values_at_the_edges_are_those_of_an_array_of_registers(
    rows, columns, depth, channels, positions, dataflow, seed
):
    random = np.random.default_rng(seed)
    x, w = random.integers(-9, 9, (positions, depth)), random.integers(-9, 9, (depth, channels))
    result, counted = multiply(x, w, rows, columns, dataflow)
    np.testing.assert_array_equal(result, x @ w)  # it is an array that computes
    sizes = products(1, depth, channels, positions)
    assert layer_array_cycles(sizes, rows, columns, dataflow)[0] == counted.cycles - 1
    edges = edge_traffic(sizes, rows, columns, dataflow)
    assert edges.inputs[0] == counted.inputs
    assert edges.weights[0] == counted.weights
    assert edges.sums[0] == counted.sums
    assert edges.partial_sums[0] == counted.partial_sums


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_are_those_that_scale_sim_counts(dataflow):
    rows = scale_sim()
    sizes = {
        name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "layer"
    }
    ours = layer_array_cycles(
        MatrixProducts(np.ones(len(rows)), sizes["depth"], sizes["channels"], sizes["positions"]),
        sizes["rows"], sizes["columns"], dataflow,
    )  # fmt: skip
    np.testing.assert_array_equal(ours, sizes[dataflow])


def test_the_products_of_resnet18_are_those_that_scale_sim_was_given():
    work = zoo_table("resnet18")
    sizes = matrix_products(work)
    expected = [row for row in scale_sim() if row["rows"] == "32" and "random" not in row["layer"]]
    assert [row["layer"] for row in expected] == [layer.name for layer in work]
    assert len(expected) == 21
    for name in ("depth", "channels", "positions"):
        assert getattr(sizes, name).tolist() == [float(row[name]) for row in expected]
    cycles = layer_array_cycles(sizes, 32, 32, "weight_stationary")
    for layer, count in zip(work, cycles, strict=True):
        folds = ceil(layer.depth / 32) * ceil(layer.out_channels / 32)
        assert count == folds * (2 * 32 + 32 + layer.positions - 2) - 1


def _layer(**changes):
    plain = LayerWork("l", "conv", 12, 8, 3, 3, 1, 5, 5, 5, 5, 8, 0, 4, 4, 200, 4)
    return replace(plain, **changes)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_groups_follow_one_another(dataflow):
    """A layer of four groups is four layers, one after the other."""
    grouped = matrix_products(WorkTable((_layer(groups=4),)))
    alone = matrix_products(WorkTable((_layer(in_channels=3, out_channels=2),)))
    cycles = layer_array_cycles(grouped, 4, 4, dataflow)[0]
    assert cycles + 1 == 4 * (layer_array_cycles(alone, 4, 4, dataflow)[0] + 1)


def test_steps_of_a_state_follow_one_another():
    state = _layer(kind="recurrent", in_h=6, in_w=1, out_h=6, out_w=1, kernel_h=1, kernel_w=1)
    steps = matrix_products(WorkTable((replace(state, sequential=6),)))
    one = matrix_products(WorkTable((replace(state, in_h=1, out_h=1),)))
    cycles = layer_array_cycles(steps, 4, 4, "weight_stationary")[0]
    assert cycles + 1 == 6 * (layer_array_cycles(one, 4, 4, "weight_stationary")[0] + 1)


def test_images_of_a_batch_lengthen_products_of_weights_and_repeat_products_of_tensors():
    batch = np.array([1.0, 3.0])
    sizes = matrix_products(WorkTable((_layer(), _layer(kind="matmul", groups=2))), batch)
    assert sizes.positions.tolist() == [[25, 25], [75, 25]]
    assert sizes.repeats.tolist() == [[1, 2], [1, 6]]


@given(
    st.integers(1, 40), st.integers(1, 99), st.integers(1, 99), st.integers(1, 99),
    st.sampled_from(DATAFLOWS),
)  # fmt: skip
def test_no_array_beats_its_elements(rows, depth, channels, positions, dataflow):
    layer = _layer(
        in_channels=depth, out_channels=channels, kernel_h=1, kernel_w=1, out_h=positions, out_w=1
    )
    work = WorkTable((layer,))
    cycles = layer_array_cycles(matrix_products(work), rows, rows + 1, dataflow)
    assert (cycles + 1) * rows * (rows + 1) >= layer.macs


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from(DATAFLOWS))
def test_an_array_of_designs_equals_its_designs_one_by_one(rows, columns, dataflow):
    work = WorkTable((_layer(), _layer(groups=2), _layer(kernel_h=1, kernel_w=1)))
    designs = np.array([[1, rows], [columns, 7]])
    sizes = matrix_products(work)
    together = layer_array_cycles(sizes, designs[..., None], 5.0, dataflow)
    for at in np.ndindex(2, 2):
        alone = layer_array_cycles(sizes, float(designs[at]), 5.0, dataflow)
        np.testing.assert_array_equal(together[at], alone)


def test_an_unknown_dataflow_is_refused():
    with pytest.raises(ValueError, match="unknown dataflow 'row'; known are: weight_stationary"):
        layer_array_cycles(products(1, 2, 3, 4), 2, 2, "row")


def passes(dataflow, inputs, weights, tiles=1.0):
    """12 x 9 products of a sum, 8 channels, 25 positions on 16 x 4 elements."""
    work = WorkTable((_layer(),))
    held = Capacities(inputs, weights)
    found = memory_passes(work, matrix_products(work), (16, 4), dataflow, held, tiles)
    return [float(found.inputs[0]), float(found.weights[0])]


WHOLE = (12 * 25, 8 * 108)  # inputs and weights of the layer


@pytest.mark.parametrize(
    ("dataflow", "inputs", "weights", "tiles", "expected"),
    [
        ("weight_stationary", *WHOLE, 1, [1, 1]),
        ("weight_stationary", WHOLE[0] - 1, 1, 1, [2, 1]),  # two column folds read the inputs
        ("weight_stationary", *WHOLE, 3, [1, 1]),
        ("weight_stationary", WHOLE[0], WHOLE[1] - 1, 3, [1, 3]),
        ("output_stationary", *WHOLE, 1, [1, 1]),
        ("output_stationary", 1, 108 * 4, 1, [2, 1]),  # a strip of weights serves 2 row folds
        ("output_stationary", 1, 108 * 4 - 1, 1, [2, 2]),
        ("input_stationary", 1, WHOLE[1], 1, [1, 1]),
        ("input_stationary", 1, WHOLE[1] - 1, 1, [1, 7]),  # 7 folds of the positions
        ("input_stationary", WHOLE[0], 1, 2, [1, 7]),
        ("input_stationary", WHOLE[0] - 1, 1, 2, [2, 7]),
    ],
)
def test_a_value_is_moved_again_for_each_use_that_finds_it_gone(
    dataflow, inputs, weights, tiles, expected
):
    assert passes(dataflow, inputs, weights, tiles) == expected


@pytest.mark.parametrize(
    ("dataflow", "held", "tiles"),
    [
        ("weight_stationary", 25 * 4, 1),  # sums of 25 positions in 4 columns
        ("weight_stationary", 25 * 4 - 1, 2),
        ("weight_stationary", 4, 25),
        ("weight_stationary", 3, np.inf),
        ("output_stationary", 1, 1),
        ("input_stationary", 8 * 4, 1),  # sums of 8 channels in 4 columns
        ("input_stationary", 8 * 4 - 1, 2),
    ],
)
def test_what_streams_is_tiled_so_that_its_sums_are_held(dataflow, held, tiles):
    sizes = matrix_products(WorkTable((_layer(),)))
    assert layer_tiles(sizes, 4, dataflow, held) == tiles


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 50), st.integers(1, 50))
def test_a_tile_is_a_product_of_its_own(rows, columns, depth, channels):
    """60 positions in 4 tiles are 4 products of 15 positions."""
    whole, part = products(1, depth, channels, 60), products(4, depth, channels, 15)
    tiled = layer_array_cycles(whole, rows, columns, "weight_stationary", 4.0)
    assert tiled == layer_array_cycles(part, rows, columns, "weight_stationary")
    edges = edge_traffic(whole, rows, columns, "weight_stationary", 4.0)
    apart = edge_traffic(part, rows, columns, "weight_stationary")
    for name in ("inputs", "weights", "sums", "partial_sums"):
        assert getattr(edges, name) == getattr(apart, name)


def test_weights_of_a_state_are_moved_again_for_each_step_unless_they_are_held():
    state = _layer(kind="recurrent", in_h=6, in_w=1, out_h=6, out_w=1, kernel_h=1, kernel_w=1)
    work = WorkTable((replace(state, sequential=6),))
    for held, times in ((96, 1), (95, 6)):
        found = memory_passes(
            work, matrix_products(work), (4, 4), "weight_stationary", Capacities(1e9, held)
        )
        assert found.weights.tolist() == [times]
