"""Images to run a network on: shipped, from a file, or seeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwmodels.documents import nearest
from qsim import shipped
from qsim.arrays import read_arrays
from qsim.errors import QsimError
from qsim.stored_images import StoredImages, open_files, open_folder

DIGITS_WHITE = 16  # the brightest pixel of the digits

Images = np.ndarray | StoredImages  # (images, *shape), float32 in slices


@dataclass(frozen=True)
class Dataset:
    """Images (images, *shape) float32 to run, labels (images,) int64 where known, and images to
    calibrate on; None: on the images themselves."""

    images: Images
    labels: np.ndarray | None
    calibration: Images | None


def digits() -> Dataset:
    """The shipped digits: 450 test images with labels, 1,347 training images, pixels 0 to 1."""
    arrays = read_arrays(shipped.DATA / "digits.npz")
    test, train = (
        arrays[f"{part}_images"] / np.float32(DIGITS_WHITE) for part in ("test", "train")
    )
    return Dataset(test, arrays["test_labels"].astype(np.int64), train)


DATASETS = {"digits": digits}


def load(name: str, folder: Path, shape: Sequence[int]) -> Dataset:
    """The shipped dataset ``name``, or that of a path relative to ``folder``: an ``.npz`` file with
    arrays ``images`` and, if it has them, ``labels`` and ``calibration``, no others; or a ``.npy``
    file or a folder of them, each an image of ``shape`` or a batch of them.

    Raises QsimError when there is no such dataset or the files do not hold one.
    """
    if name in DATASETS:
        return DATASETS[name]()
    path = folder / name
    if path.is_dir():
        return Dataset(open_folder(path, shape), None, None)
    if name.endswith(".npy"):
        return Dataset(open_files([path], shape), None, None)
    if not name.endswith(".npz"):
        raise QsimError(
            f"unknown dataset {name!r}, nor an .npz or .npy file or a folder;"
            f" {nearest(name, DATASETS)}"
        )
    return _checked(path, read_arrays(path))


def first(images: Images, count: int | None) -> Images:
    """The first ``count`` images, of which there are as many; None: all."""
    if count is None:
        return images
    return images.first(count) if isinstance(images, StoredImages) else images[:count]


def seeded(
    shape: tuple[int, ...],
    count: int,
    calibration_count: int,
    seed: int,
    below: int | None = None,
) -> Dataset:
    """Uniform images, the same for the same seed, and others to calibrate on: real from 0 to 1, or
    whole numbers ``below`` a limit."""
    rng = np.random.default_rng([seed, 1])

    def draw(number: int) -> np.ndarray:
        if below is None:
            return rng.random((number, *shape), np.float32)
        return rng.integers(below, size=(number, *shape)).astype(np.float32)

    return Dataset(draw(count), None, draw(calibration_count))


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> Dataset:
    known = ("images", "labels", "calibration")
    if "images" not in arrays:
        raise QsimError(f"{path}: has no array 'images'")
    for key in arrays.keys() - known:
        raise QsimError(f"{path}: unknown array {key!r}; {nearest(key, known)}")
    images = _real(path, arrays, "images")
    labels = arrays.get("labels")
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "iu"):
        raise QsimError(f"{path}: array 'labels' must hold one integer for each image")
    calibration = _real(path, arrays, "calibration") if "calibration" in arrays else None
    return Dataset(images, labels, calibration)


def _real(path: Path, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    array = arrays[key]
    if array.dtype.kind not in "fiu" or array.ndim < 1:
        raise QsimError(
            f"{path}: array {key!r} must hold real numbers, a first axis for the images"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise QsimError(f"{path}: array {key!r} holds values that are no finite float32")
    return array
