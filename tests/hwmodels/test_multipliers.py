"""Multipliers alone: every synthesised row, rows held out, and that wider ones never cost less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga.multipliers import multiplier_lut
from hwmodels.fpga.synthesis import load_rows

ROWS = load_rows()
widths = st.integers(1, 7)


@pytest.mark.parametrize(("signed", "scheme"), [(False, "multiply_su"), (True, "multiply_ss")])
@pytest.mark.parametrize(("cells", "column"), [("cells", "lut"), ("packed", "lut_packed")])
def test_synthesised_products_are_met(signed, scheme, cells, column):
    rows = ROWS.where(scheme=scheme, dsp_allowed=0)
    lut = multiplier_lut(rows["w_bits"], rows["a_bits"], signed_activations=signed, cells=cells)
    assert lut == pytest.approx(rows[column])


def test_products_of_odd_widths_are_met_from_the_even_ones_around_them():
    """5 x 5 and 7 x 7 as the mean of the four beside them; 3 x 3 collapses, and is off by 5 LUTs."""
    for width, most in ((3, 5.0), (5, 5.0), (7, 4.0)):
        beside = [
            multiplier_lut(w, a) for w in (width - 1, width + 1) for a in (width - 1, width + 1)
        ]
        assert abs(np.mean(beside) - multiplier_lut(width, width)) < most


@given(widths, widths, st.booleans(), st.sampled_from(["cells", "packed"]))
def test_wider_operands_never_cost_less(w, a, signed, cells):
    now = multiplier_lut(w, a, signed_activations=signed, cells=cells)
    assert multiplier_lut(w + 1, a, signed_activations=signed, cells=cells) >= now
    assert multiplier_lut(w, a + 1, signed_activations=signed, cells=cells) >= now


@given(st.lists(st.tuples(widths, widths), min_size=1))
def test_arrays_of_widths_give_what_each_gives(pairs):
    w, a = np.array(pairs).T
    assert multiplier_lut(w, a).tolist() == [float(multiplier_lut(*each)) for each in pairs]


def test_wider_products_are_not_known_and_none_are_refused():
    assert np.isnan(multiplier_lut(9, 4)) and np.isnan(multiplier_lut(4, 9))
    with pytest.raises(ValueError, match="1 bit or more"):
        multiplier_lut(0, 4)
