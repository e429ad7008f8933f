"""A workload's designs priced, with the published figures beside ours."""

from dataclasses import dataclass

from hwmodels import fpga
from hwmodels.documents import nearest
from hwmodels.errors import InputError
from hwmodels.published import Cell, read_published
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.errors import WorkloadError
from qsim.workload import HardwareDocument, Workload


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
    """A work table on one design."""

    document: HardwareDocument
    device: fpga.Fpga
    work: WorkTable
    cost: fpga.GemmCost
    efficiency: float
    excess: dict[str, float]
    comparisons: list[Comparison]

    @property
    def name(self) -> str:
        """The design as its source names it, or its blocks."""
        d = self.document.design
        blocks = f"{d.bat} x {d.blk_in} x ({d.blk_out_fixed} + {d.blk_out_sp2})"
        return self.document.name or blocks


def price(workload: Workload, index: int, work: WorkTable) -> Pricing:
    """``work`` on the ``index``-th hardware of the workload.

    Raises WorkloadError on an unknown device or published table, operands wider than the cores, or
    rows that no core computes.
    """
    document = workload.document.hardware[index]
    where = f"{workload.path}: hardware[{index}]"
    try:
        device = fpga.load_device(document.fpga)
    except InputError as error:
        raise WorkloadError(f"{where}.fpga: {error}") from None
    _check_operands(work, document.design, f"{where}.design")
    efficiency = fpga.load_constants().compute_efficiency.value
    cost = fpga.evaluate(work, document.design, device, efficiency=efficiency)
    comparisons = _compare(workload, document, cost, where)
    return Pricing(document, device, work, cost, efficiency, fpga.excess(cost, device), comparisons)


def _check_operands(work: WorkTable, design: fpga.GemmDesign, where: str) -> None:
    for layer in work:
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
    workload: Workload, document: HardwareDocument, cost: fpga.GemmCost, where: str
) -> list[Comparison]:
    if document.published is None:
        return []
    folder = shipped.WORKLOADS / "published"
    known = shipped.names(folder)
    if document.published not in known:
        raise WorkloadError(
            f"{where}.published: unknown table {document.published!r};"
            f" {nearest(document.published, known)}"
        )
    table = read_published(folder / f"{document.published}.yaml")
    ours = {
        "latency_ms": cost.latency_s * 1e3,
        "gops": cost.gops,
        "peak_gops": cost.peak_gops,
        "lut": cost.lut,
        "dsp": cost.dsp,
        "bram_36kb": cost.bram_36kb,
    }
    return [
        Comparison(cell, float(ours[cell.quantity]), cell.key in fpga.fitted_cells())
        for cell in table.cells
        if (cell.network, cell.design) == (workload.network.name, document.name)
        and ours.get(cell.quantity) is not None
    ]
