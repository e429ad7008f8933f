"""Arrays from .npz and .npy files that users bring."""

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Set
from pathlib import Path

import numpy as np

from qsim.errors import QsimError

# what numpy raises on heads of arrays that it did not write; warnings are of those of Python 2
BAD_HEAD = (
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
)


def read_arrays(
    path: Path, check_names: Callable[[Set[str]], None] = lambda names: None
) -> dict[str, np.ndarray]:
    """The arrays of the ``.npz`` file at ``path``, by name; nothing in it is executed.

    check_names   called with the names before any array is unpacked, to refuse them

    Raises QsimError when it cannot be read or holds anything but plain arrays.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise QsimError(f"{path}: is a single array; expected an .npz file of arrays")
            check_names(set(arrays.files))
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise QsimError(f"{path}: no such file") from None
    except MemoryError:
        raise QsimError(f"{path}: claims arrays that are larger than the memory") from None
    except (*BAD_HEAD, zipfile.BadZipFile, zlib.error):
        raise QsimError(
            f"{path}: not a readable .npz file of plain arrays, as numpy.savez writes it"
        ) from None


def map_array(path: Path) -> np.ndarray:
    """The array of the ``.npy`` file at ``path``, mapped and not yet read; nothing in it is
    executed.

    Raises QsimError when it cannot be read or is anything but one plain array.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise QsimError(f"{path}: no such file") from None
    except BAD_HEAD:
        raise QsimError(
            f"{path}: not a readable .npy file of one plain array, as numpy.save writes it"
        ) from None
