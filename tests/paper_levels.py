"""Which definition of ``naive_formats`` decides on the levels of a format."""

import naive
import naive_formats

from qsim.formats import (
    BinaryActivations,
    BinaryConnect,
    BinaryWeights,
    DorefaGradients,
    DorefaWeights,
    Hwgq,
    PowerOfTwo,
    Sp2,
    WrpnWeights,
)


def printed_level(x, number):
    """The level of an exact value in units of the scale, from the definition of its paper."""
    if isinstance(number, BinaryActivations | BinaryConnect | BinaryWeights) or number in (
        DorefaWeights(1), WrpnWeights(1),
    ):  # fmt: skip
        return naive_formats.sign(x)
    if isinstance(number, Hwgq):
        return naive_formats.hwgq(x, number.bits)
    if isinstance(number, DorefaWeights | DorefaGradients):
        return naive_formats.odd_level(x, number.bits)
    if isinstance(number, Sp2 | PowerOfTwo):
        return naive.nearest_level(x, number.levels(), "smaller")
    levels = number.levels().tolist()
    return naive_formats.clip(naive.half_even(x), levels[0], levels[-1])
