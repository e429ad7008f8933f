"""Where the threads of one program wait for each other, without leaving compiled code."""

import os
import platform
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from qsim.kernels.simd.ir import I32, I64, VOID, call

SPINS = 2048  # looks at the count between two offers of the core to others


class Team(NamedTuple):
    """A thread among those that run one program.

    number, size   which one it is, and how many there are
    waited         int64 (1,), how often it has waited, its own
    arrivals       int64 (1,), how often any of them has come to wait, shared by all
    """

    number: int
    size: int
    waited: np.ndarray
    arrivals: np.ndarray


def alone() -> Team:
    """The team of one thread."""
    return Team(0, 1, np.zeros(1, np.int64), np.zeros(1, np.int64))


def wait_for_all(team):
    """Return when every thread of the team has come here as often as this one."""


@overload(wait_for_all)
def _wait_for_all(team):
    def wait(team):
        if team.size > 1:
            team.waited[0] += 1
            _arrive_and_spin(team.arrivals.ctypes.data, team.waited[0] * team.size)

    return wait


@intrinsic
def _arrive_and_spin(typing, address, target):
    """Add 1 to the count at ``address`` and return when it has reached ``target``. Other threads
    are let run now and then, as there may be fewer cores than threads."""

    def generate(context, builder: ir.IRBuilder, signature, arguments):
        count = builder.inttoptr(arguments[0], ir.PointerType(I64))
        builder.atomic_rmw("add", count, I64(1), "seq_cst")
        before = builder.block
        spinning = builder.append_basic_block("spinning")
        waiting = builder.append_basic_block("waiting")
        met = builder.append_basic_block("met")
        builder.branch(spinning)
        builder.position_at_end(spinning)
        spins = builder.phi(I64)
        spins.add_incoming(I64(1), before)
        if platform.machine().lower() in ("x86_64", "amd64"):
            call(builder, "llvm.x86.sse2.pause", VOID)
        seen = builder.load_atomic(count, "acquire", 8)
        builder.cbranch(builder.icmp_signed(">=", seen, arguments[1]), met, waiting)
        builder.position_at_end(waiting)
        if os.name == "posix":
            long = builder.icmp_unsigned("==", builder.urem(spins, I64(SPINS)), I64(0))
            with builder.if_then(long, likely=False):
                call(builder, "sched_yield", I32)
        spins.add_incoming(builder.add(spins, I64(1)), builder.block)
        builder.branch(spinning)
        builder.position_at_end(met)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), generate
