"""Small float graphs: every operator that is read, with every attribute, as exporters write them.

A case builds nodes onto a ``Graph`` that already has the input ``x`` and names the result.
"""

from dataclasses import dataclass, field

import numpy as np
from conformance.peers import ONNX, load
from hypothesis import strategies as st

OPSETS = (11, 13, 17, 18, 21, 26)  # 26 is the newest that ONNX Runtime 1.31 takes


@dataclass
class Graph:
    """Nodes and constants in the making, of one opset; numbers come from ``seed``."""

    opset: int
    shape: tuple[int, ...]
    seed: int = 0
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def op(self, kind, *inputs, outputs=1, **attributes):
        """A node, whose inputs are names, arrays or None; the name of its result, or their names."""
        names = [
            "" if each is None else each if isinstance(each, str) else self.constant(each)
            for each in inputs
        ]
        while names and not names[-1]:
            names.pop()
        number = len(self.nodes)
        made = [f"t{number}" if outputs == 1 else f"t{number}_{i}" for i in range(outputs)]
        node = load(ONNX).helper.make_node(kind, names, made, name=f"n{number}", **attributes)
        self.nodes.append(node)
        return made[0] if outputs == 1 else made

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def reals(self, *shape, low=-1.0, high=1.0):
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def ints(self, *values):
        return np.array(values, np.int64)

    def with_axes(self, kind, x, axes, *, since, **attributes):
        """A node that names its axes by an attribute before opset ``since``, then by an input."""
        if self.opset < since:
            return self.op(kind, x, axes=list(axes), **attributes)
        return self.op(kind, x, self.ints(*axes), **attributes)

    def model(self, result, batch=1):
        onnx = load(ONNX)
        helper = onnx.helper
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [info("x", onnx.TensorProto.FLOAT, (batch, *self.shape))],
            [info(result, onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=8 if self.opset < 21 else 10
        )


def image(draw, least=1, most=7):
    """Channels, height, width."""
    return tuple(draw(st.integers(*ends)) for ends in ((1, 4), (least, most), (least, most)))


def windowed(draw, shape, *, dilated=True, pooled=False):
    """kernel_shape and the attributes of a window that fits."""
    kernel = [draw(st.integers(1, min(3, side))) for side in shape[1:]]
    given = {"kernel_shape": kernel}
    spans = list(kernel)
    if draw(st.booleans()):
        given["strides"] = [draw(st.integers(1, 3)) for _ in kernel]
    way = draw(st.sampled_from(["none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if way == "pads":
        most = [k - 1 if pooled else 2 for k in kernel]
        given["pads"] = [draw(st.integers(0, most[i % 2])) for i in range(4)]
    elif way != "none":
        given["auto_pad"] = way
        strides = given.get("strides", [1, 1])  # the runtime refuses windows with gaps between them
        given["strides"] = [min(pair) for pair in zip(strides, kernel, strict=True)]
    if dilated and way in ("none", "pads"):
        dilations = [draw(st.integers(1, 2)) for _ in kernel]
        spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        padding = given.get("pads", [0] * 4)
        room = [shape[i + 1] + padding[i] + padding[i + 2] for i in (0, 1)]
        if all(span <= side for span, side in zip(spans, room, strict=True)):
            given["dilations"] = dilations
    return given


def conv(draw, opset):
    shape = image(draw)
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0]))
    given = windowed(draw, shape)
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    rows = groups * draw(st.integers(1, 2))
    weight = graph.reals(rows, shape[0] // groups, *given["kernel_shape"])
    if draw(st.booleans()):
        del given["kernel_shape"]
    bias = graph.reals(rows) if draw(st.booleans()) else None
    made = graph.op("Conv", "x", weight, bias, group=groups, **given)
    if bias is None and draw(st.booleans()):
        made = graph.op("Add", made, graph.reals(rows, 1, 1))
    return graph, made


def conv_1d(draw, opset):
    shape = (draw(st.integers(1, 3)), draw(st.integers(4, 9)))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    weight = graph.reals(2, shape[0], draw(st.integers(1, 3)))
    given = {
        "strides": [draw(st.integers(1, 2))],
        "pads": [draw(st.integers(0, 2)), draw(st.integers(0, 2))],
    }
    return graph, graph.op("Conv", "x", weight, graph.reals(2), **given)


def padded_conv(draw, opset):
    shape = image(draw, 3)
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    edges = [draw(st.integers(0, 2)) for _ in range(4)]
    if opset >= 18 and draw(st.booleans()):
        pads, axes = graph.ints(*edges), graph.ints(2, 3)
    else:
        pads, axes = graph.ints(0, 0, *edges[:2], 0, 0, *edges[2:]), None
    value = np.float32(0) if draw(st.booleans()) else None
    x = graph.op("Pad", "x", pads, value, axes)
    if draw(st.booleans()):
        return graph, graph.op("Conv", x, graph.reals(2, shape[0], 3, 3), pads=[0, 1, 1, 0])
    return graph, graph.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2])


def pool(draw, opset):
    shape = image(draw, 2)
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    given = windowed(draw, shape, dilated=False, pooled=True)
    if "auto_pad" not in given and draw(st.booleans()):
        given["ceil_mode"] = draw(st.sampled_from([0, 1]))
    if kind == "AveragePool" and draw(st.booleans()) and not given.get("ceil_mode"):
        given["count_include_pad"] = draw(st.sampled_from([0, 1]))
    graph = Graph(opset, shape)
    return graph, graph.op(kind, "x", **given)


def whole_image(draw, opset):
    graph = Graph(opset, image(draw))
    kind = draw(st.sampled_from(["GlobalAveragePool", "GlobalMaxPool", "ReduceMean"]))
    if kind != "ReduceMean":
        return graph, graph.op(kind, "x")
    axes = draw(st.sampled_from([(2, 3), (-1, -2), (-2, -1)]))
    keep = draw(st.sampled_from([0, 1]))
    return graph, graph.with_axes("ReduceMean", "x", axes, since=18, keepdims=keep)


def gemm(draw, opset):
    depth, rows = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    graph = Graph(opset, (depth,), draw(st.integers(0, 99)))
    turned = draw(st.booleans())
    weight = graph.reals(*((rows, depth) if turned else (depth, rows)))
    bias = draw(st.sampled_from([None, (rows,), (1, rows), (1,), ()]))
    given = {"transB": int(turned)} if turned or draw(st.booleans()) else {}
    for key in ("alpha", "beta"):
        if draw(st.booleans()):
            given[key] = draw(st.sampled_from([0.5, 1.0, -1.5]))
    bias = None if bias is None else graph.reals(*bias)
    return graph, graph.op("Gemm", "x", weight, bias, **given)


def linear(draw, opset):
    """MatMul by a constant and Add, over features, tokens or images."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 3))))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    rows = draw(st.integers(1, 4))
    made = graph.op("MatMul", "x", graph.reals(shape[-1], rows))
    if draw(st.booleans()):
        pair = [made, graph.constant(graph.reals(rows))]
        made = graph.op("Add", *(pair if draw(st.booleans()) else pair[::-1]))
    return graph, made


def attention(draw, opset):
    """Products of two tensors: heads, scores, softmax, context."""
    tokens, heads, size = (draw(st.integers(1, 4)) for _ in range(3))
    graph = Graph(opset, (tokens, heads * size), draw(st.integers(0, 99)))

    def head(order):
        x = graph.op("MatMul", "x", graph.reals(heads * size, heads * size))
        x = graph.op(
            "Reshape",
            x,
            graph.ints(*draw(st.sampled_from([(1, tokens, heads, size), (0, -1, heads, size)]))),
        )
        return graph.op("Transpose", x, perm=order)

    scores = graph.op("MatMul", head([0, 2, 1, 3]), head([0, 2, 3, 1]))
    if draw(st.booleans()):
        scores = graph.op("Div", scores, np.float32(size**0.5))
    else:
        scores = graph.op("Mul", scores, np.float32(size**-0.5))
    shares = graph.op("Softmax", scores, axis=3 if opset < 13 else -1)
    context = graph.op("MatMul", shares, head([0, 2, 1, 3]))
    context = graph.op("Transpose", context, perm=[0, 2, 1, 3])
    return graph, graph.op("Reshape", context, graph.ints(1, tokens, heads * size))


def batch_norm(draw, opset):
    shape = draw(st.sampled_from([(3,), (2, 4), (3, 2, 5)]))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    arrays = [graph.reals(shape[0]) for _ in range(3)]
    given = {"epsilon": draw(st.sampled_from([1e-5, 1e-3]))} if draw(st.booleans()) else {}
    return graph, graph.op(
        "BatchNormalization", "x", *arrays, graph.reals(shape[0], low=0.1), **given
    )


def curve(draw, opset):
    shape = draw(st.sampled_from([(5,), (2, 3), (2, 3, 4)]))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    kind = draw(
        st.sampled_from(
            [
                "Relu",
                "Sigmoid",
                "Tanh",
                "LeakyRelu",
                "HardSigmoid",
                "PRelu",
                "HardSwish",
                "Gelu",
                "Clip",
            ]
        )
    )
    if (kind == "HardSwish" and opset < 14) or (kind == "Gelu" and opset < 20):
        kind = "Relu"
    if kind == "PRelu":
        return graph, graph.op(kind, "x", graph.reals(1, low=0.0))
    if kind == "Clip":
        ends = draw(
            st.sampled_from([(0, 6), (-1, 1), (0, None), (None, 1.5), (-0.5, 0.25), (None, None)])
        )
        x = graph.op("Mul", "x", np.float32(2))
        return graph, graph.op(kind, x, *(None if end is None else np.float32(end) for end in ends))
    given = {}
    if kind == "LeakyRelu" and draw(st.booleans()):
        given = {"alpha": draw(st.sampled_from([0.0, 0.1, 0.25]))}
    if kind == "HardSigmoid" and draw(st.booleans()):
        given = {"alpha": 1 / 6, "beta": draw(st.sampled_from([0.5, 0.25]))}
    if kind == "Gelu":
        given = {"approximate": draw(st.sampled_from(["none", "tanh"]))}
    return graph, graph.op(kind, "x", **given)


def bounded(draw, opset):
    graph = Graph(opset, draw(st.sampled_from([(5,), (2, 3, 4)])))
    kind = draw(st.sampled_from(["Max", "Min", "Neg"]))
    if kind == "Neg":
        return graph, graph.op(kind, "x")
    number = graph.constant(np.float32(draw(st.sampled_from([-0.5, 0.0, 1.0]))))
    return graph, graph.op(kind, *draw(st.permutations(["x", number])))


def sum_of_many(draw, opset):
    graph = Graph(opset, (2, 3))
    others = [graph.op(kind, "x") for kind in ("Tanh", "Relu", "Sigmoid")]
    return graph, graph.op("Sum", "x", *others[: draw(st.integers(1, 3))])


def softmax(draw, opset):
    shape = draw(st.sampled_from([(5,), (2, 3), (2, 3, 4)]))
    graph = Graph(opset, shape)
    axis = draw(st.integers(1, len(shape)))
    if opset < 13:
        axis = len(shape)
    return graph, graph.op(
        "Softmax", "x", axis=axis if draw(st.booleans()) else axis - len(shape) - 1
    )


def silu(draw, opset):
    graph = Graph(opset, draw(st.sampled_from([(5,), (2, 3, 4)])))
    x = graph.op("Relu", "x") if draw(st.booleans()) else "x"
    pair = [x, graph.op("Sigmoid", x)]
    return graph, graph.op("Mul", *(pair if draw(st.booleans()) else pair[::-1]))


def hard_swish(draw, opset):
    """As torch writes it before opset 14."""
    graph = Graph(opset, (2, 3, 4))
    if draw(st.booleans()):
        gate = graph.op("HardSigmoid", "x", alpha=1 / 6, beta=0.5)
        return graph, graph.op("Mul", "x", gate)
    shifted = graph.op("Add", "x", np.float32(3))
    gate = graph.op("Div", graph.op("Clip", shifted, np.float32(0), np.float32(6)), np.float32(6))
    return graph, graph.op("Mul", "x", gate)


def gelu(draw, opset):
    """As torch and transformers write it."""
    graph = Graph(opset, draw(st.sampled_from([(5,), (3, 4)])))
    x = graph.op("MatMul", "x", graph.reals(graph.shape[-1], 4)) if draw(st.booleans()) else "x"
    if draw(st.booleans()):
        bend = graph.op(
            "Add", graph.op("Erf", graph.op("Div", x, np.float32(2**0.5))), np.float32(1)
        )
        if draw(st.booleans()):
            return graph, graph.op("Mul", graph.op("Mul", x, bend), np.float32(0.5))
        return graph, graph.op("Mul", graph.op("Mul", x, np.float32(0.5)), bend)
    cube = graph.op("Pow", x, np.float32(3))
    inner = graph.op("Add", x, graph.op("Mul", cube, np.float32(0.044715)))
    bend = graph.op("Tanh", graph.op("Mul", inner, np.float32((2 / np.pi) ** 0.5)))
    half = graph.op("Mul", x, np.float32(0.5))
    return graph, graph.op("Mul", half, graph.op("Add", bend, np.float32(1)))


def layer_norm(draw, opset):
    shape = draw(st.sampled_from([(6,), (3, 4), (2, 3, 4)]))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    weight, bias = graph.reals(shape[-1]), graph.reals(shape[-1])
    if opset >= 17 and draw(st.booleans()):
        axis = draw(st.sampled_from([-1, len(shape)]))
        bias = bias if draw(st.booleans()) else None
        return graph, graph.op("LayerNormalization", "x", weight, bias, axis=axis, epsilon=1e-3)
    mean = graph.with_axes("ReduceMean", "x", (-1,), since=18)
    centred = graph.op("Sub", "x", mean)
    square = (
        graph.op("Pow", centred, np.float32(2))
        if draw(st.booleans())
        else graph.op("Mul", centred, centred)
    )
    variance = graph.with_axes("ReduceMean", square, (-1,), since=18)
    root = graph.op("Sqrt", graph.op("Add", variance, np.float32(1e-3)))
    made = graph.op("Div", centred, root)
    if draw(st.booleans()):
        made = graph.op("Add", graph.op("Mul", made, weight), bias)
    return graph, made


def with_constant(draw, opset):
    shape = draw(st.sampled_from([(4,), (3, 4), (2, 3, 4)]))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    channels = (shape[0], *(1,) * (len(shape) - 1))
    sides = draw(st.sampled_from([(), (1,), channels, (1, *channels)]))
    if kind in ("Add", "Sub") and draw(st.booleans()):
        sides = draw(st.sampled_from([shape, (shape[-1],)]))
    array = graph.reals(*sides, low=0.2, high=2) * draw(st.sampled_from([-1, 1]))
    pair = ["x", graph.constant(array.astype(np.float32))]
    return graph, graph.op(kind, *(pair[::-1] if kind != "Div" and draw(st.booleans()) else pair))


def of_two(draw, opset):
    """Two tensors; for a product one may have sides of 1."""
    shape = draw(st.sampled_from([(4,), (3, 4), (2, 3, 4)]))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["Add", "Sub", "Mul", "Concat"]))
    other = graph.op("Tanh", "x")
    if kind == "Mul" and len(shape) == 3 and draw(st.booleans()):
        other = graph.op("Sigmoid", graph.op("GlobalAveragePool", "x"))
    pair = ["x", other] if draw(st.booleans()) else [other, "x"]
    if kind == "Concat":
        axis = draw(st.integers(1, len(shape)))
        return graph, graph.op(kind, *pair, *draw(st.sampled_from([[], ["x"]])), axis=axis)
    return graph, graph.op(kind, *pair)


def moved(draw, opset):
    """Transpose, Reshape, Flatten, Squeeze, Unsqueeze and what does nothing, several in a row."""
    shape = [1, *(draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 3))))]
    graph, x = Graph(opset, tuple(shape[1:]), draw(st.integers(0, 99))), "x"
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(
            st.sampled_from(
                [
                    "Transpose",
                    "Reshape",
                    "Flatten",
                    "Squeeze",
                    "Unsqueeze",
                    "Identity",
                    "Dropout",
                    "Cast",
                ]
            )
        )
        if kind == "Transpose":
            order = [0, *draw(st.permutations(range(1, len(shape))))]
            x, shape = graph.op(kind, x, perm=order), [shape[i] for i in order]
        elif kind == "Reshape":
            wanted = draw(
                st.sampled_from(
                    [[1, -1], [0, -1], [1, 1, int(np.prod(shape))], [0, -1, 1, 1], shape]
                )
            )
            wanted = list(wanted) if len(shape) > 1 else [1, -1]
            x, shape = graph.op(kind, x, graph.ints(*wanted)), _reshaped(shape, wanted)
        elif kind == "Flatten":
            axis = draw(st.sampled_from([0, 1]))
            x = graph.op(kind, x, axis=axis)
            shape = [1, int(np.prod(shape))]
        elif kind == "Squeeze":
            axes = [i for i in range(1, len(shape)) if shape[i] == 1]
            if axes and len(shape) - len(axes) > 1:
                x = graph.with_axes(kind, x, axes, since=13)
                shape = [side for i, side in enumerate(shape) if i not in axes]
        elif kind == "Unsqueeze" and len(shape) < 5:
            axis = draw(st.integers(1, len(shape)))
            x = graph.with_axes(kind, x, (axis,), since=13)
            shape = [*shape[:axis], 1, *shape[axis:]]
        elif kind == "Cast":
            x = graph.op(kind, x, to=1)
        else:
            x = graph.op(kind if kind == "Dropout" else "Identity", x)
    return graph, graph.op("Relu", x)


def _reshaped(shape, wanted):
    sides = [shape[i] if side == 0 else side for i, side in enumerate(wanted)]
    return [int(np.prod(shape)) // -int(np.prod(sides)) if side == -1 else side for side in sides]


def cut(draw, opset):
    """Slice, Split and Gather."""
    shape = tuple(draw(st.integers(2, 6)) for _ in range(draw(st.integers(1, 3))))
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    axis = draw(st.integers(1, len(shape)))
    side = shape[axis - 1]
    named = axis if draw(st.booleans()) else axis - len(shape) - 1
    kind = draw(st.sampled_from(["Slice", "Split", "Gather"]))
    if kind == "Slice":
        start = draw(st.integers(0, side - 1))
        end = draw(st.sampled_from([side, 2**31 - 1, 2**63 - 1, start + 1]))
        begin = start if draw(st.booleans()) else start - side
        step = draw(st.sampled_from([None, 1, 2]))
        return graph, graph.op(
            "Slice", graph.op("Relu", "x"), graph.ints(begin), graph.ints(end), graph.ints(named),
            None if step is None else graph.ints(step),
        )  # fmt: skip
    if kind == "Gather":
        place = draw(st.integers(-side, side - 1))
        index = np.int64(place) if draw(st.booleans()) else graph.ints(place)
        if len(shape) == 1:
            index = graph.ints(place)
        return graph, graph.op("Gather", "x", index, axis=named)
    first = draw(st.integers(1, side - 1))
    sizes = (first, side - first)
    if opset >= 13:
        a, b = graph.op("Split", "x", graph.ints(*sizes), outputs=2, axis=named)
    else:
        a, b = graph.op("Split", "x", outputs=2, axis=named, split=list(sizes))
    return graph, graph.op("Concat", b, a, axis=named)


def even_split(draw, opset):
    parts = draw(st.sampled_from([2, 3]))
    shape = (parts * draw(st.integers(1, 2)), 3)
    graph = Graph(opset, shape)
    given = {"num_outputs": parts} if opset >= 18 else {}
    made = graph.op("Split", "x", outputs=parts, axis=1, **given)
    total = made[0]
    for each in made[1:]:
        total = graph.op("Add", total, each)
    return graph, total


def resized(draw, opset):
    shape = image(draw, 1, 4)
    graph = Graph(opset, shape)
    if draw(st.booleans()):
        factors = [draw(st.integers(1, 3)) for _ in range(2)]
        made = [side * factor for side, factor in zip(shape[1:], factors, strict=True)]
        way = draw(st.sampled_from([("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")]))
        given = {
            "mode": "nearest",
            "coordinate_transformation_mode": way[0],
            "nearest_mode": way[1],
        }
    else:
        made = [draw(st.integers(1, 7)) for _ in range(2)]
        how = draw(st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners"]))
        if how == "pytorch_half_pixel":
            made = [max(side, 2) for side in made]  # which to 1 value is another function
        given = {"mode": "linear", "coordinate_transformation_mode": how}
    scales = np.array([1, 1, *(m / s for m, s in zip(made, shape[1:], strict=True))], np.float32)
    roi = np.zeros(0, np.float32) if opset < 13 else None
    if given["mode"] == "nearest" and draw(st.booleans()):
        return graph, graph.op("Resize", "x", roi, scales, **given)
    empty = np.zeros(0, np.float32) if opset < 13 else None
    return graph, graph.op("Resize", "x", roi, empty, graph.ints(1, shape[0], *made), **given)


def response_norm(draw, opset):
    graph = Graph(opset, (5, 2, 3))
    given = {"alpha": 0.3, "beta": 0.7, "bias": 1.5} if draw(st.booleans()) else {}
    return graph, graph.op("LRN", "x", size=draw(st.sampled_from([1, 3, 5])), **given)


def recurrent(draw, opset):
    """(images, steps, features), turned to (steps, images, features) and back."""
    kind = draw(st.sampled_from(["LSTM", "GRU"]))
    steps, features, hidden = (draw(st.integers(1, 4)) for _ in range(3))
    gates = {"LSTM": 4, "GRU": 3}[kind]
    graph = Graph(opset, (steps, features), draw(st.integers(0, 99)))
    x = graph.op("Transpose", "x", perm=[1, 0, 2])
    arrays = [graph.reals(1, gates * hidden, features), graph.reals(1, gates * hidden, hidden)]
    arrays.append(graph.reals(1, 2 * gates * hidden) if draw(st.booleans()) else None)
    states = [np.zeros((1, 1, hidden), np.float32)] * {"LSTM": 2, "GRU": 1}[kind]
    arrays += [None, *states] if draw(st.booleans()) else []
    given = {"linear_before_reset": 1} if kind == "GRU" else {}
    count = {"LSTM": 3, "GRU": 2}[kind]
    every, last, *_ = graph.op(kind, x, *arrays, outputs=count, hidden_size=hidden, **given)
    if draw(st.booleans()):
        return graph, graph.op("Relu", graph.with_axes("Squeeze", last, (0,), since=13))
    every = graph.with_axes("Squeeze", every, (1,), since=13)
    return graph, graph.op("Transpose", every, perm=[1, 0, 2])


def by_shape(draw, opset):
    """A shape computed from that of a tensor, as torch writes ``x.view(x.size(0), -1)``."""
    shape = image(draw)
    graph = Graph(opset, shape, draw(st.integers(0, 99)))
    x = graph.op("Relu", "x")
    side = graph.op("Gather", graph.op("Shape", x), np.int64(0), axis=0)
    sides = graph.op(
        "Concat", graph.with_axes("Unsqueeze", side, (0,), since=13), graph.ints(-1), axis=0
    )
    flat = graph.op("Reshape", x, sides)
    return graph, graph.op("Gemm", flat, graph.reals(int(np.prod(shape)), 3), graph.reals(3))


CASES = {
    case.__name__: case
    for case in (
        attention, batch_norm, bounded, by_shape, conv, conv_1d, curve, cut, even_split, gelu, gemm,
        hard_swish, layer_norm, linear, moved, of_two, padded_conv, pool, recurrent, resized,
        response_norm, silu, softmax, sum_of_many, whole_image, with_constant,
    )
}  # fmt: skip


@st.composite
def cases(draw, name):
    """A model of one case, and a batch of one for it."""
    graph, result = CASES[name](draw, draw(st.sampled_from(OPSETS)))
    x = np.random.default_rng(graph.seed + 1).uniform(-4, 4, (1, *graph.shape))
    return graph.model(result), x.astype(np.float32)


CHANNELS, SIDE = 3, 4
KEEPING = {
    "conv": lambda g, x: g.op("Conv", x, g.reals(CHANNELS, CHANNELS, 3, 3), pads=[1] * 4),
    "bias": lambda g, x: g.op("Add", x, g.reals(CHANNELS, 1, 1)),
    "factor": lambda g, x: g.op("Mul", x, g.reals(1, CHANNELS, 1, 1)),
    "half": lambda g, x: g.op("Mul", x, np.float32(0.5)),
    "norm": lambda g, x: g.op(
        "BatchNormalization", x, *(g.reals(CHANNELS) for _ in range(3)), g.reals(CHANNELS, low=0.5)
    ),
    "relu": lambda g, x: g.op("Relu", x),
    "sigmoid": lambda g, x: g.op("Sigmoid", x),
    "tanh": lambda g, x: g.op("Tanh", x),
    "identity": lambda g, x: g.op("Identity", x),
    "back and forth": lambda g, x: g.op(
        "Transpose", g.op("Transpose", x, perm=[1, 0, 2, 3]), perm=[1, 0, 2, 3]
    ),
    "three": lambda g, x: g.op("Add", x, np.float32(3)),
    "six": lambda g, x: g.op("Clip", x, np.float32(0), np.float32(6)),
    "sixth": lambda g, x: g.op("Div", x, np.float32(6)),
    "flat": lambda g, x: g.op(
        "Reshape", g.op("Reshape", x, g.ints(1, -1)), g.ints(1, CHANNELS, SIDE, SIDE)
    ),
    "linear": lambda g, x: g.op("MatMul", x, g.reals(SIDE, SIDE)),
    "token bias": lambda g, x: g.op("Add", x, g.reals(SIDE)),
}
JOINING = ("Add", "Sub", "Mul")


@st.composite
def webs(draw):
    """A model of operators that keep the shape, each of which reads any tensor made before it."""
    graph = Graph(draw(st.sampled_from(OPSETS)), (CHANNELS, SIDE, SIDE), draw(st.integers(0, 999)))
    made = [graph.op("Relu", "x")]
    for _ in range(draw(st.integers(2, 9))):
        source = made[-1] if draw(st.booleans()) else draw(st.sampled_from(made))
        kind = draw(st.sampled_from([*KEEPING, *JOINING, *JOINING]))
        if kind in KEEPING:
            made.append(KEEPING[kind](graph, source))
        else:
            made.append(graph.op(kind, source, draw(st.sampled_from(made))))
    x = np.random.default_rng(graph.seed).uniform(-2, 2, (1, *graph.shape)).astype(np.float32)
    return graph.model(made[-1]), x
