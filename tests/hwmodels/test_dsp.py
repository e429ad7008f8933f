"""DSP blocks: packing against the arithmetic it stands for, and what synthesis and vendors do."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import InputError
from hwmodels.fpga import dsp as dsps
from hwmodels.fpga.dsp import load_dsp_type, products_per_dsp

E1, E2, D58, INTEL, ECP5 = (
    load_dsp_type(name) for name in ("dsp48e1", "dsp48e2", "dsp58", "intel_vp", "ecp5_sysdsp")
)
types = st.sampled_from([load_dsp_type(name) for name in dsps.dsp_type_names()])
packings = st.sampled_from(["one", "shared_operand", "overlapped", "published"])


def fields(total, apart, count):
    """``total`` split into ``count`` signed fields, from the lowest up, as a borrow fix does."""
    found = []
    for _ in range(count):
        low = total % 2**apart
        low -= 2**apart if low >= 2 ** (apart - 1) else 0
        found.append(low)
        total = (total - low) >> apart
    return found


@given(
    st.data(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.sampled_from([E1, E2])
)
def test_packed_products_can_be_summed_and_split_again(data, weight_bits, act_bits, guard, dsp):
    count = int(
        products_per_dsp(weight_bits, act_bits, dsp, packing="shared_operand", guard_bits=guard)
    )
    wide, apart = dsp.modes[0].port_bits[0], weight_bits + act_bits + guard
    weight = st.integers(-(2 ** (weight_bits - 1)), 2 ** (weight_bits - 1) - 1)
    sums, packed_sum = [0] * count, 0
    for _ in range(2**guard):
        weights = data.draw(st.lists(weight, min_size=count, max_size=count))
        activation = data.draw(st.integers(0, 2**act_bits - 1))
        packed = sum(w << (apart * i) for i, w in enumerate(weights))
        assert -(2 ** (wide - 1)) <= packed < 2 ** (wide - 1), "it is in the port"
        packed_sum += packed * activation
        sums = [s + w * activation for s, w in zip(sums, weights, strict=True)]
    assert fields(packed_sum, apart, count) == sums


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.sampled_from([E1, E2]))
def test_one_more_packed_weight_would_not_fit_the_port(weight_bits, act_bits, guard, dsp):
    count = int(
        products_per_dsp(weight_bits, act_bits, dsp, packing="shared_operand", guard_bits=guard)
    )
    apart = weight_bits + act_bits + guard
    lowest = sum(-(2 ** (weight_bits - 1)) << (apart * i) for i in range(count + 1))
    assert lowest < -(2 ** (dsp.modes[0].port_bits[0] - 1))


def told_apart(total, weights, activation, apart):
    """The products of overlapping fields, given nothing of them but their lowest bits; every way
    to split the total that agrees with these."""
    lowest = [(w * activation) & 1 for w in weights]
    ways = [([], total)]
    for place in range(len(weights) - 1):
        ways = [
            ([*found, low], (rest - low) >> apart)
            for found, rest in ways
            for low in (rest % 2**apart - 2**apart, rest % 2**apart)
            if ((rest - low) >> apart) & 1 == lowest[place + 1]
        ]
    return [[*found, rest] for found, rest in ways]


@given(st.data(), st.integers(2, 9), st.integers(2, 9), st.sampled_from([E1, E2]))
def test_overlapped_products_are_told_apart_by_the_lowest_bit_of_the_next(
    data, weight_bits, act_bits, dsp
):
    count = int(products_per_dsp(weight_bits, act_bits, dsp, packing="overlapped"))
    wide, apart = dsp.modes[0].port_bits[0], weight_bits + act_bits - 1
    weight = st.integers(-(2 ** (weight_bits - 1)), 2 ** (weight_bits - 1) - 1)
    weights = data.draw(st.lists(weight, min_size=count, max_size=count))
    activation = data.draw(st.integers(0, 2**act_bits - 1))
    packed = sum(w << (apart * i) for i, w in enumerate(weights))
    assert -(2 ** (wide - 1)) <= packed < 2 ** (wide - 1)
    products = [w * activation for w in weights]
    # the two candidates of a field are 2**apart apart: they move the next one by 1, so its parity
    assert told_apart(packed * activation, weights, activation, apart) == [products]


@given(types, packings, st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_wider_operands_never_let_more_products_in(dsp, packing, weight_bits, act_bits, signed):
    options = {"packing": packing, "signed_activations": signed}
    now = products_per_dsp(weight_bits, act_bits, dsp, **options)
    assert products_per_dsp(weight_bits + 1, act_bits, dsp, **options) <= now
    assert products_per_dsp(weight_bits, act_bits + 1, dsp, **options) <= now


@given(types, packings, st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1))
def test_arrays_of_widths_give_what_each_pair_gives(dsp, packing, pairs):
    weight_bits, act_bits = np.array(pairs).T
    together = products_per_dsp(weight_bits, act_bits, dsp, packing=packing)
    alone = [products_per_dsp(w, a, dsp, packing=packing) for w, a in pairs]
    assert together.tolist() == [float(each) for each in alone]


@pytest.mark.parametrize(
    ("dsp", "weight_bits", "act_bits", "packing", "products"),
    [
        (E1, 4, 4, "one", 1),
        (E1, 8, 8, "shared_operand", 2),  # 25 bits exactly: no sum before the split
        (E1, 4, 4, "shared_operand", 3),
        (E2, 8, 8, "published", 2),  # WP486
        (E2, 4, 4, "published", 4),  # WP521
        (E2, 5, 4, "published", 2),  # the 8 x 8 scheme holds it
        (E1, 4, 4, "published", 1),  # none published
        (E2, 4, 4, "overlapped", 4),  # FINN, mvu_4sx4u
        (E1, 4, 4, "overlapped", 3),
        (E2, 8, 8, "overlapped", 2),  # FINN, mvu_8sx8u
        (D58, 8, 8, "one", 3),
        (D58, 9, 9, "one", 1),
        (INTEL, 8, 8, "one", 2),
        (INTEL, 18, 18, "one", 2),  # 18 unsigned bits are 19 signed ones
        (INTEL, 20, 20, "one", 1),
        (INTEL, 28, 4, "one", 0),
        (ECP5, 8, 8, "one", 2),
        (ECP5, 10, 8, "one", 1),
    ],
)
def test_products_for_each_block(dsp, weight_bits, act_bits, packing, products):
    assert products_per_dsp(weight_bits, act_bits, dsp, packing=packing) == products


def test_guard_bits_take_the_second_8_bit_product_from_the_25_bit_port_alone():
    for dsp, products in ((E1, 1), (E2, 2)):
        assert products == products_per_dsp(8, 8, dsp, packing="shared_operand", guard_bits=2)


@pytest.mark.parametrize(
    ("weight_bits", "act_bits", "count"),
    [(8, 8, 1), (18, 18, 1), (24, 17, 1), (24, 24, 2), (32, 16, 2), (32, 31, 4)],
)
def test_dsps_of_one_product_are_those_that_synthesis_gives(weight_bits, act_bits, count):
    """yosys 0.70, synth_xilinx -family xc7: signed x unsigned products, and requantizers."""
    assert dsps.dsp_per_product(weight_bits, act_bits, E1) == count


@given(types, st.integers(1, 70), st.integers(1, 70))
def test_wider_products_never_take_fewer_dsps(dsp, weight_bits, act_bits):
    now = dsps.dsp_per_product(weight_bits, act_bits, dsp)
    assert dsps.dsp_per_product(weight_bits + 1, act_bits, dsp) >= now
    assert dsps.dsp_per_product(weight_bits, act_bits + 1, dsp) >= now
    alone = products_per_dsp(weight_bits, act_bits, dsp) >= 1
    assert not alone or now == 1, "a product that fits one DSP takes one"


def test_synthesis_leaves_products_of_8_bits_to_luts():
    in_dsp = {(w, a): int(dsps.goes_to_dsp(w, a)) for w, a in itertools.product((2, 4, 5), (4, 8))}
    assert in_dsp == {(2, 4): 0, (2, 8): 1, (4, 4): 0, (4, 8): 1, (5, 4): 1, (5, 8): 1}


def test_what_is_no_width_is_refused():
    with pytest.raises(ValueError, match="operands have 1 bit or more"):
        products_per_dsp(0, 4, E1)
    with pytest.raises(InputError, match="unknown type of DSP 'dsp48e3'"):
        load_dsp_type("dsp48e3")
