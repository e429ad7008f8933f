"""The register that sums the products: how wide it is and what happens when it is too narrow."""

from typing import Literal

import msgspec
import numpy as np

INT64_MAX = 2**63 - 1


class Accumulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed accumulator of ``bits`` bits, 2 to 64.

    exact     refused unless no sum can overflow
    wrap      sums are taken modulo 2**bits, as two's complement
    saturate  the sum is clipped after every addition, in the order of the products, the bias last
    """

    bits: int = 32
    mode: Literal["exact", "wrap", "saturate"] = "exact"

    def __post_init__(self):
        if not 2 <= self.bits <= 64:
            raise ValueError(f"an accumulator has 2 to 64 bits, not {self.bits}")

    @property
    def low(self) -> int:
        """The smallest value it holds."""
        return -(2 ** (self.bits - 1))

    @property
    def high(self) -> int:
        """The largest value it holds."""
        return 2 ** (self.bits - 1) - 1

    def widest_safe_depth(self, max_x: int, max_w: int, max_bias: int = 0) -> int:
        """How many products of operands up to ``max_x`` and ``max_w`` and a bias always fit."""
        room = max(self.high - max_bias, 0)
        return room // (max_x * max_w) if max_x * max_w else INT64_MAX

    def check(self, depth: int, max_x: int, max_w: int, max_bias: int = 0) -> None:
        """Raises OverflowError when an exact sum, or any sum in 64 bits, could overflow."""
        worst = depth * max_x * max_w + max_bias
        if self.mode == "exact" and max_bias > self.high:
            raise OverflowError(
                f"a bias of {max_bias} does not fit an exact accumulator of {self.bits} bits"
            )
        if self.mode == "exact" and worst > self.high:
            safe = self.widest_safe_depth(max_x, max_w, max_bias)
            raise OverflowError(
                f"{depth} products of up to {max_x} x {max_w} can overflow an exact accumulator of"
                f" {self.bits} bits; the widest safe depth is {safe}"
            )
        if worst > INT64_MAX:
            raise OverflowError(f"{depth} products of up to {max_x} x {max_w} can overflow 64 bits")

    def add_bias(self, sums: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """``sums`` (int64) plus ``bias`` (broadcastable), as this register holds the total."""
        total = sums if bias is None else sums + bias
        if self.mode == "saturate":
            return np.clip(total, self.low, self.high)
        if self.mode == "wrap" and self.bits < 64:
            half = np.int64(1) << np.int64(self.bits - 1)
            mask = np.int64(2**self.bits - 1)
            return ((total & mask) ^ half) - half
        return total


def as_integers(levels: np.ndarray, dtype: type) -> np.ndarray:
    """``levels`` as a C-contiguous array of ``dtype``, a signed integer type, every value kept.

    Raises TypeError on anything but integers, OverflowError on a value that does not fit.
    """
    if magnitude(levels) > np.iinfo(dtype).max:
        bits = np.iinfo(dtype).bits
        raise OverflowError(f"a level of {magnitude(levels)} does not fit {bits} bits")
    return np.ascontiguousarray(levels, dtype)


def magnitude(levels: np.ndarray) -> int:
    """The largest absolute value, 0 if empty. Raises TypeError on anything but integers."""
    if levels.dtype.kind not in "iu":
        raise TypeError(f"levels are integers, not {levels.dtype}")
    return max(int(levels.max()), -int(levels.min())) if levels.size else 0
