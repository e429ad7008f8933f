"""An evaluation as it is read on a terminal."""

from dataclasses import astuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qsim.calibrate.methods import describe as describe_method
from qsim.evaluate import Evaluation
from qsim.kernels.accumulator import Accumulator
from qsim.measure import Execution
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


def run_table(evaluation: Evaluation) -> RenderableType:
    """What was run and how exact it is."""
    return _head(evaluation)


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
    for note in workload.model.notes:
        table.add_row("note", Text(note))
    return table


def _precision_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for row in precision_rows(evaluation):
        scale = "" if row["weights"] == "float" else f", scale {row['weight_scale']}"
        text = f"weights {row['weights']}{scale}; activations {row['activations']}"
        text = text.replace("per_", "per ")
        groups.setdefault(text, []).append(row["layer"])
    if len(groups) == 1:
        return [("precision", next(iter(groups)))]
    lines = []
    for text, layers in groups.items():
        lines.append(("precision" if not lines else "", f"{_some(layers)}: {text}"))
    return lines


def _some(layers: list[str]) -> str:
    """The first four names, and how many others there are."""
    more = f" and {len(layers) - 4} more" if len(layers) > 4 else ""
    return ", ".join(layers[:4]) + more


def _execution_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    execution = evaluation.execution
    if execution is None:
        return [("execution", "none asked for")]
    arithmetic = execution.program.arithmetic
    images = "1 image" if execution.images == 1 else f"{execution.images:,} images"
    lines = [
        (
            "execution",
            f"{images} of {execution.images_source}; weights: {execution.weights_source}",
        ),
        (
            "arithmetic",
            f"{_registers(arithmetic.accumulator)}; requantize: {arithmetic.requantize}"
            + ("; integers only" if arithmetic.integer_only else ""),
        ),
        ("ranges", _ranges(execution)),
    ]
    if execution.float_layers:
        lines.append(("in float", _some(execution.float_layers)))
    verdict = {True: "yes", False: f"NO, {len(execution.differences)} differ", None: "-"}
    checked = f"{execution.checked_outputs:,} integers computed again independently"
    if execution.bit_exact is None:
        checked = "nothing to check: every layer is computed in floating point"
    lines.append(("check", f"bit-exact: {verdict[execution.bit_exact]} ({checked})"))
    if execution.accuracy is not None:
        in_float = execution.float_accuracy
        beside = "" if in_float is None else f" (in float {in_float:.2%})"
        lines.append(("accuracy", f"{execution.accuracy:.2%}{beside}"))
    return lines


def _ranges(execution: Execution) -> str:
    """Where the scales come from."""
    if execution.calibration_source is None:
        return "scales as the model has them"
    arithmetic = execution.program.arithmetic
    method = describe_method(arithmetic.calibration_method)
    return f"weights: {arithmetic.range}; activations: {method} over {execution.calibration_source}"


def _registers(accumulator: Accumulator) -> str:
    partial, text = accumulator.partial, f"accumulator {accumulator.bits} bits, {accumulator.mode}"
    if partial is None:
        return text
    return f"{text}, after {partial.products} products in {partial.bits} bits, {partial.mode}"


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
    beside = {c.cell.quantity: c for c in pricing.comparisons}
    if beside:
        table.add_column("published", justify="right")
        table.add_column("error", justify="right")
    for quantity, label, ours, share in _design_lines(pricing):
        published = _published(beside.get(quantity)) if beside else ()
        table.add_row(label, ours, share, *published)
    return table


def _design_lines(pricing: Pricing) -> list[tuple[str, str, str, str]]:
    """(quantity of the published cells, label, our figure, share of the device)"""
    row, device, design = design_row(pricing), pricing.device, pricing.document.design

    def share(used: float, name: str) -> str:
        have = getattr(device, name).value
        over = " (does not fit)" if used > have else ""
        return f"{used / have:.1%} of {have:,.0f}{over}"

    luts = ("lut", "LUT", "not known", f"no figures for {design.weight_bits} x"
            f" {design.activation_bits} bits on {device.name}")  # fmt: skip
    if "lut" in row:
        luts = ("lut", "LUT", f"{row['lut']:,}", share(row["lut"], "lut6"))
    batch_s = row["latency_s"] * design.bat
    batch = [("", f"latency of a batch of {design.bat}", _seconds(batch_s), "")]
    return [
        ("latency_ms", "latency per image", _seconds(row["latency_s"]), ""),
        *(batch if design.bat > 1 else []),
        ("", "throughput", f"{row['images_per_s']:,.1f} images/s", ""),
        ("gops", "effective rate", f"{row['gops']:,.4g} GOPS", ""),
        ("peak_gops", "peak rate", f"{row['peak_gops']:,.1f} GOPS", ""),
        ("", "PE utilization", f"{row['utilization']:.1%}", ""),
        ("dsp", "DSP", f"{row['dsp']:,}", share(row["dsp"], "dsp")),
        luts,
        ("bram_36kb", "BRAM 36 Kb", f"{row['bram_36kb']:,}", share(row["bram_36kb"], "bram_36kb")),
        ("", "on-chip buffers", _bytes(row["buffer_bytes"]), ""),
        ("", "weights", _bytes(row["weight_bytes"]), ""),
        ("", "DRAM per image", _bytes(row["dram_bytes_per_image"]), ""),
    ]


def _published(comparison: Comparison | None) -> tuple[str, str]:
    if comparison is None:
        return "", ""
    cell = comparison.cell
    unverified = ", unverified" if cell.status == "recalled" else ""
    error = "fitted to it" if comparison.fitted else f"{comparison.error:+.2%}"
    return f"{cell.value:,g} ({cell.status}{unverified})", error


def _layer_table(pricing: Pricing, evaluation: Evaluation) -> Table:
    execution, rows = evaluation.execution, layer_rows(pricing)
    seen = {layer.layer: layer for layer in execution.layers} if execution else {}
    unit, factor = _time_unit(max(row["latency_s"] for row in rows))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    headings = ["MACs", "rows DSP+LUT", f"latency {unit}", "share", "PE util.", "bound by"]
    for heading in headings + (["sum bits used/max"] if seen else []):
        table.add_column(heading, justify="right", min_width=7)
    for row in rows:
        cells = [
            _count(row["macs"]),
            f"{row['rows_fixed']}+{row['rows_sp2']}",
            f"{row['latency_s'] * factor:,.3f}",
            f"{row['latency_s'] / float(pricing.cost.latency_s):.1%}",
            f"{row['utilization']:.1%}",
            "DRAM" if row["dram_s"] > row["compute_s"] else "PEs",
        ]
        if seen:
            sums = seen[row["layer"]]
            cells.append(f"{sums.accumulator_bits_seen}/{sums.accumulator_bits_worst_case}")
        table.add_row(Text(row["layer"]), *cells)
    return table


def _sums_table(evaluation: Evaluation) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "depth", "lowest sum", "highest sum", "bits seen", "worst case"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for sums in evaluation.execution.layers:
        name, *figures = astuple(sums)
        table.add_row(Text(name), *(f"{figure:,}" for figure in figures))
    return table


def _time_unit(longest_s: float) -> tuple[str, float]:
    """The unit in which times up to this long are printed, and how many of it make a second."""
    if longest_s >= 1:
        return "s", 1.0
    return ("ms", 1e3) if longest_s >= 1e-3 else ("us", 1e6)


def _count(number: int) -> str:
    """A count to four significant digits, in thousands, millions or billions."""
    for letter, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:#.4g}{letter}"
    return f"{number}"


def _seconds(seconds: float) -> str:
    """A time with its unit, to four significant digits."""
    unit, factor = _time_unit(seconds)
    return f"{seconds * factor:,.4g} {unit}"


def _bytes(count: float) -> str:
    """An amount of data with its decimal unit, to four significant digits."""
    unit, factor = ("MB", 1e6) if count >= 1e6 else ("kB", 1e3)
    return f"{count / factor:,.4g} {unit}"
