"""ResNet-18's convolutions: our exact integer kernels beside floating-point BLAS, in one run.

Run as ``python bench/kernels.py``. For every shape it prints the median rate of

  level product   qsim's convolution of 4-bit levels, exact in an accumulator of 32 bits
  shift-add       the same result by shifts and additions, the oracle of SP2
  float32 BLAS    numpy's product of the gathered float32 patches with the weights (gathering them
                  is not timed), the honest peer: its sums are exact here too, below 2**24

and the ratio of the first to the last. Then a layer of few bits beside the level product: the whole
convolution, gathering and packing of the input included, and the product of its patches alone.
Results are compared with ``==`` before they are timed.
"""

import numpy as np
from side_by_side import cores, hold, take_turns

from qsim.formats import Sp2
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.select_negate import SelectNegateWeights
from qsim.kernels.shift_add import ShiftAddWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights

SHAPES = [  # in-channels, out-channels, kernel, stride, side of the input
    (3, 64, 7, 2, 224), (64, 64, 3, 1, 56), (64, 128, 3, 2, 56), (64, 128, 1, 2, 56),
    (128, 128, 3, 1, 28), (256, 256, 3, 1, 14), (512, 512, 3, 1, 7),
]  # fmt: skip
ROUNDS = 7


def patches_of(x, kernel, stride, padding):
    padded = np.pad(x[0], ((0, 0), (padding, padding), (padding, padding)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
    views = views[:, ::stride, ::stride]
    depth = x.shape[1] * kernel * kernel
    columns = views.transpose(0, 3, 4, 1, 2).reshape(depth, -1)
    return np.ascontiguousarray(columns, np.float32)


def medians(*calls):
    """Median seconds of each call, the calls taking turns."""
    times = take_turns({str(i): call for i, call in enumerate(calls)}, ROUNDS)
    return [each.median_s for each in times.values()]


def main():
    hold(cores(1))
    print_resnet18()
    print_few_bits()


def print_resnet18():
    rng = np.random.default_rng(0)
    number = Sp2(4)
    print("GOPS (2 per multiply-accumulate)   level product   shift-add   float32 BLAS   ratio")
    for channels, rows, kernel, stride, side in SHAPES:
        x = rng.integers(0, 16, (1, channels, side, side))
        codes = rng.integers(0, 16, (rows, channels, kernel, kernel))
        levels = LevelWeights(number.decode(codes))
        shifted = ShiftAddWeights(*number.shifts(codes))
        geometry = {"stride": (stride, stride), "padding": (kernel // 2,) * 4}
        columns = patches_of(x, kernel, stride, kernel // 2)
        flat = levels.levels.reshape(rows, -1).astype(np.float32)

        exact = conv2d(x, levels, **geometry)
        assert (exact == conv2d(x, shifted, **geometry)).all()
        assert (exact[0].reshape(rows, -1) == flat @ columns).all()

        seconds = medians(
            lambda x=x, w=levels, g=geometry: conv2d(x, w, **g),
            lambda x=x, w=shifted, g=geometry: conv2d(x, w, **g),
            lambda a=flat, b=columns: a @ b,
        )
        operations = 2 * flat.size * columns.shape[1]
        ours, oracle, blas = (operations / s / 1e9 for s in seconds)
        shape = f"{channels} -> {rows}, {kernel} x {kernel} / {stride}, {side} x {side}"
        print(f"{shape:34} {ours:13.1f} {oracle:11.1f} {blas:14.1f} {ours / blas:7.2f}")


def print_few_bits(channels=256, side=14):
    rng = np.random.default_rng(0)
    binary, two_bits = AffineCode(1, 2, -1), AffineCode(2, 2, -3)
    signs = rng.choice([-1, 1], (channels, channels, 3, 3))
    odd = 2 * rng.integers(0, 4, signs.shape) - 3
    padding, register = (1, 1, 1, 1), Accumulator()
    cases = {
        "XNOR, -1 and +1": (XnorPopcountWeights(signs), [-1, 1]),
        "bit-serial W1 A1": (BitSerialWeights(signs, binary), [0, 1]),
        "bit-serial W1 A2": (BitSerialWeights(signs, binary), [0, 1, 2, 3]),
        "bit-serial W2 A2": (BitSerialWeights(odd, two_bits), [0, 1, 2, 3]),
        "select-negate, A4": (SelectNegateWeights(signs), list(range(16))),
    }
    print(f"\n{channels} -> {channels}, 3 x 3 / 1, {side} x {side}")
    print("GOPS                     convolution   level product   ratio   patches   level   ratio")
    for name, (weights, values) in cases.items():
        x = rng.choice(values, (1, channels, side, side))
        patches = rng.choice(np.array(values, np.int16), (1, side * side, channels * 9))
        levels = LevelWeights(weights.levels)
        assert (conv2d(x, weights, padding=padding) == conv2d(x, levels, padding=padding)).all()
        assert (weights.dot(patches, register) == levels.dot(patches, register)).all()
        seconds = medians(
            *(lambda x=x, w=w: conv2d(x, w, padding=padding) for w in (weights, levels)),
            *(lambda x=patches, w=w: w.dot(x, register) for w in (weights, levels)),
        )
        conv, of_levels, dot, dot_levels = (2 * patches.size * channels / s / 1e9 for s in seconds)
        print(
            f"{name:24} {conv:11.1f} {of_levels:15.1f} {conv / of_levels:7.2f}"
            f" {dot:9.1f} {dot_levels:7.1f} {dot / dot_levels:7.2f}"
        )


if __name__ == "__main__":
    main()
