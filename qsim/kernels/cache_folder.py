"""Where compiled kernels are kept between runs: a folder named by a hash of what they are made of.

numba compiles a kernel again when the file that it stands in has changed, not when one has that it
calls or whose words its instructions are written in. So all sources together name the folder, with
the versions and settings that decide how they are compiled: of other sources is another folder, and
a stale kernel is never found. Folders that no process has used for a month are removed.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba import config
from numba.core.dispatcher import Dispatcher

from qsim.kernels.cache_lock import guard_writes

UNUSED_DAYS = 30
STAMP = "used"  # the file in a folder whose time says when it was last used, to a day
_OUR_NAME = re.compile(r"[0-9a-f]{20}(\.removed-[0-9a-z_]+)?")
_AT_MOST = 8  # folders that one process removes
_DAY_S = 86400.0
_SETTINGS = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")


@dataclass(frozen=True)
class CacheFolder:
    """The folder of compiled kernels, or why none is kept, as a clause; then they are compiled in
    every process that needs them."""

    path: Path | None
    obstacle: str = ""


def use_cache_folder() -> CacheFolder:
    """Let numba keep what it compiles from now on in the folder of these sources, or nowhere.

    It lies in NUMBA_CACHE_DIR where that is set, else where the user's caches are. Without it no
    kernel is kept at all: numba would choose a folder that knows nothing of the other files.
    """
    if config.DISABLE_JIT:
        return CacheFolder(None, "numba's compiler is switched off (NUMBA_DISABLE_JIT)")
    found = _prepared()
    if found.path is None:
        _keep_nothing()
    else:
        config.CACHE_DIR = str(found.path)
        guard_writes(found.path)
    return found


def _prepared() -> CacheFolder:
    """The folder, made and written to."""
    try:
        path = cache_root() / fingerprint(Path(__file__).parent)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
        for inner in os.scandir(path):
            if inner.is_dir() and not os.access(inner, os.W_OK | os.X_OK):
                return CacheFolder(None, f"{inner.path} cannot be written")
        if not (path / STAMP).exists() or _days_unused(path) >= 1:
            (path / STAMP).touch()
            remove_unused(path.parent)
    except (OSError, RuntimeError, ValueError) as error:  # of a path, of a home that is not known
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        where = getattr(error, "filename", None)
        return CacheFolder(None, f"{where} cannot be used: {reason}" if where else reason)
    return CacheFolder(path)


def cache_root() -> Path:
    """The folder of our folders. Raises RuntimeError where the user has no home."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR).absolute() / "qsim-kernels"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if Path(named).is_absolute() else Path.home() / ".cache"
    return Path(base) / "qsim" / "kernels"


def fingerprint(sources: Path) -> str:
    """A hash of the sources in a folder, by name and content, of the versions of what compiles
    them, and of its settings.

    Raises ValueError where there are no sources, as in an archive: nothing could be told apart.
    """
    compiler = (
        platform.python_implementation(),
        sys.version,
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        *(f"{name}={getattr(config, name, None)}" for name in _SETTINGS),
    )
    digest = hashlib.sha256("\n".join(compiler).encode())
    paths = sorted(sources.rglob("*.py"))
    if not paths:
        raise ValueError("the sources of the kernels are not in files")
    for path in paths:
        content, place = path.read_bytes(), path.relative_to(sources).as_posix()
        digest.update(f"\n{place} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:20]


def remove_unused(root: Path) -> None:
    """Remove the folders of ``root`` that are ours and have not been used for UNUSED_DAYS, a few at
    a time; whatever cannot be removed stays.

    A folder is renamed first, so that of several processes one removes it, and numba makes a new
    one in a process that begins to use it again at this moment.
    """
    old = []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if _OUR_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):  # another process has removed it
                if _days_unused(Path(entry.path)) >= UNUSED_DAYS:
                    old.append(Path(entry.path))
    for path in old[:_AT_MOST]:
        with suppress(OSError):
            renamed = path.with_name(f"{path.name[:20]}.removed-{os.getpid()}_{time.time_ns():x}")
            shutil.rmtree(path.rename(renamed), ignore_errors=True)


def _days_unused(path: Path) -> float:
    """Days since a folder of ours was stamped, or made where it has not been stamped yet."""
    stamp = path / STAMP
    used = stamp if stamp.exists() else path
    return (time.time() - used.stat().st_mtime) / _DAY_S


def _keep_nothing() -> None:
    """Let numba compile our kernels without keeping them; those of others it keeps as before."""
    kept = Dispatcher.enable_caching

    def enable_caching(self):
        if not self.py_func.__module__.startswith("qsim."):
            kept(self)

    Dispatcher.enable_caching = enable_caching
