"""The float reference against the naive loops, on integers small enough to be exact in float32."""

import naive
import numpy as np
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.network.fold import fold_network, fold_weights
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm, Conv, Linear
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights


@given(strategies.conv_shapes(), st.data())
def test_a_float_convolution_equals_the_naive_sum(shapes, data):
    x_shape, w_shape, arguments = shapes
    if 0 in x_shape or 0 in w_shape:
        return  # a network has no empty layers
    x, w = (data.draw(strategies.levels(s, limit=9)) for s in (x_shape, w_shape))
    bias = data.draw(strategies.levels(w_shape[:1], limit=9))
    layer = Conv(name="c", out_channels=w_shape[0], kernel=w_shape[2:], **arguments)
    weights = {"c.weight": w.astype(np.float32), "c.bias": bias.astype(np.float32)}
    got = run_float(Network("n", x_shape[1:], (layer,)), weights, x)["c"]
    expected = naive.conv2d(x, w, bias, **arguments, bits=64, mode="exact")
    np.testing.assert_array_equal(got, np.array(expected))


@given(strategies.levels((2, 3, 5, 6), limit=9))
def test_float_pools_equal_the_naive_ones(x):
    largest = MaxPool(name="p", kernel=(3, 2), stride=2, padding=1)
    got = run_float(Network("n", (3, 5, 6), (largest,)), {}, x)["p"]
    np.testing.assert_array_equal(got, naive.pool(x, (3, 2), (2, 2), (1, 1, 1, 1), max))
    mean = AveragePool(name="p", kernel=(2, 4), stride=1)
    got = run_float(Network("n", (3, 5, 6), (mean,)), {}, x)["p"]
    expected = naive.pool(x, (2, 4), (1, 1), (0, 0, 0, 0), lambda v: sum(v) / 8)
    np.testing.assert_array_equal(got, expected)


@given(strategies.levels((3, 4), limit=9), strategies.levels((2, 4), limit=9))
def test_a_float_linear_layer_equals_the_naive_sum(x, w):
    network = Network("n", (4,), (Linear(name="l", out_features=2, bias=False),))
    got = run_float(network, {"l.weight": w.astype(np.float32)}, x)["l"]
    np.testing.assert_array_equal(got, naive.linear(x, w, [0, 0], 64, "exact"))


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_folding_batch_norms_keeps_the_function(seed, bias):
    layers = (
        Conv(name="c", out_channels=3, kernel=3, groups=1, bias=bias),
        BatchNorm(name="b", epsilon=1e-3),
        Conv(name="d", out_channels=2, kernel=1, bias=False, inputs=("b",)),
        BatchNorm(name="e"),
    )
    network = Network("n", (2, 5, 5), layers)
    weights = seeded_weights(network, seed)
    images = np.random.default_rng(seed).random((2, 2, 5, 5))
    folded, folded_weights = fold_network(network), fold_weights(network, weights)
    assert [layer.name for layer in folded.layers] == ["c", "d"]
    before = run_float(network, weights, images)["e"]
    after = run_float(folded, folded_weights, images)["d"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)  # float32 rounding
