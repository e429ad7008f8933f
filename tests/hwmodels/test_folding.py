"""Folding: against counting products one group at a time, and against trying every folding."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import DesignError
from hwmodels.fpga import folding as fold
from hwmodels.fpga.folding import LayerFolding, attainable_cycles, given_folding, least_folding
from hwmodels.work import LayerWork, WorkTable


@st.composite
def layers(draw, name="l"):
    kernel, side, out = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    multiplied, shifted = draw(st.integers(0, 8)), draw(st.sampled_from([0, 0, 4, 6]))
    multiplied += multiplied + shifted == 0
    channels = draw(st.integers(1, 12))
    return LayerWork(
        name, "conv", channels * groups, groups * (multiplied + shifted), kernel, kernel, groups,
        side, side, out, out, groups * multiplied, groups * shifted, 4, 4, 10, 4,
    )  # fmt: skip


@st.composite
def tables(draw):
    count = draw(st.integers(1, 3))
    return WorkTable(tuple(draw(layers(name=f"l{index}")) for index in range(count)))


def divisors(count):
    return [each for each in range(1, count + 1) if count % each == 0]


def every_folding(layer):
    """(simd, pe, pe_shift_add) of a layer, as the module's text says which are possible."""
    channels, area = layer.in_channels // layer.groups, layer.kernel_h * layer.kernel_w
    simds = {*divisors(channels), *(channels * each for each in divisors(area))}
    kinds = []
    for rows in (layer.rows_multiply, layer.rows_shift_add):
        each = rows // layer.groups
        of_groups = {each * n for n in divisors(layer.groups)}
        kinds.append({*divisors(each), *of_groups} if rows else {0})
    return list(product(simds, *kinds))


def counted_cycles(layer, simd, pe, pe_shift_add):
    """Cycles of an image, counted pass by pass, and those in which it enters, word by word."""
    passes = 0
    for rows, elements in ((layer.rows_multiply, pe), (layer.rows_shift_add, pe_shift_add)):
        if rows:
            of_kind = sum(1 for _ in range(0, rows, elements) for _ in range(0, layer.depth, simd))
            passes = max(passes, of_kind)
    channels = layer.in_channels // layer.groups
    groups_at_once = (pe + pe_shift_add) / (layer.out_channels // layer.groups)
    lanes = min(simd, channels) * min(max(groups_at_once, 1), layer.groups)
    words = -(-layer.in_channels // lanes)
    return max(layer.positions * passes, layer.in_h * layer.in_w * words)


@given(tables(), st.integers(0, 300))
def test_the_least_folding_is_the_best_of_all(table, slack):
    budget = float(attainable_cycles(table)[0] + slack)
    found = least_folding(table, budget)
    for index, layer in enumerate(table):
        mine = tuple(int(column[index]) for column in (found.simd, found.pe, found.pe_shift_add))
        possible = every_folding(layer)
        assert mine in possible
        meeting = [each for each in possible if counted_cycles(layer, *each) <= budget]
        assert mine in meeting
        assert mine[0] * (mine[1] + mine[2]) == min(s * (p + q) for s, p, q in meeting)


@given(tables(), st.integers(0, 300))
def test_cycles_are_those_counted_pass_by_pass(table, slack):
    found = least_folding(table, attainable_cycles(table)[0] + slack)
    engine = fold.layer_engine_cycles(table, found)
    enters = fold.layer_input_cycles(table, found)
    for index, layer in enumerate(table):
        sizes = (int(column[index]) for column in (found.simd, found.pe, found.pe_shift_add))
        assert max(engine[index], enters[index]) == counted_cycles(layer, *sizes)


@settings(max_examples=40)
@given(tables())
def test_every_attainable_number_of_cycles_is_attained_and_no_fewer(table):
    attainable = attainable_cycles(table)
    for cycles in attainable:
        found = least_folding(table, cycles)
        slowest = np.maximum(
            fold.layer_engine_cycles(table, found), fold.layer_input_cycles(table, found)
        ).max()
        assert slowest <= cycles
    with pytest.raises(DesignError, match="takes at least"):
        least_folding(table, attainable[0] - 1)


@given(tables(), st.lists(st.integers(0, 500), min_size=1, max_size=5))
def test_many_targets_equal_single_ones(table, slacks):
    budgets = attainable_cycles(table)[0] + np.array(slacks, np.float64)
    together = least_folding(table, budgets)
    for index, budget in enumerate(budgets):
        alone = least_folding(table, budget)
        for name in ("simd", "pe", "pe_shift_add"):
            assert getattr(together, name)[index].tolist() == getattr(alone, name).tolist()


def _layer(**changes):
    plain = LayerWork("l", "conv", 12, 8, 3, 3, 1, 5, 5, 5, 5, 8, 0, 4, 4, 200, 4)
    return replace(plain, **changes)


def test_a_folding_worked_by_hand():
    table = WorkTable((_layer(), _layer(name="m", rows_multiply=2, rows_shift_add=6)))
    given_one = {
        "l": LayerFolding(simd=6, pe=4),
        "m": LayerFolding(simd=12, pe=1, pe_shift_add=2),
    }
    found = given_folding(table, given_one)
    assert fold.layer_engine_cycles(table, found).tolist() == [25 * 2 * 18, 25 * 3 * 9]
    assert fold.layer_input_cycles(table, found).tolist() == [25 * 2, 25]
    depthwise = WorkTable((_layer(groups=12, out_channels=12, rows_multiply=12),))
    found = given_folding(depthwise, {"l": LayerFolding(simd=9, pe=4)})
    assert fold.layer_engine_cycles(depthwise, found).tolist() == [25 * 3]
    assert fold.layer_input_cycles(depthwise, found).tolist() == [25 * 3]


@pytest.mark.parametrize(
    ("folding", "key", "text"),
    [
        ({}, "folding", "layer 'l' has none; give every layer one"),
        ({"k": LayerFolding(simd=1, pe=1)}, "folding", "'k' is none of its layers: l"),
        ({"l": LayerFolding(simd=5, pe=1)}, "folding.l.simd", "5 must be a divisor of 108"),
        ({"l": LayerFolding(simd=4, pe=3)}, "folding.l.pe", "3 must be a divisor of 8"),
        ({"l": LayerFolding(simd=4, pe=0)}, "folding.l.pe", "0 must be a divisor of 8"),
        ({"l": LayerFolding(simd=4, pe=2, pe_shift_add=1)}, "folding.l.pe_shift_add", "must be 0"),
    ],
)
def test_a_folding_that_does_not_divide_is_refused(folding, key, text):
    with pytest.raises(DesignError, match=text) as refusal:
        given_folding(WorkTable((_layer(),)), folding)
    assert refusal.value.key == key
