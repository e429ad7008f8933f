import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import NetworkError, WeightsError
from qsim.network.graph import Network
from qsim.network.layers import Add, Clip, Conv, Flatten, HardTanh, Linear, Relu, Relu6, Sigmoid
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.reference import run_float
from qsim.network.rescale import readers_of, rescaled, spread
from qsim.network.weights import seeded_weights

NETWORK = Network(
    "chain",
    (2, 8, 8),
    (
        Conv(name="first", out_channels=4, kernel=3, padding=1),
        Relu(name="relu"),
        Conv(name="depthwise", out_channels=8, kernel=3, groups=4),
        MaxPool(name="pool", kernel=2, padding=1),
        Relu(name="later"),
        Conv(name="left", out_channels=6, kernel=1, groups=2, bias=False),
        AveragePool(name="mean", kernel=2),
        Flatten(name="flat"),
        Linear(name="dense", out_features=5),
        Conv(name="right", out_channels=5, kernel=4, inputs=("later",)),
        Flatten(name="column"),
        Add(name="sum", inputs=("dense", "column")),
    ),
)
LAYERS = ["first", "depthwise", "left"]


@st.composite
def powers_of_two(draw):
    names = draw(st.sets(st.sampled_from(LAYERS)))
    return {
        name: np.ldexp(
            1.0,
            draw(
                st.lists(
                    st.integers(-12, 12),
                    min_size=(n := NETWORK.nodes[name].output_shape[0]),
                    max_size=n,
                )
            ),
        )
        for name in names
    }


@settings(max_examples=30)
@given(powers_of_two(), st.integers(0, 100))
def test_powers_of_two_leave_every_bit_of_the_result(scales, seed):
    weights = seeded_weights(NETWORK, seed)
    images = np.random.default_rng(seed).standard_normal((2, 2, 8, 8)).astype(np.float32)
    before = run_float(NETWORK, weights, images)
    after = run_float(NETWORK, rescaled(NETWORK, weights, scales), images)
    np.testing.assert_array_equal(before["sum"], after["sum"])
    for name, scale in scales.items():
        np.testing.assert_array_equal(after[name], before[name] * scale.reshape(1, -1, 1, 1))


def test_the_weights_that_are_given_stay_as_they_are():
    weights = seeded_weights(NETWORK, 0)
    copies = {name: array.copy() for name, array in weights.items()}
    rescaled(NETWORK, weights, {"first": np.full(4, 3.0)})
    assert all((weights[name] == copies[name]).all() for name in weights)


def test_readers_are_found_through_relus_and_pools():
    assert [node.name for node in readers_of(NETWORK, "first")] == ["depthwise"]
    assert [node.name for node in readers_of(NETWORK, "depthwise")] == ["left", "right"]
    assert [node.name for node in readers_of(NETWORK, "left")] == ["dense"]


@pytest.mark.parametrize(
    "between",
    [Relu6(name="b"), Clip(name="b", low=-1, high=2), HardTanh(name="b"), Sigmoid(name="b"),
     Add(name="b", inputs=("a", "input"))],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_what_does_not_commute_with_a_scale_is_refused(between):
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        between,
        MaxPool(name="p", kernel=1),
        Conv(name="c", out_channels=2, kernel=1),
    )
    network = Network("n", (2, 4, 4), layers)
    weights = seeded_weights(network, 0)
    with pytest.raises(NetworkError, match="channels of 'a' cannot be rescaled, as 'b' reads them"):
        rescaled(network, weights, {"a": np.ones(2)})
    with pytest.raises(NetworkError, match="network n: has no layer whose channels can be"):
        spread(network, weights, 10, 0)


def test_the_result_of_the_network_is_not_rescaled():
    layers = (Conv(name="a", out_channels=2, kernel=1), Relu(name="r"))
    network = Network("n", (2, 4, 4), layers)
    with pytest.raises(NetworkError, match="cannot be rescaled, as 'r' is the network's result"):
        readers_of(network, "a")


@pytest.mark.parametrize("name", ["relu", "input", "x"])
def test_only_layers_with_products_are_rescaled(name):
    with pytest.raises(NetworkError, match=f"{name!r} is no layer with products to rescale"):
        readers_of(NETWORK, name)


@pytest.mark.parametrize(
    ("scale", "problem"),
    [
        (np.ones(3), "'first' has 4 channels, not"),
        (np.array([1, 1, 0, 1]), "must be positive and finite"),
        (np.array([1, 1, np.nan, 1]), "must be positive and finite"),
        (np.array([1, 1, np.inf, 1]), "must be positive and finite"),
    ],
)
def test_scales_must_be_one_positive_number_for_each_channel(scale, problem):
    with pytest.raises(ValueError, match=problem):
        rescaled(NETWORK, seeded_weights(NETWORK, 0), {"first": scale})


def test_weights_that_overflow_are_refused():
    with pytest.raises(WeightsError, match="layer 'first': rescaled it has weights that are no"):
        rescaled(NETWORK, seeded_weights(NETWORK, 0), {"first": np.full(4, 1e39)})


def test_spreading_multiplies_one_channel_of_every_layer_that_allows_it():
    weights = seeded_weights(NETWORK, 0)
    apart = spread(NETWORK, weights, 1024, seed=5)
    again = spread(NETWORK, weights, 1024, seed=5)
    assert all((apart[name] == again[name]).all() for name in weights)
    ratio = (apart["first.bias"] / weights["first.bias"]).tolist()
    assert sorted(ratio) == [1, 1, 1, 1024]
    dense = apart["dense.weight"] / weights["dense.weight"]
    assert np.unique(dense).tolist() == [1 / 1024, 1]
    np.testing.assert_array_equal(apart["right.bias"], weights["right.bias"])
