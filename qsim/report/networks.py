"""A network as a table of its layers: what each reads and makes, its MACs and its parameters."""

import csv
import io
import json
from math import prod

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qsim import catalogue
from qsim.network.graph import Network, Node, summary
from qsim.network.layers import shape_text

Row = dict[str, str | int]
HEAD = (
    "# Networks",
    "",
    "Written by `python -m qsim.report.networks`. Trainable parameters, and MACs for one image,",
    "where nothing else is set.",
    "",
)


def rows(network: Network) -> list[Row]:
    """A row for each layer, in order; MACs for one image, trainable parameters."""
    return [_row(node) for node in network.nodes.values()]


def network_table(network: Network) -> RenderableType:
    """All layers and what they amount to, as they are read on a terminal."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    listed = rows(network)
    for key, value in listed[0].items():
        right = isinstance(value, int)
        table.add_column(key, justify="right" if right else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(f"{v:,}" if isinstance(v, int) else v) for v in row.values()))
    totals = {"MACs": network.macs, "parameters": network.parameter_count}
    table.add_section()
    total = {key: f"{totals[key]:,}" if key in totals else "" for key in listed[0]}
    table.add_row(*(total | {"layer": f"{len(listed):,} layers"}).values(), style="bold")
    return Group(Text(summary(network)), "", table)


def to_json(network: Network) -> str:
    """The network as one JSON document."""
    document = {
        "network": network.name,
        "input": list(network.input_shape),
        "macs": network.macs,
        "parameters": network.parameter_count,
        "layers": rows(network),
    }
    return json.dumps(document, indent=2)


def to_csv(network: Network) -> str:
    """The layers as CSV, with a line of headings."""
    text, listed = io.StringIO(), rows(network)
    writer = csv.DictWriter(text, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()


def page() -> str:
    """All networks that come with qsim as Markdown, for docs/networks.md."""
    listed = catalogue.networks()
    keys = list(listed[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    for row in listed:
        cells = [f"`{row['network']}`", *(row[key] for key in keys[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*HEAD, *lines]) + "\n"


def _row(node: Node) -> Row:
    return {
        "layer": node.name,
        "type": node.layer.__struct_config__.tag,
        "reads": " ".join(node.inputs),
        "output": shape_text(node.output_shape),
        "MACs": node.macs,
        "parameters": sum(prod(shape) for shape in node.parameters.values()),
    }


if __name__ == "__main__":
    print(page(), end="")
