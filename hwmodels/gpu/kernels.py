"""The kernel that each layer with products is: what it multiplies, and at which rate."""

from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.gpu import binary
from hwmodels.gpu.constants import constant
from hwmodels.gpu.design import Design
from hwmodels.gpu.device import Gpu
from hwmodels.gpu.precision import (
    NumberType,
    clock_hz,
    engine_of,
    fma_per_sm_s,
    integer_bits,
    type_of_layer,
)
from hwmodels.gpu.steps import stored_bits
from hwmodels.gpu.tiles import Products
from hwmodels.work import LayerWork, WorkTable


@dataclass(frozen=True)
class Kernels:
    """One kernel for each layer, columns of shape (layers,).

    planes      passes of a kernel that is composed of single bits, else 1
    allowed     whether the layer can be run so
    weight_bits, activation_bits, stored_bits   as they lie in memory
    """

    engines: tuple[str | None, ...]
    planes: np.ndarray
    allowed: np.ndarray
    weight_bits: np.ndarray
    activation_bits: np.ndarray
    stored_bits: np.ndarray


def is_depthwise(layer: LayerWork) -> bool:
    """Whether every channel has a kernel of its own, so that there is no matrix to multiply."""
    return layer.kind == "conv" and layer.groups > 1 and layer.groups == layer.in_channels


def direct_kernels(work: WorkTable, design: Design, device: Gpu) -> Kernels:
    """Every layer in the type that it runs as."""
    types = [type_of_layer(device, layer, design.precision) for layer in work]
    engines = tuple(
        _engine(device, layer, number) for layer, number in zip(work, types, strict=True)
    )
    bits = np.array([number.bits for number in types], np.float64)
    stored = [stored_bits(device, layer.stored_bits, design.precision) for layer in work]
    ones = np.ones(len(types))
    return Kernels(engines, ones, ones > 0, bits, bits, np.array(stored, np.float64))


def _engine(device: Gpu, layer: LayerWork, number: NumberType) -> str:
    """Depthwise layers run on the plain cores, in FP32 or four INT8 products at once."""
    if is_depthwise(layer):
        in_bytes = not layer.in_float and integer_bits(layer) <= 8
        return "int8_dp4a" if _has_dp4a(device) and in_bytes else "fp32"
    return engine_of(device, number) or number.engines[-1]


def _has_dp4a(device: Gpu) -> bool:
    return "int8_dp4a" in device.fma_per_sm_cycle


def composed_kernels(work: WorkTable) -> Kernels:
    """Every integer layer as passes of single bits, its planes packed."""
    planes = [binary.planes(layer) for layer in work]
    allowed = np.array([each is not None and not is_depthwise(layer)
                        for each, layer in zip(planes, work, strict=True)])  # fmt: skip
    weights = np.array([each[0] if each else 1 for each in planes], np.float64)
    activations = np.array([each[1] if each else 1 for each in planes], np.float64)
    return Kernels(
        (None,) * len(planes), weights * activations, allowed, weights, activations,
        np.asarray(work.column("stored_bits"), np.float64),
    )  # fmt: skip


@formula
def layer_fma_per_sm_s(kernels: Kernels, device: Gpu):
    """Multiply-adds per SM and second of each layer's engine; products of single bits / passes."""
    rates = {
        engine: binary.bits_per_sm_s(device) if engine is None else fma_per_sm_s(device, engine)
        for engine in dict.fromkeys(kernels.engines)
    }
    return np.array([rates[engine] for engine in kernels.engines]) / kernels.planes


@formula
def layer_peak_fma_per_s(kernels: Kernels, device: Gpu):
    """SMs x multiply-adds per SM and second of each layer's engine, at best."""
    sms = read(device, "sms")
    rates = {
        engine: binary.peak_bits_per_s(device)
        if engine is None
        else sms * fma_per_sm_s(device, engine)
        for engine in dict.fromkeys(kernels.engines)
    }
    return np.array([rates[engine] for engine in kernels.engines]) / kernels.planes


@formula
def layer_fraction(work: WorkTable, kernels: Kernels, device: Gpu):
    """The share of its rate that each layer's class of kernel reaches: convolutions on tensor or
    plain cores, depthwise ones, matrix products; of single bits on plain cores 1, as theirs is in
    their rate."""
    names = [_class_of(layer, engine, device)
             for layer, engine in zip(work, kernels.engines, strict=True)]  # fmt: skip
    values = {name: constant(name) if name else np.float64(1) for name in dict.fromkeys(names)}
    return np.array([values[name] for name in names])


def _class_of(layer: LayerWork, engine: str | None, device: Gpu) -> str:
    if engine is None and not binary.has_binary_tensor(device):
        return ""
    if is_depthwise(layer):
        return "depthwise_fraction"
    if layer.kind != "conv":
        return "matrix_fraction"
    on_tensor_cores = engine is None or "_tensor" in engine
    return "convolution_fraction" if on_tensor_cores else "plain_convolution_fraction"


def products(work: WorkTable, kernels: Kernels, design: Design) -> Products:
    """The matrix products of each layer, for the images at a time: shape (*batches, layers)."""
    batch = np.asarray(read(design, "batch"))[..., None]
    groups, sequential = work.column("groups"), work.column("sequential")
    positions = work.column("out_h") * work.column("out_w")
    # of a product of two tensors each image has its own second operand, as each group has
    own = work.column("kind") == "matmul"
    rows = np.where(own, positions, batch * positions / sequential)
    return Products(
        rows=rows, columns=work.column("out_channels") / groups, depth=work.column("depth"),
        count=np.where(own, batch * groups, groups), repeats=sequential,
        row_bits=kernels.activation_bits, column_bits=kernels.weight_bits,
    )  # fmt: skip


@formula
def plain_clock_hz(device: Gpu):
    """The clock of the plain cores, at which memories are read."""
    return clock_hz(device, "fp32")
