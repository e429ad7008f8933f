"""What comes with qsim, as rows of text for `qsim list`."""

from hwmodels.documents import read_document
from hwmodels.fpga.device import device_names, load_device
from qsim import shipped, zoo
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
    """The shipped devices with what they have."""
    rows = []
    for name in device_names():
        device = load_device(name)
        rows.append(
            {
                "device": name,
                "family": device.family,
                "LUT6": f"{device.lut6.value:,.0f}",
                "DSP": f"{device.dsp.value:,.0f}",
                "BRAM 36 Kb": f"{device.bram_36kb.value:,.0f}",
                "DRAM GB/s": f"{device.dram_gb_per_s.value:g}",
                "source": device.lut6.source,
            }
        )
    return rows


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
