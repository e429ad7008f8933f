import numpy as np
import pytest

from qsim.errors import QsimError
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm, Conv
from qsim.network.weights import read_weights, seeded_weights

NETWORK = Network(
    "n", (2, 4, 4), (Conv(name="conv", out_channels=3, kernel=3), BatchNorm(name="bn"))
)


def write(path, **changes):
    arrays = seeded_weights(NETWORK, 0) | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = write(tmp_path / "w.npz", **{"bn.num_batches_tracked": np.array(7)})
    read = read_weights(path, NETWORK)
    for key, array in seeded_weights(NETWORK, 0).items():
        np.testing.assert_array_equal(read[key], array)


def test_the_same_seed_gives_the_same_weights():
    first, again, other = (seeded_weights(NETWORK, seed) for seed in (1, 1, 2))
    assert all((first[key] == again[key]).all() for key in first)
    assert (first["conv.weight"] != other["conv.weight"]).any()
    assert (first["bn.running_var"] > 0).all()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"conv.weight": None}, "array 'conv.weight' of network n is missing"),
        ({"conv.weight": None, "conv.weights": np.ones(1)}, "did you mean 'conv.weights'"),
        ({"conv.bias": np.ones(4, np.float32)}, r"shape \(4,\), expected \(3,\)"),
        ({"conv.bias": np.ones(3, int)}, "is int64, expected floating point"),
        ({"conv.bias": np.full(3, np.nan)}, "NaN or infinite"),
        ({"conv.bias": np.full(3, 1e300)}, "NaN or infinite"),
        ({"bn.running_var": np.full(3, -1.0)}, "negative variances"),
        ({"fc.weight": np.ones(3)}, "'fc.weight' belongs to no layer"),
        ({"conv.bias": np.array([object()] * 3)}, "not a readable .npz file of plain arrays"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_by_name(tmp_path, changes, problem):
    path = write(tmp_path / "w.npz", **changes)
    with pytest.raises(QsimError, match=problem) as caught:
        read_weights(path, NETWORK)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "not a readable"), (b"PK\3\4rubbish", "not a readable"), (None, "no such file")],
)
def test_what_is_no_npz_is_refused(tmp_path, content, problem):
    path = tmp_path / "w.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QsimError, match=problem):
        read_weights(path, NETWORK)


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(QsimError, match=r"expected an \.npz file"):
        read_weights(path, NETWORK)
