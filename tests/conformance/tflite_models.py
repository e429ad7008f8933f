"""Single int8 layers as .tflite files, and their outputs by LiteRT's three families of kernels."""

from dataclasses import dataclass

import numpy as np
from conformance.peers import FLATBUFFERS, LITERT, TFLITE, load

FAMILIES = {
    "reference": "BUILTIN_REF",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "AUTO",
}
VERSION = 3  # of the file format
ALIGNMENT = 16  # bytes, of a buffer


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: its scales lie along ``axis``; constant if it has ``data``."""

    shape: tuple[int, ...]
    scale: np.ndarray
    zero_point: int = 0
    data: np.ndarray | None = None
    axis: int = 0


@dataclass(frozen=True)
class Layer:
    """An operator by its names in the format's schema, and the options it takes.

    version   of the operator: of int8 tensors, per channel where the weights are
    """

    operator: str
    version: int
    options: str
    values: dict[str, int]


def convolution(stride, dilation):
    """A convolution without padding; sides are (height, width)."""
    return Layer("CONV_2D", 3, "Conv2DOptions", _window(stride, dilation))


def depthwise(stride, dilation, multiplier):
    """A convolution of each channel by itself, without padding, into ``multiplier`` channels."""
    values = _window(stride, dilation) | {"DepthMultiplier": multiplier}
    return Layer("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions", values)


def dense(per_channel):
    """A fully connected layer, with a scale for each row of its weights or one for all."""
    return Layer("FULLY_CONNECTED", 12 if per_channel else 4, "FullyConnectedOptions", {})


def addition():
    """The sum of two tensors of one shape."""
    return Layer("ADD", 2, "AddOptions", {})


def run(layer, inputs, output, family, *fed):
    """The int8 result of a layer whose inputs without data are ``fed``, by one of FAMILIES."""
    interpreter_module = load(LITERT, ".interpreter")
    interpreter = interpreter_module.Interpreter(
        model_content=model(layer, inputs, output),
        experimental_op_resolver_type=interpreter_module.OpResolverType[FAMILIES[family]],
        num_threads=1,
    )
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), fed, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def model(layer, inputs, output):
    """The bytes of a file with one layer, which reads ``inputs`` and writes ``output``."""
    schema = load(TFLITE)
    builder = load(FLATBUFFERS).Builder(1024)
    tensors = [*inputs, output]
    buffers = [_buffer(schema, builder, None)]  # the first one is empty by convention
    buffers += [_buffer(schema, builder, tensor.data) for tensor in tensors]
    built = [_tensor(schema, builder, tensor, i + 1) for i, tensor in enumerate(tensors)]
    operator = _operator(schema, builder, layer, len(inputs))
    fed = [i for i, tensor in enumerate(inputs) if tensor.data is None]
    graph = _table(
        schema,
        builder,
        "SubGraph",
        Tensors=_offsets(builder, built),
        Operators=_offsets(builder, [operator]),
        Inputs=_integers(builder, fed),
        Outputs=_integers(builder, [len(inputs)]),
    )
    kind = getattr(schema.BuiltinOperator, layer.operator)
    code = _table(
        schema,
        builder,
        "OperatorCode",
        DeprecatedBuiltinCode=kind,
        BuiltinCode=kind,
        Version=layer.version,
    )
    codes, graphs, held = (_offsets(builder, [*them]) for them in ([code], [graph], buffers))
    root = _table(
        schema,
        builder,
        "Model",
        Version=VERSION,
        OperatorCodes=codes,
        Subgraphs=graphs,
        Buffers=held,
    )
    builder.Finish(root, b"TFL3")
    return bytes(builder.Output())


def _window(stride, dilation):
    return {
        "Padding": 1,  # VALID
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
    }


def _operator(schema, builder, layer, inputs):
    options = _table(schema, builder, layer.options, **layer.values)
    reads, writes = _integers(builder, range(inputs)), _integers(builder, [inputs])
    return _table(
        schema,
        builder,
        "Operator",
        OpcodeIndex=0,
        Inputs=reads,
        Outputs=writes,
        BuiltinOptionsType=getattr(schema.BuiltinOptions, layer.options),
        BuiltinOptions=options,
    )


def _tensor(schema, builder, tensor, buffer):
    scales = np.atleast_1d(tensor.scale).astype(np.float32)
    zeros = np.full(scales.shape, tensor.zero_point, np.int64)
    scale_at, zeros_at = (builder.CreateNumpyVector(array) for array in (scales, zeros))
    quantization = _table(
        schema,
        builder,
        "QuantizationParameters",
        Scale=scale_at,
        ZeroPoint=zeros_at,
        QuantizedDimension=tensor.axis,
    )
    bias = tensor.data is not None and tensor.data.dtype == np.int32
    shape, name = _integers(builder, tensor.shape), builder.CreateString(f"tensor{buffer}")
    return _table(
        schema,
        builder,
        "Tensor",
        Shape=shape,
        Type=schema.TensorType.INT32 if bias else schema.TensorType.INT8,
        Buffer=buffer,
        Name=name,
        Quantization=quantization,
    )


def _buffer(schema, builder, array):
    if array is None:
        return _table(schema, builder, "Buffer")
    data = array.tobytes()
    builder.StartVector(1, len(data), ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return _table(schema, builder, "Buffer", Data=builder.EndVector())


def _table(schema, builder, name, **fields):
    """A table of the schema by the functions that its package has for it."""
    getattr(schema, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(schema, f"{name}Add{field}")(builder, value)
    return getattr(schema, f"{name}End")(builder)


def _integers(builder, values):
    return builder.CreateNumpyVector(np.array(values, np.int32))


def _offsets(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
