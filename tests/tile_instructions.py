"""Tile instructions carried out one by one on a processor that lacks them (x86-64 Linux).

Such a processor stops at each with SIGILL. The handler decodes the instruction, does to eight
arrays what it is documented to do, and lets the program go on behind it, so that the machine code
itself is under test: operands, strides and their order. Encodings and operations: Intel 64 and
IA-32 Architectures Software Developer's Manual, volume 2, the pages of these instructions.

    python tests/tile_instructions.py (plain | edge | networks | threads | fork)

compares what back end amx computes: products with numpy's, in one thread, in several and in a
forked process, with operands before memory that cannot be read; and networks with back end plain.
The instructions run on the processor where it has them and the system permits it.
"""

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Where the registers of the encoding (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, ...) lie in the
# saved context: words behind its first 40 bytes (sys/ucontext.h).
_WORDS = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)
_RIP = 16
_NAMES = {
    (0x49, 0): "ldtilecfg",
    (0x49, 3): "tilezero",
    (0x4B, 3): "tileloadd",
    (0x4B, 2): "tilestored",
    (0x5E, 1): "tdpbusd",
}
carried_out = Counter()


class _Action(ctypes.Structure):
    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class Machine(threading.local):
    """A thread's tiles: 8 arrays of 16 rows of 64 bytes, and their shapes."""

    def __init__(self):
        self.release()

    def release(self):
        self.tiles = np.zeros((8, 16, 64), np.uint8)
        self.rows, self.row_bytes = [0] * 8, [0] * 8

    def ldtilecfg(self, block):
        assert block[0] == 1 and not block[1:16].any() and not block[32:48].any()
        assert not block[56:].any()
        self.release()
        self.rows = [int(rows) for rows in block[48:56]]
        self.row_bytes = [int(size) for size in block[16:32].view(np.uint16)]
        assert all(0 < rows <= 16 for rows in self.rows)
        assert all(0 < size <= 64 for size in self.row_bytes)

    def tilezero(self, tile):
        assert self.rows[tile]
        self.tiles[tile] = 0

    def tileloadd(self, tile, address, stride):
        self.tilezero(tile)
        size = self.row_bytes[tile]
        for row in range(self.rows[tile]):
            self.tiles[tile, row, :size] = memory(address + row * stride, size)

    def tilestored(self, tile, address, stride):
        assert self.rows[tile]
        size = self.row_bytes[tile]
        for row in range(self.rows[tile]):
            memory(address + row * stride, size)[:] = self.tiles[tile, row, :size]

    def tdpbusd(self, total, left, right):
        rows, groups, columns = self.rows[total], self.rows[right], self.row_bytes[total] // 4
        assert len({total, left, right}) == 3
        assert self.rows[left] == rows > 0
        assert self.row_bytes[left] == 4 * groups and self.row_bytes[right] == 4 * columns
        unsigned = self.tiles[left, :rows, : 4 * groups].astype(np.int64)
        signed = self.tiles[right, :groups, : 4 * columns].view(np.int8).astype(np.int64)
        columnwise = signed.reshape(groups, columns, 4).transpose(0, 2, 1)
        products = unsigned @ columnwise.reshape(4 * groups, columns)
        sums = self.tiles[total, :rows, : 4 * columns].view(np.int32)
        sums[:] = (sums + products).astype(np.int32)


def memory(address, size):
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)


def carry_out(machine, registers):
    """Do the instruction at the instruction pointer; whether it is one of tiles."""
    code = memory(registers[_RIP], 16).tolist()
    prefix, inverted, rest, opcode, operands = code[:5]
    if prefix != 0xC4 or inverted & 31 != 2 or rest & 0x84 or (opcode, rest & 3) not in _NAMES:
        return False
    name, first = _NAMES[opcode, rest & 3], operands >> 3 & 7
    length = 5
    if name == "ldtilecfg" and operands == 0xC0:
        name = "tilerelease"
        machine.release()
    elif name == "tilezero":
        machine.tilezero(first)
    elif name == "tdpbusd":
        machine.tdpbusd(first, operands & 7, ~rest >> 3 & 7)
    else:
        address, stride, length = _operand(code, registers)
        if name == "ldtilecfg":
            machine.ldtilecfg(memory(address, 64))
        else:
            getattr(machine, name)(first, address, stride)
    carried_out[name] += 1
    registers[_RIP] += length
    return True


def _operand(code, registers):
    """The address, the index times its scale, and the length of an instruction with both."""
    inverted, mode, base, at = code[1], code[4] >> 6, code[4] & 7, 5
    stride = 0
    high_index, high_base = 8 * (not inverted & 0x40), 8 * (not inverted & 0x20)
    if base == 4:
        scale, index, base, at = code[5] >> 6, code[5] >> 3 & 7 | high_index, code[5] & 7, 6
        stride = 0 if index == 4 else registers[_WORDS[index]] << scale
    elif mode == 0 and base == 5:
        raise NotImplementedError("an address relative to the instruction")
    bare = mode == 0 and base == 5
    size = 4 if bare else (0, 1, 4)[mode]
    shift = int.from_bytes(bytes(code[at : at + size]), "little", signed=True)
    start = 0 if bare else registers[_WORDS[base | high_base]]
    return start + shift, stride, at + size


def install():
    """Carry out tile instructions in this process from now on."""
    machine = Machine()

    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def handler(number, information, context):
        registers = (ctypes.c_int64 * 17).from_address(context + 40)
        try:
            done = carry_out(machine, registers)
        except Exception as error:
            traceback.print_exception(error)
            done = False
        if not done:
            signal.signal(signal.SIGILL, signal.SIG_DFL)

    install.handler = handler
    action = _Action(ctypes.cast(handler, ctypes.c_void_p).value, flags=4)  # SA_SIGINFO
    assert ctypes.CDLL(None).sigaction(int(signal.SIGILL), ctypes.byref(action), None) == 0


def main(mode):
    import tile_products

    from qsim.kernels.simd import host

    native = host.tiles_permitted()
    if not native:
        install()
    if mode == "threads":
        check_in_threads(tile_products)
    elif mode == "fork":
        check_in_fork(tile_products)
    elif mode == "edge":
        tile_products.check_random("amx", 4, 10, tile_products.before_the_unreadable)
    elif mode == "networks":
        tile_products.check_networks("amx")
    else:
        tile_products.check_random("amx", 1, 20)
    print(mode, "native" if native else dict(carried_out))


def check_in_threads(tile_products):
    """Four threads at once, each on its own tiles."""
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(tile_products.check_random, "amx", seed, 10) for seed in range(4)]
        for job in jobs:
            job.result()


def check_in_fork(tile_products):
    """In a child of a process that has used its tiles, and then in the process again."""
    tile_products.check_random("amx", 1, 2)
    child = os.fork()
    if child == 0:
        tile_products.check_random("amx", 2, 5)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    tile_products.check_random("amx", 3, 2)


if __name__ == "__main__":
    main(sys.argv[1])
