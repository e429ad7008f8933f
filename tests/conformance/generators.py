"""Operands on which roundings differ: sums beside a half, beyond float32's integers, saturating."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def has_exact_int8_products():
    """Whether the processor multiplies uint8 by int8 without saturating pairs at 16 bits (VNNI).

    Where it does not, runtimes compute u8 x s8 wrongly for large weights; tests keep below that.
    """
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text().split() if cpu.exists() else []
    return "avx512_vnni" in flags or "avx_vnni" in flags


WEIGHT_LIMIT = 127 if has_exact_int8_products() else 64  # 2 * 255 * 64 fits 16 bits


@dataclass(frozen=True)
class Random:
    """Draws of numpy's generator, from a seed that hypothesis chose."""

    generator: np.random.Generator

    @classmethod
    def seeded(cls, seed):
        return cls(np.random.default_rng(seed))

    def one_of(self, *choices):
        return choices[self.generator.integers(len(choices))]

    def integer(self, low, high):
        """An integer of ``low .. high``, the ends likely."""
        return int(self.one_of(low, high, *[self.generator.integers(low, high + 1)] * 6))

    def codes(self, shape, dtype):
        """Codes of an integer type; in one of four draws only the extreme ones."""
        ends = np.iinfo(dtype)
        if self.generator.random() < 0.25:
            return self.generator.choice(np.array([ends.min, ends.max], dtype), shape)
        return self.generator.integers(ends.min, ends.max + 1, shape).astype(dtype)

    def weights(self, shape):
        """int8 weights, the extremes likely."""
        limit = self.one_of(1, WEIGHT_LIMIT, WEIGHT_LIMIT)
        if self.generator.random() < 0.2:
            return self.generator.choice(np.array([-limit, limit], np.int8), shape)
        return self.generator.integers(-limit, limit + 1, shape).astype(np.int8)

    def scales(self, shape=()):
        """float32 scales: powers of two and small multiples of them, so that ties occur, or any."""
        kind = self.one_of("powers", "few bits", "any", "any")
        if kind == "powers":
            values = 2.0 ** -self.generator.integers(0, 8, shape)
        elif kind == "few bits":
            values = self.generator.integers(1, 16, shape) * 2.0 ** -self.generator.integers(
                3, 9, shape
            )
        else:
            values = np.exp(self.generator.uniform(np.log(2e-3), np.log(2), shape))
        return np.asarray(values).astype(np.float32)

    def bias(self, multiplier, spread):
        """int32 biases that put sums of about ``spread`` beside a half of 256 levels, or anywhere.

        multiplier   (rows,) float64, what a sum is multiplied by
        """
        g, rows = self.generator, len(multiplier)
        halves = np.rint((g.integers(-140, 140, rows) + 0.5) / multiplier) + g.integers(-1, 2, rows)
        anywhere = g.integers(-spread, spread + 1, rows)
        near = g.integers(-2, 3, rows) + g.choice([-(2**24), 2**24], rows)
        kind = g.integers(0, 4, rows)
        chosen = np.where(kind == 0, anywhere, np.where(kind == 1, near, halves))
        return np.clip(chosen, -(2**30), 2**30).astype(np.int32)

    def output_scale(self, x_scale, weight_scale, spread):
        """A scale of the result at which sums of about ``spread`` cover some of 256 levels."""
        largest = float(x_scale) * float(np.max(weight_scale)) * max(spread, 1)
        free = largest / 256 * np.exp(self.generator.uniform(np.log(0.05), np.log(20)))
        power = 2.0 ** np.round(np.log2(free))
        return np.float32(self.one_of(free, power))
