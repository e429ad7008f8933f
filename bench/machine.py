"""What this machine could do at most: loops that use nothing but registers, one per instruction.

Run as ``python bench/machine.py [--threads 1,2] [--format json]``. A product counts as two
operations, a product of bits as well; an addition that saturates belongs to its product. The other
comparisons measure the ceilings that they need in their own run. Only instructions are compiled
that the processor has and the operating system permits, as ``qsim.kernels.simd.host`` finds.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
from llvmlite import ir as llvm
from numba import njit, types
from numba.extending import intrinsic
from side_by_side import cores, held, hold, take_turns

from qsim.kernels.simd import host
from qsim.kernels.simd.ir import I8, I16, I32, I64, VOID, Loop, call, splat, vector

CHAINS = 20 if "avx512f" in host.target_features() else 11  # sums that do not wait for another
TURNS = 400_000  # of a loop, in one call
TILE_ROWS, TILE_BYTES = 16, 64
VNNI = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vnni"})
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Instruction:
    """An instruction, or the few that are one product and its addition.

    needs        features of the processor, as LLVM names them; none: LLVM finds a way on any
    operations   of all chains in one turn
    emit         given the builder, the number of turns, and a value to start from, the loop
    """

    name: str
    needs: frozenset[str]
    operations: int
    emit: Callable[[llvm.IRBuilder, llvm.Value], llvm.Value]


def _chained(lanes: int, element: llvm.IntType, step: Callable) -> Callable:
    """A loop in which every chain is ``step`` of itself and of a vector that does not change."""

    def emit(builder, turns):
        started = [
            splat(builder, builder.trunc(builder.add(turns, I64(7919 * i + 1)), element), lanes)
            if element is not I64
            else splat(builder, builder.add(turns, I64(7919 * i + 1)), lanes)
            for i in range(CHAINS)
        ]
        loop = Loop(builder, turns, started, "turn")
        made = [step(builder, value, started[0]) for value in loop.carried]
        loop.close(made)
        total = made[0]
        for value in made[1:]:
            total = builder.xor(total, value)
        lane = builder.extract_element(total, I32(0))
        return lane if element is I64 else builder.zext(lane, I64)

    return emit


def _dot(name: str, bits: int) -> Callable:
    """Sums of products of neighbours, added to the int32 that is carried."""
    kind = vector(I32, bits // 32)

    def step(builder, sums, other):
        return call(builder, f"llvm.x86.avx512.{name}.{bits}", kind, sums, other, other)

    return _chained(bits // 32, I32, step)


def _pairs(name: str, bits: int) -> Callable:
    """The same in two steps. They subtract, since LLVM makes one instruction of an addition."""
    kind, halves = vector(I32, bits // 32), vector(I16, bits // 16)

    def step(builder, sums, other):
        operands = (builder.bitcast(value, halves) for value in (sums, other))
        return builder.sub(sums, call(builder, name, kind, *operands))

    return _chained(bits // 32, I32, step)


def _bits(builder, sums, other):
    kind = sums.type
    name = f"llvm.ctpop.v{kind.count}i64"
    return builder.add(sums, call(builder, name, kind, builder.xor(sums, other)))


def _saturating(builder, sums, other):
    kind = sums.type
    name = f"llvm.sadd.sat.v{kind.count}i16"
    return call(builder, name, kind, sums, builder.mul(sums, other))


def _tiles(builder, turns):
    """Four tiles of sums, two of bytes, two of weights."""
    configuration = np.zeros(64, np.uint8)
    configuration[0] = 1
    configuration[16:32].view(np.uint16)[:] = TILE_BYTES
    configuration[48:56] = TILE_ROWS
    kind = llvm.ArrayType(I8, 64)
    place = builder.alloca(kind)
    builder.store(llvm.Constant(kind, [int(byte) for byte in configuration]), place)
    place = builder.bitcast(place, llvm.PointerType(I8))
    call(builder, "llvm.x86.ldtilecfg", VOID, place)
    for tile in range(8):
        call(builder, "llvm.x86.tilezero", VOID, I8(tile))
    loop = Loop(builder, turns, [], "turn")
    for sums in range(4):
        operands = I8(sums), I8(4 + sums % 2), I8(6 + sums // 2)
        call(builder, "llvm.x86.tdpbusd", VOID, *operands)
    loop.close([])
    call(builder, "llvm.x86.tilerelease", VOID)
    return turns


def _instruction(name, needs, operations_of_a_step, emit, chains=CHAINS):
    return Instruction(name, frozenset(needs), operations_of_a_step * chains, emit)


INSTRUCTIONS = [
    _instruction("tdpbusd", {"amx-tile", "amx-int8"}, 2 * 16 * 16 * 64, _tiles, chains=4),
    _instruction("vpdpbusd, 512 bits", VNNI, 2 * 64, _dot("vpdpbusd", 512)),
    _instruction("vpdpbusd, 256 bits", VNNI, 2 * 32, _dot("vpdpbusd", 256)),
    _instruction("vpdpwssd, 512 bits", VNNI, 2 * 32, _dot("vpdpwssd", 512)),
    _instruction("vpdpwssd, 256 bits", VNNI, 2 * 16, _dot("vpdpwssd", 256)),
    _instruction("vpmaddwd + vpsubd, 512 bits", {"avx512f", "avx512bw"}, 2 * 32,
                 _pairs("llvm.x86.avx512.pmaddw.d.512", 512)),
    _instruction("vpmaddwd + vpsubd, 256 bits", {"avx2"}, 2 * 16,
                 _pairs("llvm.x86.avx2.pmadd.wd", 256)),
    _instruction("xor + popcount + add, 512 bits", (), 2 * 512, _chained(8, I64, _bits)),
    _instruction("multiply + saturating add, 32 x int16", (), 2 * 32,
                 _chained(32, I16, _saturating)),
]  # fmt: skip


def available() -> list[Instruction]:
    """The instructions that this machine can run."""
    return [each for each in INSTRUCTIONS if not _obstacle(each)]


def _obstacle(instruction: Instruction) -> bool:
    if "amx-tile" in instruction.needs:
        return bool(host.obstacle("amx"))
    return not instruction.needs <= host.target_features()


def loop_of(instruction: Instruction) -> Callable[[int], int]:
    """A compiled function that runs the loop of an instruction as many turns as it is told."""

    @intrinsic
    def emitted(typing_context, turns):
        def generate(context, builder, signature, arguments):
            return instruction.emit(builder, arguments[0])

        return types.int64(types.int64), generate

    @njit(types.int64(types.int64), nogil=True)
    def loop(turns):
        return emitted(turns)

    return loop


def on_threads(call: Callable[[], object], held_to: tuple[int, ...]) -> Callable[[], None]:
    """``call`` once on each of some cores at the same time, as a call; of one core, on the
    caller's."""
    if len(held_to) == 1:
        return call

    def on_core(core: int, start: Barrier):
        hold([core])
        start.wait()
        call()

    def together():
        start = Barrier(len(held_to))
        threads = [Thread(target=on_core, args=(core, start)) for core in held_to]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return together


def loops(at: tuple[int, ...], names: set[str] | None = None) -> dict[str, tuple[Callable, int]]:
    """By the name of an instruction, its loop on some cores together as a call, and how many
    operations that are; of ``names``, by default of all that there are."""
    found = {}
    for each in available():
        if names is None or each.name in names:
            call_one = partial(loop_of(each), TURNS)
            found[each.name] = on_threads(call_one, at), len(at) * TURNS * each.operations
    return found


def ceilings(threads: int, rounds: int) -> dict[str, float]:
    """Operations in a second of all instructions that there are, on so many cores together."""
    at = cores(threads)
    with held(at if threads > 1 else at[:1]):
        found = loops(at)
        times = take_turns({name: run for name, (run, _) in found.items()}, rounds, len(at))
    return {name: found[name][1] / each.median_s for name, each in times.items()}


def processor() -> str:
    """What the processor calls itself."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instruction_set() -> str:
    """Which of the instruction sets that matter here this machine has, in words."""
    features = host.target_features()
    known = {
        "avx2": "AVX2", "avx512f": "AVX-512", "avx512vnni": "AVX-512 VNNI",
        "avx512vpopcntdq": "VPOPCNTDQ", "amx-int8": "AMX int8", "neon": "NEON",
        "dotprod": "DotProd",
    }  # fmt: skip
    held_sets = [text for name, text in known.items() if name in features]
    if "AMX int8" in held_sets and host.obstacle("amx"):
        held_sets[-1] += " (which the operating system refuses)"
    return ", ".join(held_sets) or "none that is known here"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args(argv)
    counts = [int(count) for count in arguments.threads.split(",")]
    counts = [count for count in counts if len(cores(count)) == count]
    rates = {count: ceilings(count, arguments.rounds) for count in counts}
    if arguments.format == "json":
        document = {"processor": processor(), "instruction_set": instruction_set()}
        document["operations_per_s"] = {str(count): by_name for count, by_name in rates.items()}
        json.dump(document, sys.stdout, indent=2)
        print()
        return
    print(f"{processor()}: {instruction_set()}")
    print(f"{'GOPS':40}" + "".join(f"{count:>8} thread{'s' * (count > 1)}" for count in counts))
    for each in available():
        figures = "".join(f"{rates[count][each.name] / 1e9:15,.0f}" for count in counts)
        print(f"{each.name:40}{figures}")


if __name__ == "__main__":
    main()
