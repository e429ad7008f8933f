"""An integer program of ``requantize: onnxruntime`` as a graph in QDQ form.

Every layer's result is quantized: at the scale of the tensor that it is rounded to, or at that of
the next one that is, so that a relu or a max pool reads and makes codes of one scale.
"""

import numpy as np
from conformance.quantized_graphs import Graph

from qsim.network.graph import INPUT
from qsim.network.layers import border, pair
from qsim.onnx_runtime import zero_point_of

KINDS = {
    "Add": "Add", "Concat": "Concat", "Flatten": "Flatten", "MatMul": "MatMul",
    "HardSwish": "HardSwish", "Multiply": "Mul", "Relu": "Relu", "Sigmoid": "Sigmoid", "Tanh": "Tanh",
}  # fmt: skip


def quantized_graph(program, images):
    """The graph, and the name in it of the codes of every rounded tensor, and of the result."""
    graph, real, codes = Graph(), {}, {}
    real[INPUT], codes[INPUT] = _rounded(program, graph, INPUT, graph.feed(images))
    for node in program.network.nodes.values():
        made = _layer(program, graph, node, [real[name] for name in node.inputs])
        if node.name == program.network.output:
            graph.output(made, np.float32)
            return graph, codes, made
        real[node.name], quantized = _rounded(program, graph, node.name, made)
        if node.name in program.formats:
            codes[node.name] = quantized
    raise AssertionError("a network has an output")


def _rounded(program, graph, tensor, real):
    """The dequantized tensor and its codes."""
    end = tensor
    while end not in program.formats:
        [reader] = program.network.readers[end]
        if reader.name == program.network.output:
            return real, real
        end = reader.name
    scale, zero_point = program.scales[end], np.uint8(zero_point_of(program.formats[end]))
    codes = graph.quantize(real, scale, zero_point)
    return graph.dequantize(codes, scale, zero_point), codes


def _layer(program, graph, node, inputs):
    layer, kind = node.layer, type(node.layer).__name__
    match kind:
        case "Conv" | "Linear":
            return _product(program, graph, node, inputs[0])
        case "Clip" | "Relu6" | "HardTanh":
            ends = [graph.constant(np.float32(end)) for end in layer.bounds]
            return graph.node("Clip", *inputs, *ends)
        case "MaxPool" | "AveragePool":
            return _pool(graph, node, inputs[0])
        case "Concat":
            return graph.node("Concat", *inputs, axis=layer.axis + 1)
        case "LeakyRelu":
            return graph.node("LeakyRelu", *inputs, alpha=layer.slope)
        case "Softmax":
            return graph.node("Softmax", *inputs, axis=-1)
        case "MatMul" if layer.transposed:
            turned = graph.node("Transpose", inputs[1], perm=[0, 1, 3, 2])
            return graph.node("MatMul", inputs[0], turned)
    return graph.node(KINDS[kind], *inputs)


def _pool(graph, node, x):
    layer, kind = node.layer, type(node.layer).__name__
    if kind == "AveragePool" and layer.kernel is None:
        return graph.node("GlobalAveragePool", x)
    sides = {"kernel_shape": pair(layer.kernel), "strides": pair(layer.stride or layer.kernel)}
    counts = {"count_include_pad": int(layer.count_padding)} if kind == "AveragePool" else {}
    return graph.node(kind, x, pads=border(layer.padding), **sides, **counts)


def _product(program, graph, node, x):
    weights = program.weights[node.name]
    scale = np.broadcast_to(weights.scale.reshape(-1), len(weights.levels)).copy()
    zeros = np.zeros(scale.shape, np.int8)
    held = graph.dequantize(graph.constant(weights.levels.astype(np.int8)), scale, zeros, axis=0)
    bias_scale = program.scales[node.inputs[0]] * scale
    bias = graph.constant(program.biases[node.name].astype(np.int32))
    bias = graph.dequantize(bias, bias_scale, zeros.astype(np.int32), axis=0)
    if type(node.layer).__name__ == "Linear":
        return graph.node("Gemm", x, held, bias, transB=1)
    layer = node.layer
    return graph.node(
        "Conv", x, held, bias,
        kernel_shape=pair(layer.kernel), strides=pair(layer.stride), pads=border(layer.padding),
        dilations=pair(layer.dilation), group=layer.groups,
    )  # fmt: skip
