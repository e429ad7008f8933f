from decimal import Decimal
from fractions import Fraction

import naive_recurrent as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels import real_functions
from qsim.kernels.level_grid import LevelGrid, fixed_point
from qsim.kernels.tables import Table, entry_count, make_table, table_error

BOUNDS = {
    "exp": naive.exp_bounds,
    "falling_exp": lambda x: naive.exp_bounds(-x),
    "sigmoid": naive.sigmoid_bounds,
    "tanh": naive.tanh_bounds,
    "silu": naive.silu_bounds,
    "gelu": naive.gelu_bounds,
    "gelu_by_tanh": naive.gelu_by_tanh_bounds,
}
ODD_SCALE = Fraction(float(np.float32(0.037)))
GRIDS = [
    (fixed_point(8, 4), fixed_point(8, 7)),
    (fixed_point(8, 5), fixed_point(16, 15)),
    (fixed_point(8, 3), fixed_point(8, 0)),  # the sigmoid of 0 is a half of a level
    (LevelGrid(-100, 155, ODD_SCALE), LevelGrid(0, 255, Fraction(1, 256))),
]


@pytest.mark.parametrize(("x", "y"), GRIDS)
@pytest.mark.parametrize("name", BOUNDS)
def test_every_entry_of_256_is_rounded_correctly(name, x, y):
    table = make_table(getattr(real_functions, name), x, y)
    assert table.entries.shape == (256,)
    expected = [
        naive.rounded(BOUNDS[name](level * x.scale), y.scale, y.low, y.high) for level in x.levels
    ]
    assert table.entries.tolist() == expected
    assert table(np.array(x.levels)).tolist() == expected


@st.composite
def grids(draw, most):
    low = draw(st.integers(-(2**31), 2**31 - 1 - most))
    near = draw(st.integers(-most, 0))
    first = draw(st.sampled_from([near, low]))
    scale = Fraction(draw(st.integers(1, 99)), draw(st.sampled_from([1, 7, 64, 2**12])))
    return LevelGrid(first, first + draw(st.integers(0, most)), scale)


@given(st.data(), grids(200), st.integers(0, 16))
def test_a_level_between_entries_lies_on_the_rounded_line(data, x, step_bits):
    y = fixed_point(32, 0)
    count = -(-(x.high - x.low) // 2**step_bits) + 1
    ends = st.sampled_from([y.low, 0, y.high])
    entries = data.draw(
        st.lists(st.one_of(ends, st.integers(-9, 9)), min_size=count, max_size=count)
    )
    table = Table(x, y, np.array(entries, np.int64), step_bits)
    inside = st.one_of(st.sampled_from([x.low, x.high]), st.integers(x.low, x.high))
    levels = data.draw(st.lists(inside, max_size=5))
    step = 2**step_bits
    expected = [
        naive.interpolated(level, x.low, step, lambda at: entries[(at - x.low) // step])
        for level in levels
    ]
    assert table(np.array(levels, np.int64)).tolist() == expected


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
@pytest.mark.parametrize("step_bits", [0, 3])
def test_the_error_of_a_table_is_the_largest_of_all_inputs(name, step_bits):
    x, y = fixed_point(7, 4), fixed_point(12, 11)
    table = make_table(getattr(real_functions, name), x, y, step_bits)
    gaps = [
        abs(int(got) - sum(BOUNDS[name](level * x.scale)) / 2 / y.scale)
        for level, got in zip(x.levels, table(np.array(x.levels)), strict=True)
    ]
    error = table_error(table, getattr(real_functions, name))
    assert abs(Fraction(error) - max(gaps)) < Fraction(1, 10**30)


@pytest.mark.parametrize(
    ("name", "bits", "curvature"),
    [("sigmoid", 16, 0.09622504), ("tanh", 12, 0.76980036)],  # 1 / (6 sqrt 3) and 4 / (3 sqrt 3)
)
def test_a_line_between_entries_is_as_far_off_as_its_curvature_says(name, bits, curvature):
    x, y = fixed_point(bits, bits - 4), fixed_point(bits + 2, bits)
    table = make_table(getattr(real_functions, name), x, y, step_bits=bits - 8)
    assert len(table.entries) == 257
    of_line = (1 / 16) ** 2 / 8 * curvature * 2**bits
    error = float(table_error(table, getattr(real_functions, name)))
    assert of_line - 1.5 < error < of_line + 1


def test_a_full_table_is_off_by_half_a_level_at_most():
    x, y = fixed_point(8, 5), fixed_point(9, 7)
    assert (
        Decimal("0.4")
        < table_error(make_table(real_functions.sigmoid, x, y), real_functions.sigmoid)
        < Decimal("0.5")
    )


@pytest.mark.parametrize(
    ("function", "real"),
    [
        (real_functions.clip(0, 6), lambda v: min(max(v, 0), 6)),
        (real_functions.clip(-1, 1), lambda v: min(max(v, -1), 1)),
        (real_functions.hard_sigmoid, lambda v: min(max(v / 6 + 0.5, 0), 1)),
        (real_functions.hard_swish, lambda v: v * min(max(v + 3, 0), 6) / 6),
        (real_functions.leaky_relu(Fraction(1, 4)), lambda v: v if v > 0 else v / 4),
    ],
)
def test_piecewise_lines_are_exact_and_halves_go_to_the_even_level(function, real):
    x, y = fixed_point(8, 4), fixed_point(8, 3)
    table = make_table(function, x, y)
    expected = [round(real(Fraction(level, 16)) * 8) for level in x.levels]
    assert table.entries.tolist() == expected


def test_levels_of_any_shape_and_type_are_read():
    table = make_table(real_functions.tanh, fixed_point(8, 4), fixed_point(8, 7))
    for dtype in (np.int8, np.int16, np.uint8, np.int64):
        assert table(np.full((2, 0, 3), 1, dtype)).shape == (2, 0, 3)
        np.testing.assert_array_equal(table(np.full((2, 1), 16, dtype)), [[97], [97]])  # 0.7616


@pytest.mark.parametrize("level", [-129, 128, 2**31 - 1, -(2**31)])
def test_levels_outside_the_table_are_refused(level):
    table = make_table(real_functions.tanh, fixed_point(8, 4), fixed_point(8, 7))
    with pytest.raises(ValueError, match=r"not all within -128 .. 127"):
        table(np.array([0, level]))


def test_levels_that_are_no_integers_are_refused():
    table = make_table(real_functions.tanh, fixed_point(8, 4), fixed_point(8, 7))
    with pytest.raises(TypeError, match="levels are integers"):
        table(np.array([0.5]))


def relu(x):
    return max(x, 0)


@pytest.mark.parametrize(
    ("name", "first", "limit"),
    [
        ("sigmoid", 101, lambda x: int(x > 0)),
        ("tanh", 51, lambda x: 1 if x > 0 else -1),
        ("silu", 101, relu),
        ("gelu", 15, relu),
        ("gelu_by_tanh", 11, relu),
    ],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_function_stays_on_its_side_of_a_limit(name, first, limit, sign):
    low, high = (bound - limit(sign * first) for bound in BOUNDS[name](Fraction(sign * first)))
    for x in (first, first + 1, 10 * first):
        gap = Fraction(getattr(real_functions, name)(Fraction(sign * x))) - limit(sign * x)
        assert (gap > 0) == (low > 0) == (high > 0)
        assert 0 < abs(gap) < Fraction(1, 10**40)


def test_a_rounding_that_the_digits_do_not_decide_is_refused():
    almost = Decimal("0.5") + Decimal("1e-51")
    with pytest.raises(ValueError, match="too near a half"):
        make_table(lambda x: almost, fixed_point(2, 0), fixed_point(8, 0))


@pytest.mark.parametrize(
    ("x", "step_bits", "problem"),
    [
        (fixed_point(17, 4), 0, "up to 65537 entries, not 131072"),
        (fixed_point(8, 4), -1, "not 2[*][*]-1"),
        (fixed_point(8, 4), 17, "not 2[*][*]17"),
    ],
)
def test_tables_of_an_impossible_size_are_refused(x, step_bits, problem):
    with pytest.raises(ValueError, match=problem):
        make_table(real_functions.tanh, x, fixed_point(8, 7), step_bits)


def test_entries_that_do_not_fit_are_refused():
    x, y = fixed_point(2, 0), fixed_point(2, 0)
    with pytest.raises(ValueError, match="a table of 4 entries"):
        Table(x, y, np.zeros(5, int))
    with pytest.raises(ValueError, match=r"not all within -2 .. 1"):
        Table(x, y, np.array([0, 0, 0, 2]))


def test_the_widest_step_of_a_table_is_of_16_bits():
    x = LevelGrid(-(2**15), 2**15, Fraction(1))
    assert entry_count(x, 16) == 2
    with pytest.raises(ValueError, match=r"not 2\*\*17"):
        entry_count(x, 17)
