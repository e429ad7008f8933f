"""WRPN's networks with their costs: against its own tables, and laws between the networks."""

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest

from hwmodels.fpga import wrpn_peaks
from hwmodels.published_tables import read_tables
from qsim import shipped
from qsim.explore.networks import work
from qsim.explore.wrpn import costs, fpga_tops, precision, priced_accuracies, published_accuracies

TABLES = read_tables(shipped.WORKLOADS / "published" / "wrpn.yaml").tables


def test_every_accuracy_of_the_tables_is_there():
    printed = [
        value
        for name in ("table_1", "table_2")
        for row in TABLES[name].rows
        for value in row[1:]
        if value is not None
    ]
    printed += [row[3] for name in ("table_4", "table_5") for row in TABLES[name].rows]
    assert sorted(published_accuracies().top1) == sorted(printed)


def test_compute_costs_of_alexnet_are_those_that_are_printed():
    """Table 3: AlexNet twice as wide, to one decimal."""
    printed = {
        (row[0], int(column.removeprefix("A"))): value
        for row in TABLES["table_3"].rows
        for column, value in zip(TABLES["table_3"].columns[1:], row[1:], strict=True)
    }
    table = priced_accuracies("alexnet-wrpn")
    wide = table[table.width == 2]
    assert len(wide) == 16
    for row in wide.itertuples():
        ours = Decimal(row.compute_cost).quantize(Decimal("0.1"), ROUND_HALF_UP)
        assert float(ours) == printed[row.weight_bits, row.activation_bits]


@pytest.mark.parametrize(
    ("name", "widths"),
    [("fp32", (32, 32)), ("int4", (4, 4)), ("int4_ter2", (2, 4)), ("bin1", (1, 1))],
)
def test_the_filled_fpga_is_that_of_wrpns_bars(name, widths):
    assert fpga_tops(work("resnet34", precision(*widths))) == wrpn_peaks.tops(name)


@pytest.mark.parametrize("widths", [(32, 32), (32, 4), (2, 32), (8, 4), (2, 2), (1, 1)])
def test_formats_have_the_bits_that_are_asked_for(widths):
    layers = work("alexnet-wrpn", precision(*widths)).layers
    assert {(layer.weight_bits, layer.activation_bits) for layer in layers} == {widths}


def test_fewer_bits_never_cost_more():
    table = priced_accuracies("resnet34").set_index(["width", "weight_bits", "activation_bits"])
    figures = table.columns.difference(["network", "top1"])
    order = [(2, 8, 4), (2, 4, 4), (2, 2, 4), (2, 2, 2), (2, 1, 1)]
    for more, fewer in pairwise(order):
        assert (table.loc[fewer, figures] <= table.loc[more, figures]).all(), (more, fewer)


def test_a_wider_network_costs_more():
    plain, wide = (costs("bn-inception", width, 4, 4) for width in (1, 2))
    assert all(wide[name] > plain[name] for name in plain)
