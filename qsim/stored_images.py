"""Images in a folder of .npy files, read a slice at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.arrays import map_array
from qsim.errors import QsimError


@dataclass(frozen=True)
class StoredImages:
    """Images of several files, one after another; of no more than a slice are they in memory.

    files    each with how many of its images there are, the first ones
    shape    (images, *shape of one)
    """

    files: tuple[tuple[Path, int], ...]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, wanted: slice) -> np.ndarray:
        """The images of a slice of step 1, float32. Raises QsimError where a file is not as it was
        or holds a value that is no finite float32."""
        start, stop, step = wanted.indices(len(self))
        if step != 1:
            raise ValueError("images are read in slices of step 1")
        images, passed = np.empty((max(stop - start, 0), *self.shape[1:]), np.float32), 0
        for path, count in self.files:
            low, high = max(start - passed, 0), min(stop - passed, count)
            if low < high:
                stored = map_array(path).reshape(-1, *self.shape[1:])[low:high]
                images[passed + low - start : passed + high - start] = _finite(path, stored)
            passed += count
        return images

    def first(self, count: int) -> "StoredImages":
        """The first ``count`` images, of which there are as many."""
        kept, left = [], count
        for path, held in self.files:
            if left:
                kept.append((path, min(held, left)))
                left -= kept[-1][1]
        return StoredImages(tuple(kept), (count, *self.shape[1:]))


def open_folder(folder: Path, shape: Sequence[int]) -> StoredImages:
    """The images of the ``.npy`` files in ``folder``, in the order of their names; other files are
    left alone. Each file holds one image of ``shape``, or a batch (images, *shape).

    Only the heads of files are read. Raises QsimError naming the file when one cannot be read or
    has another shape or no real numbers, or when there are none.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".npy")
    except OSError as error:
        raise QsimError(f"{folder}: cannot be listed: {error.strerror}") from None
    if not paths:
        raise QsimError(f"{folder}: has no .npy files; write each image or batch with numpy.save")
    return open_files(paths, shape)


def open_files(paths: Sequence[Path], shape: Sequence[int]) -> StoredImages:
    """The images of ``.npy`` files one after another, as ``open_folder`` has them."""
    files = tuple((path, _images_in(path, tuple(shape))) for path in paths)
    return StoredImages(files, (sum(count for _, count in files), *shape))


def _images_in(path: Path, shape: tuple[int, ...]) -> int:
    array = map_array(path)
    if array.dtype.kind not in "fiu":
        raise QsimError(f"{path}: holds {array.dtype} and not real numbers")
    if array.shape == shape:
        return 1
    if array.shape[1:] == shape and array.ndim == len(shape) + 1:
        return len(array)
    raise QsimError(
        f"{path}: has shape {array.shape}; expected one image, {shape}, or a batch of them,"
        f" (images, {', '.join(map(str, shape))})"
    )


def _finite(path: Path, stored: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        images = stored.astype(np.float32)
    if not np.isfinite(images).all():
        raise QsimError(f"{path}: holds values that are no finite float32")
    return images
