"""Files that hold no model, or claim what they do not hold: one sentence each."""

from itertools import pairwise
from time import perf_counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qsim.errors import QsimError
from qsim.network.reference import run_float
from qsim.onnx_reader import read_onnx
from qsim.onnx_reader.files import read_message, tensor_array

FLOAT = TensorProto.FLOAT


def model_of(nodes, tensors=(), *, sides=(1, 2), opset=17, functions=(), **arguments):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, sides)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        tensors,
    )
    opsets = [
        helper.make_opsetid("", opset),
        *(helper.make_opsetid(f.domain, 1) for f in functions),
    ]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=9, functions=list(functions), **arguments
    )


def relu():
    return model_of([helper.make_node("Relu", ["x"], ["y"], name="relu")])


def written(folder, model):
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def assert_refused(path, reason, read=read_onnx):
    with pytest.raises(QsimError, match=reason) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_model_is_read(tmp_path):
    read = read_onnx(written(tmp_path, relu()))
    assert read.network.name == "model"
    assert run_float(read.network, read.weights, np.array([[-1, 2]]))["relu"].tolist() == [[0, 2]]


def changed(**fields):
    model = relu()
    for name, value in fields.items():
        setattr(model, name, value)
    return model


def without_graph():
    model = relu()
    model.ClearField("graph")
    return model


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"GIF89a and other things", "not an ONNX model, or cut short"),
        (b"\x08\x01", "not an ONNX model with a graph of nodes"),
        (relu().SerializeToString()[:-9], "not an ONNX model, or cut short"),
        (changed(ir_version=0), "not an ONNX model with a graph"),
        (without_graph(), "not an ONNX model with a graph"),
        (model_of([]), "not an ONNX model with a graph"),
        (model_of([helper.make_node("Relu", ["x"], ["y"])], opset=10), "version 10 of ONNX's operators; those from 11 to"),
        (model_of([helper.make_node("Relu", ["x"], ["y"])], opset=999), "version 999 of ONNX's operators"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_refused(data, reason, tmp_path):
    assert_refused(written(tmp_path, data), reason)


def test_names_that_are_not_text_are_refused(tmp_path):
    data = relu().SerializeToString()
    assert_refused(
        written(tmp_path, data.replace(b"Relu", b"Re\xffu")), "holds a op_type that is not"
    )
    assert_refused(written(tmp_path, data.replace(b"\x01x", b"\x01\xff")), "is not text in UTF-8")
    assert_refused(written(tmp_path, data.replace(b"Relu", b"Re\nu")), "op_type with unprintable")


def test_what_is_no_file_is_refused(tmp_path):
    assert_refused(tmp_path, "is no file; name an ONNX file")
    assert_refused(tmp_path / "missing.onnx", "no such file")
    assert_refused(tmp_path / "null\0.onnx", "cannot be read")


def test_a_model_that_names_no_version_of_operators_is_refused(tmp_path):
    model = relu()
    model.ClearField("opset_import")
    assert_refused(written(tmp_path, model), "does not say which version")


def test_a_file_is_not_read_beyond_a_limit(tmp_path):
    path = written(tmp_path, relu())
    size = path.stat().st_size
    assert_refused(
        path,
        f"has {size} bytes, more than the {size - 1} that are read",
        lambda p: read_message(p, size - 1),
    )
    assert read_message(path, size).graph.node


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**33)  # a hole, which takes no room
    assert_refused(path, "has 8,589,934,592 bytes, more than")


def test_without_onnx_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    path = written(tmp_path, relu())
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(QsimError, match=r"needs the package onnx; install qsim\[onnx\]"):
        read_onnx(path)


def test_an_old_onnx_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "__version__", "1.18.0")
    with pytest.raises(QsimError, match=r"the package onnx is 1\.18\.0"):
        read_onnx(written(tmp_path, relu()))


# tensors


def tensor(dims=(2,), kind=FLOAT, **fields):
    made = TensorProto(name="w", dims=dims, data_type=kind)
    for name, value in fields.items():
        if isinstance(value, bytes):
            setattr(made, name, value)
        else:
            getattr(made, name).extend(value)
    return made


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (tensor(raw_data=b"\0" * 7), r"does not hold the FLOAT values of its sides \[2\]"),
        (tensor(float_data=[1.0]), "does not hold the FLOAT values"),
        (tensor((-1,), float_data=[1.0]), r"has the sides \[-1\]"),
        (tensor((2**40, 2**40)), "at most 2,147,483,648 values"),
        (tensor((2**31,)), "does not hold the FLOAT values"),
        (
            tensor(kind=TensorProto.STRING, string_data=[b"a", b"b"]),
            "tensor 'w': holds STRING values",
        ),
        (tensor(kind=TensorProto.COMPLEX64, raw_data=b"\0" * 16), "COMPLEX64"),
        (tensor(kind=99, raw_data=b"\0" * 8), "type 99"),
        (tensor(kind=0, raw_data=b"\0" * 8), "UNDEFINED"),
    ],
)
def test_a_tensor_that_is_not_what_it_says_is_refused(made, reason, tmp_path):
    model = model_of([helper.make_node("Mul", ["x", "w"], ["y"])], [made])
    assert_refused(written(tmp_path, model), reason)


def test_a_tensor_in_segments_is_refused(tmp_path):
    made = tensor(float_data=[1.0, 2.0])
    made.segment.begin, made.segment.end = 0, 2
    model = model_of([helper.make_node("Mul", ["x", "w"], ["y"])], [made])
    assert_refused(written(tmp_path, model), "is stored in segments")


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("FLOAT", [0.1, -2], np.float32([0.1, -2])),
        ("DOUBLE", [0.1, 1e300], np.float32([0.1, np.inf])),
        ("FLOAT16", [0.1, -2], np.float16([0.1, -2]).astype(np.float32)),
        ("BFLOAT16", [1.5, -2], np.float32([1.5, -2])),
        ("INT8", [-128, 127], np.int8([-128, 127])),
        ("INT4", [-8, 7], np.int8([-8, 7])),
        ("UINT4", [15, 0], np.uint8([15, 0])),
        ("INT64", [2**62, -1], np.int64([2**62, -1])),
        ("BOOL", [True, False], np.array([True, False])),
    ],
)
def test_values_come_in_types_of_numpy(kind, values, expected, tmp_path):
    made = helper.make_tensor("w", getattr(TensorProto, kind), [2], values)
    got = tensor_array(tmp_path / "model.onnx", made)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


# values in other files


def external(folder, *, values=b"\0" * 8, name="w.bin", **entries):
    if values is not None:
        (folder / name).write_bytes(values)
    made = TensorProto(name="w", dims=[2], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": name, **entries}.items():
        made.external_data.add(key=key, value=str(value))
    return written(folder, model_of([helper.make_node("Mul", ["x", "w"], ["y"], name="m")], [made]))


def test_values_in_a_file_beside_the_model_are_read(tmp_path):
    stored = np.float32([9, 9, 2, 4]).tobytes()
    read = read_onnx(external(tmp_path, values=stored, offset=8, length=8))
    assert run_float(read.network, read.weights, np.array([[3, 5]]))["m"].tolist() == [[6, 20]]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"location": "../w.bin"}, "must lie in a file within the model's folder"),
        ({"location": "inner/../../w.bin"}, "must lie in a file within the model's folder"),
        ({"location": "/etc/passwd"}, "must lie in a file within the model's folder"),
        ({"location": ""}, "must lie in a file within the model's folder"),
        ({"location": "."}, "must lie in a file within the model's folder"),
        ({"location": "a\0b"}, "must lie in a file within the model's folder"),
        ({"location": "missing.bin"}, "must lie in a file within the model's folder"),
        ({"location": "x" * 5000}, "cannot be read"),
        ({"offset": 4}, "does not hold the FLOAT values"),
        ({"offset": 9}, "lie beyond the end of w.bin"),
        ({"length": 9}, "lie beyond the end of w.bin"),
        ({"offset": -1}, "lie beyond the end of w.bin"),
        ({"length": -1}, "lie beyond the end of w.bin"),
        ({"length": 4}, "does not hold the FLOAT values"),
        ({"offset": "two"}, "says no whole number"),
        ({"offset": "9" * 5000}, "says no whole number"),
    ],
)
def test_values_elsewhere_or_beyond_the_end_are_refused(entries, reason, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"\0" * 8)
    folder = tmp_path / "model"
    folder.mkdir()
    assert_refused(external(folder, **entries), reason)


def test_a_file_that_is_longer_than_the_tensor_is_not_read(tmp_path):
    path = external(tmp_path)
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(2**33)
    assert_refused(path, "says 8,589,934,592 bytes, more than its sides hold")


def test_links_that_leave_the_folder_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0" * 8)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    path = external(folder, values=None)
    assert_refused(path, "must lie in a file within the model's folder")
    (folder / "w.bin").unlink()
    (folder / "w.bin").symlink_to(folder / "w.bin")
    assert_refused(path, "must lie in a file within the model's folder|cannot be read")


def test_a_pipe_is_refused_without_waiting(tmp_path):
    import os

    path = external(tmp_path, values=None)
    os.mkfifo(tmp_path / "w.bin")
    assert_refused(path, "must lie in a file within the model's folder")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert_refused(tmp_path / "pipe.onnx", "is no file")


# functions


def function(name, *called):
    """A function of the domain ``own`` that goes through others in turn."""
    names = ["a", *(f"t{i}" for i in range(len(called) - 1)), "b"]
    nodes = [
        helper.make_node(kind, [names[i]], [names[i + 1]], domain="" if kind == "Relu" else "own")
        for i, kind in enumerate(called)
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, opsets)


def calling(name, *functions):
    return model_of([helper.make_node(name, ["x"], ["y"], domain="own")], functions=functions)


def test_functions_are_written_out(tmp_path):
    model = calling("Twice", function("Twice", "Once", "Once"), function("Once", "Relu"))
    assert len(read_onnx(written(tmp_path, model)).network.layers) == 2


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ([function("A", "A")], "function 'A' calls itself"),
        ([function("A", "B"), function("B", "A")], "calls itself"),
        ([function("A", "Relu"), function("A", "Relu")], "function 'A' is defined twice"),
        ([function("A", "F0")] + [function(f"F{i}", f"F{i + 1}") for i in range(150)], "more than 100 deep"),
        (
            [function("A", "F0")]
            + [function(f"F{i}", *[f"F{i + 1}"] * 10) for i in range(9)]
            + [function("F9", "Relu")],
            "has 1,000,000,000 nodes once its functions are written out",
        ),
    ],
)  # fmt: skip
def test_functions_without_end_are_refused(functions, reason, tmp_path):
    assert_refused(written(tmp_path, calling("A", *functions)), reason)


# graphs


def nodes(*triples):
    return [
        helper.make_node(kind, reads, makes, name=kind.lower()) for kind, reads, makes in triples
    ]


W = numpy_helper.from_array(np.ones(2, np.float32), "w")


@pytest.mark.parametrize(
    ("made", "tensors", "reason"),
    [
        (nodes(("Relu", ["z"], ["y"])), [], "Relu 'relu' reads 'z', which nothing makes"),
        (nodes(("Relu", ["x"], ["z"])), [], "its output 'y' is made by no node"),
        (nodes(("Add", ["x", "z"], ["y"]), ("Relu", ["y"], ["z"])), [], "Add 'add' reads, through others, what it makes"),
        (nodes(("Relu", ["x"], ["y"]), ("Tanh", ["x"], ["y"])), [], "tensor 'y' is made twice, by Tanh 'tanh' too"),
        (nodes(("Relu", ["x"], ["x"])), [], "tensor 'x' is made twice"),
        (nodes(("Mul", ["x", "w"], ["y"])), [W, W], "tensor 'w' is stored twice"),
        (nodes(("Relu", ["w"], ["y"])), [W], r"operators that are not read: Relu 'relu' \(of constants alone\)"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_well_made_is_refused(made, tensors, reason, tmp_path):
    assert_refused(written(tmp_path, model_of(made, tensors)), reason)


def test_many_nodes_of_one_name_are_read_in_seconds(tmp_path):
    names = ["x", *(f"t{i}" for i in range(2999)), "y"]
    made = [helper.make_node("Relu", [a], [b], name="relu") for a, b in pairwise(names)]
    start = perf_counter()
    layers = read_onnx(written(tmp_path, model_of(made))).network.layers
    assert perf_counter() - start < 20  # a second; where each anchor is tried on its own, 75
    assert [layer.name for layer in layers[:3]] == ["relu", "relu_2", "relu_3"]
    assert len({layer.name for layer in layers}) == 3000


def test_the_shape_of_a_tensor_without_end_is_refused(tmp_path):
    made = nodes(("Shape", ["x"], ["s"]), ("Reshape", ["x", "s"], ["y"]))
    path = written(tmp_path, model_of(made, sides=(1, *[2**20] * 4)))
    assert_refused(path, "Shape 'shape': it reads a tensor of")


def test_constants_without_end_are_refused(tmp_path):
    """Each of a size that is read, and together more than that."""
    side = numpy_helper.from_array(np.array([2**13, 2**13]), "s")
    made = [helper.make_node("Expand", ["w1", "s"], [f"e{i}"], name=f"e{i}") for i in range(100)]
    made.append(helper.make_node("Sum", ["x", *(f"e{i}" for i in range(100))], ["y"]))
    one = numpy_helper.from_array(np.ones(1, bool), "w1")
    reason = "Expand 'e4': the graph makes over 268,435,456 values of its constants"
    assert_refused(written(tmp_path, model_of(made, [side, one])), reason)


def test_graphs_in_graphs_are_refused(tmp_path):
    inner = helper.make_graph(
        nodes(("Relu", ["x"], ["z"])),
        "inner",
        [],
        [helper.make_tensor_value_info("z", FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["y"], name="if", then_branch=inner, else_branch=inner)
    condition = numpy_helper.from_array(np.array(True), "c")
    assert_refused(written(tmp_path, model_of([node], [condition])), "is a graph or another kind")


def test_sparse_tensors_are_refused(tmp_path):
    model = relu()
    model.graph.sparse_initializer.add().values.name = "s"
    assert_refused(written(tmp_path, model), "tensor 's' is sparse")


def test_inputs_that_are_not_understood_are_refused(tmp_path):
    model = relu()
    model.graph.input.add().CopyFrom(model.graph.input[0])
    assert_refused(written(tmp_path, model), "has two inputs called 'x'")
    assert_refused(
        written(tmp_path, model_of(nodes(("Relu", ["x"], ["y"])), sides=[1] * 17)),
        "more than 16 axes",
    )
    assert_refused(
        written(tmp_path, model_of(nodes(("Relu", ["x"], ["y"])), sides=(1, 2**30))),
        "has a side of",
    )
    assert_refused(
        written(tmp_path, model_of(nodes(("Relu", ["x"], ["y"])), sides=(1,))), "has 1 axes"
    )
    assert_refused(
        written(tmp_path, model_of(nodes(("Relu", ["x"], ["y"])), sides=None)),
        "does not say its shape",
    )
    model = relu()
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    assert_refused(written(tmp_path, model), "input 'x' is no tensor")


def test_a_file_of_another_version_of_onnx_is_read_where_it_is_known(tmp_path):
    for opset in range(11, onnx.defs.onnx_opset_version() + 1):
        model = model_of(nodes(("Relu", ["x"], ["y"])), opset=opset)
        assert read_onnx(written(tmp_path, model)).network.output == "relu"
