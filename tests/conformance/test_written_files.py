"""Files of written programs: read again, damaged, and those that cannot be written."""

import random
import sys

import numpy as np
import pytest
from conformance.peers import ONNX, load
from programs import program_for, residual_network

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.network.graph import Network
from qsim.network.layers import Conv
from qsim.onnx_reader import read_onnx
from qsim.onnx_writer import onnx_model, write_onnx

FORMS = ["qdq", "qoperator"]
DAMAGES = 400  # of each file


def built(network=None, bits=8):
    return program_for(
        network or residual_network(), {"fixed": {"bits": 8}},
        activations={"affine": {"bits": bits}}, requantize="onnxruntime",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def peer():
    load(ONNX)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_holds_the_program(tmp_path, form):
    program, images = built()
    write_onnx(program, form, tmp_path / "residual.onnx")
    held = read_onnx(tmp_path / "residual.onnx")
    assert held.network.name == "residual" and held.notes == ()
    ends = [execute(each, images)["fc"].value.terms[0][0] for each in (program, held.program)]
    assert np.array_equal(*ends)


@pytest.mark.parametrize("form", FORMS)
def test_a_model_says_who_made_it_and_leaves_the_number_of_images_open(form):
    model = onnx_model(built()[0], form)
    assert (model.producer_name, model.ir_version) == ("qsim", 10)
    assert model.opset_import[0].version == 21
    ends = (*model.graph.input, *model.graph.output)
    assert [end.type.tensor_type.shape.dim[0].dim_param for end in ends] == ["N", "N"]


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(QsimError, match=r"model.onnx: cannot be written: No such file"):
        write_onnx(built()[0], "qdq", tmp_path / "absent" / "model.onnx")


def test_nothing_is_written_of_what_is_refused(tmp_path):
    program, _ = program_for(residual_network(), {"fixed": {"bits": 8}})
    with pytest.raises(QsimError, match=r"execute.requantize: onnx is no arithmetic of ONNX"):
        write_onnx(program, "qdq", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_names_that_would_be_those_of_two_tensors_are_refused():
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        Conv(name="a_unbounded", out_channels=2, kernel=1),
        Conv(name="last", out_channels=2, kernel=1),
    )
    program, _ = built(Network("twice", (2, 3, 3), layers), bits=4)
    words = "network twice: two tensors would be named 'a_unbounded_quantized'; rename a layer"
    with pytest.raises(QsimError, match=words):
        onnx_model(program, "qoperator")


def test_without_onnx_one_sentence_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(QsimError, match=r"needs the package onnx; install qsim\[onnx\]"):
        onnx_model(built()[0], "qdq")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["bytes", "fields"])
def test_a_damaged_file_is_read_or_refused_with_a_sentence(tmp_path, form, kind):
    program, images = built()
    data, path = onnx_model(program, form).SerializeToString(), tmp_path / "damaged.onnx"
    chance, refused = random.Random(f"{form} {kind}"), 0
    for _ in range(DAMAGES):
        path.write_bytes({"bytes": in_bytes, "fields": in_fields}[kind](data, chance))
        try:
            held = read_onnx(path)
            if held.program is not None:
                execute(held.program, images[:1])
        except QsimError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > DAMAGES / 4


def in_bytes(data, chance):
    """Some bytes changed, left out or put in, or the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        kind, at = chance.random(), chance.randrange(len(changed))
        if kind < 0.6:
            changed[at] = chance.randrange(256)
        elif kind < 0.75:
            del changed[at : at + chance.randrange(1, 6)]
        elif kind < 0.9:
            changed[at:at] = chance.randbytes(5)
        else:
            del changed[at + 1 :]
    return bytes(changed)


def in_fields(data, chance):
    """An operator, an input, an attribute or a constant that is another."""
    model = load(ONNX).ModelProto.FromString(data)
    nodes, constants = list(model.graph.node), list(model.graph.initializer)
    node, tensor = chance.choice(nodes), chance.choice(constants)
    kind = chance.random()
    if kind < 0.3:
        names = [each.name for each in constants] + [n.output[0] for n in nodes] + ["", "input"]
        node.input[chance.randrange(len(node.input))] = chance.choice(names)
    elif kind < 0.5:
        node.op_type = chance.choice([n.op_type for n in nodes] + ["Clip", "Reshape", "Cast"])
    elif kind < 0.6:
        del node.input[chance.randrange(len(node.input))]
    elif kind < 0.75 and node.attribute:
        attribute = chance.choice(list(node.attribute))
        if attribute.ints:
            side = chance.randrange(len(attribute.ints))
            attribute.ints[side] = chance.choice([-1, 0, 1, 2, 100, 2**40])
        else:
            attribute.i = chance.choice([-5, 0, 1, 7, 2**31])
    elif kind < 0.85 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice([0, 1, 7, -1, 2**33])
    elif kind < 0.95:
        tensor.data_type = chance.randrange(1, 20)
    else:
        tensor.raw_data = chance.randbytes(len(tensor.raw_data))
    return model.SerializeToString()
