"""The choice of a back end, and the permission to use tiles."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from numba import config

from qsim.kernels.simd import host

ROOT = Path(__file__).parents[3]
compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="needs numba's compiler")
SAPPHIRE_RAPIDS = frozenset().union(*host._NEEDS.values())


@pytest.fixture
def sapphire_rapids(monkeypatch):
    """A processor with every instruction that a back end needs."""
    monkeypatch.delenv(host.VARIABLE, raising=False)
    monkeypatch.setattr(host, "target_features", lambda: SAPPHIRE_RAPIDS)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@compiled
def test_amx_is_chosen_where_tiles_are_permitted(sapphire_rapids, monkeypatch):
    monkeypatch.setattr(host, "tiles_permitted", lambda: True)
    assert host.choose().name == "amx"


@compiled
def test_without_permission_the_next_back_end_is_chosen(sapphire_rapids, monkeypatch):
    monkeypatch.setattr(host, "tiles_permitted", lambda: False)
    assert host.choose().name == "vnni512"
    assert host.available() == ["vnni512", "pairs16", "pairs8", "plain"]


@compiled
def test_who_asks_for_amx_without_permission_is_told(sapphire_rapids, monkeypatch):
    monkeypatch.setattr(host, "tiles_permitted", lambda: False)
    with pytest.raises(ValueError, match="amx cannot run here: the operating system refuses"):
        host.choose("amx")


@compiled
def test_a_processor_without_tiles_is_not_asked_for_permission(sapphire_rapids, monkeypatch):
    monkeypatch.setattr(host, "target_features", lambda: SAPPHIRE_RAPIDS - {"amx-int8"})
    monkeypatch.setattr(host, "tiles_permitted", lambda: pytest.fail("asked"))
    assert host.obstacle("amx") == "the processor lacks amx-int8"


@compiled
def test_a_32_bit_python_cannot_use_tiles(sapphire_rapids, monkeypatch):
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    assert host.obstacle("amx") == "it needs a 64-bit Python"


def test_llvm_knows_every_feature_that_is_asked_for():
    """A name that LLVM does not report would keep a back end from ever being chosen."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the features are those of x86-64")
    assert set(llvm.get_host_cpu_features()) >= SAPPHIRE_RAPIDS


class Kernel:
    """A C library whose ``syscall`` answers as a kernel does: two statuses, and a mask."""

    def __init__(self, request, get=0, mask=0):
        self.calls = []

        def syscall(number, operation, argument):
            self.calls.append((number.value, operation.value))
            if operation.value == 0x1023:
                assert argument.value == 18
                return request
            argument._obj.value = mask
            return get

        self.syscall = syscall


PERMITTED = 1 << 17 | 1 << 18


@pytest.mark.parametrize(
    ("kernel", "permitted"),
    [
        (Kernel(0, mask=PERMITTED), True),
        (Kernel(0, mask=PERMITTED & ~(1 << 18)), False),
        (Kernel(0), False),  # a sandbox that does nothing and says that it went well
        (Kernel(0, get=-1, mask=PERMITTED), False),
        (Kernel(-1, mask=PERMITTED), False),  # ENOSYS, EPERM, EINVAL, ENOSPC: all come as -1
        (object(), False),  # a C library without syscall
    ],
)
def test_permission_is_what_the_kernel_says_twice(kernel, permitted, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(ctypes, "CDLL", lambda name, **options: kernel)
    assert host.tiles_permitted.__wrapped__() is permitted
    if permitted:
        assert kernel.calls == [(158, 0x1023), (158, 0x1022)]


@pytest.mark.parametrize(
    ("system", "machine", "maxsize"),
    [
        ("darwin", "x86_64", 2**63 - 1),
        ("win32", "AMD64", 2**63 - 1),
        ("linux", "aarch64", 2**63 - 1),
        (
            "linux",
            "x86_64",
            2**31 - 1,
        ),  # call 158 of 32 bits gives the processor away, and succeeds
    ],
)
def test_elsewhere_the_kernel_is_not_asked(system, machine, maxsize, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "maxsize", maxsize)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(ctypes, "CDLL", lambda *names, **options: pytest.fail("asked"))
    assert host.tiles_permitted.__wrapped__() is False


SMALL_SIGNAL_STACK = """
import ctypes
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
memory = ctypes.create_string_buffer(1 << 16)
stack = Stack(ctypes.addressof(memory), 0, 4096)
assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0
from qsim.kernels.simd import host
print(host.obstacle("amx"))
print(host.choose().name)
"""


@compiled
@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="asks Linux on x86-64"
)
def test_a_stack_for_signals_that_cannot_hold_tiles_means_another_back_end():
    features = llvm.get_host_cpu_features()
    features.update(dict.fromkeys(host._NEEDS["amx"], True))
    environment = os.environ | {"NUMBA_CPU_FEATURES": features.flatten(), "PYTHONPATH": str(ROOT)}
    environment.pop(host.VARIABLE, None)
    result = subprocess.run(
        [sys.executable, "-c", SMALL_SIGNAL_STACK], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    obstacle, chosen = result.stdout.splitlines()
    assert obstacle == "the operating system refuses the use of tiles"
    assert chosen in host.BACKENDS[1:]
