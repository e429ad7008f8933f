"""MSQ's design by the size of its SP2 core, with the network's rows split as the cores are."""

from collections.abc import Iterable

import pandas as pd

from hwmodels.fpga import gemm, ratio
from hwmodels.fpga.device import Fpga
from qsim.explore.networks import work

ACTIVATIONS = "fixed(bits=4, signed=false)"


def rows_split(network: str, fixed_rows: int, sp2_rows: int):
    """The work of a network whose rows are fixed point and SP2 as ``fixed_rows : sp2_rows``, at 4
    bits with 4-bit activations. Raises as ``networks.work`` does."""
    return work(network, f"msq(bits=4, fixed_to_sp2={fixed_rows}:{sp2_rows}) / {ACTIVATIONS}")


def by_sp2_rows(
    network: str,
    device: Fpga,
    sp2_rows: Iterable[int],
    *,
    bat: int,
    fixed_rows: int = 16,
    blk_in: int = 16,
    clock_hz: float = 100e6,
) -> pd.DataFrame:
    """One row for each number of SP2 rows that are computed per cycle, which is the index.

    sp2_per_fixed       1.5 is the ratio 1:1.5
    latency_ms, images_per_s   of the network, as ``hwmodels.fpga.gemm`` estimates them
    ceiling_images_per_s       at the peak rate: were every tile full and every cycle used
    utilization_percent        of the peak rate
    dsp_percent         of the device
    lut_percent         of the device, with all that surrounds the cores (``ratio.shell_lut``)

    Raises ValueError on impossible rows, and as ``networks.work`` does.
    """
    table = []
    for rows in sp2_rows:
        design = gemm.Design(
            bat=bat, blk_in=blk_in, blk_out_fixed=fixed_rows, blk_out_sp2=rows, clock_hz=clock_hz
        )
        split = rows_split(network, fixed_rows, rows)
        cost = gemm.evaluate(split, design, device)
        figures = {
            "sp2_rows": rows,
            "sp2_per_fixed": rows / fixed_rows,
            "latency_ms": cost.latency_s * 1e3,
            "images_per_s": cost.images_per_s,
            "ceiling_images_per_s": cost.peak_gops * 1e9 / (2 * split.macs),
            "utilization_percent": 100 * cost.utilization,
            "dsp_percent": 100 * cost.dsp / device.dsp.value,
            "lut_percent": 100 * ratio.lut_share(ratio.shell_lut() + cost.lut, device),
        }
        table.append({name: float(value) for name, value in figures.items()})
    return pd.DataFrame(table).astype({"sp2_rows": int}).set_index("sp2_rows")


def cycles_by_rows(network: str, design: gemm.Design, device: Fpga) -> pd.Series:
    """Tile cycles in millions for one pass of a design, by the number of output channels of the
    layers that take them. Raises as ``networks.work`` does."""
    split = rows_split(network, design.blk_out_fixed, design.blk_out_sp2)
    cycles = gemm.evaluate(split, design, device).layer_cycles / 1e6
    channels = pd.Index(split.column("out_channels"), name="output channels")
    return pd.Series(cycles, channels).groupby(level=0).sum()
