"""Where the files that come with qsim lie, in an installation as in a checkout."""

import zipfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
DATA = _HERE / "data"
WORKLOADS = next(f for f in (_HERE / "workloads", _HERE.parent / "workloads") if f.is_dir())


def names(folder: Path, suffix: str = ".yaml") -> list[str]:
    """Names of the files in a folder, without their suffix."""
    return sorted(path.stem for path in folder.glob(f"*{suffix}"))


def networks() -> list[str]:
    """Names of the shipped networks."""
    return names(WORKLOADS / "networks")


def workloads() -> list[str]:
    """Names of the shipped workloads."""
    return names(WORKLOADS)


def weights() -> list[str]:
    """Names of the shipped trained weights: files that hold a weight of some layer."""
    return [name for name in names(DATA, ".npz") if _holds_weights(DATA / f"{name}.npz")]


def _holds_weights(path: Path) -> bool:
    with zipfile.ZipFile(path) as arrays:
        return any(name.endswith(".weight.npy") for name in arrays.namelist())
