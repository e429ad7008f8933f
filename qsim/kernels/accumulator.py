"""The registers that sum products: how wide they are, what happens when one is too narrow."""

from typing import Literal

import msgspec
import numpy as np

INT64_MAX = 2**63 - 1


Mode = Literal["exact", "wrap", "saturate"]


class Partial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A narrow register that takes up to ``products`` products before a wider one takes its sum.

    Its ``bits``, 2 to 64, and its ``mode`` are as those of an Accumulator.
    """

    products: int
    bits: int
    mode: Mode = "exact"

    def __post_init__(self):
        if self.products < 1:
            raise ValueError(f"a partial sum has at least 1 product, not {self.products}")
        if not 2 <= self.bits <= 64:
            raise ValueError(f"a partial register has 2 to 64 bits, not {self.bits}")

    @property
    def register(self) -> "Accumulator":
        """The narrow register by itself."""
        return Accumulator(self.bits, self.mode)

    def largest_sum(self, products: int, largest: int) -> int:
        """The largest magnitude that it passes on of ``products`` products of up to ``largest``."""
        return min(products * largest, 2 ** (self.bits - 1))

    def widest_safe_products(self, largest: int) -> int:
        """How many products of up to ``largest`` it can sum, in 64 bits if it need not be exact."""
        room = self.register.high if self.mode == "exact" else INT64_MAX
        return room // largest if largest else INT64_MAX


class Accumulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed accumulator of ``bits`` bits, 2 to 64.

    exact     refused unless no sum can overflow
    wrap      sums are taken modulo 2**bits, as two's complement
    saturate  the sum is clipped after every addition, in the order of the products, the bias last

    With ``partial`` the products do not go into it one by one. The first ``partial.products`` of
    them are added, in order, in the partial register, from 0 and in its mode; its sum is added to
    this register, in this one's mode; then the next as many, the last time what is left; the bias
    is added to this register last.
    """

    bits: int = 32
    mode: Mode = "exact"
    partial: Partial | None = None

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

    def largest_sum(self, depth: int, max_x: int, max_w: int) -> int:
        """The largest magnitude that the sum of ``depth`` products could have, were it exact."""
        if self.partial is None:
            return depth * max_x * max_w
        full, rest = divmod(depth, self.partial.products)
        each = self.partial.largest_sum(self.partial.products, max_x * max_w)
        return full * each + self.partial.largest_sum(rest, max_x * max_w)

    def widest_safe_depth(self, max_x: int, max_w: int, max_bias: int = 0) -> int:
        """How many products of operands up to ``max_x`` and ``max_w`` and a bias always fit."""
        room, largest = max(self.high - max_bias, 0), max_x * max_w
        if largest == 0:
            return INT64_MAX
        if self.partial is None:
            return room // largest
        products, safe = self.partial.products, self.partial.widest_safe_products(largest)
        full, left = divmod(room, self.partial.largest_sum(products, largest))
        depth = full * products + left // largest
        return depth if products <= safe else min(depth, safe)

    def check(self, depth: int, max_x: int, max_w: int, max_bias: int = 0) -> None:
        """Raises OverflowError when an exact sum, or any sum in 64 bits, could overflow."""
        if self.partial is not None:
            self._check_partial(min(depth, self.partial.products), max_x, max_w)
        worst = self.largest_sum(depth, max_x, max_w) + max_bias
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

    def _check_partial(self, products: int, max_x: int, max_w: int) -> None:
        safe = self.partial.widest_safe_products(max_x * max_w)
        if products > safe:
            exact = f"an exact partial register of {self.partial.bits} bits"
            raise OverflowError(
                f"{products} products of up to {max_x} x {max_w} can overflow"
                f" {exact if self.partial.mode == 'exact' else '64 bits'}; the widest safe number"
                f" of products is {safe}"
            )

    def add_bias(self, sums: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """``sums`` (int64) plus ``bias`` (broadcastable), as this register holds the total.

        A partial sum is added in the same way.
        """
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
