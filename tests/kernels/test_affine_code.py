import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.affine_code import AffineCode, unsigned_code


def some_levels(code):
    """All levels, or of many those at both ends."""
    levels = naive.affine_levels(code.bits, code.step, code.offset)
    return levels[:40] + levels[-40:]


@given(strategies.affine_codes())
def test_encoding_inverts_the_definition(code):
    levels = some_levels(code)
    codes = code.encode(np.array(levels))
    assert codes.dtype == np.int32
    assert [code.step * int(q) + code.offset for q in codes] == levels
    assert (code.low, code.high) == (levels[0], levels[-1])


@given(strategies.affine_codes(), st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-2, 2))
def test_what_is_no_level_is_not_contained_and_refused(code, anywhere, near):
    for value in (anywhere, code.low + near, code.high + near):
        is_level = value in range(code.low, code.high + 1, code.step)
        assert (value in code) == is_level
        if not is_level and abs(value) < 2**31:
            with pytest.raises(ValueError, match=r"not (all levels|a level) of AffineCode\(bits="):
                code.encode(np.array([value]))


@pytest.mark.parametrize("bits", range(1, 9))
def test_levels_of_dorefa_are_odd_and_lack_zero(bits):
    code = AffineCode(bits, 2, 1 - 2**bits)
    n = 2**bits - 1
    assert naive.affine_levels(bits, 2, 1 - 2**bits) == [2 * q - n for q in range(n + 1)]
    assert 0 not in code
    assert code.high == -code.low == n


@given(st.lists(st.integers(0, 2**16 - 1)))
def test_the_unsigned_code_is_the_narrowest(levels):
    code = unsigned_code(np.array(levels, np.int64))
    np.testing.assert_array_equal(code.encode(np.array(levels, np.int64)), levels)
    assert code.bits == 1 or max(levels) > AffineCode(code.bits - 1).high


def test_nothing_has_no_codes():
    assert AffineCode(3, 2, -7).encode(np.zeros((0, 4), np.int64)).shape == (0, 4)


@pytest.mark.parametrize("bits", [-1, 0, 17])
def test_impossible_widths_are_refused(bits):
    with pytest.raises(ValueError, match="1 to 16 bits"):
        AffineCode(bits)


def test_levels_of_more_than_16_bits_have_no_unsigned_code():
    with pytest.raises(ValueError, match="1 to 16 bits, not 17"):
        unsigned_code(np.array([2**16]))


@pytest.mark.parametrize("step", [0, -1])
def test_steps_that_lead_nowhere_are_refused(step):
    with pytest.raises(ValueError, match="at least 1"):
        AffineCode(2, step)


@pytest.mark.parametrize(("step", "offset"), [(1, -(2**31)), (1, 2**31 - 3), (2**31, 0)])
def test_levels_beyond_32_bits_are_refused(step, offset):
    with pytest.raises(ValueError, match="do not fit 32 bits"):
        AffineCode(2, step, offset)


def test_levels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="levels are integers"):
        AffineCode(2).encode(np.array([1.0]))
