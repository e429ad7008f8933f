"""An evaluation as plain records: the JSON document, and the rows behind every table.

Units are in the keys; a figure that is not known is absent, never 0. Latencies are per image.
"""

from dataclasses import asdict
from math import isnan
from typing import Any

import msgspec

from qsim import __version__
from qsim.calibrate.methods import describe as describe_method
from qsim.evaluate import Evaluation
from qsim.formats import describe
from qsim.measure import Execution
from qsim.precision import Granularity
from qsim.price import Comparison, Pricing

Record = dict[str, Any]


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
    """The figures of one design."""
    cost, design = pricing.cost, pricing.document.design
    return _known(
        {
            "device": pricing.device.name,
            "design": pricing.name,
            "fits": pricing.fits,
            "latency_s": float(cost.latency_s),
            "images_per_s": 1 / float(cost.latency_s),
            "gops": float(cost.gops),
            "peak_gops": float(cost.peak_gops),
            "utilization": float(cost.utilization),
            "dsp": int(cost.dsp),
            "lut": None if isnan(cost.lut) else round(float(cost.lut)),
            "bram_36kb": int(cost.bram_36kb),
            "weight_bytes": pricing.work.weight_bytes,
            "buffer_bytes": float(cost.buffer_bytes),
            "dram_bytes_per_image": float(cost.dram_bytes),
            "clock_hz": design.clock_hz,
        }
    )


def layer_rows(pricing: Pricing) -> list[Record]:
    """The figures of each layer on one design."""
    cost = pricing.cost
    return [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "macs": layer.macs,
            "weight_bits": layer.weight_bits,
            "activation_bits": layer.activation_bits,
            "rows_fixed": layer.rows_multiply,
            "rows_sp2": layer.rows_shift_add,
            "tile_cycles_per_batch": int(cost.layer_cycles[index]),
            "compute_s": float(cost.layer_compute_s[index]),
            "dram_s": float(cost.layer_dram_s[index]),
            "latency_s": float(cost.layer_latency_s[index]),
            "utilization": float(cost.layer_utilization[index]),
            "weight_bytes": layer.weight_bytes,
        }
        for index, layer in enumerate(pricing.work)
    ]


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
    row["compute_efficiency"] = pricing.efficiency
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
