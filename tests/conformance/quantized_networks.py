"""Whole quantized networks: made by ONNX Runtime's quantizer, and computed with qsim's kernels.

``quantized_tensors`` computes a model node by node as ONNX Runtime does by default. In QDQ form an
operator between DequantizeLinear and QuantizeLinear waits for the latter, which says the scale of
its result; then it is the operator that the runtime makes of the three.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from conformance.onnx_operators import IntegerType
from conformance.peers import ONNX, ONNX_RUNTIME, load
from conformance.runtime_operators import OPERATORS, by_table, code_of

from qsim.kernels.code_table import clip, identity
from qsim.kernels.pool import max_pool
from qsim.kernels.quantize_linear import dequantize_linear, quantize_linear
from qsim.kernels.reduce_mean import reduce_mean


def quantize_statically(model, images: np.ndarray, form: str, activations: str = "QUInt8"):
    """The model quantized per channel, with int8 weights, its ranges from images; ``form`` is QDQ or
    QOperator."""
    quantization = load(ONNX_RUNTIME, ".quantization")

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            self._images = iter(images)

        def get_next(self):
            image = next(self._images, None)
            return None if image is None else {"image": image[None]}

    with tempfile.TemporaryDirectory() as folder:
        source, target = (str(Path(folder) / name) for name in ("float.onnx", "quantized.onnx"))
        load(ONNX).save(model, source)
        quantization.quantize_static(
            source,
            target,
            Images(),
            quant_format=quantization.QuantFormat[form],
            per_channel=True,
            activation_type=quantization.QuantType[activations],
            weight_type=quantization.QuantType.QInt8,
        )
        return load(ONNX).load(target)


def with_outputs(model, names: list[str], kind=np.uint8):
    """The model with the tensors of codes ``names`` as further outputs."""
    onnx, changed = load(ONNX), load(ONNX).ModelProto()
    changed.CopyFrom(model)
    given = {output.name for output in model.graph.output}
    for name in names:
        if name not in given:
            integer = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            changed.graph.output.append(onnx.helper.make_tensor_value_info(name, integer, None))
    return changed


@dataclass(frozen=True)
class Dequantized:
    """Codes, and what they stand for; a scale for each index of an axis or one."""

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int = 1

    @property
    def real(self):
        along = {"axis": self.axis} if self.scale.ndim else {}
        return dequantize_linear(self.codes, self.scale, self.zero_point, **along)

    @property
    def parts(self):
        return [self.codes, self.scale, self.zero_point]


@dataclass(frozen=True)
class Waiting:
    """An operator on dequantized values; ``bounds`` are of the Relu or Clip that follow it."""

    kind: str
    inputs: list
    attributes: dict = field(default_factory=dict)
    bounds: tuple[Callable, ...] = ()


def quantized_tensors(model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of codes that an activation is, and the outputs of the graph, by name."""
    onnx = load(ONNX)
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer} | feeds
    codes = {}
    for node in model.graph.node:
        inputs = [values.get(name) for name in node.input]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        made = _computed(node.op_type, inputs, attributes)
        values[node.output[0]] = made
        if isinstance(made, np.ndarray) and made.dtype in (np.uint8, np.int8):
            codes[node.output[0]] = made
    outputs = {output.name: _result(values[output.name]) for output in model.graph.output}
    return codes | outputs


def _result(value):
    """A value that nothing quantizes."""
    match value:
        case Dequantized():
            return value.real
        case Waiting("Gemm", inputs, attributes):
            [real] = OPERATORS["QGemm"](_gemm_inputs(inputs), attributes, None)
            return real
    return value


def _computed(kind, inputs, attributes):
    x = inputs[0]
    if kind in OPERATORS and kind not in ("QuantizeLinear", "DequantizeLinear"):
        to_float = kind == "QGemm" and len(inputs) == 7
        out_type = None if to_float else _type_of(inputs[1 if kind == "QLinearConcat" else -1], x)
        return OPERATORS[kind](inputs, attributes, out_type)[0]
    match kind, x:
        case "DequantizeLinear", _:
            return Dequantized(*inputs, attributes.get("axis", 1))
        case "QuantizeLinear", _:
            return _quantized(x, *inputs[1:])
        case "Relu" | "Clip", _:
            bound = clip(0.0) if kind == "Relu" else clip(*inputs[1:])
            before = x if isinstance(x, Waiting) else Waiting("identity", [x])
            return Waiting(before.kind, before.inputs, before.attributes, (*before.bounds, bound))
        case "ReduceMean", Dequantized():
            return reduce_mean(x.real, 2).reshape(*x.codes.shape[:2], 1, 1)
        case "MaxPool" | "Flatten" | "Reshape", Dequantized():
            moved = _moved(kind, [x.codes, *inputs[1:]], attributes)
            return Dequantized(moved, x.scale, x.zero_point)
        case "MaxPool" | "Flatten" | "Reshape", _:
            return _moved(kind, inputs, attributes)
    return Waiting(kind, inputs, attributes)


def _type_of(*candidates):
    """The integer type of the first array of 8 bits: that of a zero point, or of what is read."""
    kind = next(a.dtype for a in candidates if a is not None and a.dtype.itemsize == 1)
    return IntegerType(8, kind.kind == "i")


def _moved(kind, inputs, attributes):
    x = inputs[0]
    if kind == "MaxPool":
        geometry = {"stride": tuple(attributes["strides"]), "padding": tuple(attributes["pads"])}
        return max_pool(x, tuple(attributes["kernel_shape"]), **geometry).astype(x.dtype)
    return x.reshape(len(x), -1)


def _quantized(x, scale, zero_point):
    out_type = _type_of(zero_point)
    low, high = out_type.limits
    match x:
        case Dequantized():
            codes = code_of(x.scale, x.zero_point), code_of(scale, zero_point)
            return by_table(identity, x.codes, *codes, out_type)
        case Waiting("identity", [source], _, bounds):
            codes = code_of(source.scale, source.zero_point), code_of(scale, zero_point)
            return by_table(bounds[0], source.codes, *codes, out_type)
        case Waiting():
            made = _waiting_for(x, scale, zero_point)
            real = dequantize_linear(np.arange(low, high + 1), scale, zero_point)
            for bound in x.bounds:  # else the runtime would keep the operator in float32
                assert (bound(real) == real).all()
            return made
    return quantize_linear(x, scale, zero_point, low, high).astype(zero_point.dtype)


def _waiting_for(x, scale, zero_point):
    y, out_type = [scale, zero_point], _type_of(zero_point)
    match x.kind:
        case "Conv":
            bias = x.inputs[2].codes if len(x.inputs) > 2 else None
            operands = [*x.inputs[0].parts, *x.inputs[1].parts, *y, bias]
            [made] = OPERATORS["QLinearConv"](operands, x.attributes, out_type)
        case "Gemm":
            [made] = OPERATORS["QGemm"]([*_gemm_inputs(x.inputs), *y], x.attributes, out_type)
        case "Concat":
            operands = [*y, *(part for each in x.inputs for part in each.parts)]
            [made] = OPERATORS["QLinearConcat"](operands, x.attributes, out_type)
        case _:
            operands = [part for each in x.inputs for part in each.parts]
            [made] = OPERATORS[f"QLinear{x.kind}"]([*operands, *y], x.attributes, out_type)
    return made


def _gemm_inputs(inputs):
    bias = inputs[2].codes if len(inputs) > 2 else None
    return [*inputs[0].parts, *inputs[1].parts, bias]
