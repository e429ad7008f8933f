"""Layers that are there to be rounded: in integers as their definition says of the real values."""

from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import EVERYTHING, program_for

from qsim import execute as run
from qsim.errors import NetworkError, QsimError
from qsim.execute import execute
from qsim.formats import Float, Quant, Quantized
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Conv, Flatten, Linear, Relu
from qsim.network.pools import AveragePool
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.program import Arithmetic, Program
from qsim.program_file import program_arrays
from qsim.values import Sums
from qsim.verify import count_checked

ROUNDINGS = ("half_even", "half_away", "half_toward", "floor", "ceil", "toward_zero", "away")
CHANNELS = 3


def program_of(layers, formats, scales, real=None, *, seed=0, factor=None):
    """A convolution 1x1 of 3-bit weights at a scale per channel, then ``layers``."""
    rng = np.random.default_rng(seed)
    conv = Conv(name="conv", out_channels=CHANNELS, kernel=1, bias=factor is not None)
    network = Network("small", (2, 2, 2), (conv, *layers))
    scale = np.float32([0.25, 0.1, 1.5]).reshape(-1, 1, 1, 1)
    weights = Quantized(Quant(3), rng.integers(-4, 4, (CHANNELS, 2, 1, 1)).astype(np.int32), scale)
    factors = {} if factor is None else {"conv": np.float32(factor)}
    real = {"conv.bias": np.float32([0.3, -1, 0])} | (real or {}) if factor else real or {}
    return Program(
        network, real, {"conv": weights}, factors, {"conv": np.zeros(CHANNELS, np.int64)},
        {INPUT: Quant(4), **formats}, {INPUT: np.float32(0.5), **scales}, Arithmetic(),
    )  # fmt: skip


def images(seed):
    return np.random.default_rng(seed).normal(0, 2, (3, 2, 2, 2)).astype(np.float32)


def exact_values(value):
    """The value of each place by fractions."""
    [(levels, scale)] = value.terms
    out = np.empty(levels.shape, object)
    for at in np.ndindex(levels.shape):
        total = Fraction(int(levels[at])) * Fraction(float(scale[at[1]])) / value.divisor
        total += Fraction(0 if value.offset is None else float(value.offset[at[1]]))
        low, high = (None if np.isinf(b) else Fraction(b) for b in (value.low, value.high))
        total = total if low is None else max(total, low)
        out[at] = total if high is None else min(total, high)
    return out


@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.sampled_from([(1.0, 0.0), (2.0, -1.0), (0.25, 0.125), (-1.0, 3.0), (0.1, -0.3)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, (1.0, -0.5, 0.0), (0.125, 3.0, -1.5)]),
)
def test_thresholds_are_counted_of_exact_values(seed, out, shared, after_relu, factor):
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 6))
    layer = MultiThreshold(name="t", steps=steps, out_scale=out[0], out_bias=out[1], shared=shared)
    rows = 1 if shared else CHANNELS
    thresholds = np.float32(rng.integers(-12, 12, (rows, steps)) * 0.125)  # equal ones, any order
    layers = (Relu(name="relu"), layer) if after_relu else (layer,)
    ends = sorted(layer.ends)
    number = Quant(8, zero_point=-(ends[0] + ends[1]) // 2)
    program = program_of(
        layers, {"t": number}, {"t": np.float32(layer.unit)}, {"t.thresholds": thresholds},
        seed=seed, factor=factor,
    )  # fmt: skip
    steps_run = execute(program, images(seed))
    assert count_checked(program, steps_run, EVERYTHING)[1] == []
    [before] = [steps_run[name].value for name in program.network.nodes["t"].inputs]
    values, got = exact_values(before), steps_run["t"].value
    for at in np.ndindex(values.shape):
        row = thresholds[0 if shared else at[1]]
        count = sum(values[at] >= Fraction(float(t)) for t in row)
        want = Fraction(out[0]).limit_denominator(10) * count
        want += Fraction(out[1]).limit_denominator(10)
        unit = Fraction(layer.unit).limit_denominator(100)
        assert int(got.levels[at]) * unit == want


@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.sampled_from(ROUNDINGS),
    st.integers(0, 6),
    st.sampled_from([(None, None), (-2, 3), (0, None)]),
    st.sampled_from([0.5, 0.3]),
)
def test_bits_are_dropped_of_the_sum_of_a_window(seed, rounding, dropped, bounds, scale):
    """A mean times the values under the window is their sum, whatever their scale."""
    scale = float(np.float32(scale))
    truncate = Truncate(
        name="t", scale=scale, dropped_bits=dropped, out_scale=scale, times=3 * 5,
        rounding=rounding, low=bounds[0], high=bounds[1],
    )  # fmt: skip
    layers = (AveragePool(name="mean", kernel=(3, 5)), truncate)
    network = Network("pooled", (2, 3, 5), layers)
    number, out = Quant(6), Quant(12)
    program = Program(
        network, {}, {}, {}, {}, {INPUT: number, "t": out},
        {INPUT: np.float32(scale), "t": np.float32(scale)}, Arithmetic(),
    )  # fmt: skip
    x = np.random.default_rng(seed).normal(0, 9, (4, 2, 3, 5)).astype(np.float32)
    made = execute(program, x)
    assert count_checked(program, made, EVERYTHING)[1] == []
    sums = made[INPUT].value.levels.sum(axis=(2, 3))
    for at in np.ndindex(sums.shape):
        steps = Fraction(int(sums[at]), 2**dropped)
        words = [-(2**40) if bounds[0] is None else bounds[0],
                 2**40 if bounds[1] is None else bounds[1]]  # fmt: skip
        level = naive.quant_level(steps, words, 0, rounding)
        assert int(made["t"].value.levels[(*at, 0, 0)]) == level


def test_a_tensor_has_a_second_format_by_an_identity():
    layers = (Identity(name="coarse"), Flatten(name="flat"))
    formats = {"conv": Quant(8), "coarse": Quant(2, rounding="floor"), "flat": Quant(2)}
    formats["flat"] = formats["coarse"]
    scales = {"conv": np.float32(0.125), "coarse": np.float32(0.5), "flat": np.float32(0.5)}
    program = program_of(layers, formats, scales)
    made = execute(program, images(1))
    assert count_checked(program, made, EVERYTHING)[1] == []
    fine = made["conv"].value.levels
    np.testing.assert_array_equal(made["coarse"].value.levels, np.clip(fine // 4, -2, 1))
    assert not program.rounds("flat")


def test_layers_of_real_numbers_compute_as_they_say():
    x = np.float32([[-0.6, 0.5], [1.25, 2.0]])
    layers = (
        Identity(name="same"),
        MultiThreshold(name="t", steps=2, out_scale=2.0, out_bias=-1.0),
        Truncate(name="cut", scale=1.0, dropped_bits=1, out_scale=0.5),
    )
    network = Network("real", (2,), layers)
    thresholds = np.float32([[1.25, 0.0], [2.0, 2.5]])
    program = Program(
        network, {"t.thresholds": thresholds}, {}, {}, {}, {INPUT: Float()}, {}, Arithmetic()
    )
    made = execute(program, x)
    np.testing.assert_array_equal(made["t"].value, [[-1, -1], [3, 1]])
    np.testing.assert_array_equal(made["cut"].value, [[-0.5, -0.5], [0.5, 0.0]])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MultiThreshold(name="t", steps=0), "steps must be 1 to 65,535"),
        (lambda: MultiThreshold(name="t", steps=1, out_scale=0.0), "not 0"),
        (lambda: MultiThreshold(name="t", steps=1, out_bias=float("nan")), "finite"),
        (lambda: MultiThreshold(name="t", steps=1, out_bias=0.123456), "a whole multiple"),
        (lambda: MultiThreshold(name="t", steps=2, out_bias=65535.0), "within 65,535 of 0"),
        (lambda: Truncate(name="t", scale=0.0, dropped_bits=1, out_scale=1.0), "positive"),
        (lambda: Truncate(name="t", scale=1.0, dropped_bits=41, out_scale=1.0), "0 to 40"),
        (lambda: Truncate(name="t", scale=1.0, dropped_bits=1, out_scale=1.0, low=2, high=1),
         "low must not be more than high"),
    ],
)  # fmt: skip
def test_impossible_layers_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_sums_of_different_scales_have_no_thresholds():
    layer = MultiThreshold(name="t", steps=1)
    program = program_of((layer,), {"t": Quant(2)}, {"t": np.float32(1)},
                         {"t.thresholds": np.zeros((CHANNELS, 1), np.float32)})  # fmt: skip
    node = program.network.nodes["t"]
    ones = np.ones((1, CHANNELS, 1, 1), np.int64)
    terms = ((ones, np.ones(CHANNELS)), (ones, np.full(CHANNELS, 0.5)))
    with pytest.raises(
        QsimError, match="layer 't' of network small cannot be computed: these sums"
    ):
        run._rounding_layer(program, node, Sums(terms))
    same = run._rounding_layer(program, node, Sums(((ones, np.ones(CHANNELS)),) * 2))
    np.testing.assert_array_equal(same.terms[0][0], ones)


def test_bits_are_dropped_of_integers_alone():
    layer = Truncate(name="t", scale=1.0, dropped_bits=1, out_scale=1.0)
    program = program_of((layer,), {"t": Quant(8)}, {"t": np.float32(1)}, factor=(1, 1, 1))
    with pytest.raises(QsimError, match="a real bias or bounds"):
        execute(program, images(0))
    odd = replace(program, factors={}, real={}, network=Network(
        "small", (2, 2, 2), (Conv(name="conv", out_channels=3, kernel=1, bias=False),
        Truncate(name="t", scale=1e-20, dropped_bits=1, out_scale=1.0))))  # fmt: skip
    with pytest.raises(QsimError, match="no integer of 53 bits"):
        execute(odd, images(0))


def test_thresholds_are_of_the_channels():
    layer = MultiThreshold(name="t", steps=4)
    assert layer.parameters((3, 5, 5)) == {"thresholds": (3, 4)}
    shared = MultiThreshold(name="t", steps=4, shared=True)
    assert shared.parameters((3, 5, 5)) == {"thresholds": (1, 4)}
    with pytest.raises(NetworkError, match="reads 1 tensor, not 2"):
        layer.output_shape((1,), (1,))


def spoiled(step):
    """The step of a layer with its last integer off by one."""
    [(levels, scale)] = step.unrounded.terms
    levels = levels.copy()
    levels.flat[-1] += 1
    return replace(step, unrounded=replace(step.unrounded, terms=((levels, scale),)))


def test_the_check_notices_one_wrong_integer():
    layers = (
        MultiThreshold(name="t", steps=3),
        Truncate(name="cut", scale=1.0, dropped_bits=1, out_scale=1.0),
    )
    scales = {"t": np.float32(1), "cut": np.float32(1)}
    real = {"t.thresholds": np.float32([[-1, 0, 1]] * CHANNELS)}
    program = program_of(layers, {"t": Quant(3), "cut": Quant(3)}, scales, real)
    made = execute(program, images(3))
    assert count_checked(program, made, EVERYTHING)[1] == []
    for name in ("t", "cut"):
        wrong = count_checked(program, made | {name: spoiled(made[name])}, EVERYTHING)[1]
        assert any(f"layer {name!r}" in sentence for sentence in wrong)


def test_a_layer_table_can_have_them():
    """Formats and scales are found as of any network; the integers are confirmed."""
    layers = (
        Conv(name="conv", out_channels=3, kernel=1),
        MultiThreshold(name="t", steps=3, out_bias=-1.0),
        Identity(name="again"),
        AveragePool(name="mean", kernel=2),
        Truncate(name="cut", scale=0.25, dropped_bits=1, out_scale=0.5),
        Flatten(name="flat"),
        Linear(name="fc", out_features=2),
    )
    network = Network("table", (2, 4, 4), layers)
    program, x = program_for(network, {"fixed": {"bits": 4}}, signed=True)
    assert {"t", "again", "cut"} <= program.formats.keys()
    made = execute(program, x)
    assert count_checked(program, made, EVERYTHING)[1] == []


def test_their_arrays_are_in_the_file_of_a_program():
    real = {"t.thresholds": np.float32([[-1, 0, 1]] * CHANNELS)}
    layers = (MultiThreshold(name="t", steps=3),)
    program = program_of(layers, {"t": Quant(3)}, {"t": np.float32(1)}, real)
    np.testing.assert_array_equal(program_arrays(program)["t.thresholds"], real["t.thresholds"])
