"""What QDQ and QOperator models cannot express is refused by layer, before anything is written."""

from dataclasses import replace

import numpy as np
import pytest
from programs import program_for, residual_network
from test_recurrent_layers import recurrent_network

from qsim.errors import QsimError
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Flatten, Linear, Relu
from qsim.network.pointwise import Gelu, LayerNorm, Silu
from qsim.onnx_writer.refusals import check_expressible

AFFINE = {"affine": {"bits": 8}}
EIGHT = {"fixed": {"bits": 8}}


def network(*middle):
    layers = (
        Conv(name="stem", out_channels=3, kernel=3, padding=1),
        *middle,
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
    )
    return Network("net", (3, 4, 4), layers)


def built(net, weights=EIGHT, activations=AFFINE, **arguments):
    arguments = {"requantize": "onnxruntime"} | arguments
    return program_for(net, weights, activations=activations, **arguments)[0]


def assert_refused(program, words):
    for form in ("qdq", "qoperator"):
        with pytest.raises(QsimError, match=words):
            check_expressible(program, form)


def test_what_can_be_expressed_is_not_refused():
    check_expressible(built(residual_network()), "qdq")


@pytest.mark.parametrize("requantize", ["onnx", "shift", "tflite", "thresholds"])
def test_another_arithmetic(requantize):
    program = built(network(Relu(name="relu")), requantize=requantize)
    assert_refused(program, f"^execute.requantize: {requantize} is no arithmetic of ONNX; onnxrunt")


def test_float_tensors():
    program = built(network(), layers={"fc": {"activations": "float"}})
    assert_refused(
        program, "^tensor '.*' cannot be written as ONNX: it is float, and integers made"
    )


def test_float_weights():
    program = built(network(), layers={"fc": {"weights": "float"}})
    assert_refused(program, "^layer 'fc' cannot be written as .*: it is computed in floating point")


@pytest.mark.parametrize(
    "activations",
    [
        {"hwgq": {"bits": 2}},
        {"fixed_point": {"bits": 6, "fraction_bits": 3, "overflow": "wrap"}},
        {"fixed_point": {"bits": 6, "fraction_bits": 3, "rounding": "toward_zero"}},
        {"xnor_activations": {"scale_map": True}},
    ],
)
def test_other_levels_and_roundings(activations):
    program = built(network(), "bwn", AFFINE, layers={"fc": {"activations": activations}})
    assert_refused(
        program, "^tensor 'stem' .* ONNX rounds to consecutive levels, ties to even, and clip"
    )


def test_more_than_8_bits():
    program = built(network(), activations={"affine": {"bits": 9}})
    assert_refused(
        program, r"^tensor 'input' cannot .*AffineGrid\(bits=9.* has more levels than 8 b"
    )


def test_two_scales_a_row():
    assert_refused(built(network(), "ttq"), "^layer 'stem' .*: its weights have 2 scales a row, of")


def test_a_scale_for_every_group():
    layers = {"fc": {"weight_scale": "per_group", "group_size": 16}}
    assert_refused(
        built(network(), layers=layers), "^layer 'fc' .*: its weights have 3 scales a row"
    )


def test_weights_of_more_than_8_bits():
    program = built(network(), {"fixed": {"bits": 9}})
    assert_refused(
        program, "^layer 'stem' .*: its weights have levels -?[0-9]+ to 255 of .*neither"
    )


def test_biases_beyond_int32():
    program = built(network(), accumulator=Accumulator(64))
    program = replace(program, biases=program.biases | {"fc": np.array([0, 2**31, 0])})
    assert_refused(program, "^layer 'fc' .*: its bias does not fit int32")


@pytest.mark.parametrize("layer", [Gelu(name="curve"), Silu(name="curve"), LayerNorm(name="curve")])
def test_layers_without_an_operator(layer):
    program = built(network(layer))
    kind = type(layer).__name__
    assert_refused(
        program, f"^layer 'curve' .*: no operator of ONNX computes a {kind} layer as thi"
    )


def test_recurrent_layers():
    assert_refused(
        built(recurrent_network()), "^layer 'lstm' .*: no operator of ONNX computes a Lstm"
    )


def test_three_tensors_in_one_sum():
    program = built(network(Relu(name="relu"), Add(name="sum", inputs=("relu", "stem", "input"))))
    assert_refused(program, "^layer 'sum' .*: it adds 3 tensors, and ONNX adds two at a time")


def test_sums_that_are_read_before_they_are_rounded():
    program = built(network(Add(name="sum", inputs=("stem", "input"))))
    formats = {name: number for name, number in program.formats.items() if name != "stem"}
    assert_refused(replace(program, formats=formats), "^layer 'sum' .*: it reads 'stem', which is")


@pytest.mark.parametrize("activations", [{"fixed": {"bits": 8}}, {"lsq": {"bits": 4}}])
def test_arithmetic_that_depends_on_a_zero_point_that_is_not_there(activations):
    program = built(network(Add(name="sum", inputs=("stem", "input"))), activations=activations)
    bits = next(iter(activations.values()))["bits"]
    words = f"^layer 'sum' .*: the 0 of tensor 'stem' is no code of uint8 but.*bits: {bits}"
    assert_refused(program, words)


@pytest.mark.parametrize(
    "accumulator",
    [
        Accumulator(12, "wrap"),
        Accumulator(12, "saturate"),
        Accumulator(32, partial=Partial(4, 9, "saturate")),
    ],
)
def test_registers_that_lose_something(accumulator):
    assert_refused(
        built(network(), accumulator=accumulator), "^layer 'stem' .*: ONNX sums in 32 bits"
    )


@pytest.mark.parametrize(
    "accumulator",
    [
        Accumulator(40, "wrap"),
        Accumulator(32, "saturate"),
        Accumulator(32, partial=Partial(4, 24, "wrap")),
    ],
)
def test_registers_that_could_but_never_do(accumulator):
    check_expressible(built(network(), accumulator=accumulator), "qdq")


def test_sums_beyond_32_bits():
    deep = Network("deep", (2**17,), (Linear(name="fc", out_features=1),))
    program = built(deep, accumulator=Accumulator(64))
    assert_refused(program, "^layer 'fc' .*: ONNX sums in 32 bits without a limit: .* can overflow")
