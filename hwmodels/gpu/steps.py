"""Steps without products: kernels of their own, bound by memory, unless they are fused."""

import numpy as np

from hwmodels.gpu.design import Design
from hwmodels.gpu.device import Gpu
from hwmodels.gpu.precision import TYPES, type_of
from hwmodels.work import Step, WorkTable

PRODUCTS = {"conv", "linear", "matmul", "lstm", "gru"}
FREE = {"input", "flatten", "reshape", "identity"}  # another view of the same values
ELEMENTWISE = {
    "batch_norm", "relu", "relu6", "hard_tanh", "clip", "sigmoid", "tanh", "leaky_relu", "gelu",
    "silu", "hard_swish", "add", "multiply", "multi_threshold", "truncate", "scale", "offset",
    "concat", "slice",  # these two write or read in place
}  # fmt: skip


def stored_bits(device: Gpu, bits: int, precision: str) -> int:
    """The bits that a value of so many bits is stored in: those of the type that it runs as, asked
    for by name or not; a value of a format wider than the type keeps 32."""
    if precision == "auto":
        return type_of(device, bits, bits >= 32).bits
    number = TYPES[precision]
    fits = number.integer_bits >= bits or (bits >= 32 and number.is_float)
    return type_of(device, bits, bits >= 32, precision if fits else "auto").bits


def own_kernels(work: WorkTable, design: Design) -> list[Step]:
    """The steps that are kernels of their own."""
    without = PRODUCTS | FREE | (ELEMENTWISE if design.fused else set())
    return [step for step in work.steps if step.kind not in without]


def step_bytes(work: WorkTable, design: Design, device: Gpu) -> np.ndarray:
    """Bytes that each of these steps reads and writes for one image, shape (steps,). A tensor that
    the table does not count as stored is written for the step first."""
    by_name = {step.name: step for step in work.steps}
    result = []
    for step in own_kernels(work, design):
        total = step.values * stored_bits(device, step.bits, design.precision)
        for name in step.reads:
            source = by_name[name]
            bits = source.bits if source.is_stored else step.bits
            times = 1 if source.is_stored else 2
            total += times * source.values * stored_bits(device, bits, design.precision)
        result.append(total / 8)
    return np.array(result, np.float64)
