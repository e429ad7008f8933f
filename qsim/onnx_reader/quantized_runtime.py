"""Where ONNX Runtime computes a quantized layer in float32, though its operands are integers."""

import numpy as np

from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_reading import BOUNDS, Reading
from qsim.onnx_reader.quantized_tensors import Activation, Grid, Parameter, base_name

BIAS_RTOL, BIAS_ATOL = 0.01, 1e-6  # found by trial with ONNX Runtime 1.31.1


def note_float_kernel(reading: Reading, node: OnnxNode, inputs: list[Activation]) -> None:
    """Note where ONNX Runtime would compute the layer in float32."""
    rounding = reading.rounding(node)
    name = base_name(node.outputs[0])
    grids = [x.grid for x in inputs] + ([reading.grid(rounding, 1)] if rounding else [])
    if any(grid.dtype == np.int8 for grid in grids):
        reading.draft.note(
            "tensors are int8 in QDQ form, which ONNX Runtime computes in integers on Arm, or"
            " with session.qdqisint8allowed; else in float32, with integers that may differ"
        )
    elif rounding and not _bounds_are_redundant(reading, node, grids[-1]):
        reading.draft.note(
            f"layer {name!r} is bounded within the range of its integers, so that ONNX Runtime"
            " computes it in float32, with integers that may differ"
        )


def takes_bias(bias: Parameter | None, of_sums: np.ndarray, *, of_any_scale: bool) -> bool:
    """Whether the runtime adds a bias as integers to sums of scale ``of_sums``, float32 (rows,) or
    (1,): real ones it quantizes, and it adds int32 of the scale of the sums, within one hundredth
    and 1e-6, or (dense layers) of any."""
    if bias is None or bias.scale is None:
        return True
    if bias.codes.dtype != np.int32 or of_any_scale:
        return bias.codes.dtype == np.int32
    apart = np.abs(bias.scale.astype(np.float64) - of_sums)
    return bool((apart <= BIAS_ATOL + BIAS_RTOL * of_sums.astype(np.float64)).all())


def _bounds_are_redundant(reading: Reading, node: OnnxNode, grid: Grid) -> bool:
    info = np.iinfo(grid.dtype)
    ends = (np.float32(end - grid.zero_point) for end in (info.min, info.max))
    with np.errstate(over="ignore"):  # an end beyond float32 is infinite
        lowest, highest = (end * np.float32(grid.scale) for end in ends)
    while (node := reading.readers[node.outputs[0]][0]).kind != "QuantizeLinear":
        if node.kind in BOUNDS:
            low, high = reading.bounds(node)
            if low > lowest or high < highest:
                return False
    return True
