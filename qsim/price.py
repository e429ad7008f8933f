"""A workload's designs priced, with the published figures beside ours."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwmodels.documents import convert, nearest
from hwmodels.errors import DesignError
from hwmodels.explain import Node, recording
from hwmodels.fpga import gemm
from hwmodels.outputs import excess, fits
from hwmodels.published import Cell, PublishedTable, departures
from hwmodels.strict_yaml import read_yaml
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.errors import WorkloadError
from qsim.hardware import Hardware, HardwareDocument, read_hardware
from qsim.workload import Workload


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
    """A work table on one design.

    cost      the model's, an array or scalar for each of its ``OUTPUTS`` and ``layer_`` fields
    origins   where each figure of it comes from, by its name
    remarks   what the model says of this design besides, a sentence each
    """

    document: HardwareDocument
    hardware: Hardware
    work: WorkTable
    cost: Any
    origins: dict[str, Node]
    comparisons: list[Comparison]
    remarks: list[str]

    @property
    def name(self) -> str:
        """The design as its source names it, or in words."""
        return self.document.name or self.hardware.description

    @cached_property
    def excess(self) -> dict[str, float]:
        """By how much the design exceeds its device, by the device's field."""
        return excess(self.cost, self.hardware.model.OUTPUTS, self.hardware.device)

    @cached_property
    def fits(self) -> bool | None:
        """Whether the design fits its device; None where that is not known."""
        return fits(self.cost, self.hardware.model.OUTPUTS, self.hardware.device)


def price(workload: Workload, index: int, work: WorkTable) -> Pricing:
    """``work`` on the ``index``-th hardware of the workload.

    Raises WorkloadError or another InputError on an unknown device or published table, an
    impossible design, or one that cannot compute this work.
    """
    document = workload.document.hardware[index]
    hardware = read_hardware(document, str(workload.path), index)
    where = hardware.where.removesuffix(".design")
    if not work.layers:
        raise WorkloadError(f"{where}: the network has no products to price")
    model, design, device = hardware.model, hardware.design, hardware.device
    try:
        if hasattr(model, "check"):
            model.check(work, design)
        with recording() as calls:
            cost = model.evaluate(work, design, device)
    except DesignError as error:
        key = f".{error.key}" if error.key else ""
        raise WorkloadError(f"{hardware.where}{key}: {error}") from None
    comparisons = _compare(workload, document, hardware, work, cost, where)
    remarks = model.remarks(work, design, device, cost) if hasattr(model, "remarks") else []
    return Pricing(document, hardware, work, cost, calls.origins(cost), comparisons, remarks)


def _compare(
    workload: Workload,
    document: HardwareDocument,
    hardware: Hardware,
    work: WorkTable,
    cost: gemm.Cost,
    where: str,
) -> list[Comparison]:
    if document.published is None:
        return []
    table = _published_table(document.published, where)
    network, name = workload.network, document.name or ""
    if hardware.model is not gemm:
        differs = [f"its designs are of architecture gemm, not {hardware.architecture}"]
    else:
        differs = departures(table, name, hardware.device.name, hardware.design, work)
    if work.macs != table.macs_per_image.get(network.name):
        differs.append(f"network {network.name} of {work.macs:,} MACs is none of its networks")
    if differs:
        raise WorkloadError(
            f"{where}.published: the figures of {document.published!r} do not hold for this design:"
            f" {differs[0]}; leave the key out or give the published design"
        )
    ours = vars(cost) | {"latency_ms": cost.latency_s * 1e3}
    return [
        Comparison(cell, float(ours[cell.quantity]), cell.key in gemm.fitted_cells())
        for cell in table.cells
        if (cell.network, cell.design) == (network.name, document.name) and cell.quantity in ours
    ]


def _published_table(name: str, where: str) -> PublishedTable:
    folder = shipped.WORKLOADS / "published"
    known = shipped.names(folder)
    if name not in known:
        raise WorkloadError(f"{where}.published: unknown table {name!r}; {nearest(name, known)}")
    path = folder / f"{name}.yaml"
    data = read_yaml(path, shipped=True)
    if "designs" not in data:
        raise WorkloadError(
            f"{where}.published: table {name!r} has no designs to be priced beside; see qsim"
            f" reproduce {name}"
        )
    return convert(data, PublishedTable, where=str(path))
