"""What holds for every format of levels."""

from fractions import Fraction
from itertools import pairwise

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import (
    Affine,
    AffineGrid,
    Fixed,
    Float,
    Msq,
    PowerOfTwo,
    Sp2,
    describe,
    from_document,
)

FIXED = [Fixed(b) for b in range(2, 17)]
FIXED += [Fixed(b, signed=False) for b in range(1, 17)]
FIXED += [Fixed(b, full_range=True) for b in range(2, 17)]
SHIFTED = [Sp2(b) for b in range(3, 9)] + [PowerOfTwo(b) for b in range(2, 7)]
EVERY = FIXED + SHIFTED + [AffineGrid(4, zero) for zero in (0, 5, 15)] + [AffineGrid(16, 40000)]
FEW = [
    AffineGrid(4, 5),
    Fixed(2),
    Fixed(4),
    Fixed(4, signed=False),
    Fixed(4, full_range=True),
    Fixed(8),
    *SHIFTED,
]


def ties(number):
    return "even" if isinstance(number, Fixed | AffineGrid) else "smaller"


@pytest.mark.parametrize("number", EVERY, ids=str)
def test_levels_rise_and_include_zero(number):
    levels = number.levels()
    assert (np.diff(levels) > 0).all()
    assert 0 in levels
    alpha_level = number.max_magnitude if isinstance(number, AffineGrid) else int(levels[-1])
    assert number.unit == Fraction(1, alpha_level)


@pytest.mark.parametrize("number", EVERY, ids=str)
def test_ranges_are_those_of_the_levels(number):
    levels = number.levels().tolist()
    assert number.max_level == max(levels)
    assert number.min_level == min(levels)
    assert number.max_magnitude == max(abs(level) for level in levels)
    assert number.signed == any(level < 0 for level in levels)


@pytest.mark.parametrize("number", EVERY, ids=str)
def test_every_level_has_a_code_that_decodes_to_it(number):
    codes = number.encode(number.levels())
    assert codes.min() >= 0
    assert codes.max() < 2**number.bits
    np.testing.assert_array_equal(number.decode(codes), number.levels())


@pytest.mark.parametrize("number", EVERY, ids=str)
def test_levels_quantize_to_themselves(number):
    scale = np.float32(0.125)
    quantized = number.quantize(number.levels() * 0.125, scale=scale)
    np.testing.assert_array_equal(quantized.levels, number.levels())
    np.testing.assert_array_equal(
        number.dequantize(quantized.codes, scale), number.levels() * 0.125
    )
    np.testing.assert_array_equal(quantized.real, number.levels() * 0.125)


@given(
    st.sampled_from(FEW),
    strategies.float32_arrays((6,)),
    strategies.positive_scales(),
    st.integers(-20, 20),
)
def test_the_nearest_level_is_taken_exactly(number, values, scale, halves):
    values[0] = np.float32(halves) / 2 * scale  # often a tie
    quantized = number.quantize(values, scale=scale)
    for real, level in zip(values, quantized.levels, strict=True):
        exact = Fraction(float(real)) / Fraction(float(scale))
        assert int(level) == naive.nearest_level(exact, number.levels(), ties(number))


@pytest.mark.parametrize("number", SHIFTED[:5], ids=str)
def test_ties_between_uneven_levels_go_to_the_smaller_magnitude(number):
    levels = [int(level) for level in number.levels()]
    for low, high in pairwise(levels):
        middle = np.array([(low + high) / 2])
        assert int(number.nearest(middle)[0]) == min((low, high), key=abs)


@given(st.sampled_from(FEW), strategies.float32_arrays((3, 4)))
def test_the_largest_magnitude_is_mapped_to_the_largest_level(number, values):
    scale = number.quantize(values).scale
    alpha = float(np.abs(values).max())
    expected = np.float32(max(alpha / number.max_level, np.finfo(np.float32).tiny))
    assert scale == (expected if alpha else 1)


@given(st.sampled_from(FEW), strategies.float32_arrays((3, 4)))
def test_a_scale_per_row_is_each_rows_own(number, values):
    together = number.quantize(values, axis=0)
    np.testing.assert_array_equal(number.quantize(values, axis=-2).levels, together.levels)
    assert together.scale.shape == (3, 1)
    for row in range(3):
        alone = number.quantize(values[row])
        np.testing.assert_array_equal(together.levels[row], alone.levels)
        assert together.scale[row, 0] == alone.scale


@pytest.mark.parametrize("number", [*FEW, Affine(4), Msq(4, "1:1")], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(number, bad):
    with pytest.raises(ValueError, match="1 of 2 values are NaN or infinite"):
        number.quantize(np.array([[1.0], [bad]]))


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_scales_that_are_not_positive_are_refused(scale):
    with pytest.raises(ValueError, match="positive and finite"):
        Fixed(4).quantize(np.ones(2), scale=scale)
    with pytest.raises(ValueError, match="positive and finite"):
        Fixed(4).dequantize(np.array([1]), scale)


@pytest.mark.parametrize("number", [Fixed(4), Sp2(4), Fixed(4, signed=False)], ids=str)
def test_codes_and_levels_outside_the_format_are_refused(number):
    for codes in ([16], [-1]):
        with pytest.raises(ValueError, match="has codes 0 to 15"):
            number.decode(np.array(codes))
    for level in (number.min_level - 1, number.max_level + 1):
        with pytest.raises(ValueError, match=f"{level} is not a level"):
            number.encode(np.array([level]))


def test_the_unused_code_of_a_symmetric_format_is_refused():
    with pytest.raises(ValueError, match="8 is not a code"):
        Fixed(4).decode(np.array([8]))


def test_a_gap_between_levels_is_refused():
    with pytest.raises(ValueError, match="3 is not a level"):
        Sp2(4).encode(np.array([3]))


@pytest.mark.parametrize("number", [*EVERY, Affine(8), Msq(4, "1:1"), Float()], ids=str)
def test_empty_tensors_quantize_to_empty_ones(number):
    quantized = number.quantize(np.zeros((0, 3)))
    assert getattr(quantized, "levels", quantized).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float16, np.float64])
def test_numbers_of_every_type_are_quantized_by_their_value(dtype):
    extremes = np.array([0 if dtype is np.uint8 else -128, 5], dtype)
    wanted = Fixed(4).quantize(extremes.astype(float))
    got = Fixed(4).quantize(extremes)
    np.testing.assert_array_equal(got.levels, wanted.levels)
    assert got.scale == wanted.scale


@pytest.mark.parametrize("values", [np.array([1j]), np.array([True]), np.array(["1"])])
def test_values_that_are_no_real_numbers_are_refused(values):
    with pytest.raises(ValueError, match="real numbers"):
        Fixed(4).quantize(values)


def test_codes_that_are_no_integers_are_refused():
    with pytest.raises(ValueError, match="codes are integers"):
        Fixed(4).decode(np.array([1.5]))


def test_all_zero_tensors_have_scale_one():
    for number in (Fixed(4), Sp2(4)):
        quantized = number.quantize(np.zeros((2, 3)), axis=0)
        assert (quantized.levels == 0).all()
        assert (quantized.scale == 1).all()


def test_float_passes_values_through():
    values = np.array([1e-30, -2.5, 3e38], np.float32)
    np.testing.assert_array_equal(Float().quantize(values), values)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Fixed(0, signed=False), "1 to 16 bits, not 0"),
        (lambda: Fixed(1), "2 to 16 bits, not 1"),
        (lambda: Fixed(4.5), "2 to 16 bits, not 4.5"),
        (lambda: Fixed(True, signed=False), "1 to 16 bits, not True"),
        (lambda: Fixed(17), "2 to 16 bits, not 17"),
        (lambda: Fixed(1, full_range=True), "full_range needs 2 bits"),
        (lambda: Fixed(4, signed=False, full_range=True), "full_range is a choice for signed"),
        (lambda: PowerOfTwo(1), "2 to 6 bits, not 1"),
        (lambda: PowerOfTwo(7), "2 to 6 bits, not 7"),
        (lambda: Sp2(2), "3 to 8 bits, not 2"),
        (lambda: Sp2(9), "3 to 8 bits, not 9"),
        (lambda: Msq(9, "1:1"), "3 to 8 bits, not 9"),
    ],
)
def test_impossible_parameters_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


@pytest.mark.parametrize("number", [*FIXED, *SHIFTED, Affine(8), Msq(4, "1:1.5"), Float()], ids=str)
def test_a_description_can_be_read_back(number):
    name, _, parameters = describe(number).rstrip(")").partition("(")
    pairs = (part.split("=") for part in parameters.split(", ") if part)
    values = {k: {"True": True, "False": False}.get(v, v) for k, v in pairs}
    values = {k: int(v) if isinstance(v, str) and v.isdigit() else v for k, v in values.items()}
    assert from_document({name: values}, where="here") == number
