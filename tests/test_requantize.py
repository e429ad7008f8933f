"""From sums to levels: every requantizer against fractions, at ties and around the limits."""

from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paper_levels import printed_level

from hwmodels.documents import convert
from qsim.build import build
from qsim.errors import QsimError
from qsim.execute import execute
from qsim.formats import (
    AffineGrid,
    BinaryActivations,
    DorefaActivations,
    Fixed,
    FixedPoint,
    Hwgq,
    Lsq,
    Pact,
    WrpnActivations,
)
from qsim.network.fold import fold_network, fold_weights, unfolded_weights
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm, Conv, Relu
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic
from qsim.requantize import REQUANTIZERS, channel_thresholds
from qsim.values import Sums

UNIFORM = [
    Fixed(2), Fixed(8), Fixed(8, full_range=True), Fixed(1, signed=False), Fixed(16, signed=False),
    AffineGrid(8, 77), AffineGrid(3, 0), DorefaActivations(2), WrpnActivations(4), Lsq(3),
    Lsq(4, signed=False), Pact(5, 3.0),
]  # fmt: skip
UNEVEN = [BinaryActivations(), *(Hwgq(bits) for bits in (1, 2, 4, 8))]
SCALES = st.one_of(
    st.integers(-20, 12).map(lambda e: 2.0**e),
    st.floats(2.0**-20, 2.0**12, width=32),
    st.sampled_from([3.0, 0.75, 1 / 255]),
)
NO_OFFSET = st.just(0.0)
POWERS = st.integers(-12, 12).map(lambda e: 2.0**e)
BOUNDS = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.0), (0.3, 0.3)])


def float32(value):
    return float(np.float32(value))


@st.composite
def channels_of(draw, scales, number, out, offsets=NO_OFFSET, most=3):
    """Scales and offsets of channels, and sums whose values lie at boundaries and beside them, at
    2**24, at +-2**31 and anywhere: (1, channels, 6)."""
    count = draw(st.integers(1, most))
    by_channel = [float32(draw(scales)) for _ in range(count)]
    offset = [float32(draw(offsets)) for _ in range(count)]
    ends = [0, 2**24, 2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31), 2**31, 2**40]
    levels = st.integers(int(number.min_level) - 1, int(number.max_level) + 1)
    sums = np.zeros((1, count, 6), np.int64)
    for c, i in np.ndindex(count, 6):
        middle = Fraction(2 * draw(levels) + draw(st.integers(0, 1)), 2) * Fraction(out)
        near = (middle - Fraction(offset[c])) / Fraction(by_channel[c])
        beside = round(near) + draw(st.integers(-1, 1))
        free = draw(st.one_of(st.sampled_from(ends), st.integers(-(2**33), 2**33)))
        take_near = draw(st.integers(0, 3)) and abs(beside) < 2**45
        sums[0, c, i] = beside if take_near else free
    return sums, np.array(by_channel), np.array(offset, np.float32)


def limits(number, bounds, out):
    """What the levels are clipped to: those of the bounds."""
    low, high = bounds
    ends = [number.min_level, number.max_level]
    if low != -np.inf:
        ends[0] = printed_level(Fraction(low / out), number)
    if high != np.inf:
        ends[1] = printed_level(Fraction(high / out), number)
    return ends


def clipped(level, ends):
    return min(max(level, ends[0]), ends[1])


@given(st.sampled_from([n for n in UNIFORM if n.bits <= 8] + UNEVEN), st.data(), SCALES, BOUNDS)
def test_thresholds_decide_as_the_exact_value_does(number, data, out, bounds):
    out = float32(out)
    offsets = st.one_of(st.just(0.0), st.floats(-50, 50, width=32), st.just(-out / 2))
    sums, scale, offset = data.draw(channels_of(SCALES, number, out, offsets))
    value = Sums(((sums, scale),), offset, *bounds)
    got = REQUANTIZERS["thresholds"].levels(value, number, np.float32(out))
    ends = limits(number, bounds, out)
    for at in np.ndindex(got.shape):
        exact = Fraction(float(scale[at[1]])) * int(sums[at]) + Fraction(float(offset[at[1]]))
        assert int(got[at]) == clipped(printed_level(exact / Fraction(out), number), ends)
        if not np.isinf(bounds[0]):
            exact = max(exact, Fraction(bounds[0]))
        if not np.isinf(bounds[1]):
            exact = min(exact, Fraction(bounds[1]))
        if bounds != (0.3, 0.3):  # whose 53 bits are not divided by a float32 without rounding
            assert int(got[at]) == printed_level(exact / Fraction(out), number)


@given(st.sampled_from([n for n in UNIFORM if n.bits <= 5] + UNEVEN), SCALES, SCALES,
       st.floats(-50, 50, width=32))  # fmt: skip
def test_a_threshold_is_the_least_sum_of_its_level(number, out, scale, offset):
    out, scale = float32(out), float32(scale)
    ends = int(number.min_level), int(number.max_level)
    [values] = channel_thresholds(number, out, *ends, (scale,), (offset,))
    levels = number.levels().tolist()
    assert values.dtype == np.int64
    assert len(values) == len(levels) - 1

    def level(total):
        return printed_level((Fraction(scale) * total + Fraction(offset)) / Fraction(out), number)

    for at, reached in zip(values.tolist(), levels[1:], strict=True):
        assert level(at) >= reached > level(at - 1)


def test_thresholds_beyond_every_sum_stay_within_64_bits():
    [values] = channel_thresholds(Fixed(2), 1e30, -1, 1, (1e-30,), (0.0,))
    assert values.tolist() == [-(2**62), 2**62]


def test_levels_outside_the_bounds_have_no_threshold():
    whole = channel_thresholds(Fixed(3), 1.0, -3, 3, (1.0,), (0.0,))
    part = channel_thresholds(Fixed(3), 1.0, 0, 2, (1.0,), (0.0,))
    np.testing.assert_array_equal(part, whole[:, 3:5])
    assert channel_thresholds(Fixed(3), 1.0, 1, 1, (1.0, 2.0), (0.0, 0.0)).shape == (2, 0)


@given(
    st.sampled_from(UNIFORM + UNEVEN), st.data(), SCALES, BOUNDS, st.integers(1, 3), st.booleans()
)
def test_float32_requantization_rounds_every_step(number, data, out, bounds, count, biased):
    out, terms = float32(out), []
    for _ in range(count):
        *term, _ = data.draw(channels_of(SCALES, number, out, most=1))
        terms.append(tuple(term))
    offset = np.array([data.draw(st.floats(-50, 50, width=32))], np.float32) if biased else None
    value = Sums(tuple(terms), offset, *bounds)
    got = REQUANTIZERS["onnx"].levels(value, number, np.float32(out))
    ends = limits(number, bounds, out)
    for at in np.ndindex(got.shape):
        total = Fraction(0)
        for sums, scale in terms:
            factor = naive.float32(Fraction(float(scale[at[1]])) / Fraction(out))
            scaled = naive.float32(naive.float32(Fraction(int(sums[at]))) * factor)
            total = naive.float32(total + scaled)
        if biased:
            share = naive.float32(Fraction(float(offset[at[1]])) / Fraction(out))
            total = naive.float32(total + share)
        assert int(got[at]) == clipped(printed_level(total, number), ends)


@given(st.sampled_from(UNIFORM + UNEVEN), st.data(), SCALES)
def test_a_scale_for_each_position_is_applied_where_it_is(number, data, out):
    out = float32(out)
    sums, _, _ = data.draw(channels_of(SCALES, number, out, most=2))
    by_place = np.array([float32(data.draw(SCALES)) for _ in sums.flat]).reshape(sums.shape)
    value = Sums(((sums, by_place),))
    got = REQUANTIZERS["onnx"].levels(value, number, np.float32(out))
    for at in np.ndindex(got.shape):
        factor = naive.float32(Fraction(float(by_place[at])) / Fraction(out))
        total = naive.float32(naive.float32(Fraction(int(sums[at]))) * factor)
        assert int(got[at]) == printed_level(total, number)
    for integer in ("shift", "thresholds"):
        with pytest.raises(ValueError, match="a scale for each position is a real number"):
            REQUANTIZERS[integer].levels(value, number, np.float32(out))


def largest_in_steps(terms, out):
    """By channel, the magnitude that a sum of terms may have in steps of the finest scale."""
    for channel in range(terms[0][0].shape[1]):
        scales = [Fraction(float(scale[channel])) for _, scale in terms]
        finest = min(*scales, Fraction(out))
        sizes = [int(np.abs(sums[:, channel]).max()) for sums, _ in terms]
        yield sum(size * scale / finest for size, scale in zip(sizes, scales, strict=True))


@given(st.sampled_from(UNIFORM + UNEVEN), st.data(), POWERS, BOUNDS, st.integers(1, 2))
def test_shifts_are_exact(number, data, out, bounds, count):
    terms = [data.draw(channels_of(POWERS, number, out, most=1))[:2] for _ in range(count)]
    value = Sums(tuple(terms), None, *bounds)
    try:
        got = REQUANTIZERS["shift"].levels(value, number, np.float32(out))
    except OverflowError as error:
        assert "too far apart for 64 bits" in str(error)
        assert any(worst >= 2**63 for worst in largest_in_steps(terms, out))
        return
    ends = limits(number, bounds, out)
    for at in np.ndindex(got.shape):
        parts = [int(sums[at]) * Fraction(float(scale[at[1]])) for sums, scale in terms]
        assert int(got[at]) == clipped(printed_level(sum(parts) / Fraction(out), number), ends)


@pytest.mark.parametrize("rounding", ["tflite", "tflite-reference", "tflite-builtin"])
@given(st.sampled_from(UNIFORM), st.data(), SCALES, BOUNDS)
def test_integer_multipliers_are_those_of_tflite(rounding, number, data, out, bounds):
    out = float32(out)
    sums, scale, _ = data.draw(channels_of(SCALES, number, out))
    sums = np.clip(sums, -(2**29), 2**29)
    assume(max(scale) / out < 1)  # else the sum times the multiplier may leave int32
    value = Sums(((sums, scale),), None, *bounds)
    got = REQUANTIZERS[rounding].levels(value, number, np.float32(out))
    ends = limits(number, bounds, out)
    for at in np.ndindex(got.shape):
        real = Fraction(float(scale[at[1]]) / out)  # float64, as TFLite has it
        assert int(got[at]) == naive.requantize_fixed(int(sums[at]), real, *ends, rounding)


@pytest.mark.parametrize("rounding", ["tflite", "tflite-reference", "tflite-builtin"])
def test_integer_multipliers_have_consecutive_levels_and_one_term(rounding):
    one = (np.ones((1, 1), np.int64), np.ones(1))
    for number in UNEVEN:
        with pytest.raises(ValueError, match="it gives the nearest of consecutive levels"):
            REQUANTIZERS[rounding].levels(Sums((one,)), number, np.float32(1))
    with pytest.raises(ValueError, match="it scales one sum, not the 2 terms"):
        REQUANTIZERS[rounding].levels(Sums((one, one)), Fixed(4), np.float32(1))


def test_thresholds_add_terms_of_one_scale_and_refuse_others():
    first, second = np.array([[3, -4]]), np.array([[4, 1]])
    scale = np.array([0.5, 0.25])
    value = Sums(((first, scale), (second, scale)))
    assert REQUANTIZERS["thresholds"].levels(value, Fixed(4), np.float32(0.25)).tolist() == [
        [7, -3]
    ]
    value = Sums(((first, scale), (second, scale * 2)))
    with pytest.raises(ValueError, match="has terms of different scales"):
        REQUANTIZERS["thresholds"].levels(value, Fixed(4), np.float32(0.25))
    value = Sums(((first, scale),), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="an offset and a scale must be per channel"):
        REQUANTIZERS["thresholds"].levels(value, Fixed(4), np.float32(0.25))


def test_scales_that_are_no_powers_of_two_are_not_shifted():
    value = Sums(((np.ones((1, 1), np.int64), np.array([3.0])),))
    with pytest.raises(ValueError, match="scales must be powers of two"):
        REQUANTIZERS["shift"].levels(value, Fixed(4), np.float32(1))


def test_a_sum_that_float64_cannot_hold_is_beyond_every_level_or_refused():
    wrapping = FixedPoint(4, 0, overflow="wrap")
    for total, fits in ((2**50, True), (2**50 + 1, False), (-(2**50) - 1, False)):
        value = Sums(((np.array([[total]]), np.ones(1)),))
        got = REQUANTIZERS["shift"].levels(value, Hwgq(2), np.float32(1))
        assert got.tolist() == [[3 if total > 0 else 0]]
        if fits:
            got = REQUANTIZERS["shift"].levels(value, wrapping, np.float32(1))
            assert got.tolist() == [[0]]
            continue
        with pytest.raises(OverflowError, match="too many levels for float64"):
            REQUANTIZERS["shift"].levels(value, wrapping, np.float32(1))


# a batch norm between a layer that was trained with its format and a relu

NORMED = Network(
    "normed",
    (2, 4, 4),
    (
        Conv(name="first", out_channels=4, kernel=3, padding=1),
        BatchNorm(name="norm"),
        Relu(name="relu"),
        Conv(name="second", out_channels=2, kernel=1),
    ),
)


def normed_program(weights, activations, seed, **arithmetic):
    """A program of NORMED whose first two gammas are negative, its arrays and its images."""
    arrays = seeded_weights(NORMED, seed)
    arrays["norm.weight"] = arrays["norm.weight"] * np.array([-1, -0.5, 1, 2], np.float32)
    network = fold_network(NORMED)
    data = {"default": {"weights": weights, "activations": activations}}
    precision = resolve(convert(data, PrecisionDocument, where="w"), network, where="w")
    images = np.random.default_rng(seed).random((2, 2, 4, 4), np.float32)
    program = build(
        network, fold_weights(NORMED, arrays), precision, images, Arithmetic(**arithmetic),
        unfolded_weights(NORMED, arrays),
    )  # fmt: skip
    return program, arrays, images


@settings(max_examples=25)
@given(
    st.sampled_from(["bwn", "binary_connect", {"dorefa_weights": {"bits": 1}},
                     {"wrpn_weights": {"bits": 1}}]),
    st.sampled_from([{"dorefa_activations": {"bits": 2}}, {"hwgq": {"bits": 2}},
                     {"pact": {"bits": 4, "alpha": 2.0}}, {"fixed": {"bits": 4, "signed": False}}]),
    st.integers(0, 2**16),
)  # fmt: skip
def test_thresholds_are_the_exact_function_of_sign_weights_and_a_batch_norm(
    weights, activations, seed
):
    program, arrays, images = normed_program(weights, activations, seed, requantize="thresholds")
    steps = execute(program, images)
    x, number = steps["input"].value, program.formats["relu"]
    out, factor = Fraction(float(program.scales["relu"])), program.factors["first"]
    eps = NORMED.nodes["norm"].layer.epsilon
    norm = arrays["norm.weight"], arrays["norm.running_var"]
    exact = [float(g) / (float(v) + eps) ** 0.5 for g, v in zip(*norm, strict=True)]
    assert [Fraction(float(f)) for f in factor] == [naive.float32(Fraction(f)) for f in exact]
    assert (factor < 0).tolist() == [True, True, False, False]
    w = arrays["first.weight"]
    signs = np.where(w >= 0, 1, -1)
    sums = naive.conv2d(
        x.levels, signs, np.zeros(4, int), (1, 1), (1, 1, 1, 1), (1, 1), 1, 64, "exact"
    )
    for row in range(4):
        mean = mean_of_row(weights, w, row)
        by = Fraction(float(x.scale)) * naive.float32(mean * abs(Fraction(float(factor[row]))))
        by = -by if factor[row] < 0 else by
        offset = Fraction(float(program.real["first.bias"][row]))
        for image, y, z in np.ndindex(2, 4, 4):
            value = max(by * sums[image][row][y][z] + offset, Fraction(0))
            got = int(steps["relu"].value.levels[image, row, y, z])
            assert got == printed_level(value / out, number)


def mean_of_row(weights, w, row):
    """What a row's signs are scaled by: BWN's filters have their own, BinaryConnect has none."""
    if weights == "binary_connect":
        return 1
    scaled = w[row] if weights == "bwn" else w
    return naive_formats.mean_magnitude([Fraction(float(v)) for v in scaled.flat])


def test_a_batch_norms_bias_is_beta_less_the_scaled_mean():
    program, arrays, _ = normed_program("bwn", {"dorefa_activations": {"bits": 2}}, 3)
    eps = NORMED.nodes["norm"].layer.epsilon
    for row in range(4):
        gamma, var = (float(arrays[f"norm.{key}"][row]) for key in ("weight", "running_var"))
        mean, beta = (float(arrays[f"norm.{key}"][row]) for key in ("running_mean", "bias"))
        wanted = beta + (float(arrays["first.bias"][row]) - mean) * gamma / (var + eps) ** 0.5
        assert program.real["first.bias"][row] == pytest.approx(wanted, rel=2e-7, abs=1e-9)


def test_trained_formats_cannot_be_shifted_by_their_means():
    with pytest.raises(
        QsimError,
        match="the scale of the weights of layer 'first', its batch norm included, is no power",
    ):
        normed_program("bwn", {"fixed": {"bits": 4, "signed": False}}, 0, requantize="shift")
