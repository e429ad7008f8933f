"""Layers that move values put each where its definition says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.reference import run_float

X = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).astype(np.float32)


def result(layer, x=X):
    return run_float(Network("n", x.shape[1:], (layer,)), {}, x)["l"]


def test_a_reshape_keeps_the_order():
    got = result(Reshape(name="l", shape=(2, -1, 4)))
    assert got.shape == (2, 2, 9, 4)
    assert got.ravel().tolist() == X.ravel().tolist()


@given(st.permutations([0, 1, 2]))
def test_axis_i_of_a_transpose_is_axis_order_i(order):
    got = result(Transpose(name="l", order=tuple(order)))
    for n, *place in np.ndindex(X.shape):
        moved = tuple(place[axis] for axis in order)
        assert got[(n, *moved)] == X[(n, *place)]


@given(st.integers(0, 2), st.integers(0, 2), st.integers(1, 3), st.integers(1, 3))
def test_a_slice_takes_every_step_th(axis, start, length, step):
    stop = min(start + length, X.shape[axis + 1])
    got = result(Slice(name="l", axis=axis, start=start, stop=stop, step=step))
    kept = [i for i in range(X.shape[axis + 1]) if start <= i < stop and (i - start) % step == 0]
    assert got.tolist() == X.take(kept, axis + 1).tolist()


@given(st.integers(1, 3), st.integers(1, 3))
def test_an_upsample_repeats_rows_and_columns(height, width):
    got = result(Upsample(name="l", factor=(height, width)))
    assert got.shape == (2, 3, 4 * height, 6 * width)
    for n, c, i, j in np.ndindex(got.shape):
        assert got[n, c, i, j] == X[n, c, i // height, j // width]


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (Reshape(name="l", shape=(5, -1)), "cannot shape 3x4x6 as 5x-1"),
        (Transpose(name="l", order=(1, 0)), "orders 2 axes, but reads 3x4x6"),
        (Slice(name="l", axis=0, stop=4), "takes 0 up to 4 of axis 0"),
        (Slice(name="l", axis=3, stop=1), "of axis 3, which 3x4x6 does not have"),
    ],
)
def test_what_does_not_fit_is_refused(layer, problem):
    with pytest.raises(NetworkError, match=problem):
        result(layer)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Reshape(name="l", shape=(-1, -1)), "one side open"),
        (lambda: Reshape(name="l", shape=(0, 3)), "sides of 1 to"),
        (lambda: Transpose(name="l", order=(0, 2)), "name each axis once"),
        (lambda: Slice(name="l", start=2, stop=2), "a slice goes from start"),
        (lambda: Slice(name="l", stop=2, step=0), "a slice goes from start"),
        (lambda: Upsample(name="l", factor=0), "factor must be 1 to"),
    ],
)
def test_impossible_parameters_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
