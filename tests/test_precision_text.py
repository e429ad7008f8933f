"""A precision in a few words."""

import pytest

from hwmodels.documents import convert
from hwmodels.errors import InputError
from qsim.network.fold import fold_network
from qsim.precision import PrecisionDocument, resolve
from qsim.precision_text import precision_of
from qsim.zoo import find_network


def formats(text):
    """What the formats of a small network are by a precision in words."""
    network = find_network("digits-cnn", where="test")
    document = precision_of(text)

    precision = resolve(document, fold_network(network), where="test")
    return precision.weights["conv2"], precision.granularity["conv2"], precision.activations


def as_document(weights, activations):
    default = {"weights": weights, "activations": activations}
    return convert({"default": default}, PrecisionDocument, where="test")


@pytest.mark.parametrize("weights", [2, 4, 8])
@pytest.mark.parametrize("activations", [3, 8])
def test_bits_are_affine_symmetric_weights_and_asymmetric_activations(weights, activations):
    expected = as_document(
        {"affine": {"bits": weights, "mode": "symmetric"}}, {"affine": {"bits": activations}}
    )
    assert precision_of(f"w{weights}a{activations}") == expected
    _, granularity, _ = formats(f"w{weights}a{activations}")
    assert granularity.kind == "per_channel"


def test_32_bits_are_float():
    assert precision_of("w4a32").default.activations == "float"
    assert precision_of("w32a8").default.weights == "float"


@pytest.mark.parametrize(
    ("text", "weights", "activations"),
    [
        ("sp2(bits=4) / affine(bits=8)", {"sp2": {"bits": 4}}, {"affine": {"bits": 8}}),
        ("twn/fixed(bits=4, signed=false)", "twn", {"fixed": {"bits": 4, "signed": False}}),
        ("msq(bits=4, fixed_to_sp2=1:2) / float", {"msq": {"bits": 4, "fixed_to_sp2": "1:2"}}, "float"),
    ],
)  # fmt: skip
def test_two_formats_are_those_of_a_document(text, weights, activations):
    network = find_network("resnet18", where="test")
    got, expected = (
        resolve(document, network, where="test")
        for document in (precision_of(text), as_document(weights, activations))
    )
    assert got == expected


def test_a_file_has_a_block_or_is_one(tmp_path):
    block = "default: {weights: {sp2: {bits: 4}}, activations: {affine: {bits: 8}}}"
    alone, inside = tmp_path / "p.yaml", tmp_path / "w.yaml"
    alone.write_text(block)
    inside.write_text(f"network: resnet18\nprecision: {{{block}}}\nexecute: {{}}\n")
    expected = precision_of("sp2(bits=4) / affine(bits=8)")
    network = find_network("resnet18", where="test")
    for path in (alone, inside):
        got = resolve(precision_of(str(path)), network, where="test")
        assert got == resolve(expected, network, where="test")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("w4", "--precision: cannot read 'w4'; give w4a8 for affine formats"),
        ("w4a8a2", "cannot read 'w4a8a2'"),
        ("", "cannot read ''"),
        ("sp2(bits=4) / affine(bits=8) / float", "cannot read"),
        ("sp3 / float", "unknown format 'sp3'; did you mean 'sp2'"),
        ("sp2(bit=4) / float", "unknown key 'bit'; did you mean 'bits'"),
        ("nowhere.yaml", "nowhere.yaml: no such file"),
        ("w99a8", "affine has 2 to 16 bits"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text, problem):
    with pytest.raises(InputError) as refused:
        formats(text)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
