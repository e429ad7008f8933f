"""ResNet-18's 3 x 3 convolutions in registers of every mode, beside the exact product, in one run.

Run as ``python bench/registers.py``, with ``--rounds N`` and ``--format json`` as wished. It prints
the median rate, in GOPS (2 per multiply-accumulate), of activations 0 .. 255 and weights
-128 .. 127, in

  kernel        the product of gathered patches, as the datapath returns it
  convolution   all of ``conv2d``, the gathering of the patches and their types included
  to exact      the rate of ``conv2d`` divided by its rate in an exact accumulator of 32 bits

for each register, the cases taking turns; then what a register costs by shape. The first image of a
shape and some rows are compared with plain loops by ``==`` before anything is timed.
"""

import argparse
import json
import statistics
import time

import numpy as np

from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.layers import conv2d, gather_patches
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.saturating_tiles import RegisterWeights

SHAPES = [(64, 56), (128, 28), (256, 14), (512, 7)]  # channels in and out, side
REGISTERS = {
    "32 exact": Accumulator(32),
    "16 saturate": Accumulator(16, "saturate"),
    "12 saturate": Accumulator(12, "saturate"),
    "20 saturate": Accumulator(20, "saturate"),
    "24 wrap": Accumulator(24, "wrap"),
    "16 saturate x 4, 24 saturate": Accumulator(24, "saturate", Partial(4, 16, "saturate")),
    "16 wrap x 9, 32 exact": Accumulator(32, "exact", Partial(9, 16, "wrap")),
    "12 wrap x 1, 16 saturate": Accumulator(16, "saturate", Partial(1, 12, "wrap")),
    "24 exact x 16, 20 saturate": Accumulator(20, "saturate", Partial(16, 24)),
}
GEOMETRY = {"padding": (1, 1, 1, 1)}


def main():
    parser = argparse.ArgumentParser(description="convolutions in registers of every mode")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    asked = parser.parse_args()
    rows = [row for shape in SHAPES for row in measured(*shape, asked.rounds)]
    if asked.format == "json":
        print(json.dumps({"backend": choose().name, "rows": rows}, indent=2))
        return
    print(f"back end {choose().name}: {choose().why}")
    print(f"{'layer':14} {'register':30} {'kernel':>8} {'convolution':>12} {'to exact':>9}")
    for row in rows:
        print(
            f"{row['layer']:14} {row['register']:30} {row['kernel_gops']:8.1f}"
            f" {row['convolution_gops']:12.1f} {row['ratio_to_exact']:9.2f}"
        )


def measured(channels, side, rounds):
    """A row of figures for each register, of one shape."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, channels, side, side), np.int32)
    weights = LevelWeights(rng.integers(-128, 128, (channels, channels, 3, 3), np.int32))
    patches = np.empty((1, side * side, channels * 9), np.int16)
    gather_patches(x[0], patches, (3, 3, 1, 1, 1, 1, 1, 1, side, side))
    calls = {}
    for name, register in REGISTERS.items():
        assert_equal_to_loops(patches, weights, register)
        calls[name, "kernel"] = lambda r=register: weights.dot(patches, r)
        calls[name, "convolution"] = lambda r=register: conv2d(
            x, weights, **GEOMETRY, accumulator=r
        )
    seconds = medians(calls, rounds)
    operations = 2 * weights.levels.size * side * side
    exact = seconds["32 exact", "convolution"]
    return [
        {
            "layer": f"{channels} x {side} x {side}",
            "register": name,
            "kernel_gops": operations / seconds[name, "kernel"] / 1e9,
            "convolution_gops": operations / seconds[name, "convolution"] / 1e9,
            "ratio_to_exact": exact / seconds[name, "convolution"],
        }
        for name in REGISTERS
    ]


def assert_equal_to_loops(patches, weights, register, rows=17, columns=9):
    """Some rows and columns of a product, summed in vectors and by plain loops."""
    some = RegisterWeights(weights.levels[:rows])
    sums = some.sum_products(patches[:, :columns], register, "plain")
    assert (weights.dot(patches, register)[:, :rows, :columns] == sums).all()


def medians(calls, rounds):
    """Median seconds of each call, the calls taking turns."""
    times = {name: [] for name in calls}
    for _ in range(rounds + 1):  # the first warms up
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


if __name__ == "__main__":
    main()
