import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.calibrate.extremes import MinMax, MovingAverage
from qsim.formats import Affine, Fixed
from qsim.formats.base import Found

IMAGES = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 3)),
    elements=st.floats(-100, 100, width=32),
)


def found(method, images, cuts=()):
    observer = method.observer()
    for part in np.split(images, sorted(cuts)):
        if len(part):
            observer.see(part)
    return observer.found(Fixed(8))


@given(IMAGES, st.lists(st.integers(0, 12), max_size=3))
def test_the_extremes_are_those_of_all_values_and_zero(images, cuts):
    values = [0.0, *images.reshape(-1).tolist()]
    assert found(MinMax(), images, cuts) == Found(min(values), max(values))


@given(
    IMAGES,
    st.integers(1, 5),
    st.sampled_from([0.01, 0.5, 1.0]),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_averages_move_batch_by_batch_however_the_images_come(images, batch, constant, cuts):
    low = high = None
    for start in range(0, len(images), batch):
        part = images[start : start + batch].reshape(-1).tolist()
        if low is None:
            low, high = min(part), max(part)
        else:
            low += constant * (min(part) - low)
            high += constant * (max(part) - high)
    expected = Found(min(low, 0.0), max(high, 0.0))
    assert found(MovingAverage(constant, batch), images, cuts) == expected


def test_the_first_batch_begins_the_averages():
    images = np.full((100, 1), 8.0, np.float32)
    assert found(MovingAverage(constant=0.001, batch=1), images).high == 8


def test_one_far_image_moves_them_little():
    images = np.ones((64, 1), np.float32)
    images[40] = 101
    assert found(MovingAverage(), images).high == pytest.approx(2)
    assert found(MovingAverage(batch=64), images).high == 101


def test_looking_does_not_end_a_batch():
    observer = MovingAverage(constant=0.5, batch=2).observer()
    for value, high in ((1.0, 1.0), (3.0, 3.0), (5.0, 4.0), (7.0, 5.0)):
        observer.see(np.full((1, 2), value, np.float32))
        assert observer.found(Affine(8)) == Found(0.0, high)
