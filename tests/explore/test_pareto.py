"""Pareto fronts against the definition, point by point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.explore.pareto import non_dominated


def dominates(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@st.composite
def points(draw):
    objectives = draw(st.integers(1, 4))
    value = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf])
    return draw(st.lists(st.tuples(*[value] * objectives), min_size=1, max_size=24))


@given(points())
def test_a_point_is_kept_where_none_dominates_it(table):
    found = non_dominated(*map(list, zip(*table, strict=True)))
    assert found.tolist() == [not any(dominates(q, p) for q in table) for p in table]


@pytest.mark.parametrize("objectives", [2, 3])
def test_many_points_give_the_front_of_their_front(objectives):
    table = np.random.default_rng(0).integers(0, 1000, (objectives, 20_000))
    mask = non_dominated(*table)
    front = table[:, mask].T.tolist()
    assert 1 < len(front) < 1000
    assert not any(dominates(q, p) for p in front for q in front)
    for point in table[:, ~mask].T[::97].tolist():
        assert any(dominates(q, point) for q in front)


def test_a_mask_has_the_shape_of_its_objectives():
    assert non_dominated([[1, 2], [3, 0]], [[1, 2], [0, 4]]).tolist() == [
        [True, False],
        [True, True],
    ]
    assert non_dominated(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0, 3)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="not known; leave these designs out"):
        non_dominated([1, np.nan], [0, 1])
    with pytest.raises(ValueError, match=r"one shape, not \(2,\), \(3,\)"):
        non_dominated([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="one shape, not none"):
        non_dominated()
