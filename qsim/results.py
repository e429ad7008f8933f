"""What a run computed, as an .npz file."""

import os
from pathlib import Path

import numpy as np

from qsim.errors import QsimError
from qsim.network.graph import INPUT
from qsim.values import Levels, Step, real


class Results:
    """Gathers what the batches of a run make.

    tensors   whether every tensor is kept, or only the network's result
    """

    def __init__(self, *, tensors: bool = False):
        self._every, self._parts = tensors, {}

    def keep(self, steps: dict[str, Step]) -> None:
        """Take in every tensor of a batch, by name, the last of which is the result."""
        *_, last = steps.values()
        self._add("output", real(last.value).astype(np.float32))
        if not self._every:
            return
        for name, step in steps.items():
            if isinstance(step.value, Levels):
                self._add(f"{name}.levels", step.value.levels)
                self._parts[f"{name}.scale"] = [step.value.scale]
            elif name != INPUT:
                self._add(f"{name}.real", real(step.value).astype(np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """``output``, the real values of the network's result, float32 (images, ...); and of every
        tensor, where they are kept, ``NAME.levels``, int32 (images, ...), with ``NAME.scale``, or
        ``NAME.real``, float32, where it is not rounded."""
        return {name: parts[0] if parts[0].ndim == 0 else np.concatenate(parts)
                for name, parts in self._parts.items()}  # fmt: skip

    def _add(self, name: str, part: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(part)


def check_writable(path: Path) -> None:
    """Raises QsimError where no ``.npz`` file could be written at ``path``, before work is done."""
    if path.suffix != ".npz":
        raise QsimError(f"--output {path}: arrays are written as .npz")
    if not path.parent.is_dir():
        raise QsimError(f"--output {path}: {path.parent}: no such folder")
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise QsimError(f"--output {path}: cannot be written")


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an ``.npz`` file. Raises QsimError when it cannot be written."""
    try:
        np.savez(path, **arrays)
    except OSError as error:
        raise QsimError(f"--output {path}: cannot be written: {error.strerror}") from None
