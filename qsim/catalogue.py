"""What comes with qsim, as rows of text for `qsim list`."""

import msgspec

from hwmodels.documents import read_document
from hwmodels.provenance import Figure
from qsim import hardware, shipped, zoo
from qsim.network.layers import shape_text
from qsim.report.formats import rows as format_rows
from qsim.workload import WorkloadDocument

Rows = list[dict[str, str]]


def networks() -> Rows:
    """The networks with their size, as they are without other parameters."""
    rows, trained = [], shipped.weights()
    for name in zoo.names():
        network = zoo.find_network(name, where="network")
        rows.append(
            {
                "network": name,
                "input": shape_text(network.input_shape),
                "parameters": f"{network.parameter_count:,}",
                "GMACs": f"{network.macs / 1e9:.6f}",
                "trained": "yes" if name in trained else "no",
                "may be set": zoo.parameters(name) or "-",
                "source": zoo.source(name),
            }
        )
    return rows


def formats() -> Rows:
    """The number formats: parameters, what may have them, levels, scale, source."""
    return [
        {key: row[key] for key in ("format", "parameters", "levels", "scale", "source")}
        for row in format_rows()
    ]


def devices() -> Rows:
    """The shipped devices with what they have; what is recalled or not known is marked."""
    return [
        {"kind": kind, "device": device.name, "has": ", ".join(_facts(device))}
        for kind, records in hardware.devices().items()
        for device in records
    ]


def _facts(device: msgspec.Struct) -> list[str]:
    """The figures of a device by name."""
    marks = {"recalled": " (recalled)", "assumed": " (assumed)"}
    facts = []
    for name, held in msgspec.structs.asdict(device).items():
        if isinstance(held, Figure):
            known = held.value is not None
            value = f"{held.value:,.10g}{marks.get(held.status, '')}" if known else "not known"
            facts.append(f"{name} {value}")
        elif isinstance(held, str) and held and name not in ("name", "family"):
            facts.append(f"{name} {held}")
    return facts


def workloads() -> Rows:
    """The shipped workloads with what they show."""
    paths = [shipped.WORKLOADS / f"{name}.yaml" for name in shipped.workloads()]
    return [
        {"workload": path.stem, "shows": read_document(path, WorkloadDocument).title}
        for path in paths
    ]


CATALOGUES = {
    "networks": networks,
    "formats": formats,
    "devices": devices,
    "workloads": workloads,
}
