"""Which back ends this machine can run, found before anything is compiled.

An instruction that the processor lacks stops LLVM, and a tile instruction that the operating system
has not permitted stops the process: neither can be tried. So the choice rests on the processor's
features, as numba compiles for them, and on asking the system for the tiles.
"""

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import llvmlite.binding as llvm
from numba import config

BackendName = Literal["amx", "vnni512", "pairs16", "pairs8", "plain"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)  # the fastest first
VARIABLE = "QSIM_BACKEND"

_NEEDS = {
    "amx": {"amx-tile", "amx-int8", "avx512f", "avx512bw", "avx512vl"},
    "vnni512": {"avx512f", "avx512bw", "avx512vl", "avx512vnni"},
    "pairs16": {"avx512f", "avx512bw"},
}
# Linux: arch/x86/entry/syscalls/syscall_64.tbl, arch/x86/include/uapi/asm/prctl.h, and the kernel's
# documentation of x86, "Using XSTATE features in user space applications".
_SYS_ARCH_PRCTL, _ARCH_GET_XCOMP_PERM, _ARCH_REQ_XCOMP_PERM = 158, 0x1022, 0x1023
_XFEATURE_XTILEDATA = 18


@dataclass(frozen=True)
class Choice:
    """The back end in use, and why it is this one, as a clause."""

    name: BackendName
    why: str


def choose(asked: str | None = None) -> Choice:
    """The back end that is asked for, else that of the environment's QSIM_BACKEND, else the fastest
    that this machine can run.

    Raises ValueError on a name that is none, or on a back end that cannot run here.
    """
    source = "asked for" if asked is not None else f"{VARIABLE} says so"
    asked = asked if asked is not None else os.environ.get(VARIABLE) or None
    if asked is not None:
        if asked not in BACKENDS:
            raise ValueError(f"unknown back end {asked!r}; there are {', '.join(BACKENDS)}")
        missing = obstacle(asked)
        if missing:
            able = ", ".join(name for name in BACKENDS if not obstacle(name))
            raise ValueError(f"back end {asked} cannot run here: {missing}; these can: {able}")
        return Choice(asked, source)
    for name in BACKENDS:
        if _is_worth_while(name) and not obstacle(name):
            return Choice(name, "the fastest that this machine can run")
    raise AssertionError("plain runs everywhere")


def available() -> list[BackendName]:
    """The back ends that can run here, the fastest first."""
    return [name for name in BACKENDS if not obstacle(name)]


def obstacle(name: BackendName) -> str:
    """Why a back end cannot run here, as a clause; "" if it can.

    ``pairs16`` and ``pairs8`` are written for no instruction set, so they run wherever numba
    compiles; ``plain`` runs without it too.
    """
    if name == "plain":
        return ""
    if config.DISABLE_JIT:
        return "numba's compiler is switched off (NUMBA_DISABLE_JIT)"
    if name in ("pairs16", "pairs8"):
        return ""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"it needs an x86-64 processor, and this one is {platform.machine()}"
    if sys.maxsize < 2**32:
        return "it needs a 64-bit Python"
    missing = sorted(_NEEDS[name] - target_features())
    if missing:
        return f"the processor lacks {', '.join(missing)}"
    if name == "amx" and not tiles_permitted():
        return "the operating system refuses the use of tiles"
    return ""


def _is_worth_while(name: BackendName) -> bool:
    """Whether ``name`` is chosen unasked where it can run: vectors of 16 lanes need registers."""
    return name != "pairs16" or _NEEDS["pairs16"] <= target_features()


@cache
def target_features() -> frozenset[str]:
    """The features of the processor that numba compiles for: this one's, or what NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES say."""
    if config.CPU_FEATURES is not None:
        flags = config.CPU_FEATURES.split(",")
        return frozenset(flag[1:] for flag in flags if flag.startswith("+"))
    if config.CPU_NAME not in (None, "host"):
        return frozenset()
    found = llvm.get_host_cpu_features()
    return frozenset(name for name, there in found.items() if there)


@cache
def tiles_permitted() -> bool:
    """Whether Linux lets this process use the tile registers, asked once; it lasts for all its
    threads and for children that it forks.

    A kernel that does not know them refuses, as it does where a thread's stack for signals is too
    small to save them; a sandbox may refuse the call, or say that it was done and do nothing. So
    the permission counts only when the kernel, asked again, says that it is there.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return False  # elsewhere the numbers below mean other calls
    try:
        call = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):  # a Python without a dynamic C library
        return False
    call.restype = ctypes.c_long
    number, feature = ctypes.c_long(_SYS_ARCH_PRCTL), ctypes.c_long(_XFEATURE_XTILEDATA)
    if call(number, ctypes.c_long(_ARCH_REQ_XCOMP_PERM), feature) != 0:
        return False
    permitted = ctypes.c_uint64(0)
    asked = call(number, ctypes.c_long(_ARCH_GET_XCOMP_PERM), ctypes.byref(permitted))
    return asked == 0 and bool(permitted.value >> _XFEATURE_XTILEDATA & 1)
