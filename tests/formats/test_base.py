"""What trained formats have in common, where levels begin, and scales and means."""

from fractions import Fraction

import naive_formats
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paper_levels import printed_level

from qsim.formats import (
    FORMATS,
    Affine,
    AffineGrid,
    BinaryActivations,
    BinaryConnect,
    BinaryWeights,
    DorefaActivations,
    DorefaGradients,
    DorefaWeights,
    Fixed,
    Float,
    Hwgq,
    Lsq,
    Pact,
    PowerOfTwo,
    Sp2,
    TernaryWeights,
    Ttq,
    WrpnActivations,
    WrpnWeights,
)
from qsim.formats.base import as_float32, largest_magnitude, mean_of, positive, rows_of

TRAINED_WEIGHTS = [
    BinaryConnect(), BinaryConnect(stochastic=True, seed=2), BinaryWeights(), TernaryWeights(),
    Ttq(), Ttq(0.25, 0.5, 2.0), Lsq(2), Lsq(8, step=0.25), *(DorefaWeights(b) for b in range(1, 9)),
    *(WrpnWeights(b) for b in (1, 2, 3, 8, 16)),
]  # fmt: skip
TRAINED_ACTIVATIONS = [
    BinaryActivations(), BinaryActivations(scale_map=True), Lsq(4), Lsq(4, signed=False, step=0.5),
    *(DorefaActivations(b) for b in (1, 2, 8, 16)), *(WrpnActivations(b) for b in (1, 4, 16)),
    *(Hwgq(b) for b in range(1, 9)),
]  # fmt: skip
TRAINED = TRAINED_WEIGHTS + TRAINED_ACTIVATIONS
ACTIVATIONS = [
    *TRAINED_ACTIVATIONS, Fixed(2), Fixed(8), Fixed(8, full_range=True), Fixed(1, signed=False),
    Fixed(16, signed=False), Pact(1), Pact(4, 3.0), Pact(16), AffineGrid(1, 1), AffineGrid(8, 77),
]  # fmt: skip
UNEVEN = [Sp2(3), Sp2(4), PowerOfTwo(2), PowerOfTwo(5), TernaryWeights(), DorefaWeights(1),
          DorefaWeights(3), DorefaGradients(1), DorefaGradients(8), WrpnWeights(1)]  # fmt: skip


@pytest.mark.parametrize("number", ACTIVATIONS + UNEVEN, ids=str)
def test_a_level_begins_where_its_boundary_says(number):
    boundaries, levels = number.boundaries(), number.levels().tolist()
    assert len(boundaries) == len(levels) - 1
    assert [at for at, _ in boundaries] == sorted({at for at, _ in boundaries})
    few = range(0, len(boundaries), max(1, len(boundaries) // 300))
    for index in few:
        at, inclusive = boundaries[index]
        middle = float(at)
        assert Fraction(middle) == at
        points = [np.nextafter(middle, -np.inf), middle, np.nextafter(middle, np.inf)]
        reached = [
            levels[index],
            levels[index + 1] if inclusive else levels[index],
            levels[index + 1],
        ]
        assert number.nearest(np.array(points)).tolist() == reached
        assert [printed_level(Fraction(float(x)), number) for x in points] == reached


@given(st.sampled_from(ACTIVATIONS + UNEVEN), st.floats(-300, 300))
def test_boundaries_decide_as_nearest_does(number, x):
    if number.bits > 8:
        return
    levels = number.levels().tolist()
    wanted = naive_formats.by_boundaries(Fraction(x), levels, number.boundaries())
    assert int(number.nearest(np.array(x))) == wanted


@pytest.mark.parametrize("number", TRAINED, ids=str)
@settings(max_examples=25)  # of each format
@given(values=arrays(np.float32, (2, 3), elements=st.floats(0.0625, 3, width=32)))
def test_weights_decode_to_their_levels(number, values):
    values = values * np.array([1, -1, 1], np.float32)
    quantized = number.quantize(values)
    assert quantized.levels.dtype == np.int32
    assert quantized.scale.dtype == np.float32
    assert quantized.codes.max() < 2**number.bits
    np.testing.assert_array_equal(number.decode(quantized.codes), quantized.levels)
    np.testing.assert_array_equal(number.encode(quantized.levels), quantized.codes)


@pytest.mark.parametrize("number", TRAINED, ids=str)
def test_a_rule_for_scales_is_not_used_and_a_scale_is_refused(number):
    values = np.array([[0.5, -1, 2]], np.float32)
    by_rule, alone = number.quantize(values, scale=largest_magnitude), number.quantize(values)
    assert by_rule.scale == alone.scale
    np.testing.assert_array_equal(by_rule.levels, alone.levels)
    with pytest.raises(ValueError, match="has a scale of its own; none can be given"):
        number.quantize(values, scale=np.float32(1))


@pytest.mark.parametrize("number", TRAINED, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(number, bad):
    values = np.array([[1.0, bad]])
    with pytest.raises(ValueError, match="1 of 2 values are NaN or infinite"):
        number.quantize(values)


@pytest.mark.parametrize("number", TRAINED, ids=str)
@pytest.mark.parametrize("shape", [(0, 3), (3,)])
def test_nothing_and_zeros_have_levels_or_one_clear_refusal(number, shape):
    try:
        quantized = number.quantize(np.zeros(shape))
    except ValueError as error:
        assert "0" in str(error) or "empty" in str(error)
        assert number.granularities  # a format of weights or LSQ's start, without a mean
        return
    assert quantized.levels.shape == shape
    assert np.isin(quantized.levels, number.levels()).all()


@pytest.mark.parametrize("number", [n for n in TRAINED if n.bits <= 8], ids=str)
def test_codes_outside_the_format_are_refused(number):
    for code in (-1, 2**number.bits):
        with pytest.raises(ValueError, match=f"has codes 0 to {2**number.bits - 1}, not {code}"):
            number.decode(np.array([0, code]))
    with pytest.raises(ValueError, match=f"{number.max_level + 1} is not a level"):
        number.encode(np.array([number.max_level, number.max_level + 1]))


def test_trained_formats_are_quantized_as_trained():
    assert not any(number.folds for number in TRAINED)
    named = {name for name, record in FORMATS.items() if not record.folds}
    assert named == {
        "binary_connect", "bwn", "dorefa_activations", "dorefa_gradients", "dorefa_weights",
        "fixed_point", "hwgq",
        "lsq", "ttq", "twn", "wrpn_activations", "wrpn_weights", "xnor_activations",
    }  # fmt: skip


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(-1e300, 1e300))
    ),
    st.sampled_from([None, 0, 1, -1]),
)
def test_a_mean_is_the_exact_sum_rounded_once_and_divided(values, axis):
    got = mean_of(values, axis)
    parts = [values] if axis is None else list(np.moveaxis(values, axis, 0))
    exact = [sum(Fraction(float(v)) for v in part.flat) for part in parts]
    assert got.ravel().tolist() == [float(s) / p.size for s, p in zip(exact, parts, strict=True)]
    assert got.shape == (np.sum(values, axis=tuple(i for i in range(3) if i != axis % 3),
                                keepdims=True).shape if axis is not None else ())  # fmt: skip


def test_rows_are_what_shares_a_scale():
    values = np.arange(12).reshape(2, 3, 2)
    rows, shape = rows_of(values, 1)
    assert rows.tolist() == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert shape == (1, 3, 1)
    rows, shape = rows_of(values, None)
    assert (rows.shape, shape) == ((1, 12), ())


def test_a_scale_beyond_float32_is_refused_in_words():
    assert as_float32(np.float64(1e300)) == np.inf
    with pytest.raises(ValueError, match="positive and finite, not inf"):
        positive(np.float64(1e300))
    with pytest.raises(ValueError, match="positive and finite, not inf"):
        Fixed(4).quantize(np.array([1e300]))


BY_LAYER, BY_FILTER = ("per_tensor",), ("per_channel", "per_tensor")
EITHER = ("per_tensor", "per_channel")
FACTS = {  # example: bits, datapath, granularities, whether clipped at 0 by mistake, half to even
    Fixed(4): (4, "multiply", (*BY_FILTER, "per_group"), False, True),
    Fixed(4, signed=False): (4, "multiply", (*BY_FILTER, "per_group"), True, True),
    Sp2(4): (4, "shift_add", (*BY_FILTER, "per_group"), False, False),
    PowerOfTwo(4): (4, "shift_add", (*BY_FILTER, "per_group"), False, False),
    BinaryConnect(): (1, "xnor_popcount", BY_LAYER, False, False),
    BinaryWeights(): (1, "xnor_popcount", BY_FILTER, False, False),
    BinaryActivations(): (1, "xnor_popcount", BY_LAYER, False, False),
    TernaryWeights(): (2, "select_negate", EITHER, False, False),
    Ttq(): (2, "select_negate", BY_LAYER, False, False),
    DorefaWeights(3): (3, "and_popcount", BY_LAYER, False, False),
    DorefaGradients(3): (3, "and_popcount", ("per_sample",), False, False),
    DorefaActivations(2): (2, "and_popcount", BY_LAYER, False, True),
    WrpnActivations(2): (2, "and_popcount", BY_LAYER, False, True),
    WrpnWeights(3): (3, "and_popcount", EITHER, False, True),
    Hwgq(2): (2, "and_popcount", BY_LAYER, False, False),
    Lsq(4): (4, "multiply", BY_LAYER, False, True),
    Pact(4): (4, "and_popcount", BY_LAYER, False, True),
}  # fmt: skip


@pytest.mark.parametrize("number", FACTS, ids=str)
def test_what_a_network_asks_of_a_format(number):
    facts = (
        number.bits,
        number.datapath,
        number.granularities,
        number.refuses_negative,
        number.rounds_half_even,
    )
    assert facts == FACTS[number]
    shifted = 7 if number.datapath == "shift_add" else 0
    assert number.rows_by_datapath(7) == {"multiply": 7 - shifted, "shift_add": shifted}


@pytest.mark.parametrize("axis", [None, 0])
def test_a_quantized_weight_is_one_product_with_a_scale_for_every_row(axis):
    values = np.array([[[4.0], [-2]], [[1], [0.5]], [[0], [8]]], np.float32)
    quantized = Fixed(4).quantize(values, axis=axis)
    [term] = quantized.terms
    np.testing.assert_array_equal(term.levels, quantized.levels)
    assert term.inputs is None
    assert term.scale.shape == (3,)
    whole = term.levels * term.scale.astype(np.float64).reshape(3, 1, 1)
    np.testing.assert_array_equal(whole, quantized.real)
    assert quantized.row_format(2) == Fixed(4)


@pytest.mark.parametrize(("bits", "dtype"), [(2, np.uint8), (8, np.uint8), (9, np.uint16)])
def test_codes_take_the_smallest_words_that_hold_them(bits, dtype):
    assert Fixed(bits).quantize(np.ones(2)).codes.dtype == dtype
    assert Affine(bits).quantize(np.ones(2)).codes.dtype == dtype


def test_of_several_codes_the_smallest_stands_for_a_level():
    assert Sp2(4).encode(np.array([0, 1, -1])).tolist() == [0, 6, 14]
    assert PowerOfTwo(3).encode(np.array([0])).tolist() == [0]  # and 4, with the sign
    assert PowerOfTwo(3).decode(np.array([0, 4])).tolist() == [0, 0]


def test_a_tie_between_magnitudes_keeps_the_sign_of_the_value():
    assert Sp2(4).nearest(np.array([-7.0, 7, -3, 3, -0.5, 0.5])).tolist() == [-6, 6, -2, 2, 0, 0]
    assert Sp2(4).nearest(np.array([np.inf, -np.inf])).tolist() == [8, -8]


def test_float_is_32_bits_of_either_role():
    assert Float().bits == 32
    assert Float().roles == ("weights", "activations")


@pytest.mark.parametrize("number", [*ACTIVATIONS, *TRAINED_WEIGHTS, *UNEVEN], ids=str)
def test_every_word_of_the_width_has_an_entry_in_the_table(number):
    table = number.code_table()
    assert table.shape == (2**number.bits,)
    assert table.dtype == np.int64
    assert set(number.levels().tolist()) == set(table.tolist()) - {np.iinfo(np.int64).min}


@pytest.mark.parametrize(
    "number", [Fixed(4), Sp2(4), Sp2(8), PowerOfTwo(4), PowerOfTwo(6)], ids=str
)
@pytest.mark.parametrize("scale_shape", [(), (90, 1, 1), (1, 20, 1), (20, 1), (90, 20, 30)])
def test_large_arrays_have_the_levels_of_their_rows(number, scale_shape):
    rng = np.random.default_rng(1)
    real = rng.standard_normal((90, 20, 30), np.float32)
    scale = np.float32(0.1) + rng.random(scale_shape, np.float32)
    each = np.broadcast_to(scale, real.shape)
    rows = [number.at_scale(row, row_scale) for row, row_scale in zip(real, each, strict=True)]
    np.testing.assert_array_equal(number.at_scale(real, scale), np.array(rows))
    exact = real.astype(np.float64) / scale
    levels = number.levels()
    nearest = np.abs(exact[..., None] - levels).min(axis=-1)
    np.testing.assert_array_equal(np.abs(exact - number.at_scale(real, scale)), nearest)


def test_levels_of_a_wide_format_are_encoded_as_those_of_a_narrow_one():
    for number in (PowerOfTwo(6), Sp2(8), Fixed(16)):
        codes = number.encode(number.levels())
        np.testing.assert_array_equal(number.decode(codes), number.levels())
        for outside in (number.min_level - 1, number.max_level + 1):
            with pytest.raises(ValueError, match=f"{outside} is not a level"):
                number.encode(np.array([0, outside]))
    with pytest.raises(ValueError, match="3 is not a level"):
        Sp2(4).encode(np.array([2, 3]))
