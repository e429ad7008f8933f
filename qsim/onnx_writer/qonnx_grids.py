"""What QONNX can say of a number format: the Quant whose levels it has."""

from qsim.errors import QsimError
from qsim.formats import FixedPoint, Format, Quant
from qsim.formats.binary import BinaryFormat

DOMAIN = "qonnx.custom_op.general"
ROUNDING_MODES = {  # QONNX's names of the roundings of ``Quant``
    "half_even": "ROUND",
    "half_away": "HALF_UP",
    "half_toward": "HALF_DOWN",
    "floor": "FLOOR",
    "ceil": "CEIL",
    "toward_zero": "DOWN",
    "away": "UP",
}


def activation_grid(number: Format) -> Quant | None:
    """The Quant that gives every value the level of ``number``; None: its BipolarQuant.

    Raises QsimError with the reason where QONNX has none.
    """
    if isinstance(number, BinaryFormat):
        return None
    if isinstance(number, Quant):
        return number
    rounding = "half_even"
    if isinstance(number, FixedPoint):
        rounding = number.rounding
        if number.wraps:
            raise QsimError("its levels wrap around, and QONNX's Quant saturates")
        if rounding not in ROUNDING_MODES:
            raise QsimError(
                f"it rounds {rounding}, which QONNX has not; half_away and half_even it has"
            )
    elif not number.rounds_half_even:
        raise QsimError(
            f"a {type(number).__name__} format rounds in its own way, and QONNX's Quant to integers"
        )
    return _over(number.min_level, number.max_level, rounding)


def weight_grid(lowest: int, highest: int) -> Quant:
    """The narrowest Quant without zero point that has all levels ``lowest .. highest``, signed
    where one is negative, and without the least word where it is not needed."""
    if lowest >= 0:
        return Quant(max(highest.bit_length(), 1), signed=False)
    bits = max((-lowest - 1).bit_length(), highest.bit_length()) + 1
    if -lowest == 2 ** (bits - 1):
        return Quant(bits)
    return Quant(max(bits, 2), narrow=True)


def _over(lowest: int, highest: int, rounding: str) -> Quant:
    """The Quant of just the levels ``lowest .. highest``."""
    grid = weight_grid(lowest, highest)
    if (grid.min_level, grid.max_level) == (lowest, highest):
        return Quant(grid.bits, grid.signed, grid.narrow, 0, rounding)
    bits = (highest - lowest).bit_length()
    grid = Quant(bits, signed=False, zero_point=-lowest)
    if (grid.min_level, grid.max_level) != (lowest, highest):
        raise QsimError(f"no word has just the levels {lowest} .. {highest}")
    if lowest % 2:
        raise QsimError(
            f"its zero point {-lowest} is odd, and QONNX's Quant adds it before it rounds, so that"
            " a half would go to the odd level; choose a format without zero point"
        )
    return grid
