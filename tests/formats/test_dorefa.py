from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import DorefaGradients, DorefaWeights

LARGEST_DRAW = 1 - 2.0**-53  # of a generator's numbers in [0, 1)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 1e-30, 20.0, -20.0, 3e38, -3e38]),
    st.floats(-4, 4, width=32),
)


def fractions(values):
    return [Fraction(float(v)) for v in np.asarray(values).flat]


class Drawn:
    """A generator that draws one number again and again."""

    def __init__(self, number):
        self.number = number

    def random(self, shape):
        return np.full(shape, self.number)


# weights


@given(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float32, n, elements=FLOATS)), st.integers(2, 8)
)
def test_codes_equal_the_printed_formula_in_float32(values, bits):
    assume(np.any(values))
    assume(
        not any(naive_formats.near_a_float32_tie(naive_formats.tanh(v)) for v in fractions(values))
    )
    quantized = DorefaWeights(bits).quantize(values)
    wanted = naive_formats.dorefa_weights(fractions(values), bits)
    assert quantized.codes.tolist() == wanted
    assert quantized.levels.tolist() == [2 * code - (2**bits - 1) for code in wanted]
    assert fractions(quantized.scale) == [naive.float32(Fraction(1, 2**bits - 1))]
    np.testing.assert_array_equal(DorefaWeights(bits).decode(quantized.codes), quantized.levels)


@given(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float32, n, elements=FLOATS)), st.integers(2, 8)
)
def test_the_largest_weight_is_plus_or_minus_1(values, bits):
    assume(np.any(values))
    levels, at = DorefaWeights(bits).quantize(values).levels, np.abs(values).argmax()
    n = 2**bits - 1
    assert levels[at] == (n if values[at] > 0 else -n)
    assert np.abs(levels).max() == n
    assert (levels % 2 == 1).all()  # odd, so that none is 0


@given(st.integers(1, 5).flatmap(lambda n: arrays(np.float32, n, elements=FLOATS)))
def test_one_bit_is_the_sign_times_the_mean_of_the_layer(values):
    mean = naive_formats.mean_magnitude(fractions(values))
    assume(mean)
    for axis in (None, 0):  # DoReFa-Net has one scale per layer
        quantized = DorefaWeights(1).quantize(values, axis=axis)
        assert quantized.levels.tolist() == [naive_formats.sign(v) for v in fractions(values)]
        assert fractions(quantized.scale) == [mean]
        np.testing.assert_array_equal(quantized.codes, quantized.levels > 0)


@pytest.mark.parametrize("shape", [(3,), (0,)])
def test_zeros_and_nothing_have_no_scale(shape):
    with pytest.raises(ValueError, match="all weights of the layer are 0"):
        DorefaWeights(2).quantize(np.zeros(shape))
    with pytest.raises(ValueError, match=r"no scale|no mean magnitude"):
        DorefaWeights(1).quantize(np.zeros(shape))


@given(st.integers(2, 8), st.integers(-600, 600), st.sampled_from([0.0, 1e-20, -1e-20, 0.5]))
def test_the_nearest_level_is_taken_exactly(bits, halves, beside):
    x = halves / 2 + beside
    exact = Fraction(halves, 2) + Fraction(beside)
    for number in (DorefaWeights(bits), DorefaGradients(bits)):
        got = int(number.nearest(np.array(x)))
        assert got == naive_formats.odd_level(Fraction(x), bits)
        if Fraction(x) == exact:
            assert abs(got - exact) <= max(1, abs(exact) - (2**bits - 1))


def test_next_to_0_the_nearest_of_two_levels_is_the_sign():
    assert DorefaGradients(1).nearest(np.array([1e-300, -1e-300])).tolist() == [1, -1]
    assert DorefaWeights(1).nearest(np.array([0.0, -0.0, -1e-300])).tolist() == [1, 1, -1]
    assert DorefaGradients(1).nearest(np.array([np.inf, -np.inf])).tolist() == [1, -1]
    assert DorefaGradients(3).nearest(np.array([8.0, 1e30, -8.0])).tolist() == [7, 7, -7]


# gradients


@st.composite
def gradients(draw):
    shape = draw(st.tuples(st.integers(0, 3), st.integers(0, 4)))
    values = st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 3e38, -3e38]),
        st.floats(-2, 2, width=32),
    )
    return draw(arrays(np.float32, shape, elements=values))


@given(gradients(), st.integers(1, 8), st.integers(0, 2**40))
def test_gradient_codes_equal_the_printed_formula_in_float64(values, bits, seed):
    quantized = DorefaGradients(bits, seed).quantize(values)
    noise = np.random.default_rng(seed).random(values.shape) - 0.5
    n = 2**bits - 1
    assert quantized.scale.shape == (len(values), 1)
    for sample, row in enumerate(values):
        got = quantized.codes[sample].tolist()
        if not row.size:
            assert (got, quantized.scale[sample, 0]) == ([], 0)
            continue
        codes = naive_formats.dorefa_gradient(row.tolist(), bits, noise[sample].tolist())
        assert got == [naive_formats.clip(code, 0, n) for code in codes]
        largest = Fraction(max(abs(v) for v in row.tolist()))
        wanted = naive.float32(Fraction(float(largest) / n))
        assert fractions(quantized.scale[sample]) == [wanted]


@given(gradients(), st.integers(1, 8), st.integers(0, 2**40))
def test_gradients_never_leave_the_grid(values, bits, seed):
    n = 2**bits - 1
    levels = DorefaGradients(bits, seed).quantize(values).levels
    assert np.isin(levels, range(-n, n + 1, 2)).all()


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_most_noise_would_leave_the_grid_and_is_clipped(monkeypatch, bits):
    n = 2**bits - 1
    values = np.array([[1.0, -1.0], [0.75, 0.75]], np.float32)
    # n + (1/2 - 2**-53) is rounded to n + 1/2, and that to the even n + 1
    unclipped = naive_formats.dorefa_gradient([1.0, -1.0], bits, [LARGEST_DRAW - 0.5] * 2)
    assert unclipped == [n + 1, 0]
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Drawn(LARGEST_DRAW))
    assert DorefaGradients(bits).quantize(values).levels.tolist() == [[n, -n], [n, n]]


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_least_noise_stays_on_the_grid(monkeypatch, bits):
    n = 2**bits - 1
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Drawn(0.0))
    got = DorefaGradients(bits).quantize(np.array([[1.0, -1.0]])).codes.tolist()
    assert got == [naive_formats.dorefa_gradient([1.0, -1.0], bits, [-0.5] * 2)]
    assert got == [[n - 1, 0]]  # n - 1/2 goes to the even n - 1, and -1/2 to 0


@given(gradients(), st.integers(1, 8))
def test_a_sample_has_a_scale_of_its_own(values, bits):
    with_others = np.concatenate([values, np.full((1, values.shape[1]), 1e30, np.float32)])
    got = DorefaGradients(bits).quantize(with_others)
    alone = DorefaGradients(bits).quantize(values)
    np.testing.assert_array_equal(got.scale[:-1], alone.scale)


def test_a_sample_of_zeros_stands_for_zeros():
    quantized = DorefaGradients(4).quantize(np.array([[0.0, -0.0], [1, -1]]))
    assert quantized.scale[0, 0] == 0
    assert (quantized.real[0] == 0).all()
    assert (quantized.real[1] != 0).all()
    np.testing.assert_array_equal(DorefaGradients(4).decode(quantized.codes), quantized.levels)


def test_the_mean_of_many_draws_is_the_gradient():
    values = np.full((1, 200_000), 0.3)
    values[0, 0] = 1
    real = DorefaGradients(2, seed=9).quantize(values).real[0, 1:]
    # two neighbouring levels, 2/3 apart: Hoeffding with a false alarm of 1e-9
    slack = 2 / 3 * np.sqrt(np.log(2e9) / (2 * real.size))
    assert abs(real.mean() - 0.3) < slack + 1e-6  # the scale is a float32


@pytest.mark.parametrize(
    ("values", "arguments", "problem"),
    [
        (np.array(1.0), {}, "one scale per sample"),
        (np.ones((2, 2)), {"axis": 1}, "one scale per sample"),
        (np.ones((2, 2)), {"axis": None}, "one scale per sample"),
        (np.ones((2, 2)), {"scale": np.ones(2)}, "one scale per sample"),
        (np.array([[np.nan]]), {}, "1 of 1 values are NaN"),
        (np.array([[1.0], [1e300]]), {}, r"a gradient of 1e\+300 is too large"),
    ],
)
def test_gradients_that_cannot_be_are_refused(values, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        DorefaGradients(2).quantize(values, **arguments)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: DorefaWeights(0), "a DoReFa weight has 1 to 8 bits, not 0"),
        (lambda: DorefaWeights(9), "a DoReFa weight has 1 to 8 bits, not 9"),
        (lambda: DorefaGradients(0), "a DoReFa gradient has 1 to 8 bits, not 0"),
        (lambda: DorefaGradients(9), "a DoReFa gradient has 1 to 8 bits, not 9"),
        (lambda: DorefaGradients(2, seed=-1), "a seed is not negative"),
    ],
)
def test_impossible_parameters_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
