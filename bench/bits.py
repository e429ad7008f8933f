"""Layers of few bits by counting, beside the product of bytes and what counting allows, in one run.

Run as ``python bench/bits.py``; QSIM_BACKEND chooses the back end, ``--format json`` prints JSON.
First come the convolutions of bench/binary_convolution.py, bits in and bits out. Then

  products   matrix products from planes of bits, sums out (int32), by format, beside the product of
             bytes by the same back end (bench/gemm.py) and the loop of xor, popcount and add that
             stays in registers (bench/machine.py)
  whole      ``dot`` of levels, which packs them first, beside that of the product of levels

A rate counts two operations a product, whatever its bits. All results are compared with ``==``
before they are timed; then all take turns. A ratio is a rate over that of the product of bytes, the
median of those of all turns; qsim.datapaths chooses by them.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

import binary_convolution
import numpy as np
from binary_convolution import CEILING
from gemm import Product
from machine import instruction_set, loops, processor
from side_by_side import Neighbours, cores, held, said_of_neighbours, take_turns

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.bit_convolution import BitConvolution, planes_of_images
from qsim.kernels.simd.bit_layers import sums_of_bits
from qsim.kernels.simd.bit_products import SIGNS, BitProduct
from qsim.kernels.simd.bit_tiles import TILES, literal, tile_for
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.windows import Windows, patterns_of
from qsim.kernels.xnor_popcount import XnorPopcountWeights

SHAPES = [  # rows, depth, out-channels
    (1024, 1024, 1024), (3136, 576, 64), (784, 1152, 128), (196, 2304, 256), (49, 4608, 512),
    (1, 4096, 4096),
]  # fmt: skip
WHOLE = (784, 1152, 128)
BYTES = "product of bytes"
FORMATS = {  # codes of weights and of inputs, None being -1, 0 and +1
    "W1A1": (SIGNS, SIGNS),
    "ternary x A1": (None, SIGNS),
    "ternary x ternary": (None, None),
    "W1A2": (SIGNS, AffineCode(2)),
    "ternary x A2": (None, AffineCode(2)),
    "W1A3": (SIGNS, AffineCode(3)),
    "W1A4": (SIGNS, AffineCode(4)),
    "W2A2": (AffineCode(2, 2, -3), AffineCode(2)),
    "W3A3": (AffineCode(3, 2, -7), AffineCode(3)),
}


def drawn(rng: np.random.Generator, code: AffineCode | None, shape: tuple[int, ...]) -> np.ndarray:
    """Seeded levels of a code."""
    if code is None:
        return rng.integers(-1, 2, shape)
    return code.step * rng.integers(0, 2**code.bits, shape) + code.offset


def counting(name: str, shape: tuple[int, int, int], backend: str) -> Callable[[], None]:
    """A product of planes as a call, compared before."""
    rng, (rows, depth, channels), (code, x_code) = np.random.default_rng(0), shape, FORMATS[name]
    w, x = drawn(rng, code, (channels, depth)), drawn(rng, x_code, (rows, depth))
    product = BitConvolution(BitProduct(w[:, :, None, None], code, x_code))
    windows, tile = Windows((rows, 1), (1, 1)), tile_for(backend, rows)
    pattern, taps = patterns_of(windows)
    sums = np.empty((rows, channels), np.int32)
    run = partial(
        sums_of_bits, literal(tile), literal(product.product.op),
        product.reads(planes_of_images(product, x.T[None, :, :, None], windows)[0], windows, tile),
        product.panels(tile), product.product.bases(taps).astype(np.int32), pattern,
        product.product.factor, sums, np.empty((TILES[tile].rows, TILES[tile].channels), np.int32),
    )  # fmt: skip
    run()
    if not np.array_equal(sums, x.astype(np.float64) @ w.T.astype(np.float64)):
        raise SystemExit(f"{name}, {shape}: a sum is wrong; nothing is timed")
    return run


def multiplying(shape: tuple[int, int, int], backend: str, at: tuple[int, ...]) -> Product:
    """The product of bytes of the same shape as a call, which bench/gemm.py compares."""
    rng, (rows, depth, channels) = np.random.default_rng(0), shape
    x = rng.integers(0, 256, (rows, depth)).astype(np.uint8)
    return Product(backend, x, rng.integers(-127, 128, (depth, channels)).astype(np.int8), at)


def products(backend: str, at: tuple[int, ...], rounds: int) -> dict:
    """By shape and format, operations in a second and their ratio to those of the bytes."""
    found, [(ceiling, operations)] = {}, loops(at, {CEILING}).values()
    for shape in SHAPES:
        calls = {name: counting(name, shape, backend) for name in FORMATS}
        times = take_turns(
            calls | {BYTES: multiplying(shape, backend, at), CEILING: ceiling}, rounds
        )
        each = 2 * int(np.prod(shape))
        found["x".join(map(str, shape))] = {
            name: {
                "rate": (operations if name == CEILING else each) / taken.median_s,
                **({"ratio": times[BYTES].over(taken)} if name in FORMATS else {}),
            }
            for name, taken in times.items()
        }
    return found


def whole(rounds: int) -> dict:
    """By format, operations in a second of ``dot``, and their ratio to the product of levels."""
    found, register, (rows, depth, channels) = {}, Accumulator(), WHOLE
    for name, (code, x_code) in FORMATS.items():
        rng = np.random.default_rng(0)
        w = drawn(rng, code, (channels, depth))
        x = drawn(rng, x_code, (1, rows, depth)).astype(np.int16)
        serial = code not in (SIGNS, None) or x_code not in (SIGNS, None)
        counted = BitSerialWeights(w, code, x_code) if serial else XnorPopcountWeights(w)
        kernels = {"counted": counted, "levels": LevelWeights(w)}
        calls = {kind: partial(each.dot, x, register) for kind, each in kernels.items()}
        if not np.array_equal(*(call() for call in calls.values())):
            raise SystemExit(f"{name}: a sum is wrong; nothing is timed")
        times = take_turns(calls, rounds)
        found[name] = {
            "rate": 2 * rows * depth * channels / times["counted"].median_s,
            "ratio": times["levels"].over(times["counted"]),
        }
    return found


def measure(rounds: int) -> dict:
    """What is printed after the convolutions."""
    backend, at = choose().name, cores(1)
    with held(at), Neighbours() as neighbours:
        found = {"products": products(backend, at, rounds), "whole": whole(rounds)}
    return {"backend": backend, **found, "others_cores": neighbours.cores}


def print_table(found: dict) -> None:
    columns = {**found["products"], "whole, " + "x".join(map(str, WHOLE)): found["whole"]}
    print(f"\n{'GOPS, ratio to product of bytes':32}" + "".join(f"{name:>23}" for name in columns))
    for name in (*FORMATS, BYTES, CEILING):
        cells = [
            f"{column[name]['rate'] / 1e9:15,.0f}" + f"{column[name].get('ratio', ''):>8.4}"
            if name in column
            else " " * 23
            for column in columns.values()
        ]
        print(f"{name:32}" + "".join(cells))
    print(said_of_neighbours(found["others_cores"], 1))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args(argv)
    if arguments.format == "json":
        found = {"processor": processor(), "instruction_set": instruction_set()}
        found |= binary_convolution.measure(arguments.rounds) | measure(arguments.rounds)
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    binary_convolution.main(["--rounds", str(arguments.rounds)])
    print_table(measure(arguments.rounds))


if __name__ == "__main__":
    main()
