"""What is not read of QONNX, and what is not written as QONNX: one sentence each."""

from dataclasses import replace

import numpy as np
import pytest
from conformance import qonnx_models as models
from conformance.generators import SEEDS
from conformance.peers import ONNX, load
from conformance.test_qonnx_models import read
from hypothesis import given, settings
from programs import program_for, residual_network, varied_network

from qsim.errors import InputError, QsimError
from qsim.execute import execute
from qsim.formats import BinaryActivations
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import Network
from qsim.network.layers import Conv, Flatten, Linear
from qsim.network.recurrent import Lstm
from qsim.onnx_reader import read_onnx
from qsim.onnx_writer import qonnx_model, write_qonnx
from qsim.verify import count_checked

WEIGHT = np.float32([[1, -0.5, 0.25], [0.75, 0, -1]])


def quantizer(**changes):
    """A model of one Quant with other inputs or attributes than good ones."""
    sketch = models.Sketch((3,))
    good = {"x": "in", "scale": 0.5, "zero_point": 0.0, "bits": 4.0}
    inputs = [value for value in (good | changes).values() if value is not None][:4]
    words = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    words = {key: changes.get(key, value) for key, value in words.items()}
    words = {key: value for key, value in words.items() if value is not None}
    return sketch.model(sketch.add("Quant", *inputs, domain=models.GENERAL, **words))


def weights(*, shape=(2, 3), scale=0.25, **words):
    """A model of a linear layer with quantized weights."""
    sketch = models.Sketch((3,))
    held = sketch.quant(np.ones(shape, np.float32) * WEIGHT, 4, scale, **words)
    return sketch.model(sketch.add("Gemm", sketch.quant("in", 4, 0.5), held, transB=1))


def thresholds(values, shape=(3, 4, 4), **attributes):
    sketch = models.Sketch(shape)
    attributes = {"out_dtype": "INT8"} | attributes
    made = sketch.add("MultiThreshold", "in", values, domain=models.GENERAL, **attributes)
    return sketch.model(made)


def trunc(*numbers, quantized=True, **attributes):
    sketch = models.Sketch((3, 4, 4))
    x = sketch.quant("in", 4, 0.5) if quantized else "in"
    attributes = {"rounding_mode": "FLOOR"} | attributes
    return sketch.model(sketch.add("Trunc", x, *numbers, domain=models.GENERAL, **attributes))


def unknown():
    sketch = models.Sketch((3,))
    x = sketch.add("Erf", sketch.quant("in", 4, 0.5))
    x = sketch.add("Im2Col", x, domain=models.GENERAL)
    return sketch.model(sketch.add("FloatQuant", sketch.add("Erf", x), domain=models.GENERAL))


def unfolded():
    """Weights shaped as they cannot be."""
    sketch = models.Sketch((3,))
    held = sketch.reshape(sketch.quant(WEIGHT, 4, 0.25), (4, 2))
    return sketch.model(sketch.add("Gemm", sketch.quant("in", 4, 0.5), held, transB=1))


READ = [
    (unfolded, "Reshape_1.* cannot be computed from its constants: "),
    (unknown, r"operators that are not read, by node: Erf: Erf_1, Erf_3; qonnx.custom_op.general."
              r"Im2Col: Im2Col_2; .*FloatQuant \(its levels are floating point.*\): FloatQuant_4$"),
    (lambda: quantizer(bits=5.3), r"Quant 'Quant_0': its bit width \[5.3.*\] is not one whole number"),
    (lambda: quantizer(bits=[4.0, 4.0]), "is not one whole number"),
    (lambda: quantizer(bits=33.0), "is not one whole number of 1 to 32"),
    (lambda: quantizer(bits=0.0), "is not one whole number of 1 to 32"),
    (lambda: quantizer(bits=17.0), "it has 17 bits, and a format 16 at most"),
    (lambda: quantizer(bits=None), "its bit width is no constant"),
    (lambda: quantizer(scale="in"), "its scale is no constant"),
    (lambda: quantizer(scale=-0.5), "its scale is not positive and finite"),
    (lambda: quantizer(scale=np.nan), "its scale is not positive and finite"),
    (lambda: quantizer(scale=[0.5, 0.25, 1.0]), "per channel, and a tensor that layers read has one"),
    (lambda: quantizer(zero_point=0.5), "its zero point is no whole number"),
    (lambda: quantizer(bits=1.0, zero_point=1.0), "the signs have no zero point"),
    (lambda: quantizer(bits=1.0, signed=0, narrow=1), "2 to 16 bits, not 1"),
    (lambda: quantizer(signed=None), "its attribute 'signed' is None, and must be 0 or 1"),
    (lambda: quantizer(narrow=2), "its attribute 'narrow' is 2"),
    (lambda: quantizer(signed=1.0), "its attribute 'signed' is 1.0"),
    (lambda: quantizer(rounding_mode="STOCHASTIC"), "mode 'STOCHASTIC' is none of ROUND, HALF_EVEN"),
    (lambda: weights(scale=np.float32([[0.5, 0.25, 0.5]])), "changes within an output channel"),
    (lambda: weights(scale=np.ones((4, 1), np.float32)), r"of shape \(4, 1\).* does not fit"),
    (lambda: weights(shape=(1, 2, 3)), "is not read"),
    (lambda: thresholds(np.ones((2, 3))), "thresholds of 2 channels, and reads 3"),
    (lambda: thresholds(np.ones((3, 2)), data_layout="NHWC"), "its channels are axis 3 of NHWC"),
    (lambda: thresholds(np.ones(3)), r"not of shape \(channels, steps\)"),
    (lambda: thresholds([[np.nan]]), "NaN or infinite"),
    (lambda: thresholds([[1.0]], out_bias=0.123456), "a whole multiple of out_scale"),
    (lambda: thresholds([[1.0]], out_scale=0.0), "not 0"),
    (lambda: thresholds([[1.0]], out_scale=2), "its attribute 'out_scale' is 2, no float"),
    (lambda: trunc(0.5, 1.0, 8.0, 4.0), "it has a zero point, and bits are dropped"),
    (lambda: trunc(0.5, 0.0, 8.0), "has 4 inputs, of which a Trunc has 5 or 6"),
    (lambda: trunc(0.5, 0.0, 8.0, 4.5), "3.5 bits are no whole number"),
    (lambda: trunc(0.5, 0.0, 4.0, 8.0), "dropped_bits must be 0 to 40"),
    (lambda: trunc(0.5, 0.0, 8.0, 4.0, quantized=False), "what is not rounded before"),
    (lambda: trunc(0.5, 0.0, 8.0, 4.0, rounding_mode="UPWARD"), "its rounding mode 'UPWARD'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "problem"), READ, ids=range(len(READ)))
def test_what_is_not_read_is_said_in_one_sentence(make, problem):
    load(ONNX)
    with pytest.raises(QsimError, match=problem) as refusal:
        read(make())
    assert str(refusal.value).startswith("model.onnx: ")
    assert str(refusal.value).count("model.onnx") == 1
    assert "\n" not in str(refusal.value)


def simple():
    layers = (
        Conv(name="conv", out_channels=2, kernel=1),
        Flatten(name="flat"),
        Linear(name="fc", out_features=2),
    )
    return Network("simple", (2, 2, 2), layers)


def program_of(weights=None, network=None, **arguments):
    weights = weights or {"fixed": {"bits": 4}}
    made, _ = program_for(network or simple(), weights, **{"signed": True} | arguments)
    return made


def recurrent():
    layers = (Lstm(name="lstm", hidden=2), Flatten(name="flat"), Linear(name="fc", out_features=2))
    return Network("steps", (3, 2), layers)


def odd_zero_point():
    """Asymmetric levels of an image whose lowest value is 3 steps below 0."""
    program = program_of(activations={"affine": {"bits": 4}})
    number = replace(program.formats["input"], zero_point=3)
    return replace(program, formats=program.formats | {"input": number})


def mapped():
    program = program_of("bwn")
    signs = BinaryActivations(scale_map=True)
    return replace(program, formats=program.formats | {"input": signs})


def fixed_point(**parameters):
    return {"fixed_point": {"bits": 6, "fraction_bits": 3} | parameters}


WRITTEN = [
    (lambda: program_of(requantize="tflite"), "execute.requantize: .* tflite does not; onnx or shift"),
    (lambda: program_of("ttq"), "layer 'conv': its weights have 2 scales a row.*; layer 'fc': "),
    (odd_zero_point, "tensor 'input': its zero point 3 is odd"),
    (lambda: program_of(activations=fixed_point(overflow="wrap")), "'input': its levels wrap around"),
    (lambda: program_of(activations=fixed_point(rounding="half_up")), "it rounds half_up, which QONNX"),
    (lambda: program_of(activations={"hwgq": {"bits": 2}}), "a Hwgq format rounds in its own way"),
    (mapped, "tensor 'input': sums are multiplied by a map of it; leave out scale_map"),
    (lambda: program_of(network=varied_network(), activations={"fixed": {"bits": 8}}),
     "layer 'soft': it is computed by a table.*layer 'weights': it is .*layer 'gate': it is "),
    (lambda: program_of(network=recurrent(), activations={"fixed": {"bits": 8}}),
     "layer 'lstm': QONNX has no recurrent layers"),
    (lambda: program_of(accumulator=Accumulator(9, "wrap")),
     "layer 'fc': QONNX adds without a register that could overflow"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "problem"), WRITTEN, ids=range(len(WRITTEN)))
def test_what_cannot_be_written_is_said_with_its_layer(make, problem, tmp_path):
    load(ONNX)
    with pytest.raises(QsimError, match=problem):
        write_qonnx(make(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_bias_that_float32_does_not_hold_is_refused():
    load(ONNX)
    program = program_of()
    biases = program.biases | {"fc": np.array([2**24 + 1, 0])}
    with pytest.raises(QsimError, match="its bias of 16,777,217 levels is more than float32 holds"):
        qonnx_model(replace(program, biases=biases))


def test_a_register_that_never_overflows_is_none(tmp_path):
    load(ONNX)
    program = program_of(network=residual_network(), accumulator=Accumulator(24, "saturate"))
    write_qonnx(program, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 0


CHANGES = (0, 1, -1, 2, 7, 33, 255, 1e9, -1e9, 0.5, 1e-40, 2.0**31, np.nan, np.inf)
SHAPES = ((), (1,), (0,), (2, 3), (1, 1, 1, 1))


def changed(model, rng):
    """The model with one to three things changed in a way that keeps it a message."""
    made = load(ONNX).ModelProto()
    made.CopyFrom(model)
    for _ in range(rng.integers(1, 4)):
        [change_constant, change_shape, change_node, drop_input, wire_otherwise][rng.integers(5)](
            made.graph, rng
        )
    return made


def change_constant(graph, rng):
    held = graph.initializer[rng.integers(len(graph.initializer))]
    array = load(ONNX).numpy_helper.to_array(held).copy()
    if array.size and array.dtype.kind == "f":
        array.reshape(-1)[rng.integers(array.size)] = CHANGES[rng.integers(len(CHANGES))]
        held.CopyFrom(load(ONNX).numpy_helper.from_array(array, held.name))


def change_shape(graph, rng):
    held = graph.initializer[rng.integers(len(graph.initializer))]
    array = load(ONNX).numpy_helper.to_array(held)
    shape = SHAPES[rng.integers(len(SHAPES))]
    array = np.resize(array, shape) if array.size else np.zeros(shape, array.dtype)
    held.CopyFrom(load(ONNX).numpy_helper.from_array(np.ascontiguousarray(array), held.name))


def change_node(graph, rng):
    node, other = (graph.node[i] for i in rng.integers(len(graph.node), size=2))
    if rng.integers(2) or not node.attribute:
        node.op_type, node.domain = other.op_type, other.domain
        return
    attribute = node.attribute[rng.integers(len(node.attribute))]
    value = [3, -1, 0.5, "NHWC", [2, 0]][rng.integers(5)]
    attribute.CopyFrom(load(ONNX).helper.make_attribute(attribute.name, value))


def drop_input(graph, rng):
    node = graph.node[rng.integers(len(graph.node))]
    del node.input[-1:]


def wire_otherwise(graph, rng):
    node, other = (graph.node[i] for i in rng.integers(len(graph.node), size=2))
    if node.input:
        node.input[rng.integers(len(node.input))] = [*other.input, *other.output][0]


@settings(max_examples=150)
@given(SEEDS)
def test_a_changed_file_is_refused_in_one_sentence_or_computed_as_it_says(tmp_path_factory, seed):
    """Mutants of valid models, and of these as bytes; what is read is confirmed independently."""
    rng = np.random.default_rng(seed)
    bases = (models.fully_connected, models.convolutional, models.residual)
    model = changed(bases[rng.integers(3)](rng, 2, 2), rng)
    data = bytearray(model.SerializeToString())
    for _ in range(rng.integers(0, 3)):
        data[rng.integers(len(data))] = rng.integers(256)
    path = tmp_path_factory.mktemp("mutant") / "mutant.onnx"
    path.write_bytes(data)
    try:
        program = read_onnx(path).program
    except InputError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
        return
    if program is None or np.prod(program.network.input_shape) > 10**4:
        return
    images = np.float32(rng.normal(0, 2, (1, *program.network.input_shape)))
    try:
        steps = execute(program, images)
    except InputError:
        return
    assert count_checked(program, steps, 10)[1] == []
