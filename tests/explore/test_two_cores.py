"""MSQ's design by its SP2 rows, against the workloads that name single designs."""

import msgspec
import numpy as np
import pytest

from hwmodels.fpga.device import load_device
from hwmodels.fpga.gemm import Design
from hwmodels.fpga.ratio import optimal_split, published_costs
from qsim.explore.two_cores import by_sp2_rows, cycles_by_rows
from qsim.network.fold import fold_network
from qsim.precision import resolve
from qsim.price import price
from qsim.work import work_table
from qsim.workload import load_workload

BATS = {"xc7z020": 1, "xc7z045": 4}


@pytest.mark.parametrize(("device", "rows"), [("xc7z020", 24), ("xc7z045", 32)])
def test_a_row_is_the_workload_of_that_design(device, rows):
    workload = load_workload(f"resnet18-msq-{device}")
    network = fold_network(workload.network)
    work = work_table(network, resolve(workload.document.precision, network, where="precision"))
    cost = price(workload, 0, work).cost
    table = by_sp2_rows("resnet18", load_device(device), [0, rows], bat=BATS[device])
    assert table.index.tolist() == [0, rows]
    assert table.latency_ms[rows] == cost.latency_s * 1e3
    assert table.images_per_s[rows] == cost.images_per_s
    assert table.ceiling_images_per_s[rows] == pytest.approx(
        float(cost.images_per_s / cost.utilization), rel=1e-12
    )
    assert table.sp2_per_fixed[rows] == rows / 16
    assert table.dsp_percent[rows] == 100


@pytest.mark.parametrize("name", BATS)
def test_luts_are_those_of_the_split_that_fills_the_device(name):
    device = load_device(name)
    split = optimal_split(device, published_costs(device))
    rows = int(split.sp2_rows)
    table = by_sp2_rows("resnet18", device, [rows, rows + 8], bat=int(split.bat))
    assert table.lut_percent[rows] == pytest.approx(100 * float(split.lut_share), rel=1e-12)
    assert table.lut_percent[rows] <= 80 < table.lut_percent[rows + 8]


def test_cycles_of_layers_of_64_rows_do_not_depend_on_8_more_rows():
    """64 rows are two tiles of 32 as they are two of 40, as MSQ's ratios 1:1 and 1:1.5 have it."""
    device = load_device("xc7z020")
    one = Design(bat=1, blk_in=16, blk_out_fixed=16, blk_out_sp2=16)
    more = msgspec.structs.replace(one, blk_out_sp2=24)
    fewer, rest = (cycles_by_rows("resnet18", each, device) for each in (one, more))
    assert fewer.index.tolist() == [64, 128, 256, 512, 1000]
    assert fewer[64] == rest[64] == (4 * 36 * 56**2 + 10 * 112**2) * 2 / 1e6
    assert fewer[128] == rest[128]
    assert (fewer[[256, 512, 1000]] > rest[[256, 512, 1000]]).all()
    assert not np.isnan(fewer).any()
