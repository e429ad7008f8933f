"""Sums of seeded uniform numbers, the bits that numpy draws: of large arrays, all terms at once.

Source: M. O'Neill, PCG (HMC-CS-2014-0905), section 6.3.2, XSL RR 128/64; numpy's PCG64 steps the
state and then makes 64 bits of it, of which the lower half is the first of two draws of float32.
"""

import sys

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

from qsim.kernels.simd.ir import I32, I64, Loop, filled, load, store, vector

TERMS = 4
FEW = 2**14  # so few are drawn by numpy
I128, PAIR = ir.IntType(128), vector(ir.FloatType(), 2)
_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645


def uniform_sum(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The sum, in order, of the TERMS arrays that ``rng.random(shape, numpy.float32)`` draws one
    after another; float32 (shape). The generator goes on as after them."""
    bits, count = rng.bit_generator, int(np.prod(shape))
    if not (_is_compiled_for(bits) and _begins_and_ends_words(bits, count)):
        total, uniform = rng.random(shape, np.float32), np.empty(shape, np.float32)
        for _ in range(TERMS - 1):
            total += rng.random(out=uniform, dtype=np.float32)
        return total
    increment = bits.state["state"]["inc"]
    states = []
    for _ in range(TERMS):
        states.append(bits.state["state"]["state"])
        bits.advance(count // 2)
    words = [word for value in (increment, *states) for word in (value % 2**64, value >> 64)]
    total = np.empty(shape, np.float32)
    _fill(np.array(words, np.uint64), total.reshape(-1))
    return total


def _is_compiled_for(bits: np.random.BitGenerator) -> bool:
    jit = not config.DISABLE_JIT and sys.maxsize > 2**32 and sys.byteorder == "little"
    return jit and isinstance(bits, np.random.PCG64)


def _begins_and_ends_words(bits: np.random.PCG64, count: int) -> bool:
    """Whether the draws of each term are whole words of the generator, and not a few."""
    return count >= FEW and count % 2 == 0 and not bits.state["has_uint32"]


@njit(cache=True, nogil=True)
def _fill(words, total):
    """words uint64 (2 + 2 TERMS,), the increment and the state of each term, lower halves first;
    total float32 of an even size of at least 2, overwritten."""
    _emit_fill(words.ctypes.data, total.ctypes.data, total.size // 2)


@intrinsic
def _emit_fill(typing, words, total, pairs):
    def generate(context, builder: ir.IRBuilder, signature, arguments):
        words, total, pairs = arguments
        increment, *states = (
            load(builder, builder.add(words, I64(16 * i)), I128) for i in range(1 + TERMS)
        )
        over_pairs = Loop(builder, pairs, states, "pair")
        states = [_next_state(builder, state, increment) for state in over_pairs.carried]
        value, *others = (_draws(builder, state) for state in states)
        for term in others:
            value = builder.fadd(value, term)
        value = builder.fmul(value, filled(PAIR, 2.0**-24))  # after the sums: it rounds nothing
        store(builder, value, builder.add(total, builder.shl(over_pairs.index, I64(3))), 4)
        over_pairs.close(states)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _next_state(builder: ir.IRBuilder, state: ir.Value, increment: ir.Value) -> ir.Value:
    return builder.add(builder.mul(state, I128(_MULTIPLIER)), increment)


def _draws(builder: ir.IRBuilder, state: ir.Value) -> ir.Value:
    """The two draws of a state, in units of 2**-24: the upper bits of either half of its word."""
    high = builder.trunc(builder.lshr(state, I128(64)), I64)
    mixed = builder.xor(high, builder.trunc(state, I64))
    right = builder.lshr(high, I64(58))
    left = builder.and_(builder.sub(I64(0), right), I64(63))
    word = builder.or_(builder.lshr(mixed, right), builder.shl(mixed, left))
    halves = builder.bitcast(word, vector(I32, 2))  # the lower one first
    return builder.sitofp(builder.lshr(halves, filled(halves.type, 8)), PAIR)
