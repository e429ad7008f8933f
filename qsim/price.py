"""A workload's designs priced, with the published figures beside ours."""

from dataclasses import dataclass

import numpy as np

from hwmodels.documents import nearest
from hwmodels.errors import InputError
from hwmodels.fpga import gemm
from hwmodels.fpga.device import Fpga, load_device
from hwmodels.published import Cell, PublishedTable, departures, read_published
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.errors import WorkloadError
from qsim.workload import HardwareDocument, Workload

LABELS = {"lut6": "LUT", "dsp": "DSP", "bram_36kb": "BRAM 36 Kb"}  # resources as they are printed


@dataclass(frozen=True)
class Comparison:
    """A published figure beside ours. ``fitted``: a constant of the model was fitted to it."""

    cell: Cell
    ours: float
    fitted: bool

    @property
    def error(self) -> float:
        """(ours - published) / published."""
        return self.ours / self.cell.value - 1


@dataclass(frozen=True)
class Pricing:
    """A work table on one design. ``fits`` is None where the LUTs are not known."""

    document: HardwareDocument
    device: Fpga
    work: WorkTable
    cost: gemm.GemmCost
    efficiency: float
    excess: dict[str, float]
    fits: bool | None
    comparisons: list[Comparison]

    @property
    def name(self) -> str:
        """The design as its source names it, or its blocks."""
        d = self.document.design
        blocks = f"{d.bat} x {d.blk_in} x ({d.blk_out_fixed} + {d.blk_out_sp2})"
        return self.document.name or blocks


def price(workload: Workload, index: int, work: WorkTable) -> Pricing:
    """``work`` on the ``index``-th hardware of the workload.

    Raises WorkloadError on a layer that the model does not price, an unknown device or published
    table, operands wider than the cores, or rows that no core computes.
    """
    document = workload.document.hardware[index]
    where = f"{workload.path}: hardware[{index}]"
    try:
        device = load_device(document.fpga)
    except InputError as error:
        raise WorkloadError(f"{where}.fpga: {error}") from None
    _check_operands(work, document.design, f"{where}.design")
    efficiency = gemm.load_constants().compute_efficiency.value
    cost = gemm.evaluate(work, document.design, device)
    comparisons = _compare(workload, document, work, cost, where)
    excess = gemm.excess(cost, device)
    fits = False if excess else None if np.isnan(cost.lut) else True
    return Pricing(document, device, work, cost, efficiency, excess, fits, comparisons)


def _check_operands(work: WorkTable, design: gemm.GemmDesign, where: str) -> None:
    if not work.layers:
        raise WorkloadError(f"{where}: the network has no convolution or linear layer to price")
    for layer in work:
        if layer.in_float:
            raise WorkloadError(
                f"{where}: layer {layer.name!r} is computed in floating point, which this design"
                " has no core for; quantize its weights and activations, or leave out the hardware"
            )
        widths = (("weight_bits", layer.weight_bits), ("activation_bits", layer.activation_bits))
        for key, bits in widths:
            if bits > getattr(design, key):
                raise WorkloadError(
                    f"{where}.{key}: layer {layer.name!r} has {bits}-bit operands but the cores"
                    f" take {getattr(design, key)} bits; widen the cores or narrow the layer"
                )
        cores = (("blk_out_fixed", layer.rows_multiply), ("blk_out_sp2", layer.rows_shift_add))
        for key, rows in cores:
            if rows and getattr(design, key) == 0:
                raise WorkloadError(
                    f"{where}.{key}: layer {layer.name!r} has {rows} rows for this core, which has"
                    " no blocks; give it some or choose another weight format"
                )


def _compare(
    workload: Workload, document: HardwareDocument, work: WorkTable, cost: gemm.GemmCost, where: str
) -> list[Comparison]:
    if document.published is None:
        return []
    table = _published_table(document.published, where)
    network = workload.network
    differs = departures(table, document.name or "", document.fpga, document.design, work)
    if work.macs != table.macs_per_image.get(network.name):
        differs.append(f"network {network.name} of {work.macs:,} MACs is none of its networks")
    if differs:
        raise WorkloadError(
            f"{where}.published: the figures of {document.published!r} do not hold for this design:"
            f" {differs[0]}; leave the key out or give the published design"
        )
    ours = {
        "latency_ms": cost.latency_s * 1e3,
        "gops": cost.gops,
        "peak_gops": cost.peak_gops,
        "lut": cost.lut,
        "dsp": cost.dsp,
        "bram_36kb": cost.bram_36kb,
    }
    return [
        Comparison(cell, float(ours[cell.quantity]), cell.key in gemm.fitted_cells())
        for cell in table.cells
        if (cell.network, cell.design) == (network.name, document.name)
    ]


def _published_table(name: str, where: str) -> PublishedTable:
    folder = shipped.WORKLOADS / "published"
    known = shipped.names(folder)
    if name not in known:
        raise WorkloadError(f"{where}.published: unknown table {name!r}; {nearest(name, known)}")
    return read_published(folder / f"{name}.yaml")
