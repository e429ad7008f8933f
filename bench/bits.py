"""Layers of few bits by counting, beside ceilings and the product of levels, in one run.

Run as ``python bench/bits.py``; QSIM_BACKEND chooses the back end. Rates are useful operations, 2
per multiply-accumulate, in GOPS, medians of rounds in which all that is compared takes turns;
shares and ratios are medians of those of each round. It prints

  ceilings   loops of registers alone: xor, popcount and add of the widest vectors of the back end,
             and its instruction for products of bytes, or of pairs of 16-bit integers
  layers     binary 3 x 3 convolutions from planes of bits: with a threshold, bits out, and with
             sums out (int32), each as a share of the ceiling of counting
  products   matrix products from planes, sums out, by format; their share of the ceiling of
             counting, a pair of planes counting as one, and their ratio to the ceiling of products
  whole      ``dot`` of levels, packing included, beside that of the product of levels

Results are compared with ``==`` before they are timed.
"""

import statistics
import time
from functools import partial

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.bit_convolution import BitConvolution, planes_of_images
from qsim.kernels.simd.bit_layers import levels_of_bits, sums_of_bits
from qsim.kernels.simd.bit_panels import words_of
from qsim.kernels.simd.bit_products import SIGNS, BitProduct
from qsim.kernels.simd.bit_thresholds import limits
from qsim.kernels.simd.bit_tiles import TILES, BitWrites, literal, tile_for
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.ir import I16, I32, I64, Loop, call, pick, splat, vector
from qsim.kernels.simd.windows import Windows, in_whole_tiles, patterns_of, pixels_of
from qsim.kernels.xnor_popcount import XnorPopcountWeights

ROUNDS, TURNS, ACCUMULATORS = 15, 50_000, 12
LAYERS = [(56, 64), (28, 128), (14, 256), (7, 512)]  # side, channels
PRODUCTS = [  # rows, depth, out-channels
    (1024, 1024, 1024), (3136, 576, 64), (784, 1152, 128), (196, 2304, 256), (49, 4608, 512),
    (1, 4096, 4096),
]  # fmt: skip
ODD = AffineCode(2, 2, -3)
FORMATS = {  # codes of weights and inputs, None being -1, 0 and +1
    "W1 A1 (XNOR)": (SIGNS, SIGNS),
    "ternary x A1": (None, SIGNS),
    "ternary x ternary": (None, None),
    "W1 A2": (SIGNS, AffineCode(2)),
    "ternary x A2": (None, AffineCode(2)),
    "W1 A3": (SIGNS, AffineCode(3)),
    "W1 A4": (SIGNS, AffineCode(4)),
    "W2 A2": (ODD, AffineCode(2)),
    "W3 A3": (AffineCode(3, 2, -7), AffineCode(3)),
}


def _counting(b, number, kind):
    """One turn of xor, popcount and add for every accumulator."""
    turn = splat(b, b.mul(number, I64(0x1E3779B97F4A7C15)), kind.count)
    name = f"llvm.ctpop.v{kind.count}i64"
    for k in range(ACCUMULATORS):
        lanes = [
            0x123456789ABCDEF * (k * kind.count + lane + 1) % 2**63 for lane in range(kind.count)
        ]
        yield call(b, name, kind, b.xor(turn, ir.Constant(kind, lanes)))


@intrinsic
def _count(typingctx, turns):
    lanes = 4 if TILES[tile_for(choose().name, 2)].lanes == 8 else 8

    def generate(context, b, signature, arguments):
        kind = vector(I64, lanes)
        start = [splat(b, b.add(arguments[0], I64(k)), lanes) for k in range(ACCUMULATORS)]
        loop = Loop(b, arguments[0], start, "turn")
        ones = _counting(b, loop.index, kind)
        return _closed(b, loop, [b.add(*pair) for pair in zip(loop.carried, ones, strict=True)])

    return types.int64(types.int64), generate


@intrinsic
def _multiply(typingctx, turns):
    backend = choose().name
    lanes = 8 if backend == "pairs8" else 16

    def generate(context, b, signature, arguments):
        kind = vector(I32, lanes)
        start = [splat(b, b.trunc(b.add(arguments[0], I64(k)), I32), lanes) for k in range(12)]
        x, w = (splat(b, b.trunc(b.mul(arguments[0], I64(k)), I32), lanes) for k in (1, 77))
        loop = Loop(b, arguments[0], start, "turn")
        if backend in ("vnni512", "amx"):
            name = "llvm.x86.avx512.vpdpbusd.512"
            return _closed(b, loop, [call(b, name, kind, total, x, w) for total in loop.carried])
        return _closed(b, loop, [_add_pairs(b, total, loop.index, w) for total in loop.carried])

    return types.int64(types.int64), generate


def _add_pairs(b, total, number, w):
    """Products of pairs of 16-bit integers, one of them different in every turn and accumulator."""
    lanes, narrow = total.type.count, vector(I16, 2 * total.type.count)
    x = b.bitcast(b.xor(total, splat(b, b.trunc(number, I32), lanes)), narrow)
    wide = vector(I32, 2 * lanes)
    products = b.mul(b.sext(x, wide), b.sext(b.bitcast(w, narrow), wide))
    even, odd = (pick(b, products, list(range(first, 2 * lanes, 2))) for first in (0, 1))
    return b.add(total, b.add(even, odd))


def _closed(b, loop, values):
    loop.close(values)
    total = values[0]
    for value in values[1:]:
        total = b.add(total, value)
    first = b.extract_element(total, I32(0))
    return first if first.type == I64 else b.sext(first, I64)


@njit(nogil=True)
def count(turns):
    return _count(turns)


@njit(nogil=True)
def multiply(turns):
    return _multiply(turns)


def ceilings(backend):
    """Calls and their operations: counting bits, and where they are, products of bytes."""
    width = 64 * (4 if TILES[tile_for(backend, 2)].lanes == 8 else 8)
    found = {"count": (partial(count, TURNS), TURNS * ACCUMULATORS * width * 2)}
    lanes = {"plain": 0, "pairs8": 8, "pairs16": 16}.get(backend, 32)
    if lanes:  # 32-bit lanes of two products each, or of twice as many
        found["product"] = partial(multiply, TURNS), TURNS * ACCUMULATORS * lanes * 4
    return found


def rates(calls):
    """GOPS in each round of named calls with their operations: {name: [rate]}. The time is that of
    the processor for this thread, which others that run beside it do not lengthen."""
    found = {name: [] for name in calls}
    for call_, _ in calls.values():
        call_()
    for _ in range(ROUNDS):
        for name, (call_, operations) in calls.items():
            start = time.thread_time()
            call_()
            found[name].append(operations / (time.thread_time() - start) / 1e9)
    return found


def ratio(rates_of, name, other, weight=1):
    pairs = zip(rates_of[name], rates_of[other], strict=True)
    return statistics.median(weight * ours / theirs for ours, theirs in pairs)


def repeated(call_, operations):
    """A call as often as half a millisecond takes, so that the clock is not what is measured."""
    call_()
    start = time.thread_time()
    call_()
    times = max(1, round(5e-4 / (time.thread_time() - start)))

    def run():
        for _ in range(times):
            call_()

    return run, operations * times


def summing(held, planes, windows, backend):
    """A call that multiplies, and its sums, int32 (positions, out_channels)."""
    tile, channels = tile_for(backend, int(np.prod(windows.out))), len(held.product.levels)
    pattern, taps = patterns_of(windows)
    bases = held.product.bases(taps).astype(np.int32)
    sums = np.empty((int(np.prod(windows.out)), channels), np.int32)
    counts = np.empty((TILES[tile].rows, TILES[tile].channels), np.int32)
    names = literal(tile), literal(held.product.op)
    reads = held.reads(planes[0], windows, tile)
    rest = bases, pattern, held.product.factor, sums, counts
    return partial(sums_of_bits, *names, reads, held.panels(tile), *rest), sums


def thresholding(held, planes, windows, values, falling, backend):
    """A call that multiplies and compares, and its bits, uint32 (positions, words)."""
    tile, words = tile_for(backend, int(np.prod(windows.out))), words_of(len(held.product.levels))
    rows = in_whole_tiles(pixels_of(windows.out, (0,) * 4, 4 * words), TILES[tile].rows)
    bits = np.zeros((int(np.prod(windows.out)), words), np.uint32)
    writes = BitWrites(bits.reshape(-1).view(np.uint8), rows, 0)
    counts = np.empty((TILES[tile].rows, TILES[tile].channels), np.int32)
    names = literal(tile), literal(held.product.op), literal("1")
    tables = held.panels(tile), limits(held, windows, values, falling, tile)
    reads = held.reads(planes[0], windows, tile)
    return partial(levels_of_bits, *names, reads, *tables, writes, counts), bits


def print_layers(backend):
    rng = np.random.default_rng(0)
    print("\nbinary 3 x 3 convolution      bits out   of ceiling   sums out   of ceiling")
    for side, channels in LAYERS:
        x = rng.choice([-1, 1], (1, channels, side, side))
        held = BitConvolution(
            BitProduct(rng.choice([-1, 1], (channels, channels, 3, 3)), SIGNS, SIGNS)
        )
        windows = Windows((side, side), (3, 3), padding=(1, 1, 1, 1))
        planes = planes_of_images(held, x, windows)
        values, falling = rng.integers(-9, 9, (channels, 1)), rng.random(channels) < 0.5
        to_sums, sums = summing(held, planes, windows, backend)
        to_bits, bits = thresholding(held, planes, windows, values, falling, backend)
        to_sums(), to_bits()
        reached = np.where(falling, sums <= values[:, 0], sums >= values[:, 0])
        assert (np.packbits(reached, axis=1, bitorder="little") == bits.view(np.uint8)).all()
        operations = 2 * side * side * 9 * channels * channels
        found = rates(
            {
                **ceilings(backend),
                "bits": repeated(to_bits, operations),
                "sums": repeated(to_sums, operations),
            }
        )
        shape = f"{side} x {side} x {channels}"
        columns = [
            f"{statistics.median(found[name]):10,.0f} {ratio(found, name, 'count'):12.1%}"
            for name in ("bits", "sums")
        ]
        print(f"{shape:28}", " ".join(columns), flush=True)


def print_products(backend):
    rng = np.random.default_rng(0)
    shapes = "".join(f"{'x'.join(map(str, shape)):>17}" for shape in PRODUCTS)
    print(
        f"\nmatrix products: GOPS, share of the ceiling of counting, ratio to that of products"
        f"\n{'':18}{shapes}"
    )
    for name, (code, x_code) in FORMATS.items():
        cells = []
        for rows, depth, channels in PRODUCTS:
            w, x = draw(rng, code, (channels, depth, 1, 1)), draw(rng, x_code, (1, depth, rows, 1))
            held, windows = BitConvolution(BitProduct(w, code, x_code)), Windows((rows, 1), (1, 1))
            product = held.product
            call_, sums = summing(held, planes_of_images(held, x, windows), windows, backend)
            call_()
            assert (sums == x[0, :, :, 0].T.astype(float) @ w[:, :, 0, 0].T.astype(float)).all()
            operations = 2 * rows * depth * channels
            found = rates({**ceilings(backend), "ours": repeated(call_, operations)})
            pairs = product.x_bits * product.w_bits
            bytes_ = f"{ratio(found, 'ours', 'product'):6.2f}" if "product" in found else "      "
            rate, share = (
                statistics.median(found["ours"]),
                ratio(found, "ours", "count", pairs),
            )
            cells.append(f"{rate:6,.0f}{share:5.0%}{bytes_}")
        print(f"{name:18}", *cells, sep="", flush=True)


def draw(rng, code, shape):
    if code is None:
        return rng.integers(-1, 2, shape)
    return code.step * rng.integers(0, 2**code.bits, shape) + code.offset


def print_whole():
    rng, register = np.random.default_rng(0), Accumulator()
    rows, depth, channels = 784, 1152, 128
    print(f"\nwhole product of levels, {rows} x {depth} x {channels}     counting   levels   ratio")
    for name in ("W1 A1 (XNOR)", "ternary x ternary", "W1 A2", "W1 A4"):
        code, x_code = FORMATS[name]
        w, x = (
            draw(rng, code, (channels, depth)),
            draw(rng, x_code, (1, rows, depth)).astype(np.int16),
        )
        serial = x_code is not None and x_code != SIGNS
        weights = BitSerialWeights(w, code, x_code) if serial else XnorPopcountWeights(w)
        levels = LevelWeights(w)
        assert (weights.dot(x, register) == levels.dot(x, register)).all()
        operations = 2 * rows * depth * channels
        calls = {
            "counting": (partial(weights.dot, x, register), operations),
            "levels": (partial(levels.dot, x, register), operations),
        }
        found = rates(calls)
        ours, theirs = (statistics.median(found[kind]) for kind in calls)
        print(f"{name:43} {ours:10,.0f} {theirs:8,.0f} {ratio(found, 'counting', 'levels'):7.2f}")


def main():
    choice = choose()
    print(f"back end {choice.name} ({choice.why}), tile {tile_for(choice.name, 2)}, one thread")
    for name, values in rates(ceilings(choice.name)).items():
        fastest = "vpdpbusd" if choice.name in ("amx", "vnni512") else "pairs of 16 bits"
        what = {"count": "xor, popcount, add", "product": fastest}[name]
        print(f"ceiling of {what:20} {statistics.median(values):8,.0f} GOPS", flush=True)
    print_layers(choice.name)
    print_products(choice.name)
    print_whole()


if __name__ == "__main__":
    main()
