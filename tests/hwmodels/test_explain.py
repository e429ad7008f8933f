"""Where figures come from: the tree is made of the calls that computed them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.explain import formula, read, read_figure, recording, reshaped, unknown
from hwmodels.fpga import gemm
from hwmodels.fpga.device import load_device
from hwmodels.outputs import is_known
from hwmodels.provenance import Figure
from hwmodels.work import LayerWork, WorkTable

LAYER = LayerWork(
    name="c", kind="conv", in_channels=16, out_channels=40, kernel_h=3, kernel_w=3, groups=1,
    in_h=8, in_w=8, out_h=8, out_w=8, rows_multiply=16, rows_shift_add=24, weight_bits=4,
    activation_bits=4, stored_values=2560, stored_bits=4,
)  # fmt: skip
WORK = WorkTable((LAYER, LAYER))
DESIGN = gemm.Design(bat=1, blk_in=16, blk_out_fixed=16, blk_out_sp2=24)


class Box:
    name = "box"

    def __init__(self, **figures):
        self.__dict__.update(figures)


@formula
def doubled(x):
    """2 x ``x``.

    More that is not shown.
    """
    return 2 * x


@formula
def total(box):
    """a + 2 b."""
    return read(box, "a") + doubled(read(box, "b"))


BOX = Box(a=Figure(3.0, "verified", "table 1"), b=4)


def test_the_tree_holds_the_calls_and_what_they_read():
    with recording() as calls:
        node = calls.node_of(total(BOX))
    assert (node.name, float(node.value), node.text) == ("total", 11.0, "a + 2 b.")
    a, twice = node.inputs
    assert (a.name, float(a.value), a.status, a.text, a.place) == (
        "a", 3.0, "verified", "table 1", "box",
    )  # fmt: skip
    assert (twice.name, twice.text) == ("doubled", "2 x x.")
    [b] = twice.inputs
    assert (b.name, float(b.value), b.status) == ("b", 4.0, "given")
    assert [leaf.name for leaf in node.leaves()] == ["a", "b"]


def test_a_result_that_is_passed_on_stands_below_the_formula_that_takes_it():
    with recording() as calls:
        first = total(BOX)
        node = calls.node_of(doubled(first))
    assert [each.name for each in node.inputs] == ["total"]


def test_a_reshaped_figure_comes_from_where_it_came():
    with recording() as calls:
        value = total(BOX)
        assert calls.node_of(reshaped(value, (2, 3))) is calls.node_of(value)


def test_nothing_is_noted_outside_a_recording():
    value = total(BOX)
    with recording() as calls:
        pass
    assert calls.node_of(value) is None


def test_an_unknown_figure_makes_what_depends_on_it_unknown_with_its_reason():
    box = Box(a=Figure(None, "unknown", "no public figure"), b=np.array([1, 2]))
    with recording() as calls:
        value = total(box)
    assert np.isnan(value).all()
    assert not is_known(value)
    assert unknown(calls.node_of(value)) == ["a of box: no public figure"]


def test_a_figure_of_a_table_that_is_known_here_and_not_there_says_why():
    @formula
    def entry(value, source):
        """An entry of a table."""
        return read_figure(Figure(value, "synthesised", source), "entry", where="table.csv")

    @formula
    def ratio():
        """One entry / another."""
        return entry(2.0, "interpolated") / entry(np.nan, "no circuit as wide as this")

    with recording() as calls:
        node = calls.node_of(ratio())
    assert unknown(node) == ["entry of table.csv: no circuit as wide as this"]


@pytest.mark.parametrize(("value", "status"), [(None, "verified"), (1.0, "unknown")])
def test_only_an_unknown_figure_has_no_value(value, status):
    with pytest.raises(ValueError, match="status unknown"):
        Figure(value, status, "somewhere")


def test_every_output_of_the_gemm_model_is_explained_down_to_figures_with_sources():
    with recording() as calls:
        cost = gemm.evaluate(WORK, DESIGN, load_device("xc7z020"))
    for name in gemm.OUTPUTS:
        node = calls.node_of(getattr(cost, name))
        np.testing.assert_array_equal(node.value, getattr(cost, name))  # as NaN is NaN
        for leaf in node.leaves():
            assert leaf.status in ("given", "") or leaf.text
    latency = calls.node_of(cost.latency_s)
    assert {"compute_efficiency", "dram_gb_per_s", "blk_out_sp2"} <= {
        leaf.name for leaf in latency.leaves()
    }


@given(st.integers(1, 64), st.integers(1, 64))
def test_recording_changes_no_value(fixed, sp2):
    design = gemm.Design(bat=2, blk_in=16, blk_out_fixed=fixed, blk_out_sp2=sp2)
    device = load_device("xc7z045")
    plain = gemm.evaluate(WORK, design, device)
    with recording():
        noted = gemm.evaluate(WORK, design, device)
    for name in gemm.OUTPUTS:
        np.testing.assert_array_equal(getattr(plain, name), getattr(noted, name))


def test_a_figure_read_alone_says_where_it_stands():
    with recording() as calls:
        value = read_figure(Figure(2.0, "quoted", "a paper"), "rate", where="a file")
    node = calls.node_of(value)
    assert (node.name, node.place, node.text, node.status) == (
        "rate",
        "a file",
        "a paper",
        "quoted",
    )
