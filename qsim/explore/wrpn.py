"""WRPN's networks, wide and of few bits: published accuracies beside what they cost in our models.

All layers have the stated widths, the first and the last too.
"""

from functools import cache

import numpy as np
import pandas as pd

from hwmodels import complexity
from hwmodels.asic import array
from hwmodels.asic.technology import load_device as load_technology
from hwmodels.fpga.datapaths import natural_path
from hwmodels.fpga.device import load_device as load_fpga
from hwmodels.fpga.peak import (
    dsp_macs_per_cycle,
    float_macs_per_cycle,
    lut_macs_per_cycle,
    peak_tops,
)
from hwmodels.fpga.wrpn_peaks import load_wrpn_constants
from hwmodels.gpu import model as gpu
from hwmodels.gpu.design import Design
from hwmodels.gpu.device import load_device as load_gpu
from hwmodels.memory.footprint import footprint
from hwmodels.published_tables import read_tables
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.explore.networks import trained, work

FLOAT_BITS = 32
TABLES = {  # network and width, of tables with a column for each width of activations
    "table_1": ("alexnet-wrpn", 1),
    "table_2": ("alexnet-wrpn", 2),
}
LISTS = {"table_4": "resnet34", "table_5": "bn-inception"}


def precision(weight_bits: int, activation_bits: int) -> str:
    """WRPN's formats of these widths, as ``precision_of`` reads them; 32 bits are floating point,
    single bits on both sides -1 and +1."""
    if (weight_bits, activation_bits) == (1, 1):
        return "bwn / xnor_activations"
    weights = "float" if weight_bits == FLOAT_BITS else f"wrpn_weights(bits={weight_bits})"
    if activation_bits == FLOAT_BITS:
        return f"{weights} / float"
    return f"{weights} / wrpn_activations(bits={activation_bits})"


@cache
def published_accuracies() -> pd.DataFrame:
    """Top-1 in percent of every network, width and precision of WRPN's tables 1, 2, 4 and 5."""
    tables = read_tables(shipped.WORKLOADS / "published" / "wrpn.yaml").tables
    rows = []
    for name, (network, width) in TABLES.items():
        for weight_bits, *values in tables[name].rows:
            columns = tables[name].columns[1:]
            rows += [
                (network, width, weight_bits, int(column.removeprefix("A")), value)
                for column, value in zip(columns, values, strict=True)
                if value is not None
            ]
    for name, network in LISTS.items():
        for row in tables[name].rows:
            cell = dict(zip(tables[name].columns, row, strict=True))
            widths = (cell["weight bits"], cell["activation bits"])
            rows.append((network, cell["width"], *widths, cell["top1"]))
    names = ["network", "width", "weight_bits", "activation_bits", "top1"]
    whole = dict.fromkeys(["width", "weight_bits", "activation_bits"], int)
    return pd.DataFrame(rows, columns=names).astype(whole)


def costs(
    network: str,
    width: float,
    weight_bits: int,
    activation_bits: int,
    *,
    gpu_name: str = "t4",
    batch: int = 64,
) -> dict[str, float]:
    """What one of the networks costs.

    compute_cost        WRPN's: multiply-accumulates x operand widths over those of the plain fp32
                        network
    inference_mb        the peak of executing it, one image
    training_mb         the peak of training it, 32 images, momentum, weights in 32 bits besides;
                        what batch norms read and gradients are held in 32 bits
    training_by_wrpn_mb the same as WRPN's text counts it: maps at the bits at which they are read
    gpu_ms, gpu_mj      per image, on the GPU in batches of ``batch``
    fpga_ms             per image, at the peak rate of WRPN's Arria 10 filled with elements for
                        these operands (``hwmodels.fpga.wrpn_peaks``): a bound, not an estimate
    asic_mj, asic_mj_low, asic_mj_high   per image, on an array of 32 x 32 elements for these
                        operands at 45 nm

    Raises as ``networks.work`` and the models do.
    """
    formats = precision(weight_bits, activation_bits)
    wide, plain = work(network, formats, width), work(network)
    steps = trained(network, formats, width)
    quantized = weight_bits < FLOAT_BITS
    on_gpu = gpu.evaluate(wide, Design(batch=batch), load_gpu(gpu_name))
    on_asic = array.evaluate(wide, _array(wide), load_technology("standard_cells"))
    training = {"phase": "training", "batch": 32, "optimizer": "momentum"}
    figures = {
        "compute_cost": complexity.compute_cost(
            wide.column("macs"), weight_bits, activation_bits, plain.macs
        ),
        "inference_mb": footprint(wide.steps, rule="schedule").total_bytes / 1e6,
        "training_mb": footprint(
            steps, rule="schedule", master_weights=quantized, **training
        ).total_bytes / 1e6,
        "training_by_wrpn_mb": footprint(steps, **training).total_bytes / 1e6,
        "gpu_ms": on_gpu.latency_s * 1e3,
        "gpu_mj": on_gpu.energy_j * 1e3,
        "fpga_ms": 2 * wide.macs / (fpga_tops(wide) * 1e12) * 1e3,
        "asic_mj": on_asic.energy_j * 1e3,
        "asic_mj_low": on_asic.energy_j_low * 1e3,
        "asic_mj_high": on_asic.energy_j_high * 1e3,
    }  # fmt: skip
    return {name: float(value) for name, value in figures.items()}


def _array(work: WorkTable) -> array.Design:
    """32 x 32 elements for the operands of ``work``, which all have 32 bits in floating point."""
    in_float = {"weight_bits": FLOAT_BITS, "activation_bits": FLOAT_BITS}
    return array.Design(rows=32, columns=32, **(in_float if work.layers[0].in_float else {}))


def fpga_tops(work: WorkTable) -> float:
    """The peak rate of WRPN's Arria 10 with elements for the operands of ``work``, which all layers
    have, in 1e12 operations per second: of its DSPs in floating point, else of its logic or of its
    DSPs, whichever is more."""
    constants = load_wrpn_constants()
    device, layer = load_fpga(constants.device), work.layers[0]
    of_dsps, of_logic = constants.dsp_share_clock_hz.value, constants.lut_share_clock_hz.value
    if layer.in_float:
        return float(peak_tops(float_macs_per_cycle(device), of_dsps))
    path = natural_path(layer, shifted=False)
    scheme = "fixed" if path in ("dsp", "lut") else path
    bits = (layer.weight_bits, layer.activation_bits)
    dot = {
        "dot_length": constants.dot_length.value,
        "accumulator_bits": constants.accumulator_bits.value,
    }
    logic = lut_macs_per_cycle(device, scheme, *bits, bound="high", **dot)
    dsps = dsp_macs_per_cycle(device, *bits)
    return float(np.maximum(peak_tops(logic, of_logic), peak_tops(dsps, of_dsps)))


@cache
def priced_accuracies(network: str) -> pd.DataFrame:
    """The published accuracies of one network with its ``costs``. Raises as these do."""
    points = published_accuracies()
    points = points[points.network == network].reset_index(drop=True)
    rows = [
        costs(network, row.width, row.weight_bits, row.activation_bits)
        for row in points.itertuples()
    ]
    return points.join(pd.DataFrame(rows))
