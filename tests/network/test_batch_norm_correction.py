"""The identities of the whitepaper's batch norm correction, exact: in fractions, and in powers of
two as float64."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.network.batch_norm_correction import (
    Statistics,
    TrainedNorm,
    after_freeze,
    before_freeze,
    corrected_weights,
    correction,
    inference_bias,
    normalized,
    statistics_of,
)
from qsim.network.fold import fold_weights
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm, Conv
from qsim.network.weights import seeded_weights

FRACTIONS = st.fractions(-9, 9, max_denominator=50)
POSITIVE = st.fractions(Fraction(1, 50), 9, max_denominator=50)


def vector(elements, size):
    return st.lists(elements, min_size=size, max_size=size).map(lambda v: np.array(v, object))


@st.composite
def layers(draw):
    """A dense layer in fractions: images, weights, its norm, and any statistics of a batch."""
    images, depth, channels = (draw(st.integers(1, 3)) for _ in range(3))
    x = draw(vector(FRACTIONS, images * depth)).reshape(images, depth)
    weight = draw(vector(FRACTIONS, channels * depth)).reshape(channels, depth)
    gamma, beta, mean, batch_mean = (draw(vector(FRACTIONS, channels)) for _ in range(4))
    deviation, batch_deviation = (draw(vector(POSITIVE, channels)) for _ in range(2))
    norm = TrainedNorm(gamma, beta, Statistics(mean, deviation))
    return x, weight, norm, Statistics(batch_mean, batch_deviation)


@settings(max_examples=60)
@given(layers())
def test_before_the_freeze_it_is_the_batch_norm_of_the_batch(layer):
    x, weight, norm, batch = layer
    products = x.dot(corrected_weights(weight, norm).T)
    expected = [
        [
            g * (sum(a * b for a, b in zip(row, w, strict=True)) - m) / s + b0
            for w, g, b0, m, s in zip(
                weight, norm.gamma, norm.beta, batch.mean, batch.deviation, strict=True
            )
        ]
        for row in x
    ]
    assert before_freeze(products, norm, batch).tolist() == expected
    assert normalized(x.dot(weight.T), norm, batch).tolist() == expected


@settings(max_examples=60)
@given(layers())
def test_after_the_freeze_it_is_the_folded_inference_layer_whatever_the_batch(layer):
    x, weight, norm, batch = layer
    products = x.dot(corrected_weights(weight, norm).T)
    folded = products + inference_bias(norm)
    assert after_freeze(products, norm, batch).tolist() == folded.tolist()
    assert normalized(x.dot(weight.T), norm, norm.long_term).tolist() == folded.tolist()


@settings(max_examples=60)
@given(layers())
def test_corrected_weights_are_c_times_those_of_the_batch(layer):
    _, weight, norm, batch = layer
    by_batch = weight * (norm.gamma / batch.deviation)[:, None]
    corrected = by_batch * correction(norm, batch)[:, None]
    assert corrected.tolist() == corrected_weights(weight, norm).tolist()


def powers(low, high):
    return st.integers(low, high).map(lambda exponent: 2.0**exponent)


@settings(max_examples=30)
@given(st.data())
def test_convolutions_of_powers_of_two_are_exact_in_float64(data):
    shape, channels = (2, 3, 2, 2), 3
    integers = st.integers(-8, 8).map(float)
    products = np.array(data.draw(st.lists(integers, min_size=24, max_size=24))).reshape(shape)

    def each(elements):
        return np.array(data.draw(st.lists(elements, min_size=channels, max_size=channels)))

    norm = TrainedNorm(
        each(powers(-2, 2)), each(integers), Statistics(each(integers), each(powers(-2, 2)))
    )
    batch = Statistics(each(integers), each(powers(-2, 2)))
    corrected = products * (norm.gamma / norm.long_term.deviation)[:, None, None]
    np.testing.assert_array_equal(
        before_freeze(corrected, norm, batch), normalized(products, norm, batch)
    )
    np.testing.assert_array_equal(
        after_freeze(corrected, norm, batch), normalized(products, norm, norm.long_term)
    )


def test_statistics_are_over_images_and_positions():
    products = np.array([[[[1.0, 3.0]], [[0.0, 0.0]]], [[[5.0, 7.0]], [[0.0, 8.0]]]])
    found = statistics_of(products, 4.0)
    assert found.mean.tolist() == [4, 2]
    assert found.deviation.tolist() == [3, 4]  # roots of 5 + 4 and 12 + 4


def test_frozen_it_is_what_folding_makes_of_the_network():
    layers = (Conv(name="c", out_channels=3, kernel=1, bias=False), BatchNorm(name="b", epsilon=0))
    network = Network("n", (2, 1, 1), layers)
    weights = seeded_weights(network, 0) | {"b.running_var": np.array([4, 1, 16], np.float32)}
    norm = TrainedNorm(
        *(weights[f"b.{key}"].astype(np.float64) for key in ("weight", "bias")),
        Statistics(weights["b.running_mean"].astype(np.float64), np.array([2.0, 1.0, 4.0])),
    )
    folded = fold_weights(network, weights)
    mine = corrected_weights(weights["c.weight"].astype(np.float64), norm)
    np.testing.assert_array_equal(folded["c.weight"], mine.astype(np.float32))
    np.testing.assert_allclose(folded["c.bias"], inference_bias(norm), rtol=1e-6)
