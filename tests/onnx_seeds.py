"""Valid ONNX models, each of many operators, that are changed to see how files are read."""

import numpy as np
from conformance.float_graphs import Graph
from onnx import TensorProto, helper

from qsim.onnx_reader import OnnxOptions

HALF = np.float32(0.5)


def images(opset=17):
    """Convolutions, norms, pools, a join, a classifier."""
    g = Graph(opset, (3, 8, 8), 1)
    x = g.op("Conv", g.op("Pad", "x", g.ints(0, 0, 1, 1, 0, 0, 1, 1)), g.reals(4, 3, 3, 3))
    x = g.op("BatchNormalization", x, g.reals(4), g.reals(4), g.reals(4), g.reals(4, low=0.1))
    x = g.op("Clip", x, np.float32(0), np.float32(6))
    y = g.op("Add", g.op("Conv", x, g.reals(4, 2, 1, 1), group=2), g.reals(4, 1, 1))
    y = g.op("Mul", y, g.op("Sigmoid", y))
    x = g.op("Concat", x, g.op("LeakyRelu", y, alpha=0.1), axis=1)
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.op("AveragePool", x, kernel_shape=[2, 2], ceil_mode=1)
    a, b = g.op("Split", x, g.ints(3, 5), outputs=2, axis=1)
    gate = g.op("HardSigmoid", g.op("GlobalAveragePool", b))
    x = g.op("Concat", g.op("Mul", b, gate), a, axis=1)
    x = g.op("Gemm", g.op("Flatten", x), g.reals(5, 72), g.reals(5), transB=1, alpha=0.5)
    return g.model(g.op("Softmax", x, axis=1)).SerializeToString()


def shapes():
    """Shapes that are computed, slices, gathers, images at another size."""
    g = Graph(13, (4, 6, 5), 2)
    sides = g.op("Shape", "x")
    height = g.op("Slice", sides, g.ints(2), g.ints(3), g.ints(0))
    flat = g.op("Concat", g.ints(1), g.op("Mul", height, g.ints(4)), g.ints(-1), axis=0)
    x = g.op("Transpose", g.op("Reshape", "x", flat), perm=[0, 2, 1])
    x = g.op("Slice", x, g.ints(1), g.ints(2**31 - 1), g.ints(1), g.ints(2))
    x = g.op("Gather", g.op("Unsqueeze", x, g.ints(1)), np.int64(0), axis=1)
    x = g.op(
        "Expand", x, g.op("Where", np.array([True, True, True]), g.ints(1, 2, 24), g.ints(1, 1, 1))
    )
    x = g.op("Reshape", x, g.op("Cast", np.array([0, 4, 4, 3], np.int32), to=7))
    x = g.op("Resize", x, None, np.float32([1, 1, 2, 3]), mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric")  # fmt: skip
    x = g.op("Resize", x, None, None, g.ints(1, 4, 5, 4), mode="linear")
    x = g.op("ReduceMean", g.op("LRN", x, size=3), axes=[2, 3], keepdims=0)
    return g.model(
        g.op(
            "Div",
            x,
            g.op("Sqrt", g.op("Cast", g.op("Range", np.int64(1), np.int64(5), np.int64(1)), to=1)),
        )
    ).SerializeToString()


def tokens():
    """Rows of a table, attention, GELU, layer norms."""
    g = Graph(17, (4,), 3)
    x = g.op("Add", g.op("Gather", g.reals(9, 6), "x"), g.reals(1, 4, 6))

    def norm(x):
        mean = g.op("ReduceMean", x, axes=[-1])
        centred = g.op("Sub", x, mean)
        spread = g.op("ReduceMean", g.op("Pow", centred, np.float32(2)), axes=[-1])
        made = g.op("Div", centred, g.op("Sqrt", g.op("Add", spread, np.float32(1e-5))))
        return g.op("Add", g.op("Mul", made, g.reals(6)), g.reals(6))

    def head(x, order):
        made = g.op("Add", g.op("MatMul", x, g.reals(6, 6)), g.reals(6))
        return g.op("Transpose", g.op("Reshape", made, g.ints(0, 4, 2, 3)), perm=order)

    x = norm(x)
    scores = g.op("MatMul", head(x, [0, 2, 1, 3]), head(x, [0, 2, 3, 1]))
    scores = g.op("Softmax", g.op("Add", g.op("Mul", scores, HALF), np.float32(0.25)))
    context = g.op("Transpose", g.op("MatMul", scores, head(x, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
    x = norm(g.op("Add", g.op("Reshape", context, g.ints(0, 0, 6)), x))
    bend = g.op("Add", g.op("Erf", g.op("Div", x, np.float32(2**0.5))), np.float32(1))
    x = g.op("Mul", g.op("Mul", x, bend), HALF)
    x = g.op("LayerNormalization", x, g.reals(6), g.reals(6))
    model = g.model(g.op("Tanh", g.op("Gather", x, np.int64(0), axis=1)))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return model.SerializeToString()


def sequences():
    """An LSTM and a GRU."""
    g = Graph(14, (5, 3), 4)
    x = g.op("Transpose", "x", perm=[1, 0, 2])
    x, _, _ = g.op("LSTM", x, g.reals(1, 16, 3), g.reals(1, 16, 4), g.reals(1, 32), None,
                   np.zeros((1, 1, 4), np.float32), np.zeros((1, 1, 4), np.float32), outputs=3,
                   hidden_size=4)  # fmt: skip
    x = g.op("Squeeze", x, g.ints(1))
    _, x = g.op("GRU", x, g.reals(1, 6, 4), g.reals(1, 6, 2), g.reals(1, 12), outputs=2,
                hidden_size=2, linear_before_reset=1)  # fmt: skip
    return g.model(g.op("Relu", g.op("Squeeze", x, g.ints(0)))).SerializeToString()


def functions():
    """A function of the model's own that calls another, an opset of its own beside ONNX's."""
    g = Graph(17, (4,), 5)
    model = g.model(g.op("Twice", g.op("MatMul", "x", g.reals(4, 3)), domain="own"))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    once = helper.make_function(
        "own", "Once", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], imports
    )
    calls = [
        helper.make_node("Once", ["a"], ["t"], domain="own"),
        helper.make_node("Once", ["t"], ["b"], domain="own"),
    ]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], calls, imports)
    model.functions.extend([once, twice])
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model.SerializeToString()


def quantized():
    """A convolution and a product between quantized tensors."""
    g = Graph(17, (2, 5, 5), 6)
    scale = np.float32(0.05)

    def rounded(x, zero=128):
        zero = np.uint8(zero)
        return g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)

    def weights(*shape):
        codes = g.rng.integers(-127, 128, shape).astype(np.int8)
        return g.op("DequantizeLinear", codes, np.full(shape[0], 0.01, np.float32),
                    np.zeros(shape[0], np.int8), axis=0)  # fmt: skip

    x = g.op("Relu", g.op("Conv", rounded("x"), weights(3, 2, 3, 3)))
    x = g.op("Flatten", g.op("GlobalAveragePool", rounded(x, 0)))
    return g.model(
        rounded(g.op("Gemm", rounded(x, 0), weights(4, 3), transB=1))
    ).SerializeToString()


SEEDS = {each.__name__: each for each in (images, shapes, tokens, sequences, functions, quantized)}
OPTIONS = OnnxOptions(dims={"side": 4})
