"""An evaluation as it is read on a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qsim.evaluate import Evaluation
from qsim.network.graph import summary
from qsim.price import Comparison, Pricing
from qsim.report.records import design_row, layer_rows, precision_rows


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """The whole evaluation: what was run, how exact it is, and what it costs."""
    parts: list[RenderableType] = [_head(evaluation)]
    for pricing in evaluation.pricings:
        parts += ["", _design_table(pricing), "", _layer_table(pricing, evaluation)]
    if not evaluation.pricings and evaluation.execution is not None:
        parts += ["", _sums_table(evaluation)]
    return Group(*parts)


def listing(rows: list[dict[str, str]]) -> RenderableType:
    """Rows of text under their keys."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in rows[0]:
        numeric = all(row[key].replace(",", "").replace(".", "").isdigit() for row in rows)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    return table


def _head(evaluation: Evaluation) -> Table:
    workload = evaluation.workload
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("workload", Text(f"{workload.name}: {workload.document.title}".rstrip(": ")))
    table.add_row("network", Text(summary(workload.network)))
    for label, text in _precision_lines(evaluation):
        table.add_row(label, Text(text))
    for label, text in _execution_lines(evaluation):
        table.add_row(label, Text(text))
    return table


def _precision_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for row in precision_rows(evaluation):
        scale = row["weight_scale"].replace("_", " ")
        text = f"weights {row['weights']}, scale {scale}; activations {row['activations']}"
        groups.setdefault(text, []).append(row["layer"])
    if len(groups) == 1:
        return [("precision", next(iter(groups)))]
    lines = []
    for text, layers in groups.items():
        shown = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
        lines.append(("precision" if not lines else "", f"{shown}: {text}"))
    return lines


def _execution_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    execution = evaluation.execution
    if execution is None:
        return [("execution", "none asked for")]
    arithmetic = evaluation.workload.document.execute
    images = "1 image" if execution.images == 1 else f"{execution.images:,} images"
    lines = [
        (
            "execution",
            f"{images} of {execution.images_source}; weights: {execution.weights_source}",
        ),
        (
            "arithmetic",
            f"accumulator {arithmetic.accumulator.bits} bits, {arithmetic.accumulator.mode};"
            f" requantize: {arithmetic.requantize}; range: {arithmetic.range}",
        ),
    ]
    if execution.float_layers:
        lines.append(("in float", ", ".join(execution.float_layers)))
    verdict = "yes" if execution.bit_exact else f"NO, {len(execution.differences)} differ"
    checked = f"{execution.checked_outputs:,} integers computed again independently"
    lines.append(("check", f"bit-exact: {verdict} ({checked})"))
    if execution.accuracy is not None:
        lines.append(
            ("accuracy", f"{execution.accuracy:.2%} (in float {execution.float_accuracy:.2%})")
        )
    return lines


def _design_table(pricing: Pricing) -> Table:
    design = pricing.document.design
    blocks = (
        f"bat {design.bat} x blk_in {design.blk_in} x (blk_out {design.blk_out_fixed} fixed +"
        f" {design.blk_out_sp2} SP2), {design.clock_hz / 1e6:g} MHz"
    )
    name = f"{pricing.document.name}, " if pricing.document.name else ""
    table = Table(
        title=Text(f"{pricing.device.name}: {name}{blocks}", style="bold"),
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    table.add_column("quantity")
    table.add_column("model", justify="right")
    table.add_column("of device", justify="right")
    table.add_column("published", justify="right")
    table.add_column("error")
    beside = {c.cell.quantity: c for c in pricing.comparisons}
    for quantity, label, ours, share in _design_lines(pricing):
        published, error = _published(beside.get(quantity))
        table.add_row(label, ours, share, published, error)
    return table


def _design_lines(pricing: Pricing) -> list[tuple[str, str, str, str]]:
    """(quantity of the published cells, label, our figure, share of the device)"""
    row, device = design_row(pricing), pricing.device

    def share(used: float, name: str) -> str:
        have = getattr(device, name).value
        over = " (does not fit)" if used > have else ""
        return f"{used / have:.1%} of {have:,.0f}{over}"

    lines = [
        ("latency_ms", "latency per image", f"{_milliseconds(row['latency_s'])} ms", ""),
        ("", "throughput", f"{row['images_per_s']:,.1f} images/s", ""),
        ("gops", "effective rate", f"{row['gops']:,.1f} GOPS", ""),
        ("peak_gops", "peak rate", f"{row['peak_gops']:,.1f} GOPS", ""),
        ("", "PE utilization", f"{row['utilization']:.1%}", ""),
        ("dsp", "DSP", f"{row['dsp']:,}", share(row["dsp"], "dsp")),
    ]
    if "lut" in row:
        lines.append(("lut", "LUT", f"{row['lut']:,}", share(row["lut"], "lut6")))
    bram = share(row["bram_36kb"], "bram_36kb")
    return [
        *lines,
        ("bram_36kb", "BRAM 36 Kb", f"{row['bram_36kb']:,}", bram),
        ("", "on-chip buffers", f"{row['buffer_bytes'] / 1024:,.0f} KiB", ""),
        ("", "weights", f"{row['weight_bytes'] / 1e6:,.3f} MB", ""),
        ("", "DRAM traffic per image", f"{row['dram_bytes_per_image'] / 1e6:,.3f} MB", ""),
    ]


def _published(comparison: Comparison | None) -> tuple[str, str]:
    if comparison is None:
        return "", ""
    cell = comparison.cell
    unverified = ", unverified" if cell.status == "recalled" else ""
    error = "fitted to it" if comparison.fitted else f"{comparison.error:+.2%}"
    return f"{cell.value:,g} ({cell.status}{unverified})", error


def _layer_table(pricing: Pricing, evaluation: Evaluation) -> Table:
    execution = evaluation.execution
    seen = {layer.name: layer for layer in execution.layers} if execution else {}
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer")
    headings = ["M MACs", "rows fixed+SP2", "latency ms", "share", "PE util.", "bound by"]
    for heading in headings + (["bits of sums seen/worst"] if seen else []):
        table.add_column(heading, justify="right", min_width=7)
    for row in layer_rows(pricing):
        cells = [
            f"{row['macs'] / 1e6:,.2f}",
            f"{row['rows_fixed']}+{row['rows_sp2']}",
            f"{row['latency_s'] * 1e3:,.4f}",
            f"{row['latency_s'] / float(pricing.cost.latency_s):.1%}",
            f"{row['utilization']:.1%}",
            "DRAM" if row["dram_s"] > row["compute_s"] else "compute",
        ]
        if seen:
            sums = seen.get(row["layer"])
            cells.append(f"{sums.bits_seen}/{sums.worst_case_bits}" if sums else "float")
        table.add_row(Text(row["layer"]), *cells)
    return table


def _sums_table(evaluation: Evaluation) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "depth", "lowest sum", "highest sum", "bits seen", "worst case"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for s in evaluation.execution.layers:
        figures = (s.depth, s.lowest, s.highest, s.bits_seen, s.worst_case_bits)
        table.add_row(Text(s.name), *(f"{figure:,}" for figure in figures))
    return table


def _milliseconds(seconds: float) -> str:
    """Milliseconds to four significant digits."""
    return f"{seconds * 1e3:.4g}" if seconds * 1e3 < 1000 else f"{seconds * 1e3:,.0f}"
