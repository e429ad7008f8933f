"""Counts of complexity: equal to counting by hand, and the laws that any count must keep."""

from dataclasses import replace
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels import complexity
from hwmodels.complexity import Precisions
from hwmodels.work import LayerWork, WorkTable

BITS = st.integers(1, 32)


@st.composite
def layers(draw):
    channels, rows, side = (draw(st.integers(1, 40)) for _ in range(3))
    kernel = draw(st.integers(1, 5))
    weight_bits, activation_bits = draw(BITS), draw(BITS)
    return LayerWork(
        "layer", "conv", channels, rows, kernel, kernel, 1, side, side, side, side, rows, 0,
        weight_bits, activation_bits, rows * side * side, activation_bits,
    )  # fmt: skip


works = st.lists(layers(), min_size=1, max_size=4).map(lambda held: WorkTable(tuple(held)))


@given(works, BITS, st.booleans())
def test_every_count_equals_counting_product_by_product(work, gradient_bits, with_weights):
    """A product of M and K bits is M x K products of single bits (DoReFa-Net, Eq. 3)."""
    macs = bops = training = weight_bits = widths = 0
    for layer in work:
        of_layer = layer.out_channels * layer.in_channels * layer.kernel_h * layer.kernel_w
        weight_bits += of_layer * layer.weight_bits
        of_layer *= layer.out_h * layer.out_w
        macs += of_layer
        bops += of_layer * layer.weight_bits * layer.activation_bits
        each = layer.weight_bits * layer.activation_bits + layer.weight_bits * gradient_bits
        each += layer.activation_bits * gradient_bits if with_weights else 0
        training += of_layer * each
        widths += of_layer * (layer.weight_bits + layer.activation_bits)
    chosen = Precisions(gradient_bits=gradient_bits, include_weight_gradient=with_weights)
    cost = complexity.evaluate(work, chosen)
    assert (cost.macs, cost.bops, cost.training_bops) == (macs, bops, training)
    assert cost.weight_bytes == weight_bits / 8
    assert cost.compute_cost == pytest.approx(widths / (64 * macs), rel=1e-12)


@given(works, BITS, BITS, st.sampled_from(["weight_bits", "activation_bits", "gradient_bits"]))
def test_more_bits_never_cost_less(work, weight_bits, activation_bits, which):
    narrow = Precisions(weight_bits=weight_bits, activation_bits=activation_bits, gradient_bits=8)
    given_bits = {name: getattr(narrow, name) for name in narrow.__struct_fields__}
    wide = Precisions(**given_bits | {which: given_bits[which] + 1})
    before, after = (complexity.evaluate(work, each) for each in (narrow, wide))
    for name in complexity.OUTPUTS:
        assert getattr(after, name) >= getattr(before, name)


@given(works, works)
def test_counts_are_additive_over_layers(first, second):
    both = complexity.evaluate(WorkTable(first.layers + second.layers))
    for name in ("macs", "bops", "training_bops", "weight_bytes"):
        apart = [getattr(complexity.evaluate(work), name) for work in (first, second)]
        assert getattr(both, name) == sum(apart)


@given(works)
def test_a_sweep_equals_its_precisions_one_by_one(work):
    weight_bits, activation_bits = np.array([[1], [2], [8]]), np.array([1, 4, 8, 32])
    sweep = complexity.evaluate(
        work, Precisions(weight_bits=weight_bits, activation_bits=activation_bits)
    )
    assert sweep.layer_bops.shape == (3, 4, len(work.layers))
    for i, j in np.ndindex(3, 4):
        one = Precisions(weight_bits=weight_bits[i, 0], activation_bits=activation_bits[j])
        alone = complexity.evaluate(work, one)
        for name in complexity.OUTPUTS:
            assert getattr(sweep, name)[i, j] == getattr(alone, name)
        assert (sweep.layer_bops[i, j] == alone.layer_bops).all()


@given(works)
def test_a_first_layer_in_fp32_counts_1024_a_mac_and_four_bytes_a_weight(work):
    low = Precisions(weight_bits=1, activation_bits=1, first_layer_in_fp32=True)
    cost, first = complexity.evaluate(work, low), work.layers[0]
    others = [layer.macs for layer in work.layers[1:]]
    assert cost.bops == 1024 * first.macs + sum(others)
    rest = sum(layer.weights for layer in work.layers[1:])
    assert cost.weight_bytes == 4 * first.weights + rest / 8


@given(BITS, BITS, st.integers(1, 10**9))
def test_a_cost_of_growth_is_the_cost_of_the_layers_at_one_width(weight_bits, bits, macs):
    by_layer = np.array([macs, 3 * macs], np.float64)
    of_layers = complexity.compute_cost(by_layer, weight_bits, bits, by_layer.sum() / 2)
    assert of_layers == pytest.approx(complexity.compute_cost_of_growth(2, weight_bits, bits))
    speedup = complexity.first_order_speedup(weight_bits, bits)
    assert speedup * complexity.compute_cost_of_growth(1, weight_bits, bits) == pytest.approx(1)


@given(st.integers(1, 512), st.integers(1, 49))
def test_a_binary_convolution_is_never_faster_than_its_words_are_wide(channels, area):
    ours = complexity.binary_convolution_speedup(channels, area)
    assert ours < min(64, channels * area)
    assert ours == pytest.approx(1 / (1 / 64 + 1 / (channels * area)))


def test_xnor_nets_example_is_62_27():
    assert floor(100 * complexity.binary_convolution_speedup(256, 9) + 0.5) == 6227


@pytest.mark.parametrize(
    "change", [{"weight_bits": 0}, {"activation_bits": 65}, {"gradient_bits": np.nan}]
)
def test_impossible_widths_are_refused(change):
    with pytest.raises(ValueError, match="must be from 1 to 64"):
        Precisions(**change)


def test_scales_are_counted_by_row():
    assert complexity.scale_bytes([64, 128], 5) == 960


def test_a_count_of_a_layer_in_more_groups_is_less():
    plain = LayerWork("l", "conv", 8, 8, 3, 3, 1, 4, 4, 4, 4, 8, 0, 4, 4, 128, 4)
    grouped = replace(plain, groups=2)
    halves = [complexity.evaluate(WorkTable((each,))).bops for each in (plain, grouped)]
    assert halves[0] == 2 * halves[1]
