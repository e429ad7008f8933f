"""An evaluation as plain records: the JSON document, and the rows behind every table.

Units are in the keys; a figure that is not known is absent, never 0. Latencies are per image.
"""

from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from hwmodels.explain import unknown
from hwmodels.outputs import is_known
from qsim import __version__
from qsim.calibrate.methods import describe as describe_method
from qsim.evaluate import Evaluation
from qsim.formats import describe
from qsim.measure import Execution
from qsim.precision import Granularity
from qsim.price import Comparison, Pricing
from qsim.report.memory import footprint_records

Record = dict[str, Any]
WHOLE = ("DSP", "LUT", "FF", "BRAM", "URAM")  # units of which there are no halves


def document(evaluation: Evaluation) -> Record:
    """The whole evaluation."""
    network = evaluation.workload.network
    return _known(
        {
            "qsim_version": __version__,
            "workload": evaluation.workload.name,
            "network": network.name,
            "input_shape": list(network.input_shape),
            "macs_per_image": network.macs,
            "parameters": network.parameter_count,
            "precision": precision_rows(evaluation),
            "notes": list(evaluation.workload.model.notes) or None,
            "execution": evaluation.execution and _execution(evaluation),
            "hardware": [_hardware(pricing) for pricing in evaluation.pricings],
            "memory": [
                record
                for footprint in evaluation.footprints
                for record in footprint_records(footprint)
            ]
            or None,
        }
    )


def precision_rows(evaluation: Evaluation) -> list[Record]:
    """The formats of each layer with weights."""
    precision, network = evaluation.precision, evaluation.network
    return [
        {
            "layer": node.name,
            "weights": describe(precision.weights[node.name]),
            "weight_scale": _granularity(precision.granularity[node.name]),
            "activations": describe(precision.activations[node.inputs[0]]),
        }
        for node in network.weighted_nodes
    ]


def _granularity(granularity: Granularity) -> str:
    size = granularity.group_size
    return granularity.kind if size is None else f"per_group of {size}"


def sum_rows(execution: Execution) -> list[Record]:
    """What the accumulators of each layer held."""
    return [asdict(layer) for layer in execution.layers]


def design_row(pricing: Pricing) -> Record:
    """The figures of one design, without those that are not known."""
    hardware, cost = pricing.hardware, pricing.cost
    row: Record = {
        "device": hardware.device.name,
        "kind": hardware.kind,
        "architecture": hardware.architecture,
        "design": pricing.name,
        "fits": pricing.fits,
    }
    for key, output in hardware.model.OUTPUTS.items():
        for name in (key, f"{key}_low", f"{key}_high"):
            if hasattr(cost, name) and is_known(getattr(cost, name)):
                value = float(getattr(cost, name))
                row[name] = int(value) if output.unit in WHOLE else value
    return row | {"weight_bytes": pricing.work.weight_bytes}


def layer_rows(pricing: Pricing) -> list[Record]:
    """The figures of each layer on one design, without those that are not known."""
    columns = {
        name.removeprefix("layer_"): np.atleast_1d(value)
        for name, value in vars(pricing.cost).items()
        if name.startswith("layer_") and is_known(value)
    }
    return [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "macs": layer.macs,
            "weight_bits": layer.weight_bits,
            "activation_bits": layer.activation_bits,
            "rows_fixed": layer.rows_multiply,
            "rows_sp2": layer.rows_shift_add,
            "weight_bytes": layer.weight_bytes,
            **{name: column[index].item() for name, column in columns.items()},
        }
        for index, layer in enumerate(pricing.work)
    ]


def figure_rows(pricing: Pricing) -> dict[str, Record]:
    """What is said of each figure of a design: its unit, what it is, what it leaves out, its known
    error, and why it is absent."""
    rows = {}
    for key, output in pricing.hardware.model.OUTPUTS.items():
        rows[key] = {name: text for name, text in asdict(output).items() if text}
        if output.unit == "%":  # of a share of 1, which is printed in per cent
            rows[key]["unit"] = "share of 1"
        if not is_known(getattr(pricing.cost, key)) and key in pricing.origins:
            rows[key]["not_known"] = unknown(pricing.origins[key])
    return rows


def _execution(evaluation: Evaluation) -> Record:
    execution = evaluation.execution
    arithmetic = execution.program.arithmetic
    partial = arithmetic.accumulator.partial
    calibrated = execution.calibration_source is not None
    return _known(
        {
            "bit_exact": execution.bit_exact,
            "checked_outputs": execution.checked_outputs,
            "images": execution.images,
            "images_source": execution.images_source,
            "weights_source": execution.weights_source,
            "accuracy": execution.accuracy,
            "float_accuracy": execution.float_accuracy,
            "requantize": arithmetic.requantize,
            "range": arithmetic.range if calibrated else None,
            "calibration": describe_method(arithmetic.calibration_method) if calibrated else None,
            "calibration_source": execution.calibration_source,
            "accumulator_bits": arithmetic.accumulator.bits,
            "accumulator_mode": arithmetic.accumulator.mode,
            "partial_register": partial and msgspec.structs.asdict(partial),
            "integer_only": arithmetic.integer_only,
            "float_layers": execution.float_layers,
            "layers": sum_rows(execution),
        }
    )


def _hardware(pricing: Pricing) -> Record:
    row = design_row(pricing)
    if pricing.excess:
        row["excess"] = pricing.excess
    row["parameters"] = msgspec.structs.asdict(pricing.hardware.design)
    row["figures"] = figure_rows(pricing)
    row["published"] = [_comparison(comparison) for comparison in pricing.comparisons]
    row["layers"] = layer_rows(pricing)
    return row


def _comparison(comparison: Comparison) -> Record:
    return {
        "quantity": comparison.cell.quantity,
        "published": comparison.cell.value,
        "ours": comparison.ours,
        "relative_error": comparison.error,
        "status": comparison.cell.status,
        "source": comparison.cell.source,
        "fitted": comparison.fitted,
    }


def _known(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None}
