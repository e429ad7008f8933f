"""Energy and area of SRAM, and energy of DRAM.

The energy of an access goes by the size of the memory: between the tabled sizes on a straight line
over the logarithms, above the largest on as between the last two; a smaller memory than the
smallest costs as that. Writes cost as reads, and a word's bits as much each as those of 64.
"""

import numpy as np

from hwmodels.asic.energy import Point, add_pj, blended_pj, least, most, multiply_pj
from hwmodels.asic.scaling import energy_factor
from hwmodels.asic.technology import Asic, place_of
from hwmodels.explain import formula, read, read_figure

KIB = 1024
SIZES = {"sram_64b_8kb": 8 * KIB, "sram_64b_32kb": 32 * KIB, "sram_64b_1mb": 1024 * KIB}
MOVED = {"register_file_0p5kb": KIB // 2, "global_buffer_100kb": 100 * KIB}


@formula
def sram_pj_per_bit(device: Asic, memory_bytes, point: Point):
    """Nominal energy of reading or writing a bit, pJ: between the reference and the newest
    table."""
    ends = [_tabled(device.tables[name], memory_bytes) for name in ("reference", "newest")]
    return blended_pj(device, ends, point)


@formula
def scaled_sram_pj_per_bit(device: Asic, memory_bytes, point: Point, source: str):
    """Energy of a bit in one table, pJ, scaled from its node by the polynomials alone."""
    table = device.tables[source]
    origin = table.node_nm, read(table, "voltage_v")
    factor = energy_factor(*origin, point.node_nm, point.voltage_v, point.family)
    return _tabled(table, memory_bytes) * factor


@formula
def moved_pj_per_bit(device: Asic, memory_bytes, point: Point):
    """Energy of a bit, pJ, from what moving 16 bits costs beside multiplying and adding them."""
    ratio = device.movement.ratio_to_mac
    where = place_of(device.movement.name)
    values = [read_figure(ratio[name], name, where=where) for name in MOVED]
    mac = multiply_pj(device, 16 * 16, point, "nominal") + add_pj(device, 16, point, "nominal")
    return _by_bytes(memory_bytes, list(MOVED.values()), values) * mac / 16


def sram_band_pj_per_bit(device: Asic, memory_bytes, point: Point):
    """Nominal, low and high energy of a bit, pJ."""
    nominal = sram_pj_per_bit(device, memory_bytes, point)
    scaled = [
        scaled_sram_pj_per_bit(device, memory_bytes, point, name)
        for name in ("reference", "newest")
    ]
    each = [nominal, *scaled, moved_pj_per_bit(device, memory_bytes, point)]
    return nominal, least(*each), most(*each)


@formula
def dram_pj_per_bit(device: Asic, kind: str, end: str):
    """Energy of moving a bit to or from DRAM of a kind, pJ.

    end   "nominal", "low" or "high"
    """
    figure = getattr(device.memories.dram_pj_per_bit[kind], end)
    return read_figure(figure, f"{kind} {end}", where=place_of("memories"))


@formula
def sram_um2(device: Asic, memory_bytes, point: Point, end: str):
    """Bits x area of a cell / share of a memory that cells fill.

    end   "nominal", "low" or "high" area
    """
    nodes, cell = np.asarray(point.node_nm, np.float64), 0.0
    for node in np.unique(nodes):
        figure = device.memories.sram_cell_um2[f"{node:g}"]
        value = read_figure(figure, f"sram_cell_um2 at {node:g} nm", where=place_of("memories"))
        cell = np.where(nodes == node, value, cell)
    share = {"nominal": "nominal", "low": "high", "high": "low"}[end]
    filled = read_figure(
        getattr(device.memories.cell_share, share),
        f"cell_share {share}",
        where=place_of("memories"),
    )
    return 8 * np.asarray(memory_bytes, np.float64) * cell / filled


def _tabled(table, memory_bytes):
    values = [
        read_figure(table.energy_pj[name], name, where=place_of(table.name)) / 64 for name in SIZES
    ]
    return _by_bytes(memory_bytes, list(SIZES.values()), values)


def _by_bytes(memory_bytes, sizes, values):
    size, known = np.log(np.asarray(memory_bytes, np.float64)), np.log(np.array(sizes, np.float64))
    logs = np.log(np.array(values))
    slope = (logs[-1] - logs[-2]) / (known[-1] - known[-2])
    return np.exp(np.interp(size, known, logs) + slope * np.maximum(size - known[-1], 0))
