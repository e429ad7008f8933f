"""ONNX's own tests of its integer operators, single nodes, all of them exactly.

The cases come with the ``onnx`` package, which makes their inputs and outputs when they are loaded.
Of the 1,884 node cases these are all that have one integer operator: 34 quantized ones, and 60 casts
to and from integers of 2 and 4 bits, 20 of which ONNX expands from CastLike to Cast.
"""

import re
import warnings
from functools import cache

import numpy as np
import pytest
from conformance import onnx_operators as operators
from conformance.peers import ONNX, RECORD, load

from qsim.kernels.narrow_integers import unpack_narrow

QUANTIZED = [
    *(f"quantizelinear{suffix}" for suffix in (
        "", "_axis", "_uint16", "_int16", "_uint4", "_int4", "_uint2", "_int2",
        "_blocked_asymmetric", "_blocked_symmetric",
    )),
    *(f"dequantizelinear{suffix}" for suffix in (
        "", "_axis", "_uint16", "_int16", "_uint4", "_int4", "_uint2", "_int2", "_blocked",
    )),
    *(f"dynamicquantizelinear{suffix}" for suffix in ("", "_max_adjusted", "_min_adjusted")),
    "qlinearconv",
    *(f"qlinearmatmul_{sides}_{integer}_{real}"
      for sides in ("2D", "3D") for integer in ("uint8", "int8") for real in ("float32", "float16")),
    "convinteger_without_padding",
    "convinteger_with_padding",
    "matmulinteger",
]  # fmt: skip
PAIRS = [
    pair
    for width in (4, 2)
    for pair in (
        *(f"{real}_to_{sign}INT{width}" for real in ("FLOAT", "FLOAT16") for sign in ("U", "")),
        *(f"{sign}INT{width}_to_{other}" for sign in ("U", "") for other in ("FLOAT", "FLOAT16")),
        *(f"{sign}INT{width}_to_{sign}INT8" for sign in ("U", "")),
    )
]
CASTS = [
    name
    for pair in PAIRS
    for name in (f"cast_{pair}", f"castlike_{pair}", f"castlike_{pair}_expanded")
]


@cache
def node_cases():
    """ONNX's node cases by name; to make them warns of overflows that it provokes on purpose."""
    loader = load(ONNX, ".backend.test.loader")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in loader.load_model_tests(kind="node")}


def tensor(value):
    """An input or output of a case as an array, or as ``Narrow`` where it has 2 or 4 bits."""
    onnx = load(ONNX)
    if not isinstance(value, onnx.TensorProto):
        return np.asarray(value)
    kind = _type(value.data_type)
    if not isinstance(kind, operators.IntegerType) or kind.bits >= 8:
        return onnx.numpy_helper.to_array(value)
    packed = np.frombuffer(value.raw_data, np.uint8)
    if not packed.size:
        packed = np.array(value.int32_data, np.uint8)
    values = unpack_narrow(packed, tuple(value.dims), kind.bits, signed=kind.signed)
    return operators.Narrow(values, kind)


def _type(data_type):
    """An integer type, or the dtype of floats, of one of ONNX's data types."""
    name = load(ONNX).TensorProto.DataType.Name(data_type)
    integer = re.fullmatch(r"(U?)INT(\d+)", name)
    if integer:
        return operators.IntegerType(int(integer[2]), not integer[1])
    return load(ONNX).helper.tensor_dtype_to_np_dtype(data_type)


def _run(case):
    """The compared pairs (ours, expected) of a case."""
    onnx = load(ONNX)
    [node] = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    out_type = _type(case.model.graph.output[0].type.tensor_type.elem_type)
    for inputs, outputs in case.data_sets:
        got = operators.OPERATORS[node.op_type](
            [tensor(value) for value in inputs], attributes, out_type
        )
        yield from zip(got, map(tensor, outputs), strict=True)


def _assert_exact(name, subject):
    compared = list(_run(node_cases()[f"test_{name}"]))
    assert compared
    for got, expected in compared:
        assert operators.type_of(got) == operators.type_of(expected)
    got, expected = (tuple(map(operators.values, side)) for side in zip(*compared, strict=True))
    RECORD.compare(ONNX, subject, got, expected)


@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantized_operator_gives_what_onnx_says(name):
    _assert_exact(name, "quantized operators")


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_gives_what_onnx_says(name):
    _assert_exact(name, "casts to and from 2 and 4 bits")


def test_no_case_is_left_out():
    cases = node_cases()
    kinds = "(de)?quantizelinear|dynamicquantizelinear|qlinear(conv|matmul)|(conv|matmul)integer"
    quantized = {n for n in cases if re.match(f"test_({kinds})", n)}
    floats = {n for n in quantized if re.search("e4m3|e5m2|float4", n)}
    expanded = {n for n in quantized if n.endswith("_expanded")}
    assert quantized - floats - expanded == {f"test_{name}" for name in QUANTIZED}
    narrow = {n for n in cases if re.match(r"test_cast(like)?_.*INT[24](_|$)", n)}
    assert narrow == {f"test_{name}" for name in CASTS}
    assert (len(QUANTIZED), len(CASTS)) == (34, 60)
