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
from qsim.report.hardware import design_table, layer_table, remarks
from qsim.report.memory import footprint_table
from qsim.report.records import precision_rows


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """The whole evaluation: what was run, how exact it is, and what it costs."""
    parts: list[RenderableType] = [_head(evaluation)]
    for pricing in evaluation.pricings:
        parts += ["", design_table(pricing)]
        parts += ["", layer_table(pricing, evaluation), "", remarks(pricing)]
    for footprint in evaluation.footprints:
        parts += ["", footprint_table(footprint)]
    if not evaluation.pricings and evaluation.execution is not None:
        parts += ["", _sums_table(evaluation)]
    return Group(*parts)


def run_table(evaluation: Evaluation) -> RenderableType:
    """What was run and how exact it is."""
    return _head(evaluation)


def listing(rows: list[dict[str, str]]) -> RenderableType:
    """Rows of text under their keys."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, key in enumerate(rows[0]):
        numeric = all(row[key].replace(",", "").replace(".", "").isdigit() for row in rows)
        side = "right" if numeric else "left"
        table.add_column(key, justify=side, overflow="fold", no_wrap=index == 0)  # names stay whole
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


def _sums_table(evaluation: Evaluation) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "depth", "lowest sum", "highest sum", "bits seen", "worst case"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for sums in evaluation.execution.layers:
        name, *figures = astuple(sums)
        table.add_row(Text(name), *(f"{figure:,}" for figure in figures))
    return table
