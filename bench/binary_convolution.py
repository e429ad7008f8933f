"""ResNet-18's 3 x 3 convolutions of few bits, bits in and bits out, beside what counting allows.

Run as ``python bench/binary_convolution.py``; ``--format json`` prints one JSON document.

A layer reads planes of bits, counts, compares each sum with the thresholds of its channel and
writes planes of bits, with a border for the next layer. Its first run is compared with ``==`` with
sums of int64 products and their comparison by numpy. Then the layers take turns with the loop of
xor, popcount and add that stays in registers (bench/machine.py). A rate counts two operations a
product whatever its bits, and W1A2 has two products of bits for each of its own.
"""

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np
from machine import instruction_set, loops, processor
from side_by_side import Neighbours, cores, held, said_of_neighbours, take_turns

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.bit_convolution import BitConvolution, planes_of_images
from qsim.kernels.simd.bit_layers import levels_of_bits
from qsim.kernels.simd.bit_panels import words_of
from qsim.kernels.simd.bit_products import SIGNS, BitProduct
from qsim.kernels.simd.bit_thresholds import limits
from qsim.kernels.simd.bit_tiles import TILES, BitWrites, literal, tile_for
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.windows import Windows, in_whole_tiles, pixels_of

SHAPES = [(64, 56), (128, 28), (256, 14), (512, 7)]  # channels in and out, side
CODES = {  # of weights, of inputs, products of bits in one
    "W1A1, signs": (SIGNS, SIGNS, 1),
    "W1A1, signs x 0 and 1": (SIGNS, AffineCode(1), 1),
    "ternary x signs": (None, SIGNS, 1),
    "W1A2": (SIGNS, AffineCode(2), 2),
}
BORDER = (1, 1, 1, 1)
CEILING = "xor + popcount + add, 512 bits"


def layer(name: str, channels: int, side: int) -> Callable[[], None]:
    """One layer of one image as a call, compared before."""
    code, x_code, _ = CODES[name]
    rng = np.random.default_rng(0)
    values = [-1, 0, 1] if code is None else [code.low, code.high]
    w = rng.choice(values, (channels, channels, 3, 3))
    codes = rng.integers(0, 2**x_code.bits, (1, channels, side, side))
    x = x_code.step * codes + x_code.offset
    product = BitConvolution(BitProduct(w, code, x_code))
    windows = Windows((side, side), (3, 3), padding=BORDER)
    sums = conv2d(x, LevelWeights(w), padding=BORDER)
    thresholds = np.quantile(sums[0].reshape(channels, -1), [0.25, 0.5, 0.75], axis=1).T.astype(int)
    thresholds = thresholds[:, 1:2] if x_code.bits == 1 else thresholds
    run, written = _prepared(product, planes_of_images(product, x, windows), windows, thresholds)
    run()
    expected = (sums[0][:, None] >= thresholds[:, :, None, None]).sum(axis=1)
    if not np.array_equal(_levels(written, channels), expected):
        raise SystemExit(f"{name}, {channels} channels: a level is wrong; nothing is timed")
    return run


def _prepared(product, planes, windows, thresholds):
    """The fused kernel on what is made once for a network, and the planes that it writes."""
    channels = len(product.product.levels)
    tile = tile_for(choose().name, int(np.prod(windows.out)))
    count = 1 if thresholds.shape[1] == 1 else 2
    height, width = windows.out
    written = np.zeros((count, height + 2, width + 2, words_of(channels)), np.uint32)
    rows = pixels_of(windows.out, BORDER, 4 * words_of(channels))
    writes = BitWrites(
        written.reshape(-1).view(np.uint8), in_whole_tiles(rows, TILES[tile].rows),
        written[0].nbytes,
    )  # fmt: skip
    compared = limits(product, windows, thresholds, np.zeros(channels, bool), tile)
    reads, panels = product.reads(planes[0], windows, tile), product.panels(tile)
    counts = np.empty((TILES[tile].rows, TILES[tile].channels), np.int32)
    names = literal(tile), literal(product.product.op), literal(str(count))
    return lambda: levels_of_bits(*names, reads, panels, compared, writes, counts), written


def _levels(written: np.ndarray, channels: int) -> np.ndarray:
    """The levels (channels, height, width) that planes of bits are."""
    octets = np.ascontiguousarray(written[:, 1:-1, 1:-1]).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., :channels].astype(int)
    return sum(plane << i for i, plane in enumerate(bits)).transpose(2, 0, 1)


def measure(rounds: int) -> dict:
    """Operations in a second of each layer, and the share of the ceiling that it reaches."""
    found, at = {}, cores(1)
    with held(at), Neighbours() as neighbours:
        [(ceiling, operations)] = loops(at, {CEILING}).values()
        for channels, side in SHAPES:
            calls = {name: layer(name, channels, side) for name in CODES} | {CEILING: ceiling}
            times = take_turns(calls, rounds)
            products = 2 * 9 * channels**2 * side**2
            for name, (_, _, of_bits) in CODES.items():
                found.setdefault(name, {})[f"{side}x{side}x{channels}"] = {
                    "rate": products / times[name].median_s,
                    "share": of_bits * products / operations * times[CEILING].over(times[name]),
                }
            found.setdefault(CEILING, {})[f"{side}x{side}x{channels}"] = {
                "rate": operations / times[CEILING].median_s
            }
    return {"layers": found, "others_cores": neighbours.cores}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args(argv)
    found = {"processor": processor(), "instruction_set": instruction_set()}
    found |= {"backend": choose().name} | measure(arguments.rounds)
    if arguments.format == "json":
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    print(f"{found['processor']}: {found['instruction_set']}; one thread")
    shapes = "".join(f"{shape:>18}" for shape in found["layers"][CEILING])
    print(f"{'GOPS, share of the ceiling':32}{shapes}")
    for name, by_shape in found["layers"].items():
        cells = [
            f"{each['rate'] / 1e9:11,.0f}" + (f"{each['share']:7.0%}" if "share" in each else "")
            for each in by_shape.values()
        ]
        print(f"{name:32}" + "".join(f"{cell:18}" for cell in cells))
    print(said_of_neighbours(found["others_cores"], 1))


if __name__ == "__main__":
    main()
