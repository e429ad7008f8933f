"""The ratio of fixed to SP2 rows: against MSQ's, against trying every number of rows, and laws."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.explain import recording, unknown
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.gemm_constants import load_constants
from hwmodels.fpga.ratio import datapath_costs, optimal_split, published_costs

XC7Z020, XC7Z045 = load_device("xc7z020"), load_device("xc7z045")
both = pytest.mark.parametrize(
    ("device", "bat", "published"), [(XC7Z020, 1, 1.5), (XC7Z045, 4, 2.0)]
)


@both
def test_the_published_ratio_and_batch_are_solved_from_the_device(device, bat, published):
    """MSQ: 1:1.5 with batch 1 and 1:2 with batch 4; no constant rests on those two designs."""
    split = optimal_split(device, published_costs(device))
    assert (split.sp2_per_fixed, split.bat) == (published, bat)
    fitted = load_constants().shell_lut.fitted_to
    assert not any("D1-3" in cell or "D2-3" in cell for cell in fitted)


def test_the_published_ratios_follow_from_a_range_of_usable_shares_not_from_one():
    share = np.linspace(0.5, 1, 501)
    splits = [optimal_split(device, published_costs(device), usable_lut_share=share)
              for device in (XC7Z020, XC7Z045)]  # fmt: skip
    right = (splits[0].sp2_per_fixed == 1.5) & (splits[1].sp2_per_fixed == 2)
    assert share[right][[0, -1]] == pytest.approx([0.754, 0.835], abs=0.0011)


@both
def test_the_charts_luts_of_the_published_designs_are_predicted_within_3_points(
    device, bat, published
):
    """The article's chart: 77 % and 72 % of the device."""
    split = optimal_split(device, published_costs(device))
    chart = {1.5: 0.77, 2.0: 0.72}[published]
    assert abs(split.lut_share - chart) < 0.03


@both
def test_the_datapath_alone_brackets_the_published_ratio_from_above(device, bat, published):
    """Without multiplexers and buffers more SP2 rows fit: 1:1.5 to 1:3 and 1:2.5 to 1:4.5."""
    low, nominal, high = (
        optimal_split(device, datapath_costs(device, bound=bound)).sp2_per_fixed
        for bound in ("low", "nominal", "high")
    )
    assert published <= high <= nominal <= low
    assert nominal <= 1.5 * published


@given(
    st.sampled_from([XC7Z020, XC7Z045]),
    st.sampled_from([8, 16, 32]),
    st.sampled_from([1, 4, 8, 16]),
    st.floats(0.05, 1),
    st.integers(1, 6),
)
def test_rows_equal_trying_every_number_of_them(device, blk_in, step, share, bat):
    costs = published_costs(device)
    split = optimal_split(
        device, costs, blk_in=blk_in, step_rows=step, usable_lut_share=share, bat=bat
    )
    shell = load_constants().shell_lut.value

    def luts(rows):
        core = float(costs.base_lut) + float(costs.lut_per_dsp_mac) * bat * blk_in * 16
        return shell + core + rows * float(costs.lut_per_sp2_mac) * bat * blk_in

    rows = 0
    while luts(rows + step) <= share * device.luts.value:
        rows += step
    assert split.sp2_rows == rows
    assert split.luts == pytest.approx(luts(rows))


@given(st.sampled_from(device_names()), st.floats(0.05, 0.9), st.floats(0, 0.1))
def test_more_usable_luts_never_mean_fewer_rows(name, share, more):
    device = load_device(name)
    costs = datapath_costs(device)
    fewer, rows = (
        optimal_split(device, costs, usable_lut_share=each).sp2_rows
        for each in (share, share + more)
    )
    assert fewer <= rows


@given(st.sampled_from(device_names()), st.integers(1, 10**5))
def test_a_device_with_more_luts_has_no_fewer_rows(name, more):
    device = load_device(name)
    larger = msgspec.structs.replace(
        device, luts=msgspec.structs.replace(device.luts, value=device.luts.value + more)
    )
    costs = datapath_costs(device)
    assert optimal_split(larger, costs).sp2_rows >= optimal_split(device, costs).sp2_rows


@given(st.lists(st.tuples(st.sampled_from([8, 16]), st.floats(0.1, 1)), min_size=1))
def test_arrays_of_designs_give_what_each_design_gives(designs):
    blk_in, share = np.array(designs).T
    costs = published_costs(XC7Z045)
    together = optimal_split(XC7Z045, costs, blk_in=blk_in, usable_lut_share=share)
    for i, (block, usable) in enumerate(designs):
        alone = optimal_split(XC7Z045, costs, blk_in=block, usable_lut_share=usable)
        assert [field[i] for field in vars(together).values()] == list(vars(alone).values())


@pytest.mark.parametrize("name", device_names())
def test_every_dsp_is_taken_with_the_fewest_images(name):
    device = load_device(name)
    costs = datapath_costs(device)
    split = optimal_split(device, costs)
    in_dsps = device.dsp.value * costs.macs_per_dsp
    assert (split.bat - 1) * 256 < in_dsps <= split.bat * 256


def test_the_costs_of_a_device_that_msq_did_not_build_on_are_not_known():
    device = load_device("xczu9eg")
    with recording() as found:
        split = optimal_split(device, published_costs(device))
        reasons = unknown(found.node_of(split.sp2_per_fixed))
    assert np.isnan(split.sp2_rows) and np.isnan(split.sp2_per_fixed)
    assert any("MSQ publishes no LUTs of such a design" in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    "wrong", [{"blk_in": 0}, {"step_rows": 0}, {"usable_lut_share": 1.1}, {"bat": 0}]
)
def test_what_is_no_count_or_share_is_refused(wrong):
    with pytest.raises(ValueError, match="are 1 or more, a share of LUTs 0 to 1"):
        optimal_split(XC7Z020, published_costs(XC7Z020), **wrong)
