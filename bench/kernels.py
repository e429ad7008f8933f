"""ResNet-18's convolutions: our exact integer kernels beside floating-point BLAS, in one run.

Run as ``python bench/kernels.py``. For every shape it prints the median rate of

  level product   qsim's convolution of 4-bit levels, exact in an accumulator of 32 bits
  shift-add       the same result by shifts and additions, the oracle of SP2
  float32 BLAS    numpy's product of the gathered float32 patches with the weights (gathering them
                  is not timed), the honest peer: its sums are exact here too, below 2**24

and the ratio of the first to the last. Results are compared with ``==`` before they are timed.
"""

import statistics
import time

import numpy as np

from qsim.formats import Sp2
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.shift_add import ShiftAddWeights

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
    times = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def main():
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


if __name__ == "__main__":
    main()
