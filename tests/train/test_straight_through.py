"""The training quantizers, by exact fractions on inputs that float32 holds, and by hand."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from qsim.train import straight_through as quantizers  # noqa: E402 (needs torch)

SIXTEENTHS = st.integers(-64, 64).map(lambda n: Fraction(n, 16))  # -4 to 4, ties included
VALUES = st.lists(SIXTEENTHS, min_size=1, max_size=12)
SOME_VALUES = VALUES.filter(any)


def tensor(values):
    return torch.tensor([float(v) for v in values], requires_grad=True)


def clip(x, low, high):
    return min(max(x, low), high)


def assert_levels(got, levels, n):
    """``got`` is each integer level divided by n in float32."""
    expected = np.array(levels, np.float32) / np.float32(n)
    np.testing.assert_array_equal(got.detach().numpy(), expected)


def gradient(function, values):
    """Of the sum of the results by each value."""
    x = tensor(values)
    function(x).sum().backward()
    return x.grad.tolist()


@given(VALUES, st.integers(1, 8))
def test_unit_activations_are_the_nearest_of_2_to_the_bits_levels(values, bits):
    n = 2**bits - 1
    levels = [round(n * clip(x, 0, 1)) for x in values]
    assert_levels(quantizers.unit_activations(tensor(values), bits), levels, n)


@given(VALUES, st.integers(2, 8))
def test_wrpn_weights_are_the_nearest_symmetric_levels(values, bits):
    n = 2 ** (bits - 1) - 1
    levels = [round(n * clip(w, -1, 1)) for w in values]
    assert_levels(quantizers.wrpn_weights(tensor(values), bits), levels, n)


@given(VALUES, st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(1)]))
def test_lsq_is_the_nearest_level_times_the_step(values, step):
    got = quantizers.lsq(tensor(values), torch.tensor(float(step)), -4, 3, group=1)
    levels = [round(clip(v / step, -4, 3)) for v in values]
    assert_levels(got, levels, 1 / step)


@given(VALUES, st.sampled_from([1, 2, 4]))
def test_pact_is_the_nearest_of_the_levels_up_to_alpha(values, alpha):
    got = quantizers.pact_activations(tensor(values), torch.tensor(float(alpha)), 4)
    levels = [alpha * round(clip(x, 0, alpha) * 15 / alpha) for x in values]
    assert_levels(got, levels, 15)


@given(SOME_VALUES)
def test_binary_weights_are_signs_with_zero_positive_times_the_mean_magnitude(values):
    signs = [1 if w >= 0 else -1 for w in values]
    mean = sum(abs(w) for w in values)  # times the count
    scaled = [s * float(mean) for s in signs]
    assert_levels(quantizers.dorefa_weights(tensor(values), 1), scaled, len(values))
    assert_levels(quantizers.bwn_weights(tensor(values)[None])[0], scaled, len(values))
    assert_levels(quantizers.binary_connect_weights(tensor(values)), signs, 1)
    assert_levels(quantizers.sign_activations(tensor(values)), signs, 1)


def test_bwn_has_a_scale_for_each_filter_and_dorefa_one_for_the_layer():
    w = torch.tensor([[1.0, -3.0], [4.0, 8.0]])
    assert quantizers.bwn_weights(w).tolist() == [[2, -2], [6, 6]]
    assert quantizers.dorefa_weights(w, 1).tolist() == [[4, -4], [4, 4]]


def test_dorefa_weights_of_more_bits_are_odd_multiples_and_the_largest_is_one():
    w = torch.linspace(-2, 1, 31)
    codes = quantizers.dorefa_weights(w, 2).numpy() * 3
    assert set(np.rint(codes).tolist()) == {-3, -1, 1, 3}
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-6)
    # tanh 0.5 / tanh 2 = 0.479, the code of 0.740 of 3 is 2: a weight of 1/3
    assert quantizers.dorefa_weights(torch.tensor([-2.0, 0.5]), 2).tolist() == pytest.approx(
        [-1, 1 / 3]
    )


def test_twn_keeps_what_exceeds_seven_tenths_of_the_mean():
    w = torch.tensor([1.0, -2.0, 0.5, -0.5, 0.0])  # mean |w| 0.8, threshold 0.56
    assert quantizers.twn_weights(w).tolist() == [1.5, -1.5, 0, 0, 0]


def test_ttq_has_a_magnitude_for_each_sign_and_the_printed_gradients_but_one_sign():
    w = tensor([2.0, -1.0, 0.1, -0.05, 0.5])  # threshold 0.05 * 2 = 0.1, which is not above it
    positive, negative = (torch.tensor(v, requires_grad=True) for v in (3.0, 0.5))
    got = quantizers.ttq_weights(w, positive, negative)
    assert got.tolist() == [3, -0.5, 0, 0, 3]
    (got * torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])).sum().backward()
    assert (positive.grad, negative.grad) == (17, -2)
    assert w.grad.tolist() == [3, 1, 4, 8, 48]


def test_hwgq_is_zero_only_at_and_below_zero():
    step = np.float32(0.5388)
    x = [-1, 0, 1e-6, 1.49 * step, 1.51 * step, 2.49 * step, 2.51 * step, 100]
    got = quantizers.hwgq_activations(torch.tensor([float(v) for v in x])) / step
    np.testing.assert_allclose(got.numpy(), [0, 0, 1, 1, 2, 2, 3, 3], rtol=1e-6)


def test_the_activation_map_is_the_mean_magnitude_under_each_window():
    x = torch.zeros(1, 2, 3, 3)
    x[0, :, 0, 0] = torch.tensor([-18.0, 36.0])  # mean magnitude 27, a ninth of it is 3
    got = quantizers.activation_map(x, (3, 3), stride=1, padding=1)
    assert got.tolist() == [[[[3, 3, 0], [3, 3, 0], [0, 0, 0]]]]
    strided = quantizers.activation_map(x, (3, 3), stride=2, padding=1)
    assert strided.tolist() == [[[[3, 0], [0, 0]]]]


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (lambda x: quantizers.unit_activations(x, 2), [-1, 0.4, 2], [0, 1, 0]),
        (lambda w: quantizers.wrpn_weights(w, 2), [-2, 0.4, 2], [1, 1, 1]),
        (lambda w: quantizers.dorefa_weights(w, 1), [-2, 0.4, 2], [1, 1, 1]),
        (quantizers.twn_weights, [-2, 0.4, 2], [1, 1, 1]),
        (quantizers.binary_connect_weights, [-2, 0.4, 1], [1, 1, 1]),
        (quantizers.sign_activations, [-2, -0.4, 1, 2], [0, 1, 1, 0]),
        (lambda w: quantizers.bwn_weights(w[None]), [-2, 0.5, 0.5, 1], [0.25, 1.25, 1.25, 1.25]),
        (quantizers.hwgq_activations, [-1, 0.4, 1.6, 1.7], [0, 1, 1, 0]),
    ],
)
def test_gradients_pass_where_the_papers_let_them(function, values, expected):
    assert gradient(function, values) == expected


def test_the_gradient_of_pact_reaches_alpha_only_from_clipped_values():
    x, alpha = tensor([-1, 0.5, 2, 3]), torch.tensor(2.0, requires_grad=True)
    quantizers.pact_activations(x, alpha, 4).sum().backward()
    assert x.grad.tolist() == [0, 1, 0, 0]
    assert alpha.grad == 2


def test_the_gradient_of_an_lsq_step_is_the_rounding_error_or_the_end():
    v, step = tensor([-5, 0.75, 8]), torch.tensor(1.0, requires_grad=True)
    quantizers.lsq(v, step, -4, 3, group=12).sum().backward()
    assert v.grad.tolist() == [0, 1, 0]
    assert step.grad.item() == pytest.approx((-4 + 0.25 + 3) / 6)
