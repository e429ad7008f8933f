"""Int8 layers and networks as .tflite files, and their outputs by LiteRT's three families of kernels."""

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
VALID, RELU = 1, 1  # in the schema's Padding and ActivationFunctionType


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


@dataclass(frozen=True)
class Operator:
    """A layer in a network: the places of the tensors that it reads, and of the one it writes."""

    layer: Layer
    reads: tuple[int, ...]
    writes: int


def convolution(stride, dilation, relu=False):
    """A convolution without padding; sides are (height, width)."""
    values = _window(stride, dilation) | _activation(relu)
    return Layer("CONV_2D", 3, "Conv2DOptions", values)


def depthwise(stride, dilation, multiplier):
    """A convolution of each channel by itself, without padding, into ``multiplier`` channels."""
    values = _window(stride, dilation) | {"DepthMultiplier": multiplier}
    return Layer("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions", values)


def dense(per_channel):
    """A fully connected layer, with a scale for each row of its weights or one for all."""
    return Layer("FULLY_CONNECTED", 12 if per_channel else 4, "FullyConnectedOptions", {})


def addition(relu=False):
    """The sum of two tensors of one shape."""
    return Layer("ADD", 2, "AddOptions", _activation(relu))


def padding():
    """A border of zeros; its second input is an int32 (axes, 2), how wide it is before and after."""
    return Layer("PAD", 2, "PadOptions", {})


def max_pool(kernel, stride):
    """The largest of each window, without padding; sides are (height, width)."""
    values = {"Padding": VALID, "StrideH": stride[0], "StrideW": stride[1]}
    values |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    return Layer("MAX_POOL_2D", 2, "Pool2DOptions", values)


def run(layer, inputs, output, family, *fed):
    """The int8 result of a layer whose inputs without data are ``fed``, by one of FAMILIES."""
    loaded = interpreter(model(layer, inputs, output), family)
    for details, array in zip(loaded.get_input_details(), fed, strict=True):
        loaded.set_tensor(details["index"], array)
    loaded.invoke()
    return loaded.get_tensor(loaded.get_output_details()[0]["index"])


def interpreter(content, family):
    """LiteRT's interpreter of a file, on one thread, by one of FAMILIES."""
    module = load(LITERT, ".interpreter")
    loaded = module.Interpreter(
        model_content=content,
        experimental_op_resolver_type=module.OpResolverType[FAMILIES[family]],
        num_threads=1,
    )
    loaded.allocate_tensors()
    return loaded


def model(layer, inputs, output):
    """The bytes of a file with one layer, which reads ``inputs`` and writes ``output``."""
    operator = Operator(layer, tuple(range(len(inputs))), len(inputs))
    return network([*inputs, output], [operator], [len(inputs)])


def network(tensors, operators, results):
    """The bytes of a file: tensors that are neither constant nor made by an operator are fed, and
    ``results`` are given, all by their places in ``tensors``."""
    schema = load(TFLITE)
    builder = load(FLATBUFFERS).Builder(1024)
    made = {operator.writes for operator in operators}
    fed = [i for i, tensor in enumerate(tensors) if tensor.data is None and i not in made]
    kinds = list(dict.fromkeys((each.layer.operator, each.layer.version) for each in operators))
    buffers = [_buffer(schema, builder, None)]  # the first one is empty by convention
    buffers += [_buffer(schema, builder, tensor.data) for tensor in tensors]
    built = [_tensor(schema, builder, tensor, i + 1) for i, tensor in enumerate(tensors)]
    graph = _table(
        schema,
        builder,
        "SubGraph",
        Tensors=_offsets(builder, built),
        Operators=_offsets(
            builder, [_operator(schema, builder, each, kinds) for each in operators]
        ),
        Inputs=_integers(builder, fed),
        Outputs=_integers(builder, results),
    )
    codes = [_code(schema, builder, *kind) for kind in kinds]
    codes, graphs, held = (_offsets(builder, [*them]) for them in (codes, [graph], buffers))
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


def _code(schema, builder, operator, version):
    kind = getattr(schema.BuiltinOperator, operator)
    codes = {"DeprecatedBuiltinCode": kind, "BuiltinCode": kind}
    return _table(schema, builder, "OperatorCode", **codes, Version=version)


def _activation(relu):
    return {"FusedActivationFunction": RELU} if relu else {}


def _window(stride, dilation):
    return {
        "Padding": VALID,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
    }


def _operator(schema, builder, operator, kinds):
    layer = operator.layer
    options = _table(schema, builder, layer.options, **layer.values)
    reads, writes = _integers(builder, operator.reads), _integers(builder, [operator.writes])
    return _table(
        schema,
        builder,
        "Operator",
        OpcodeIndex=kinds.index((layer.operator, layer.version)),
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
