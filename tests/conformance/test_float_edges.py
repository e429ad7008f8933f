"""Where a float graph is easily taken for another: it computes what ONNX Runtime computes, or is
refused in a sentence that says why."""

import numpy as np
import pytest
from conformance.float_graphs import Graph
from conformance.peers import ONNX, load
from conformance.test_float_models import CLOSE, ours, results

from qsim.errors import QsimError
from qsim.onnx_reader import OnnxOptions

ONE = np.float32(1)


def shared_bias(g):
    """A bias that is added to one of two names of a convolution's result."""
    made = g.op("Conv", "x", g.reals(3, 3, 3, 3), pads=[1] * 4)
    return g.op("Mul", g.op("Add", g.op("Identity", made), g.reals(3, 1, 1)), made)


def limited_silu(g):
    limited = g.op("Clip", "x", np.float32(-10), np.float32(10))
    return g.op("Mul", limited, g.op("Sigmoid", limited))


def limited_gate(g):
    """x * sigmoid(clip(x)), which is no SiLU far from 0."""
    return g.op("Mul", "x", g.op("Sigmoid", g.op("Clip", "x", np.float32(-10), np.float32(10))))


EQUAL = {
    "shared bias": (shared_bias, (3, 4, 4), 17),
    "old softmax": (lambda g: g.op("Softmax", "x", axis=1), (5, 1, 1), 11),
    "largest of three": (lambda g: g.op("Mul", "x", g.op("Max", ONE, 2 * ONE, 5 * ONE)), (4,), 17),
    "half precision": (
        lambda g: g.op("Mul", "x", g.op("Cast", g.op("Cast", ONE * 1000.3, to=10), to=1)), (4,), 17,
    ),
    "limited silu": (limited_silu, (40,), 17),
    "limited gate": (limited_gate, (40,), 17),
    "swish": (lambda g: g.op("Swish", "x"), (4,), 24),
    "an axis from the last": (lambda g: g.op("Relu", g.op("Flatten", "x", axis=-3)), (2, 3, 4), 17),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_it_computes_what_onnx_runtime_does(name, tmp_path):
    build, shape, opset = EQUAL[name]
    graph = Graph(opset, shape, 1)
    model = graph.model(build(graph))
    x = (20 * np.random.default_rng(0).standard_normal((1, *shape))).astype(np.float32)
    [expected] = results(model, {"x": x})
    np.testing.assert_allclose(ours(tmp_path, model, x).reshape(expected.shape), expected, **CLOSE)


def recurrent(g, *states, result=1, kind="LSTM", **given):
    x = g.op("Transpose", "x", perm=[1, 0, 2])
    gates = {"LSTM": 4, "GRU": 3}[kind]
    weights = g.reals(1, gates * 2, 3), g.reals(1, gates * 2, 2), None
    count = {"LSTM": 3, "GRU": 2}[kind]
    made = g.op(kind, x, *weights, *states, outputs=count, hidden_size=2, **given)
    return g.op("Relu", made[result])


def padded(g):
    return g.op("Pad", "x", g.ints(0, 0, 1, 1, 0, 0, 1, 1))


def sized(g, *sides, **given):
    return g.op("Resize", "x", None, None, g.ints(*sides), **{"mode": "linear"} | given)


def scaled(g, scale, **given):
    return g.op("Resize", "x", None, np.array([1, 1, scale, scale], np.float32), **given)


def normalised(g, power, axes=None):
    axes = g.ints(-1) if axes is None else axes
    centred = g.op("Sub", "x", g.op("ReduceMean", "x", axes))
    spread = g.op("ReduceMean", g.op("Pow", centred, power), axes)
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", spread, ONE / 8)))


NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
REFUSED = {
    "statistics of a batch": (
        lambda g: g.op("BatchNormalization", "x", *[g.reals(3, low=0.1) for _ in range(4)],
                       training_mode=1, outputs=3)[0],
        (3, 4, 4), "BatchNormalization 'n0': it normalises by the statistics of a batch",
    ),
    "a bias for each image": (
        lambda g: g.op("Gemm", "x", g.reals(5, 4), g.reals(4, 1)), (5,),
        r"Gemm 'n0': a constant of shape \(4, 1\) is not one for each row",
    ),
    "same padding of padding": (
        lambda g: g.op("Conv", padded(g), g.reals(2, 3, 3, 3), auto_pad="SAME_UPPER"), (3, 6, 6),
        r"Conv 'n1': it pads \(SAME_UPPER\) what Pad has padded",
    ),
    "rounded up windows of padding": (
        lambda g: g.op("AveragePool", padded(g), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        (3, 5, 6), "it pads what Pad has padded",
    ),
    "padding that nothing takes": (lambda g: g.op("Relu", padded(g)), (3, 4, 4), "it reads what Pad made"),
    "numbers to integers": (
        lambda g: g.op("Cast", g.op("Cast", g.op("Relu", "x"), to=7), to=1), (4,),
        "Cast 'n1': a cast to integers is not read",
    ),
    "a choice that repeats": (
        lambda g: g.op("Where", np.ones((1, 4, 4), bool), g.op("Relu", "x"), ONE), (1, 4),
        "a tensor that is repeated is not read",
    ),
    "a tensor that repeats": (
        lambda g: g.op("Expand", g.op("Relu", "x"), g.ints(1, 3, 4)), (1, 4), "is repeated",
    ),
    "a tiny divisor": (
        lambda g: g.op("Div", "x", np.float32(1e-42)), (4,), "its weight would be no finite float32",
    ),
    "a division by 0": (lambda g: g.op("Div", "x", np.float32(0)), (4,), "it divides by 0"),
    "an infinite power": (
        lambda g: g.op("LRN", "x", size=3, beta=float("inf")), (3, 2, 2), "are not all finite",
    ),
    "an infinite factor": (
        lambda g: g.op("Gemm", "x", g.reals(4, 3), alpha=float("inf")), (4,), "no finite float32",
    ),
    "NaN weights": (
        lambda g: g.op("MatMul", "x", np.full((4, 2), np.nan, np.float32)), (4,), "NaN or infinite",
    ),
    "weights of integers": (
        lambda g: g.op("Conv", "x", np.ones((2, 3, 3, 3), np.int64)), (3, 4, 4),
        "its input 1 is int64, not real numbers",
    ),
    "a norm along another axis": (
        lambda g: g.op("LayerNormalization", "x", g.reals(3, 1)), (3, 3),
        r"a constant of shape \(3, 1\) is not one for each row",
    ),
    "smoothed images": (lambda g: sized(g, 1, 1, 3, 3, antialias=1), (1, 8, 8), "antialias"),
    "axes of a size": (lambda g: sized(g, 8, 8, axes=[2, 3]), (1, 4, 4), "made|axes"),
    "sides in proportion": (
        lambda g: sized(g, 1, 1, 8, 6, keep_aspect_ratio_policy="not_larger"), (1, 4, 4),
        "keep_aspect_ratio_policy",
    ),
    "a side of 1": (
        lambda g: sized(g, 1, 1, 1, 1, coordinate_transformation_mode="pytorch_half_pixel"),
        (1, 4, 4), "pytorch_half_pixel to a side of 1",
    ),
    "half a value": (lambda g: scaled(g, 1.5, mode="linear"), (1, 5, 5), "makes no whole sides"),
    "nearly twice": (lambda g: scaled(g, 2.1, **NEAREST), (1, 4, 4), "makes no whole sides"),
    "sequences that end": (
        lambda g: recurrent(g, np.array([2], np.int32)), (5, 3), "end before the last step",
    ),
    "states": (lambda g: recurrent(g, None, g.reals(1, 1, 2)), (5, 3), "states that do not begin at 0"),
    "a cell state": (lambda g: recurrent(g, result=2), (5, 3), "LSTM 'n1': its result 't1_2' is not read"),
    "backward": (lambda g: recurrent(g, direction="reverse"), (5, 3), "direction reverse is not read"),
    "layout": (lambda g: recurrent(g, layout=1), (5, 3), "layout 1"),
    "reset before": (lambda g: recurrent(g, kind="GRU"), (5, 3), "linear_before_reset 0"),
    "activations": (
        lambda g: recurrent(g, activations=["Sigmoid", "Relu", "Tanh"]), (5, 3), "other activations",
    ),
    "clipped gates": (lambda g: recurrent(g, clip=1.0), (5, 3), "clipped or coupled gates"),
    "images beside images": (
        lambda g: g.op("Add", g.op("Transpose", "x", perm=[1, 0, 2]), "x"), (4, 3), "across images",
    ),
    "places of the largest": (
        lambda g: g.op("MaxPool", "x", kernel_shape=[2, 2], outputs=2)[1], (1, 4, 4),
        "MaxPool 'n0': its result 't0_1' is not read",
    ),
    "windows with gaps": (
        lambda g: g.op("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]), (1, 4, 4), "dilations",
    ),
    "three inputs": (
        lambda g: g.op("Mul", "x", g.op("Add", ONE, ONE, ONE)), (4,), "Add 'n0': has 3 inputs; 2 to 2",
    ),
    "no inputs": (lambda g: g.op("Add", "x", g.op("Sigmoid")), (4,), "Sigmoid 'n0': has 0 inputs"),
    "an axis too many": (lambda g: g.op("Softmax", "x", axis=9), (4, 3), "it names axis 9 of a tensor"),
    "an axis of another type": (
        lambda g: g.op("Softmax", "x", axis=[1.0]), (4, 3), "its attribute 'axis' is of another type",
    ),
    "an attribute of its own": (
        lambda g: g.op("Relu", "x", slope=1.0), (4,), "has an attribute 'slope', which ONNX has not",
    ),
    "an attribute left out": (lambda g: g.op("Concat", "x", "x"), (4,), "lacks its attribute 'axis'"),
    "a single number indexed": (
        lambda g: g.op("Mul", "x", g.op("Gather", ONE, np.int64(0))), (4,), "cannot be computed from its constants",
    ),
    "axes without end": (
        lambda g: g.op("Relu", g.op("Reshape", "x", g.ints(*[1] * 70, 4))), (4,), "71 axes",
    ),
    "dropped at random": (
        lambda g: g.op("Relu", g.op("Dropout", "x", ONE / 2, np.bool_(True))), (4,), "training_mode",
    ),
    "a constant with more axes": (
        lambda g: g.op("Mul", "x", 2 * np.ones((1,) * 5, np.float32)), (3, 4, 4), "does not fit",
    ),
    "an empty range": (lambda g: g.op("Clip", "x", ONE, ONE), (4,), "leave no values"),
    "nothing done": (lambda g: g.op("Identity", "x"), (4,), "is not computed from the input"),
    "constants without end": (
        lambda g: g.op("Mul", "x", g.op("ConstantOfShape", g.ints(2**20, 2**20))), (4,),
        "it would make an array of",
    ),
    "steep slopes": (lambda g: g.op("LeakyRelu", "x", alpha=2.0), (4,), "a slope of 2 is not read"),
    "slopes that differ": (
        lambda g: g.op("PRelu", "x", g.reals(3, 1, 1, low=0)), (3, 2, 2), "slopes that differ",
    ),
    "weights that are computed": (
        lambda g: g.op("Conv", "x", g.op("Reshape", "x", g.ints(1, 3, 4, 4))), (3, 4, 4),
        "its input 1 must be a constant of the file",
    ),
    "a square of each by its own power": (
        lambda g: normalised(g, np.full(4, 2, np.float32)), (3, 4), "operators that are not read: Pow",
    ),
    "a normalisation along another axis": (
        lambda g: normalised(g, np.float32(2), g.ints(1)), (3, 4), "operators that are not read: Pow",
    ),
    "a normalisation along an axis that is computed": (
        lambda g: normalised(g, np.float32(2), g.op("Reshape", g.op("Cast", "x", to=7), g.ints(-1))),
         (1,), "operators that are not read: Pow 'n4', Sqrt",
    ),
    "bounds that differ": (lambda g: g.op("Max", "x", g.reals(4)), (4,), "is no single number"),
    "a constant first": (lambda g: g.op("MatMul", g.reals(4, 4), "x"), (4, 4), "the constant comes second"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_and_reason(name, tmp_path):
    build, shape, reason = REFUSED[name]
    load(ONNX)
    graph = Graph(18, shape, 1)
    model = graph.model(build(graph))
    with pytest.raises(QsimError, match=reason) as error:
        ours(tmp_path, model, np.zeros((1, *shape), np.float32))
    assert str(error.value).startswith(str(tmp_path / "model.onnx"))
    assert "\n" not in str(error.value)


def test_all_operators_that_are_not_read_are_named_at_once(tmp_path):
    load(ONNX)
    graph = Graph(17, (4,))
    numbers = graph.op("Sqrt", ONE)  # of constants, which is read
    x = graph.op("Mul", graph.op("Softplus", graph.op("Sqrt", "x")), numbers)
    model = graph.model(graph.op("Elu", x))
    with pytest.raises(
        QsimError, match="operators that are not read: Sqrt 'n1', Softplus 'n2', Elu 'n4'"
    ):
        ours(tmp_path, model, np.zeros((1, 4), np.float32))


def test_what_the_wanted_result_is_not_made_of_is_not_read(tmp_path):
    graph = Graph(17, (4,))
    graph.op("Elu", "x")
    model = graph.model(graph.op("Relu", "x"))
    model.graph.output.add(name="t0", type=model.graph.output[0].type)
    x = np.array([[-1, 2, -3, 4]], np.float32)
    np.testing.assert_array_equal(
        ours(tmp_path, model, x, OnnxOptions(output="t1")), np.maximum(x, 0)
    )
    with pytest.raises(QsimError, match="has the results 't1', 't0'; a network has one, choose it"):
        ours(tmp_path, model, x)
    with pytest.raises(QsimError, match="has no result 't2'"):
        ours(tmp_path, model, x, OnnxOptions(output="t2"))


def test_integers_that_are_fed_are_cast_or_look_up_rows(tmp_path):
    onnx = load(ONNX)
    graph = Graph(17, (3,))
    model = graph.model(graph.op("Mul", graph.op("Cast", "x", to=1), ONE / 4))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    x = np.array([[0, 7, 255]], np.uint8)
    [expected] = results(model, {"x": x})
    np.testing.assert_array_equal(ours(tmp_path, model, x), expected)
    graph = Graph(17, (3,))
    model = graph.model(graph.op("Cast", graph.op("Div", "x", graph.ints(4)), to=1))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    with pytest.raises(QsimError, match="Div 'n0': it reads integers of the input"):
        ours(tmp_path, model, x)
