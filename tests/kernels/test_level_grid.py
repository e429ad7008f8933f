from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from qsim.kernels.level_grid import LevelGrid, fixed_point


def test_fixed_point_levels_are_those_of_their_bits():
    assert fixed_point(8, 4) == LevelGrid(-128, 127, Fraction(1, 16))
    assert fixed_point(8, 8, signed=False) == LevelGrid(0, 255, Fraction(1, 256))
    assert fixed_point(1, -2) == LevelGrid(-1, 0, Fraction(4))
    assert fixed_point(32, 31) == LevelGrid(-(2**31), 2**31 - 1, Fraction(1, 2**31))


def test_levels_within_a_grid_keep_their_shape_and_values():
    grid = fixed_point(8, 4)
    for levels in (np.zeros((2, 0), int), np.array(-128), np.array([[127, -128]], np.int8)):
        checked = grid.check(levels)
        assert checked.shape == levels.shape
        assert checked.tolist() == levels.tolist()
    assert grid.clip(np.array([-129, 5, 2**40])).tolist() == [-128, 5, 127]


@pytest.mark.parametrize(
    ("low", "high", "scale", "problem"),
    [
        (1, 0, 1, "no range within 32 bits"),
        (-(2**31) - 1, 0, 1, "no range within 32 bits"),
        (0, 2**31, 1, "no range within 32 bits"),
        (0, 1, 0, "a scale is positive"),
    ],
)
def test_grids_that_are_none_are_refused(low, high, scale, problem):
    with pytest.raises(ValueError, match=problem):
        LevelGrid(low, high, Fraction(scale))


def test_a_scale_that_is_no_power_of_two_has_no_fraction_bits():
    grid = fixed_point(8, 3)
    assert grid.fraction_bits == 3
    for scale in (Fraction(3, 8), Fraction(2), Fraction(1, 3)):
        with pytest.raises(ValueError, match=r"is not 2[*][*]-n"):
            _ = replace(grid, scale=scale).fraction_bits
