"""Layers of one or a few values, in floating point, against loops over single values."""

from math import erf, exp, sqrt, tanh

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.layers import Linear
from qsim.network.moves import Slice
from qsim.network.pointwise import (
    Embedding,
    Gelu,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    LocalResponseNorm,
    Multiply,
    Offset,
    Resize,
    Scale,
    Silu,
)
from qsim.network.reference import run_float

RANDOM = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


def result(layer, x, **weights):
    named = {f"l.{key}": np.asarray(value, np.float32) for key, value in weights.items()}
    return run_float(Network("n", x.shape[1:], (layer,)), named, x)["l"]


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (LeakyRelu(name="l", slope=0.25), lambda v: v if v > 0 else v / 4),
        (Gelu(name="l"), lambda v: v * (1 + erf(v / sqrt(2))) / 2),
        (
            Gelu(name="l", approximation="tanh"),
            lambda v: v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v**3))) / 2,
        ),
        (Silu(name="l"), lambda v: v / (1 + exp(-v))),
        (HardSwish(name="l"), lambda v: v * min(max(v + 3, 0), 6) / 6),
        (Scale(name="l", factor=0.5), lambda v: v / 2),
    ],
    ids=str,
)
@given(strategies.float32_arrays((2, 7), limit=20))
def test_a_curve_is_its_function_of_every_value(layer, function, x):
    expected = [[function(float(value)) for value in row] for row in x]
    np.testing.assert_allclose(result(layer, x), expected, rtol=1e-6, atol=1e-12)


@given(strategies.levels((2, 3, 4), limit=9), strategies.levels((2, 3, 1), limit=9))
def test_a_side_of_one_stands_for_any_in_a_product(x, y):
    both = np.concatenate([x, y], axis=2)

    layers = (
        Slice(name="x", axis=1, stop=4),
        Slice(name="y", axis=1, start=4, stop=5, inputs=("input",)),
        Multiply(name="l", inputs=("x", "y")),
    )
    got = run_float(Network("n", (3, 5), layers), {}, both)["l"]
    expected = [[[x[n, c, i] * y[n, c, 0] for i in range(4)] for c in range(3)] for n in range(2)]
    np.testing.assert_array_equal(got, expected)


def test_layer_norm_is_of_the_last_axis():
    x, weight, bias = RANDOM[:, 0], np.arange(5), np.arange(5) / 8
    got = result(LayerNorm(name="l", epsilon=0.5), x, weight=weight, bias=bias)
    for place in np.ndindex(x.shape[:-1]):
        row = [float(value) for value in x[place]]
        mean = sum(row) / 5
        spread = sqrt(sum((value - mean) ** 2 for value in row) / 5 + 0.5)
        expected = [(row[i] - mean) / spread * weight[i] + bias[i] for i in range(5)]
        np.testing.assert_allclose(got[place], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_local_response_norm_is_over_neighbouring_channels(size):
    layer = LocalResponseNorm(name="l", size=size, alpha=0.5, beta=0.75, bias=2.0)
    got = result(layer, RANDOM)
    for n, c, i, j in np.ndindex(RANDOM.shape):
        near = [k for k in range(c - size // 2, c - size // 2 + size) if 0 <= k < 3]
        total = sum(float(RANDOM[n, k, i, j]) ** 2 for k in near)
        expected = float(RANDOM[n, c, i, j]) / (2.0 + 0.5 / size * total) ** 0.75
        assert got[n, c, i, j] == pytest.approx(expected, rel=1e-6)


def test_an_offset_is_added_where_its_sides_of_one_stand_for_any():
    bias = np.arange(4).reshape(1, 4, 1)
    got = result(Offset(name="l", shape=(1, 4, 1)), RANDOM, bias=bias)
    np.testing.assert_array_equal(got, RANDOM + bias.astype(np.float32))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(4, 5), (7, 3), (1, 1), (8, 10)])
def test_resize_weighs_the_four_nearest_values(size, align_corners):
    got = result(Resize(name="l", size=size, align_corners=align_corners), RANDOM)

    def place(index, read, made):
        if align_corners:
            return index * (read - 1) / (made - 1) if made > 1 else 0.0
        return min(max((index + 0.5) * read / made - 0.5, 0.0), read - 1.0)

    for i, j in np.ndindex(size):
        y, x = place(i, 4, size[0]), place(j, 5, size[1])
        total = np.zeros((2, 3))
        for row in range(4):
            for column in range(5):
                share = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
                total += share * RANDOM[:, :, row, column]
        np.testing.assert_allclose(got[:, :, i, j], total, rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_an_embedding_adds_places_and_the_first_type(tokens):
    table, positions, types = np.arange(10).reshape(5, 2), [[100, 0], [0, 200], [5, 5]], [[7, 9]]
    layer = Embedding(name="l", entries=5, features=2, positions=3, types=1)
    got = result(layer, np.array([tokens]), weight=table, positions=positions, types=types)
    expected = [
        [table[token][f] + positions[place][f] + types[0][f] for f in range(2)]
        for place, token in enumerate(tokens)
    ]
    np.testing.assert_array_equal(got, [expected])


@pytest.mark.parametrize("wrong", [5, -1, 0.5, np.nan, np.inf])
def test_a_number_that_is_no_row_is_refused(wrong):
    layer = Embedding(name="l", entries=5, features=2)
    with pytest.raises(NetworkError, match=r"layer 'l' reads the number .* the rows 0 to 4"):
        result(layer, np.array([[1, wrong]], np.float32), weight=np.zeros((5, 2)))


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (lambda: Multiply(name="l", inputs=("input",)), "multiplies two tensors"),
        (lambda: Embedding(name="l", entries=3, features=2), "reads the numbers of tokens"),
        (lambda: Offset(name="l", shape=(2, 4, 5)), "cannot add tensors of different shapes"),
        (lambda: Offset(name="l", shape=(4, 5)), "cannot add tensors of different axes"),
        (lambda: Linear(name="l", out_features=2), "put a flatten layer before it"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, problem):
    with pytest.raises(NetworkError, match=problem):
        Network("n", (3, 4, 5), (layer(),))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Scale(name="l", factor=-1.0), "factor must be positive"),
        (lambda: LeakyRelu(name="l", slope=2.0), "slope must be 0 to 1"),
        (lambda: Gelu(name="l", extra_bits=17), "extra_bits must be 0 to 16"),
        (lambda: LocalResponseNorm(name="l", size=0), "size must be 1 or more"),
        (lambda: Embedding(name="l", entries=0, features=2), "entries and features"),
        (lambda: Resize(name="l", size=0), "size must be 1"),
        (lambda: LayerNorm(name="l", epsilon=-1.0), "epsilon must not be negative"),
    ],
)
def test_impossible_parameters_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
