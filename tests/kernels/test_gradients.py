from functools import partial

import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.gradients import (
    input_gradient,
    linear_input_gradient,
    linear_weight_gradient,
    weight_gradient,
)
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights

WIDE = {"accumulator": Accumulator(64)}


def dense(sums, shape):
    """An array of the sums of a naive program, which gives them by index."""
    out = np.zeros(shape, np.int64)
    for at, total in sums.items():
        out[at] = total
    return out


def output_shape(x_shape, w_shape, geometry):
    no = np.zeros(x_shape, int), LevelWeights(np.zeros(w_shape, int))
    return conv2d(*no, **geometry).shape


def dot(a, b):
    return sum(int(p) * int(q) for p, q in zip(a.flat, b.flat, strict=True))


@given(st.data(), strategies.datapaths())
def test_an_input_gradient_equals_the_naive_sums(data, path):
    datapath, g_levels, w_levels = path
    x_shape, w_shape, geometry = data.draw(strategies.conv_shapes())
    g = data.draw(g_levels(output_shape(x_shape, w_shape, geometry)))
    w = data.draw(w_levels(w_shape))
    readers = w_shape[0] // geometry["groups"] * w_shape[2] * w_shape[3]
    worst = strategies.worst_sum(g, w, np.zeros(0, int), readers)
    register = data.draw(strategies.register(worst, strategies.ORDERLESS))
    got = input_gradient(g, w, x_shape, **geometry, accumulator=register, datapath=datapath)
    expected = naive.input_gradient(g, w, x_shape, register.bits, register.mode, **geometry)
    np.testing.assert_array_equal(got, dense(expected, x_shape))


@given(st.data(), strategies.datapaths())
def test_a_weight_gradient_equals_the_naive_sums_of_each_image(data, path):
    datapath, x_levels, g_levels = path
    x_shape, w_shape, geometry = data.draw(strategies.conv_shapes())
    shape = output_shape(x_shape, w_shape, geometry)
    x, g = data.draw(x_levels(x_shape)), data.draw(g_levels(shape))
    worst = strategies.worst_sum(x, g, np.zeros(0, int), shape[2] * shape[3])
    ordered = datapath is LevelWeights
    modes = strategies.MODES if ordered else strategies.ORDERLESS
    split = shape[2] * shape[3], strategies.worst_sum(x, g, np.zeros(0, int), 1)
    register = data.draw(strategies.register(worst, modes, split))
    got = weight_gradient(x, g, w_shape[2:], **geometry, accumulator=register, datapath=datapath)
    expected = naive.weight_gradient(x, g, w_shape, **registers(register), **geometry)
    np.testing.assert_array_equal(got, dense(expected, (x_shape[0], *w_shape)))


@given(st.data())
def test_both_gradients_are_adjoint_to_the_convolution(data):
    x_shape, w_shape, geometry = data.draw(strategies.conv_shapes())
    x, w = data.draw(strategies.levels(x_shape, 255)), data.draw(strategies.levels(w_shape, 255))
    y = conv2d(x, LevelWeights(w), **geometry, **WIDE)
    g = data.draw(strategies.levels(y.shape, 255))
    assert dot(input_gradient(g, w, x_shape, **geometry, **WIDE), x) == dot(g, y)
    of_weights = weight_gradient(x, g, w_shape[2:], **geometry, **WIDE).sum(axis=0)
    assert dot(of_weights, w) == dot(g, y)


@given(st.data(), st.sampled_from(strategies.DEPTHS))
def test_both_linear_gradients_are_adjoint_to_the_product(data, depth):
    images, rows = (data.draw(st.integers(0, 3)) for _ in range(2))
    shapes = (images, depth), (rows, depth), (images, rows)
    x, w, g = (data.draw(strategies.levels(shape, 255)) for shape in shapes)
    y = linear(x, LevelWeights(w), **WIDE)
    assert dot(linear_input_gradient(g, w, **WIDE), x) == dot(g, y)
    assert dot(linear_weight_gradient(x, g, **WIDE).sum(axis=0), w) == dot(g, y)


@given(st.data(), strategies.datapaths())
def test_linear_gradients_equal_the_products_of_their_definition(data, path):
    datapath, moving, held = path
    images, rows, features = (data.draw(st.integers(0, 3)) for _ in range(3))
    g, w = data.draw(moving((images, rows))), data.draw(held((rows, features)))
    register = data.draw(
        strategies.register(strategies.worst_sum(g, w, np.zeros(0, int), rows), ["exact"])
    )
    got = linear_input_gradient(g, w, accumulator=register, datapath=datapath)
    for n, k in np.ndindex(got.shape):
        assert int(got[n, k]) == sum(int(g[n, o]) * int(w[o, k]) for o in range(rows))

    x, g = data.draw(moving((images, features))), data.draw(held((images, rows)))
    got = linear_weight_gradient(x, g, **WIDE, datapath=datapath)
    assert got.shape == (images, rows, features)
    for n, o, k in np.ndindex(got.shape):
        assert int(got[n, o, k]) == int(g[n, o]) * int(x[n, k])


def test_a_layer_of_dorefa_runs_backward_on_bit_planes():
    rng = np.random.default_rng(0)
    gradients, binary, unsigned = AffineCode(4, 2, -15), AffineCode(1, 2, -1), AffineCode(2)
    geometry = {"stride": (2, 2), "padding": (1, 1, 1, 1), "groups": 2}
    x, w = rng.integers(0, 4, (3, 8, 9, 9)), rng.choice([-1, 1], (6, 4, 3, 3))
    g = 2 * rng.integers(0, 16, (3, 6, 5, 5)) - 15
    backward = partial(BitSerialWeights, code=binary, x_code=gradients)
    np.testing.assert_array_equal(
        input_gradient(g, w, x.shape, **geometry, datapath=backward),
        input_gradient(g, w, x.shape, **geometry),
    )
    of_weights = partial(BitSerialWeights, code=gradients, x_code=unsigned)
    np.testing.assert_array_equal(
        weight_gradient(x, g, (3, 3), **geometry, datapath=of_weights),
        weight_gradient(x, g, (3, 3), **geometry),
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "readers"),
    [((3, 3), (1, 1), (1, 1), 9), ((3, 3), (2, 2), (1, 1), 4), ((3, 1), (2, 3), (2, 3), 3)],
)
def test_an_input_is_read_as_often_as_taps_lie_a_whole_stride_apart(
    kernel, stride, dilation, readers
):
    shapes = np.ones((1, 1, 9, 9), int), np.ones((1, 1, *kernel), int)
    geometry = {"stride": stride, "dilation": dilation}
    g = np.ones(output_shape(*(a.shape for a in shapes), geometry), int)
    assert input_gradient(g, shapes[1], (1, 1, 9, 9), **geometry).max() == readers
    bits = readers.bit_length() + 1
    input_gradient(g, shapes[1], (1, 1, 9, 9), **geometry, accumulator=Accumulator(bits))
    with pytest.raises(OverflowError, match=f"{readers} products"):
        input_gradient(g, shapes[1], (1, 1, 9, 9), **geometry, accumulator=Accumulator(bits - 1))


def test_a_weight_gradient_that_could_overflow_is_refused():
    with pytest.raises(OverflowError, match="widest safe depth is 8"):
        x, g = np.full((1, 1, 3, 3), 15), np.full((1, 1, 3, 3), 8)
        weight_gradient(x, g, (1, 1), accumulator=Accumulator(11))


@pytest.mark.parametrize(
    "accumulator", [Accumulator(8, "saturate"), Accumulator(8, partial=Partial(1, 8))], ids=str
)
def test_an_input_gradient_does_not_saturate_and_has_no_partial_sums(accumulator):
    one = np.ones((1, 1, 1, 1), int)
    with pytest.raises(ValueError, match="in no order"):
        input_gradient(one, one, (1, 1, 1, 1), accumulator=accumulator)


@pytest.mark.parametrize(
    ("g", "w", "x", "groups", "problem"),
    [
        ((1, 2, 3, 3), (2, 2, 2, 2), (1, 2, 4), 1, "is no output of"),
        ((2, 2, 3, 3), (2, 2, 2, 2), (1, 2, 4, 4), 1, "is no output of"),
        ((1, 2, 3, 3), (2, 1, 2, 2), (1, 3, 4, 4), 2, "are not in 2 groups"),
        ((1, 2, 3, 3), (2, 2, 2, 2), (1, 2, 4, 4), 0, "are not in 0 groups"),
        ((1, 2, 3, 3), (2, 1, 2, 2), (1, 2, 4, 4), 1, "do not lead from"),
        ((1, 2, 3, 3), (2, 2, 2), (1, 2, 4, 4), 1, "do not lead from"),
        ((1, 2, 3, 4), (2, 2, 2, 2), (1, 2, 4, 4), 1, "has sides 3 x 3"),
        ((1, 2, 3, 3), (2, 2, 5, 5), (1, 2, 4, 4), 1, "window of 5 does not fit"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(g, w, x, groups, problem):
    with pytest.raises(ValueError, match=problem):
        input_gradient(np.zeros(g, int), np.zeros(w, int), x, groups=groups)
    if problem != "do not lead from":
        with pytest.raises(ValueError, match=problem):
            weight_gradient(np.zeros(x, int), np.zeros(g, int), w[2:], groups=groups)


def test_gradients_that_are_no_integers_are_refused():
    one, real = np.ones((1, 1, 1, 1), int), np.ones((1, 1, 1, 1))
    for call in (
        lambda: input_gradient(real, one, (1, 1, 1, 1)),
        lambda: weight_gradient(one, real, (1, 1)),
        lambda: weight_gradient(real, one, (1, 1)),
    ):
        with pytest.raises(TypeError, match="levels are integers"):
            call()
