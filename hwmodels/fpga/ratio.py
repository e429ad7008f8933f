"""The ratio of fixed to SP2 rows that fills a device, in MSQ's design of two cores.

The DSP core takes every DSP: ``bat`` images x ``blk_in`` products x ``fixed_rows`` rows per cycle,
the fewest images for which no DSP is left. The LUT core then takes the LUTs that are left, in steps
of rows. Clocks do not enter: both cores have the same one. Source of the design: MSQ, arXiv
2012.04240, which states the ratios (1:1.5 and 1:2) and not how they were found.
"""

from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import formula, read, read_figure, reshaped
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import load_dsp_type, products_per_dsp
from hwmodels.fpga.dsp_pe import dsp_pe_lut
from hwmodels.fpga.gemm_constants import load_constants
from hwmodels.fpga.logic import Bound, cells_of, luts_per_lut6, pe_luts
from hwmodels.fpga.requantizers import alu_lane_lut
from hwmodels.provenance import HERE, Figure

FILE = "msq_ratio.yaml"
BLK_IN = 16


class RatioConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ratio needs besides the costs of the cores."""

    paper: str
    usable_lut_share: Figure


@dataclass(frozen=True)
class CoreCosts:
    """LUTs of the two cores, of the device's kind: of no core, and for each MAC per cycle of the
    DSP core in DSPs, of the same core beyond the last DSP, and of the SP2 core; and MACs per cycle
    of one DSP."""

    macs_per_dsp: np.ndarray
    base_lut: np.ndarray
    lut_per_dsp_mac: np.ndarray
    lut_per_spilled_mac: np.ndarray
    lut_per_sp2_mac: np.ndarray


@dataclass(frozen=True)
class Split:
    """The rows of the two cores, SP2 rows for each fixed one, and what they take."""

    bat: np.ndarray
    fixed_rows: np.ndarray
    sp2_rows: np.ndarray
    sp2_per_fixed: np.ndarray
    luts: np.ndarray
    lut_share: np.ndarray


@cache
def load_ratio_constants() -> RatioConstants:
    """The constants of ``calibrated/msq_ratio.yaml``."""
    return read_document(HERE / "calibrated" / FILE, RatioConstants)


def published_costs(device: Fpga) -> CoreCosts:
    """MSQ's own LUTs at 4 x 4 bits, as the GEMM model has them; the SP2 core's are not known of
    other devices than its two."""
    constants = load_constants()
    where = "hwmodels/calibrated/msq_gemm.yaml"
    uncalibrated = Figure(None, "unknown", "MSQ publishes no LUTs of such a design")
    slope = constants.lut_per_sp2_mac.get(device.name, uncalibrated)
    per_fixed_mac = read_figure(constants.lut_per_fixed_mac, "lut_per_fixed_mac", where=where)
    return CoreCosts(
        macs_per_dsp=np.ones(()),
        base_lut=read_figure(constants.lut_base, "lut_base", where=where),
        lut_per_dsp_mac=per_fixed_mac,
        lut_per_spilled_mac=per_fixed_mac,
        lut_per_sp2_mac=read_figure(slope, f"lut_per_sp2_mac.{device.name}", where=where),
    )


def datapath_costs(
    device: Fpga, weight_bits=4, activation_bits=4, *, blk_in=BLK_IN, bound: Bound = "nominal"
) -> CoreCosts:
    """LUTs of the datapath alone, of any device: a processing element and a lane of an output ALU
    for each row, whose products are ``blk_in``. No multiplexers, buffers or control."""
    kind, widths = device.lut_kind, (weight_bits, activation_bits, blk_in)
    dsp = load_dsp_type(device.dsp_type)
    packed = cells_of(kind, bound) == "packed"
    per_lut6 = luts_per_lut6(kind, bound)
    alu = alu_lane_lut(cells="packed" if packed else "cells") * per_lut6
    in_dsps = dsp_pe_lut(*widths) * per_lut6
    return CoreCosts(
        macs_per_dsp=products_per_dsp(weight_bits, activation_bits, dsp),
        base_lut=np.zeros(()),
        lut_per_dsp_mac=(in_dsps + alu) / blk_in,
        lut_per_spilled_mac=(pe_luts(kind, "fixed", *widths, bound=bound) + alu) / blk_in,
        lut_per_sp2_mac=(pe_luts(kind, "sp2", *widths, bound=bound) + alu) / blk_in,
    )


def optimal_split(
    device: Fpga,
    costs: CoreCosts,
    *,
    blk_in=BLK_IN,
    fixed_rows=16,
    step_rows=8,
    usable_lut_share=None,
    bat=None,
) -> Split:
    """The split with the most SP2 rows that fits; all but ``device`` may be arrays.

    step_rows          the SP2 core grows by so many rows
    usable_lut_share   of the device's LUTs, shell included; None: the assumed one
    bat                images at a time; None: the fewest that use every DSP

    Without room for any, ``sp2_rows`` is 0. Raises ValueError on what is no count or share.
    """
    share = _usable(usable_lut_share)
    counts = [each for each in (blk_in, fixed_rows, step_rows, bat) if each is not None]
    if any((np.asarray(each) < 1).any() for each in counts) or ((share <= 0) | (share > 1)).any():
        raise ValueError("blocks, steps and images are 1 or more, a share of LUTs 0 to 1")
    images = bat
    if images is None:
        images = images_using_all_dsps(device, costs.macs_per_dsp, blk_in, fixed_rows)
    macs = core_macs(images, blk_in, fixed_rows)
    in_dsps = macs_in_dsps(macs, costs.macs_per_dsp, device)
    fixed = fixed_core_lut(
        macs, in_dsps, costs.base_lut, costs.lut_per_dsp_mac, costs.lut_per_spilled_mac
    )
    of_step = sp2_core_lut(core_macs(images, blk_in, step_rows), costs.lut_per_sp2_mac)
    rows = sp2_rows(lut_left(device, share, fixed), of_step, step_rows)
    sp2 = sp2_core_lut(core_macs(images, blk_in, rows), costs.lut_per_sp2_mac)
    luts = split_luts(fixed, sp2)
    found = {
        "bat": images,
        "fixed_rows": np.asarray(fixed_rows, np.float64),
        "sp2_rows": rows,
        "sp2_per_fixed": sp2_per_fixed(rows, fixed_rows),
        "luts": luts,
        "lut_share": lut_share(luts, device),
    }
    shape = np.broadcast_shapes(*(np.shape(value) for value in found.values()))
    return Split(**{name: reshaped(value, shape) for name, value in found.items()})


@formula
def images_using_all_dsps(device: Fpga, macs_per_dsp, blk_in, fixed_rows):
    """MACs per cycle of all DSPs / (blk_in x fixed rows), rounded up: the fewest images at a time
    that leave no DSP."""
    return np.ceil(read(device, "dsp") * macs_per_dsp / (np.asarray(blk_in) * fixed_rows))


@formula
def core_macs(bat, blk_in, rows):
    """Images x products x rows: MACs per cycle of a core."""
    return np.asarray(bat, np.float64) * blk_in * rows


@formula
def macs_in_dsps(macs, macs_per_dsp, device: Fpga):
    """Those of the DSP core that the device has DSPs for."""
    return np.minimum(macs, read(device, "dsp") * macs_per_dsp)


@formula
def fixed_core_lut(macs, in_dsps, base_lut, lut_per_dsp_mac, lut_per_spilled_mac):
    """LUTs of the DSP core: base + those of its MACs in DSPs + those of its MACs beyond them."""
    return base_lut + lut_per_dsp_mac * in_dsps + lut_per_spilled_mac * (macs - in_dsps)


@formula
def sp2_core_lut(macs, lut_per_sp2_mac):
    """MACs x LUTs of each."""
    return macs * lut_per_sp2_mac


@formula
def lut_left(device: Fpga, share, fixed_lut):
    """Usable LUTs - shell - DSP core."""
    return share * read(device, "luts") - shell_lut() - fixed_lut


@formula
def sp2_rows(left, lut_of_step, step_rows):
    """LUTs left / LUTs of a step of rows, rounded down, x rows of a step."""
    return np.maximum(np.floor(left / lut_of_step), 0) * step_rows


@formula
def shell_lut():
    """LUTs of all that is not a core, as in MSQ's two systems."""
    where = "hwmodels/calibrated/msq_gemm.yaml"
    return read_figure(load_constants().shell_lut, "shell_lut", where=where)


@formula
def split_luts(fixed_lut, sp2_lut):
    """Shell + DSP core + SP2 core."""
    return shell_lut() + fixed_lut + sp2_lut


@formula
def sp2_per_fixed(rows, fixed_rows):
    """SP2 rows / fixed rows: 1.5 is the ratio 1:1.5."""
    return rows / np.asarray(fixed_rows)


@formula
def lut_share(luts, device: Fpga):
    """LUTs / those of the device."""
    return luts / read(device, "luts")


def _usable(share):
    if share is not None:
        return np.asarray(share, np.float64)
    figure = load_ratio_constants().usable_lut_share
    return read_figure(figure, "usable_lut_share", where=f"hwmodels/calibrated/{FILE}")
