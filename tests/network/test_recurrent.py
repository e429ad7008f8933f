"""Recurrent layers as they are written, counted and computed in floating point."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import InputError
from qsim.errors import NetworkError, WeightsError
from qsim.network.graph import Network
from qsim.network.recurrent import Gru, Lstm
from qsim.network.reference import run_float
from qsim.network.table import read_network
from qsim.network.weights import read_weights, seeded_weights


def network_of(layer, steps=3, features=2):
    return Network("n", (steps, features), (layer,))


def test_arrays_are_those_of_torch():
    node = network_of(Lstm(name="r", hidden=5)).nodes["r"]
    assert node.arrays == {
        "r.weight_ih": (20, 2), "r.weight_hh": (20, 5), "r.bias_ih": (20,), "r.bias_hh": (20,),
    }  # fmt: skip
    assert node.output_shape == (3, 5)
    bare = network_of(Gru(name="r", hidden=5, bias=False)).nodes["r"]
    assert bare.arrays == {"r.weight_ih": (15, 2), "r.weight_hh": (15, 5)}


def test_every_weight_is_multiplied_in_every_step():
    network = network_of(Gru(name="r", hidden=5), steps=7)
    assert network.macs == 7 * 3 * 5 * (2 + 5)
    assert network.parameter_count == 3 * 5 * (2 + 5 + 2)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def lstm_unit(w, r, b, x, h, c):
    i, f, g, o = (w[k] * x + r[k] * h + b[k] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * math.tanh(g)
    return sigmoid(o) * math.tanh(c), c


def gru_unit(w, r, b_x, b_h, x, h):
    p, q = [w[k] * x + b_x[k] for k in range(3)], [r[k] * h + b_h[k] for k in range(3)]
    reset, update = sigmoid(p[0] + q[0]), sigmoid(p[1] + q[1])
    return (1 - update) * math.tanh(p[2] + reset * q[2]) + update * h


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_cells_of_one_unit_are_the_equations(seed):
    for layer in (Lstm(name="r", hidden=1), Gru(name="r", hidden=1)):
        network = network_of(layer, steps=4, features=1)
        weights = seeded_weights(network, seed)
        w, r, b_x, b_h = (weights[f"r.{key}"].ravel().tolist() for key in
                          ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip
        x = np.random.default_rng(seed).normal(size=(1, 4, 1))
        h = c = 0.0
        for value, got in zip(x.ravel(), run_float(network, weights, x)["r"].ravel(), strict=True):
            if isinstance(layer, Lstm):
                h, c = lstm_unit(w, r, np.add(b_x, b_h), value, h, c)
            else:
                h = gru_unit(w, r, b_x, b_h, value, h)
            assert got == pytest.approx(h, abs=1e-5)  # float32


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("layer", "peer"), [(Lstm, "LSTM"), (Gru, "GRU")])
def test_the_float_reference_agrees_with_torch(layer, peer, bias, tmp_path):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, peer)(5, 4, batch_first=True, bias=bias)
    arrays = {f"rnn.{key}": value.numpy() for key, value in theirs.state_dict().items()}
    np.savez(tmp_path / "w.npz", **arrays)
    network = network_of(layer(name="rnn", hidden=4, bias=bias), steps=7, features=5)
    x = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    got = run_float(network, read_weights(tmp_path / "w.npz", network), x)["rnn"]
    expected = theirs(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6)  # float32, added in another order


def test_torchs_names_of_the_first_layer_are_read_too(tmp_path):
    network = network_of(Lstm(name="rnn", hidden=2))
    weights = seeded_weights(network, 0)
    path = tmp_path / "w.npz"
    np.savez(path, **{f"{key}_l0": array for key, array in weights.items()})
    for key, array in read_weights(path, network).items():
        np.testing.assert_array_equal(array, weights[key])
    np.savez(path, **weights, **{"rnn.bias_hh_l0": weights["rnn.bias_hh"]})
    with pytest.raises(WeightsError, match=r"both 'rnn.bias_hh' and 'rnn.bias_hh_l0'"):
        read_weights(path, network)
    np.savez(path, **weights, **{"rnn.bias_hh_l1": weights["rnn.bias_hh"]})
    with pytest.raises(WeightsError, match=r"'rnn.bias_hh_l1' belongs to no layer"):
        read_weights(path, network)


@pytest.mark.parametrize(
    ("layer", "keys", "problem"),
    [
        (Lstm, {"hidden": 0}, "hidden must be 1 to 1,048,576"),
        (Gru, {"gate_bits": 3}, "gate_bits must be 4 to 16"),
        (Gru, {"gate_bits": 17}, "gate_bits must be 4 to 16"),
        (Gru, {"gate_bits": 8, "gate_fraction_bits": 8}, "gate_fraction_bits must be 0 to 7"),
        (Gru, {"unit_fraction_bits": 16}, "unit_fraction_bits must be 3 to 15"),
        (Lstm, {"hidden_bits": 1}, "hidden_bits must be 2 to 16"),
        (Lstm, {"hidden_fraction_bits": 8}, "hidden_fraction_bits must be 0 to 7"),
        (Lstm, {"cell_bits": 3}, "cell_bits must be 4 to 16"),
        (Lstm, {"cell_fraction_bits": -1}, "cell_fraction_bits must be 0 to 15"),
        (
            Lstm,
            {"cell_fraction_bits": 9, "unit_fraction_bits": 4},
            "cell_fraction_bits must be at most twice unit_fraction_bits",
        ),
    ],
)
def test_formats_that_cannot_be_are_refused_by_key(layer, keys, problem):
    with pytest.raises(ValueError, match=problem):
        layer(name="r", **({"hidden": 4} | keys))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{name: r, type: gru}", "missing.*hidden|hidden.*missing"),
        ("{name: r, type: gru, hidden: 2, cell_bits: 8}", "unknown key 'cell_bits'"),
        ("{name: r, type: lstm, hidden: 2, gate_bits: 99}", r"layers\[0\]: gate_bits must be"),
    ],
)
def test_bad_rows_are_refused_by_file_and_row(tmp_path, row, problem):
    path = tmp_path / "net.yaml"
    path.write_text(f"input: [3, 2]\nlayers:\n  - {row}\n")
    with pytest.raises(InputError, match=problem):
        read_network(path)


def test_what_is_no_sequence_is_not_read():
    for shape in ((4,), (2, 3, 4)):
        with pytest.raises(NetworkError, match="reads one tensor of steps and features"):
            Network("n", shape, (Lstm(name="r", hidden=2),))
    two = Gru(name="r", hidden=2, inputs=("input", "input"))
    with pytest.raises(NetworkError, match="reads one tensor of steps and features, not 3x2 and"):
        network_of(two)
