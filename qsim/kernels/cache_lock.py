"""One process at a time writes to the folder of compiled kernels.

numba numbers the files of a kernel's versions by an index that it reads and then writes. Of two
processes that do so at the same moment, for different types, one can leave the index of its version
beside the code of the other's, and a kernel of wrong types would run from then on. So a lock is
held while a kernel is written: from the end of its compilation to the release of numba's own lock.
"""

import threading
import time
from pathlib import Path

from numba.core import event

try:
    import fcntl
except ImportError:  # not a system with such locks
    fcntl = None

PATIENCE_S = 5.0  # a process that is stopped while it writes is not waited for any longer
_TURN_S = 0.002


def guard_writes(folder: Path) -> None:
    """Let whoever writes a kernel of ours hold the lock of ``folder``, from now on."""
    if fcntl is not None:
        guard = _Guard(folder / "lock")
        event.register("numba:compile", guard)
        event.register("numba:compiler_lock", guard)


class _Guard(event.Listener):
    """Counts how deep a thread is in numba's lock, which it takes once more for each kernel that a
    kernel calls; ``held`` is the open lock file and the depth at which it was taken."""

    def __init__(self, path: Path):
        self._path = path
        self._thread = threading.local()

    def on_start(self, event: event.Event) -> None:
        if event.kind == "numba:compiler_lock":
            self._thread.depth = self._depth + 1

    def on_end(self, event: event.Event) -> None:
        if event.kind == "numba:compiler_lock":
            self._thread.depth = self._depth - 1
            held = getattr(self._thread, "held", None)
            if held is not None and self._depth < held[1]:
                self._thread.held = None
                held[0].close()  # and with it the lock is given back
        elif _is_ours(event) and getattr(self._thread, "held", None) is None:
            file = _locked(self._path)
            self._thread.held = None if file is None else (file, self._depth)

    @property
    def _depth(self) -> int:
        return getattr(self._thread, "depth", 0)


def _is_ours(event: event.Event) -> bool:
    return event.data["dispatcher"].py_func.__module__.startswith("qsim.")


def _locked(path: Path):
    """The lock file, open and locked; open alone after PATIENCE_S, None where there are no files to
    be locked."""
    try:
        file = path.open("ab")
    except OSError:
        return None
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(_TURN_S)
        except OSError:  # a file system without locks
            break
    return file
