import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import QsimError
from qsim.stored_images import open_folder

SHAPE = (1, 2, 3)


def numbered(count, first=0):
    return np.arange(first, first + count * 6).reshape(count, *SHAPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten images in five files, not written in the order of their names."""
    path = tmp_path_factory.mktemp("images")
    np.save(path / "c.npy", numbered(4, 3 * 6).astype(np.float64))
    np.save(path / "a.npy", numbered(2).astype(np.int16))
    np.save(path / "b.npy", numbered(1, 2 * 6)[0].astype(np.float32))
    np.save(path / "d.npy", numbered(0).astype(np.uint8))
    np.save(path / "e.npy", np.asfortranarray(numbered(3, 7 * 6).astype(np.float16)))
    (path / "notes.txt").write_text("not an image")
    return path


@given(start=st.integers(0, 11), stop=st.integers(0, 11), count=st.integers(0, 10))
def test_a_slice_is_that_of_all_images_in_the_order_of_their_names(folder, start, stop, count):
    every, stored = numbered(10).astype(np.float32), open_folder(folder, SHAPE)
    assert stored.shape == every.shape
    assert stored[start:stop].dtype == np.float32
    np.testing.assert_array_equal(stored[start:stop], every[start:stop])
    few = stored.first(count)
    assert len(few) == count
    np.testing.assert_array_equal(few[start:stop], every[:count][start:stop])


def test_slices_have_no_steps(folder):
    with pytest.raises(ValueError, match="step 1"):
        open_folder(folder, SHAPE)[::2]


def test_only_what_is_asked_for_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, *SHAPE)))
    np.save(tmp_path / "b.npy", np.full((2, *SHAPE), np.nan))
    stored = open_folder(tmp_path, SHAPE)
    assert not stored[:2].any()
    with pytest.raises(QsimError, match=r"b\.npy: holds values that are no finite float32"):
        stored[1:3]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (
            np.zeros((2, 2)),
            r"x\.npy: has shape \(2, 2\); expected one image, \(1, 2, 3\), or a batch",
        ),
        (np.zeros((3, 2, 1)), r"has shape \(3, 2, 1\)"),
        (np.zeros((1, 4, *SHAPE)), r"has shape \(1, 4, 1, 2, 3\)"),
        (np.array(1.0), r"has shape \(\)"),
        (np.zeros(SHAPE, complex), "holds complex128 and not real numbers"),
        (np.zeros(SHAPE, bool), "holds bool and not real numbers"),
        (np.zeros(SHAPE, "U3"), "holds <U3 and not real numbers"),
        (np.zeros(SHAPE, [("a", float)]), "and not real numbers"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, array, problem):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(QsimError, match=problem):
        open_folder(tmp_path, SHAPE)


def test_pickles_are_never_read(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(QsimError, match=r"x\.npy: not a readable \.npy file of one plain array"):
        open_folder(tmp_path, SHAPE)


@pytest.mark.parametrize("keep", [0, 5, 9, 40, 127, 130])
def test_a_file_that_is_cut_short_is_named(tmp_path, keep):
    np.save(tmp_path / "x.npy", np.zeros(SHAPE))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:keep])
    with pytest.raises(QsimError, match="not a readable"):
        open_folder(tmp_path, SHAPE)


@given(st.data())
def test_a_damaged_file_is_read_or_named(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "x.npy"
    np.save(path, np.ones(SHAPE, np.float32))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        stored = open_folder(path.parent, SHAPE)
        assert stored[: len(stored)].shape[1:] == SHAPE
    except QsimError as error:
        assert "x.npy" in str(error)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(QsimError, match=r"has no \.npy files"):
        open_folder(tmp_path, SHAPE)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(QsimError, match="cannot be listed: Not a directory"):
        open_folder(tmp_path / "x", SHAPE)
