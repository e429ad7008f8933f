"""What this installation of qsim is and can do: versions, processor, back ends, cache, extras."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from qsim import __version__
from qsim.kernels import CACHE
from qsim.kernels.float_product import matmul_in_order
from qsim.kernels.simd import host

# Of each extra of the package, what it is for and the packages that it brings.
EXTRAS = {
    "onnx": ("reading and writing models of other programs", ("onnx",)),
    "train": ("training the shipped digits weights again", ("scikit-learn", "torch")),
    "test": (
        "the tests",
        ("hypothesis", "ipykernel", "nbclient", "onnx", "pytest"),
    ),
    "conformance": (
        "the tests against independent programs",
        (
            "ai-edge-litert",
            "apytypes",
            "flatbuffers",
            "onnx",
            "onnxruntime",
            "qonnx",
            "quantizers",
            "tflite",
            "torch",
        ),
    ),
    "bench": ("the comparisons of speed, with conformance and test", ("openvino",)),
    "lint": ("the style of the sources", ("ruff",)),
}

_FEATURES = {  # what kernels of integers can use
    "x86": (
        "avx2", "avxvnni", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bitalg",
        "avx512vpopcntdq", "amx-tile", "amx-int8",
    ),
    "arm": ("neon", "dotprod", "i8mm", "sve"),
}  # fmt: skip


@dataclass(frozen=True)
class BackEnd:
    """One back end of the kernels: whether it is the one in use, and why it cannot run here, as a
    clause; "" if it can."""

    name: str
    in_use: bool
    obstacle: str


@dataclass(frozen=True)
class Cache:
    """The folder of compiled kernels: where (None: nothing is kept, for the reason ``obstacle``),
    what it holds, and how many of the kernels that were tried now were found in it."""

    folder: str | None
    obstacle: str
    kernels: int
    bytes: int
    tried: int
    found: int


@dataclass(frozen=True)
class Extra:
    """An optional extra: what it is for, the versions of its packages, None of one not there."""

    name: str
    purpose: str
    packages: dict[str, str | None]

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name, version in self.packages.items() if version is None]


@dataclass(frozen=True)
class Diagnosis:
    """All that `qsim doctor` says. ``why`` is why the back end is the one in use; without one,
    why not."""

    qsim: str
    packages: dict[str, str]
    system: str
    processor: str
    features: dict[str, bool]
    processors_usable: int
    processors: int
    back_end: str | None
    why: str
    back_ends: list[BackEnd]
    cache: Cache
    extras: list[Extra]


def diagnose() -> Diagnosis:
    """What this installation is and can do; a small kernel is run to see that numba compiles."""
    name, why = back_end()
    return Diagnosis(
        qsim=__version__,
        packages={
            platform.python_implementation(): platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
            "llvmlite": llvmlite.__version__,
            "LLVM": ".".join(map(str, llvm.llvm_version_info)),
        },
        system=f"{platform.system()} {platform.machine()}",
        processor=llvm.get_host_cpu_name(),
        features=_features(),
        processors_usable=_usable_processors(),
        processors=os.cpu_count() or 1,
        back_end=name,
        why=why,
        back_ends=[BackEnd(n, n == name, host.obstacle(n)) for n in host.BACKENDS],
        cache=_cache(name or "plain"),
        extras=[
            Extra(extra, purpose, {package: _version(package) for package in packages})
            for extra, (purpose, packages) in EXTRAS.items()
        ],
    )


def back_end() -> tuple[str | None, str]:
    """The back end in use and why; None, and why not, where the environment asks for one that
    cannot be had."""
    try:
        choice = host.choose()
    except ValueError as error:
        return None, f"{host.VARIABLE}: {error}"
    return choice.name, choice.why


def _features() -> dict[str, bool]:
    """The features of this kind of processor that matter, and whether it has them."""
    kind = "x86" if platform.machine().lower() in ("x86_64", "amd64") else "arm"
    return {name: name in host.target_features() for name in _FEATURES[kind]}


def _usable_processors() -> int:
    """How many processors this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache(name: str) -> Cache:
    """The cache, after a small kernel of the back end was taken from it or put into it."""
    matmul_in_order(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), name)
    found, compiled = _kernels_of_this_process()
    files = list(CACHE.path.rglob("*.nbc")) if CACHE.path else []
    return Cache(
        folder=str(CACHE.path) if CACHE.path else None,
        obstacle=CACHE.obstacle,
        kernels=len(files),
        bytes=sum(map(_size, files)),
        tried=found + compiled,
        found=found,
    )


def _kernels_of_this_process() -> tuple[int, int]:
    """How many kernels of ours were found in the cache so far, and how many were compiled."""
    found = compiled = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("qsim."):
            for kernel in vars(module).values():
                if isinstance(kernel, Dispatcher):
                    found += sum(kernel.stats.cache_hits.values())
                    compiled += sum(kernel.stats.cache_misses.values())
    return found, compiled


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has replaced it
        return 0


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
