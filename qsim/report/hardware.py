"""What a design costs, as it is read on a terminal: its figures, its layers, and where a figure
comes from."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from hwmodels.explain import Node, unknown
from hwmodels.memory import footprint
from hwmodels.outputs import Output, is_known
from qsim.evaluate import Evaluation
from qsim.footprints import Footprint
from qsim.measure import LayerSums
from qsim.price import Comparison, Pricing
from qsim.report.records import Record, layer_rows
from qsim.units import count, figure, time_unit


def design_table(pricing: Pricing) -> RenderableType:
    """The figures of a design, with its device's and the published ones beside them."""
    hardware = pricing.hardware
    name = f"{pricing.document.name}, " if pricing.document.name else ""
    title = Text(f"{hardware.device.name}: {name}{hardware.description}", style="bold")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("quantity")
    table.add_column("is")
    table.add_column("model", justify="right")
    table.add_column("of device", justify="right")
    beside = {c.cell.quantity.replace("_ms", "_s"): c for c in pricing.comparisons}
    if beside:
        table.add_column("published", justify="right")
        table.add_column("error", justify="right")
    for key, output in hardware.model.OUTPUTS.items():
        published = _published(beside.get(key)) if beside else ()
        model, of_device = _figure(pricing, key, output)
        table.add_row(output.label, output.nature, model, of_device, *published)
    return Group(title, table)


def remarks(pricing: Pricing) -> Table:
    """What the figures leave out, how far off they were where that is known, and why some are
    absent."""
    table = Table(box=None, show_header=False, title="notes", title_justify="left")
    table.padding = (0, 0, 0, 2)
    table.title_style, table.style = "bold", "dim"
    of_what: dict[str, list[str]] = {}
    for key, output in pricing.hardware.model.OUTPUTS.items():
        said = [f"ignores {output.ignores}"] if output.ignores else []
        said += [output.validation] if output.validation else []
        if not is_known(getattr(pricing.cost, key)) and key in pricing.origins:
            said += [f"not known: {reason}" for reason in unknown(pricing.origins[key])]
        if said:
            of_what.setdefault("; ".join(said), []).append(output.label)
    for line in pricing.remarks:
        table.add_row(Text(line))
    for text, labels in of_what.items():
        table.add_row(Text(f"{', '.join(labels)}: {text}"))
    return table


def layer_table(pricing: Pricing, evaluation: Evaluation) -> Table:
    """The layers of a design; with the bits of their sums, where they were executed."""
    rows = layer_rows(pricing)
    columns = _work_columns(rows) | _time_columns(rows, float(pricing.cost.latency_s))
    if evaluation.execution is not None:
        seen = {layer.layer: layer for layer in evaluation.execution.layers}
        columns["sum bits used/max"] = [_sum_bits(seen.get(row["layer"])) for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    for heading in columns:
        table.add_column(heading, justify="right", min_width=7)
    for row, *cells in zip(rows, *columns.values(), strict=True):
        table.add_row(Text(row["layer"]), *cells)
    return table


def _work_columns(rows: list[Record]) -> dict[str, list[str]]:
    """What a layer has to do."""
    macs = [count(row["macs"]) for row in rows]
    if any(row["rows_sp2"] for row in rows):
        split = [f"{row['rows_fixed']}+{row['rows_sp2']}" for row in rows]
        return {"MACs": macs, "rows DSP+LUT": split}
    return {"MACs": macs, "rows": [f"{row['rows_fixed']}" for row in rows]}


def _time_columns(rows: list[Record], total_s: float) -> dict[str, list[str]]:
    """How long a layer takes and why, as far as that is known."""
    columns = {}
    if "latency_s" in rows[0]:
        unit, factor = time_unit(max(row["latency_s"] for row in rows))
        columns[f"latency {unit}"] = [f"{row['latency_s'] * factor:,.3f}" for row in rows]
        if sum(row["latency_s"] for row in rows) <= total_s * (1 + 1e-9):  # one after another
            columns["share"] = [f"{row['latency_s'] / total_s:.1%}" for row in rows]
    if "utilization" in rows[0]:
        columns["PE util."] = [f"{row['utilization']:.1%}" for row in rows]
    if "latency_s" in rows[0]:
        columns["bound by"] = [bound_by(row) for row in rows]
    return columns


def _sum_bits(sums: LayerSums | None) -> str:
    return f"{sums.accumulator_bits_seen}/{sums.accumulator_bits_worst_case}" if sums else "-"


def bound_by(row: Record) -> str:
    """What takes a layer longest: the largest of its times besides the whole."""
    parts = {key: row[key] for key in row if key.endswith("_s") and key != "latency_s"}
    if not parts:
        return "-"
    longest = max(parts, key=parts.get).removesuffix("_s")
    return {"dram": "DRAM", "l2": "L2"}.get(longest, longest.replace("_", " "))


def explanation(priced: Pricing | Footprint, name: str, origin: Node) -> RenderableType:
    """Where a figure of a design, or of memory, comes from, under what it is of."""
    if isinstance(priced, Footprint):
        outputs, text = footprint.OUTPUTS, f"memory, {priced.design.phase}"
    else:
        outputs = priced.hardware.model.OUTPUTS
        text = f"{priced.hardware.device.name}: {priced.name}"
    output, title = outputs.get(name), Text(text, style="bold")
    return Group(title, origin_tree(origin, output.unit if output else ""), "")


def origin_tree(node: Node, unit: str = "", shown: set[int] | None = None) -> Tree:
    """Where a figure comes from: its formulas, down to constants and parameters of the design.

    shown   nodes that stand in the tree already, whose own origin is not shown again
    """
    shown = set() if shown is None else shown
    text = _origin_text(node, unit)
    if node.inputs and id(node) in shown:
        return Tree(text.append("  (as above)", style="dim"), guide_style="dim")
    shown.add(id(node))
    tree = Tree(text, guide_style="dim")
    for each in node.inputs:
        tree.add(origin_tree(each, shown=shown))
    return tree


def _origin_text(node: Node, unit: str) -> Text:
    text = Text()
    text.append(node.name, style="bold")
    text.append(f" = {_value_text(node.value, unit)}")
    if node.status == "given":
        text.append("  (design)", style="dim")
    elif node.status:
        text.append(f"  ({node.status}, {node.place}: {node.text})", style="dim")
    else:
        text.append(f"  {node.text}", style="default")
        text.append(f"  [{node.place}]", style="dim")
    return text


def _value_text(value, unit: str) -> str:
    values = np.asarray(value, np.float64)
    if values.size == 1:
        values = values.reshape(())
    if values.ndim:
        return f"{values.sum():,.6g} in all, {values.min():,.4g} to {values.max():,.4g} over" \
            f" {values.size} values"  # fmt: skip
    if np.isnan(values):
        return "not known"
    return figure(float(values), unit) if unit else f"{float(values):,.6g}"


def _figure(pricing: Pricing, key: str, output: Output) -> tuple[str, str]:
    """The figure with its band, and its share of the device or why it is not known."""
    value = getattr(pricing.cost, key)
    if not is_known(value):
        return "not known", ""
    text = figure(float(value), output.unit)
    if hasattr(pricing.cost, f"{key}_low"):
        low, high = (float(getattr(pricing.cost, f"{key}_{end}")) for end in ("low", "high"))
        if low < high:
            text = f"{text} ({figure(low, output.unit)} to {figure(high, output.unit)})"
    if not output.of_device:
        return text, ""
    have = getattr(pricing.hardware.device, output.of_device).value
    if have is None:
        return text, "not known"
    share = (
        f"{float(value) / have:.1%} of {figure(have, output.unit)}"
        if have
        else "none on this device"
    )
    return text, share + (" (does not fit)" if float(value) > have else "")


def _published(comparison: Comparison | None) -> tuple[str, str]:
    if comparison is None:
        return "", ""
    cell = comparison.cell
    unverified = ", unverified" if cell.status == "recalled" else ""
    error = "fitted to it" if comparison.fitted else f"{comparison.error:+.2%}"
    return f"{cell.value:,g} ({cell.status}{unverified})", error
