"""The file of a program: its arrays alone are enough to compute its layers again."""

import json

import naive
import numpy as np
import pytest
from programs import program_for, residual_network, varied_network
from test_recurrent_layers import recurrent_network

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.program_file import write_program

EXACT = {"bits": 64, "mode": "exact"}


@pytest.fixture
def stored(tmp_path):
    """The arrays of a program, read back from its file."""

    def read_back(program):
        write_program(program, tmp_path / "program.npz")
        with np.load(tmp_path / "program.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    return read_back


@pytest.mark.parametrize(
    "weights", [{"affine": {"bits": 8}}, {"sp2": {"bits": 5}}, "ttq", "bwn", {"fixed": {"bits": 3}}]
)
def test_a_layer_can_be_computed_from_the_file_alone(stored, weights):
    program, images = program_for(
        residual_network(3, 2), weights, activations={"affine": {"bits": 8}}
    )
    images = images - np.float32(0.3)
    steps, arrays = execute(program, images), stored(program)
    text = json.loads(str(arrays["program"]))
    table = {layer["name"]: layer for layer in text["network"]["layers"]}["conv1"]
    x = steps["pool"].value.levels
    real = 0
    for term, (sums, scale) in enumerate(steps["conv1"].value.terms):
        w = arrays[f"conv1.levels.{term}"]
        bias = np.zeros(len(w), int)
        products = naive.conv2d(
            x, w, bias, (table["stride"],) * 2, (table["padding"],) * 4, (1, 1), 1, **EXACT
        )
        products = np.array(products).reshape(sums.shape)
        if "conv1.sign" in arrays:
            products = products * arrays["conv1.sign"].reshape(-1, 1, 1)
        if term == 0:
            products = products + arrays["conv1.bias"].reshape(-1, 1, 1)
        assert np.array_equal(products, sums)
        by_row = np.float64(arrays["pool.tensor_scale"]) * arrays[f"conv1.scale.{term}"]
        assert np.array_equal(by_row, scale)
        real = real + products * by_row.reshape(-1, 1, 1)
    if "conv1.offset" in arrays:
        real = real + arrays["conv1.offset"].reshape(-1, 1, 1)
    at_relu = real / np.float64(arrays["relu1.tensor_scale"])
    codes = np.clip(np.rint(at_relu) + arrays["relu1.tensor_zero_point"], 0, 255)
    assert np.array_equal(codes - arrays["relu1.tensor_zero_point"], steps["relu1"].value.levels)


def test_levels_are_the_words_less_their_zero_point(stored):
    program, _ = program_for(varied_network(), {"affine": {"bits": 4}}, activations=8, signed=True)
    arrays = stored(program)
    words = arrays["stem.codes"].astype(int) - arrays["stem.zero_point"]
    assert arrays["stem.codes"].dtype == np.uint8
    assert np.array_equal(words, arrays["stem.levels.0"])


def test_formats_are_told_with_their_levels(stored):
    program, _ = program_for(residual_network(), {"sp2": {"bits": 4}}, activations=4)
    text = json.loads(str(stored(program)["program"]))
    assert text["weights"]["stem"]["format"] == "sp2"
    assert text["tensors"]["pool"] == {
        "format": "fixed", "bits": 4, "signed": False, "full_range": False,
        "lowest": 0, "highest": 15,
    }  # fmt: skip
    assert text["arithmetic"]["accumulator"]["bits"] == 32


def test_both_products_of_a_recurrent_layer_are_there(stored):
    program, _ = program_for(
        recurrent_network(), {"affine": {"bits": 5}}, activations=8, signed=True
    )
    arrays = stored(program)
    for operand in ("ih", "hh"):
        assert len(arrays[f"lstm.weight_{operand}.levels.0"]) == 4 * 3
    assert arrays["lstm.hidden_scale"] == program.recurrences["lstm"].products.scales["lstm"]


def test_layers_in_floating_point_keep_their_weights(stored):
    layers = {"conv1": {"weights": "float"}}
    program, _ = program_for(residual_network(), {"fixed": {"bits": 8}}, layers=layers)
    arrays = stored(program)
    assert np.array_equal(arrays["conv1.weight"], program.real["conv1.weight"])
    assert "conv1.levels.0" not in arrays


def test_groups_say_which_channels_they_multiply(stored):
    layers = {"conv2": {"weight_scale": "per_group", "group_size": 2}}
    program, _ = program_for(residual_network(), {"fixed": {"bits": 8}}, layers=layers)
    arrays = stored(program)
    assert json.loads(str(arrays["program"]))["inputs"] == {"conv2": [[0, 2], [2, 4]]}
    assert arrays["conv2.levels.1"].shape[1] == 2


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    program, _ = program_for(residual_network(), {"fixed": {"bits": 8}})
    with pytest.raises(QsimError, match="cannot be written: No such file or directory"):
        write_program(program, tmp_path / "absent" / "program.npz")
