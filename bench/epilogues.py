"""What a layer does with its sums, in ns per output: on a tile in the first cache, and before.

Run as ``python bench/epilogues.py``; ``--rows`` and ``--lanes`` set the tile, 6 and 64 as those of
the back end vnni512. Two columns:

  tile     the function of qsim.kernels.simd on one tile, again and again
  tensor   qsim's kernel for whole tensors with the same arithmetic, on 64 channels of 56 x 56

A simple loop is that of round_float as one would write it first: its index may be negative, and
its arrays may overlap. Chains go from sums to bytes, by one function after another or in one pass.
Everything takes turns; printed is the least time. What a tile gives is compared with the tensor's
kernel with ``==`` before it is timed.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from qsim.kernels.add_fixed import add_fixed
from qsim.kernels.add_float import ScaledCode, ratios_and_rest
from qsim.kernels.add_float import add_float as add_tensors
from qsim.kernels.fixed_multiplier import quantize_multiplier, requantize_fixed
from qsim.kernels.requantize import requantize_float, requantize_shift
from qsim.kernels.requantize_double import requantize_double
from qsim.kernels.simd import additions, epilogues, float_stores, tile_bytes, twice_rounded
from qsim.kernels.simd.counted_thresholds import count_thresholds, pack_thresholds
from qsim.kernels.thresholds import apply_thresholds

CHANNELS, POSITIONS = 64, 56 * 56
LIMITS = -128, 127
SCALES = np.float32(0.5), np.float32(0.375), np.float32(0.625)
ZEROS = 3, -7, 11


@dataclass(frozen=True)
class Case:
    """A function on a tile, where it leaves its result, and the kernel of tensors."""

    name: str
    function: Callable
    arguments: tuple
    result: np.ndarray | None = None
    tensor: Callable | None = None  # of sums, or of two tensors of levels


@njit
def simple_loop(sums, count, multiplier, channel, low, high, levels):
    for i in range(count):
        for lane in range(sums.shape[1]):
            scaled = np.float32(sums[i, lane]) * multiplier[channel + lane]
            clipped = min(max(scaled, np.float32(low)), np.float32(high))
            levels[i, lane] = np.int32(np.rint(clipped))


@njit
def float_chain(
    sums, count, bias, multiplier, offset, channel, low, high, to_byte, stored, rows, levels
):
    epilogues.add_bias(sums, count, bias, channel)
    epilogues.round_float(sums, count, multiplier, offset, channel, low, high, levels)
    tile_bytes.store_bytes(levels, count, to_byte, stored, rows, 0, channel, len(bias))


@njit
def added_chain(
    sums, count, bias, multiplier, offset, channel, low, high,
    factors, zeros, to_byte, other_rows, stored, rows, levels, others, flat, other_flat,
):  # fmt: skip
    epilogues.add_bias(sums, count, bias, channel)
    epilogues.round_float(sums, count, multiplier, offset, channel, low, high, levels)
    tile_bytes.load_levels(others, count, to_byte, stored, other_rows, 0, channel, len(bias))
    additions.add_float(flat, other_flat, len(flat), True, factors, zeros, low, high)
    tile_bytes.store_bytes(levels, count, to_byte, stored, rows, 0, channel, len(bias))


class Tile:
    """Sums of a tile, the parameters of its channels, and the cases that use them."""

    def __init__(self, rows: int, lanes: int):
        random = np.random.default_rng(0)
        self.rows, self.lanes = rows, lanes
        self.sums = random.integers(-200_000, 200_000, (rows, lanes)).astype(np.int32)
        self.a, self.b = random.integers(-128, 128, (2, rows, lanes)).astype(np.int32)
        self.real = np.exp(random.uniform(np.log(1e-4), np.log(1e-2), lanes))
        self.float = self.real.astype(np.float32)
        self.shift = random.integers(6, 12, lanes).astype(np.int32)
        self.none, self.no_offset = np.zeros(lanes, np.int32), np.zeros(lanes, np.float32)
        self.levels = np.zeros((rows, lanes), np.int32)
        self.stored = np.zeros(2 * rows * lanes, np.uint8)
        self.places = np.arange(rows) * lanes
        self.thresholds = np.sort(random.integers(-200_000, 200_000, (lanes, 255)), axis=1)

    def cases(self):
        yield from self._sums()
        yield from self._fixed()
        yield from (self._counted(many) for many in (1, 3, 15, 255))
        yield from self._additions()
        yield from self._bytes()
        yield from self._chains()

    def _sums(self):
        count, levels, wide = self.rows, self.levels, self.sums.astype(np.int64)
        one = self.sums, count
        yield Case("add_bias", epilogues.add_bias, (self.sums.copy(), count, self.none, 0))
        yield Case("wrap_to", epilogues.wrap_to, (self.sums.copy(), count, 20))

        def by_float(x):
            return requantize_float([(x, self.float)], *LIMITS)

        scaled = self.float, 0, *LIMITS, levels
        yield Case("simple loop", simple_loop, (*one, *scaled), levels, by_float)
        scaled = self.float, self.no_offset, 0, *LIMITS, levels
        yield Case("round_float", epilogues.round_float, (*one, *scaled), levels, by_float)
        yield Case("round_float, int64", epilogues.round_float, (wide, count, *scaled), levels)

        def by_two(x):
            return requantize_float([(x, self.float), (x, self.float)], *LIMITS)

        two = self.sums, self.sums.copy(), count, self.float, *scaled
        yield Case("round_float_sum", epilogues.round_float_sum, two, levels, by_two)
        double = *one, self.real, 0, *LIMITS, levels

        def by_double(x):
            return requantize_double(x, self.real, *LIMITS)

        yield Case("round_double", epilogues.round_double, double, levels, by_double)

        def by_shift(x):
            return requantize_shift(x, self.shift, *LIMITS)

        shifted = self.shift, 0, *LIMITS, levels
        up = self.none, self.none, *shifted
        shifted = self.sums, self.a * 0, count, *up
        yield Case("round_shift_sum", epilogues.round_shift_sum, shifted, levels, by_shift)

    def _fixed(self):
        multiplier, shift = quantize_multiplier(self.real)
        constants = multiplier, shift.astype(np.int32)

        def by(rounding):
            return lambda x: requantize_fixed(x, self.real, *LIMITS, rounding=rounding)

        once = self.sums, self.rows, *constants, 0, *LIMITS, self.levels
        yield Case("round_once", epilogues.round_once, once, self.levels, by("tflite"))
        for away, rounding in ((True, "tflite-reference"), (False, "tflite-builtin")):
            twice = self.sums.copy(), self.rows, self.none, *constants, away, 0, *LIMITS
            yield Case(
                f"round_twice, {rounding}",
                twice_rounded.round_twice, (*twice, self.levels), self.levels, by(rounding),
            )  # fmt: skip
        end = 128, self.stored, self.places, 0, self.lanes
        arguments = self.sums.copy(), self.rows, self.none, *constants, True, 0, 0, *LIMITS, *end
        yield Case("store_twice_rounded", twice_rounded.store_twice_rounded, arguments)

    def _counted(self, many: int):
        thresholds = self.thresholds[:, :: 255 // many][:, :many]
        exceeded, steps, start = pack_thresholds(
            thresholds, np.arange(many + 1), self.lanes, np.int32
        )
        packed = exceeded, len(exceeded), steps, 0, start

        def by_search(x):
            return apply_thresholds(x, thresholds, np.zeros(self.lanes, bool), 0)

        arguments = self.sums, self.rows, *packed, 0, self.levels
        return Case(
            f"count_thresholds, {many}", count_thresholds, arguments, self.levels, by_search
        )

    def _additions(self):
        many = self.a.size
        codes = tuple(ScaledCode(s, z) for s, z in zip(SCALES, ZEROS, strict=True))
        code_limits = [limit + ZEROS[2] for limit in LIMITS]

        def by_float(a, b):
            return add_tensors(a + ZEROS[0], b + ZEROS[1], codes, *code_limits) - ZEROS[2]

        a, b = self.a.ravel().copy(), self.b.ravel().copy()
        arguments = a, b, many, True, ratios_and_rest(codes), ZEROS, *LIMITS
        yield Case("add_float", additions.add_float, arguments, a, by_float)

        def by(addition):
            return lambda a, b: add_fixed(a, b, SCALES, *LIMITS, addition=addition)

        for addition in ("tflite-reference", "tflite-builtin", "tflite"):
            a, b = self.a.ravel().copy(), self.b.ravel().copy()
            constants = additions.tflite_constants(SCALES, addition)
            arguments = a, b, many, *constants, *LIMITS
            name = f"add_tflite, {addition}"
            yield Case(name, additions.add_tflite, arguments, a, by(addition))

    def _bytes(self):
        place = self.stored, self.places, 0, 0, self.lanes
        yield Case("load_levels", tile_bytes.load_levels, (self.levels, self.rows, 128, *place))
        yield Case("store_bytes", tile_bytes.store_bytes, (self.a, self.rows, 128, *place))
        place = np.zeros_like(self.sums).ravel(), self.places, 0, 0, self.lanes
        yield Case("store_sums", tile_bytes.store_sums, (self.sums, self.rows, *place))

    def _chains(self):
        start = self.sums.copy(), self.rows, self.none, self.float
        one = *start, self.no_offset, 0, *LIMITS, 128, self.stored, self.places
        yield Case("chain float, steps", float_chain, (*one, self.levels))
        end = 128, self.stored, self.places, 0, self.lanes
        arguments = *start, self.no_offset, 0, 0, *LIMITS, *end
        yield Case("chain float, store_float", float_stores.store_float, arguments)
        other_rows = self.places + self.rows * self.lanes
        second = self.float, 128, other_rows, 0, *end
        arguments = *start, self.no_offset, 0, 0, *LIMITS, *second
        yield Case("chain float + term, store_float_sum", float_stores.store_float_sum, arguments)
        factors = ratios_and_rest(
            tuple(ScaledCode(s, z) for s, z in zip(SCALES, ZEROS, strict=True))
        )
        others = self.b.copy()
        arguments = (
            *start, self.no_offset, 0, *LIMITS, factors, ZEROS, 128, other_rows,
            self.stored, self.places, self.levels, others, self.levels.ravel(), others.ravel(),
        )  # fmt: skip
        yield Case("chain float + added, steps", added_chain, arguments)
        added = True, factors, ZEROS, *LIMITS, 128, other_rows, 0, *end
        arguments = *start, 0, 0, *LIMITS, *added
        name = "chain float + added, store_float_added"
        yield Case(name, float_stores.store_float_added, arguments)

    def check(self, case: Case):
        """Run a case once, and compare it with the kernel of tensors."""
        case.function(*case.arguments)
        if case.tensor is None:
            return
        is_addition = case.result.ndim == 1
        operands = (
            (self.a.ravel(), self.b.ravel()) if is_addition else (self.sums.astype(np.int64),)
        )
        if not np.array_equal(case.result, case.tensor(*operands)):
            raise SystemExit(f"{case.name}: the results differ")


def repeated(function):
    """A compiled loop of calls, so that a call from Python is not timed."""

    @njit
    def many(times, *arguments):
        for _ in range(times):
            function(*arguments)

    return many


def tensors(case: Case, lanes: int):
    """Operands of the kernel of tensors."""
    random = np.random.default_rng(1)
    shape = 1, lanes, POSITIONS
    if case.result.ndim == 1:
        return random.integers(-128, 128, (2, *shape)).astype(np.int32)
    return (random.integers(-200_000, 200_000, shape),)


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--lanes", type=int, default=CHANNELS)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    tile = Tile(arguments.rows, arguments.lanes)
    outputs, loops = arguments.rows * arguments.lanes, []
    for case in tile.cases():
        tile.check(case)
        many = repeated(case.function)
        many(1, *case.arguments)
        loops.append((case, many, max(1, int(1e6 / outputs) // (10 if "255" in case.name else 1))))
    least = {case.name: [np.inf, np.inf] for case, _, _ in loops}
    for turn in range(arguments.rounds):
        for case, many, times in loops:
            taken = seconds(many, times, *case.arguments) / times / outputs
            least[case.name][0] = min(least[case.name][0], taken)
            if case.tensor is not None and turn < 5:
                operands = tensors(case, arguments.lanes)
                taken = seconds(case.tensor, *operands) / operands[0].size
                least[case.name][1] = min(least[case.name][1], taken)
    print(f"ns per output, tile of {arguments.rows} x {arguments.lanes}")
    print(f"{'':42}{'tile':>8}{'tensor':>8}")
    for name, (of_tile, of_tensor) in least.items():
        tensor = f"{of_tensor * 1e9:8.2f}" if of_tensor < np.inf else ""
        print(f"{name:42}{of_tile * 1e9:8.3f}{tensor}")


if __name__ == "__main__":
    main()
