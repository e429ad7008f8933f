"""Which lanes of a vector can model an accumulator, step by step and exactly.

An accumulator is modelled in lanes of 16, 32 or 64 bits; one of L bits holds -2**(L-1) ..
2**(L-1) - 1.

add        total + term, modulo 2**L. Right where no sum leaves the lane nor the register (an exact
           one, or one that saturates at sums that cannot be reached), and for a register that
           wraps: as its 2**bits divides 2**L, the lowest bits of the lane are those of the register
           at every step, and shifting them up and down again in the end extends their sign.
clip       the sum, then the smaller of it and the register's high end, then the larger of that and
           its low end. Right where the sum before the clipping fits the lane: the total is at most
           2**(bits-1), and at most what the terms before it add up to. In lanes of 16 bits the
           addition saturates instead, and a term must fit the lane: the ends of the lane are not
           inside those of the register, so that clipping to both is clipping to the register's.
saturate   the total clipped to the ends of the lane after every addition. Right where the register
           has L bits and a term fits the lane. In lanes of 16 bits also for fewer bits, if the
           register can lie in the upper bits of the lane: with s = L - bits, the terms p are
           multiplied by 2**s and must still fit. The lane is then T = 2**s * t + r, 0 <= r < 2**s,
           where t is the register: T + 2**s * p is above 2**(L-1) - 1 exactly where t + p is above
           2**(bits-1) - 1, and is clipped to that with r = 2**s - 1; it is below -2**(L-1) exactly
           where t + p is below -2**(bits-1), and is clipped to that with r = 0; otherwise r stays.
           Shifting T down by s, rounding down, gives t.

Additions are made in the order of the depth, and a partial sum is passed on after its last product.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from qsim.kernels.accumulator import Accumulator

LANE_BITS = (16, 32, 64)
INT16_MAX = 2**15 - 1


class Held(NamedTuple):
    """A register in a lane: ``low`` and ``high`` are its ends, or those of the lane where it is not
    clipped; in the end it is shifted left by ``up``, then right by ``down``.

    The subclass says the width of the lane and the step, so that compiled code knows them by type.
    """

    low: int
    high: int
    up: int = 0
    down: int = 0


class Absent(Held):
    """There is no such register."""

    lane_bits: ClassVar[int] = 0
    step: ClassVar[str] = "none"


ABSENT = Absent(-(2**63), 2**63 - 1)


class Add16(Held):
    """Lanes of 16 bits that wrap around, or need not."""

    lane_bits: ClassVar[int] = 16
    step: ClassVar[str] = "add"


class Clip16(Held):
    """Lanes of 16 bits that are clipped to a register of fewer."""

    lane_bits: ClassVar[int] = 16
    step: ClassVar[str] = "clip"


class Saturate16(Held):
    """Lanes of 16 bits that saturate by themselves."""

    lane_bits: ClassVar[int] = 16
    step: ClassVar[str] = "saturate"


class Add32(Held):
    """Lanes of 32 bits that wrap around, or need not."""

    lane_bits: ClassVar[int] = 32
    step: ClassVar[str] = "add"


class Clip32(Held):
    """Lanes of 32 bits that are clipped to a register of fewer."""

    lane_bits: ClassVar[int] = 32
    step: ClassVar[str] = "clip"


class Saturate32(Held):
    """Lanes of 32 bits that saturate by themselves."""

    lane_bits: ClassVar[int] = 32
    step: ClassVar[str] = "saturate"


class Clip64(Held):
    """Lanes of 64 bits, clipped to a register or to their own ends, which changes nothing."""

    lane_bits: ClassVar[int] = 64
    step: ClassVar[str] = "clip"


_ADD = {16: Add16, 32: Add32, 64: Clip64}
_CLIP = {16: Clip16, 32: Clip32, 64: Clip64}


@dataclass(frozen=True)
class Lanes:
    """How products are summed: in ``narrow``, ``products`` of them at a time, and the sums of these
    in ``wide``; or all of them in ``narrow``, ``wide`` being Absent.

    ``weight_shift`` is by how many bits the weights are shifted to the left beforehand.
    """

    narrow: Held
    wide: Held
    products: int
    weight_shift: int = 0

    @property
    def operand_bits(self) -> int:
        """The width of the integers, of activations and of weights, that are multiplied."""
        return 32 if self.narrow.lane_bits == 64 else 16


def choose_lanes(
    accumulator: Accumulator,
    depth: int,
    max_x: int,
    max_w: int,
    lane_bits: tuple[int, ...] = LANE_BITS,
) -> Lanes:
    """The narrowest lanes that are exact for ``depth`` products, at least 1, of operands of up to
    ``max_x`` and ``max_w`` within 32 bits, which ``Accumulator.check`` has accepted.

    Only ``lane_bits`` are considered, which end with 64: it is always exact, as the check refuses
    what could have a sum beyond 64 bits. A wide register has lanes of 32 bits or more.
    """
    partial = accumulator.partial
    products = depth if partial is None else min(depth, partial.products)
    register = accumulator if partial is None else partial.register
    if max(max_x, max_w) > INT16_MAX:
        lane_bits = (64,)
    narrow, shift = next(
        (held, shift)
        for bits in lane_bits
        for held, shift in [_hold_products(register, bits, products, max_x * max_w)]
        if held is not None
    )
    if partial is None:
        return Lanes(narrow, ABSENT, products, shift)
    worst = accumulator.largest_sum(depth, max_x, max_w)
    largest = partial.largest_sum(products, max_x * max_w)
    fits = [bits for bits in lane_bits if bits >= max(32, narrow.lane_bits)]
    tried = ((bits, _hold(accumulator, bits, worst, largest)) for bits in fits)
    wide = next(_CLIP[bits](*held) for bits, held in tried if held is not None)
    return Lanes(narrow, wide, products, shift)


def _hold_products(
    register: Accumulator, bits: int, products: int, largest: int
) -> tuple[Held | None, int]:
    """As ``_hold``, in lanes that saturate by themselves if they can; and the products' shift."""
    spare, most = bits - register.bits, 2 ** (bits - 1) - 1
    held = _hold(register, bits, products * largest, largest)
    if isinstance(held, Clip16) and largest << spare <= most:
        return Saturate16(-most - 1, most, 0, spare), spare
    saturates = held is None and register.mode == "saturate"
    if saturates and bits == 32 and spare == 0 and largest <= most:
        return Saturate32(-most - 1, most), 0
    return held, 0


def _hold(register: Accumulator, bits: int, worst: int, largest: int) -> Held | None:
    """``register`` without its partial one in lanes of ``bits``, or None where they are too narrow
    for terms of up to ``largest`` that add up to at most ``worst``."""
    spare, most = bits - register.bits, 2 ** (bits - 1) - 1
    if register.mode == "wrap" and spare >= 0:
        return _ADD[bits](-most - 1, most, spare, spare)
    if worst <= (most if register.mode == "wrap" else min(most, register.high)):
        return _ADD[bits](-most - 1, most)
    if register.mode != "saturate" or spare < 0 or largest > most:
        return None
    reached = min(2 ** (register.bits - 1) + largest, worst)
    return _CLIP[bits](register.low, register.high) if bits == 16 or reached <= most else None
