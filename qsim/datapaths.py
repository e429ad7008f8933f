"""Which kernel multiplies a layer's levels: all give the same integers, some sooner."""

from qsim.formats import Facts
from qsim.formats.binary import BinaryFormat
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.datapath import Datapath
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights

MOST_X_BITS = 2  # of bits of a weight times bits of an input, for which counting bits is faster
BINARY = AffineCode(1, 2, -1)


def datapath(levels, weights: Facts, x: Facts, accumulator: Accumulator) -> Datapath:
    """The kernel for integer ``levels`` (rows, ...) of a layer whose weights and input have these
    formats: XNOR and popcount of signs by signs, AND and popcount of signs by one or two unsigned
    bits, else the product of levels. Counting bits has no order that could saturate, and is slower
    where a partial register takes a few products at a time.
    """
    in_order = accumulator.mode == "saturate" or accumulator.partial is not None
    if in_order or not isinstance(weights, BinaryFormat):
        return LevelWeights(levels)
    if isinstance(x, BinaryFormat):
        return XnorPopcountWeights(levels)
    if x.bits <= MOST_X_BITS and x.min_level >= 0 and x.max_level < 2**x.bits:
        return BitSerialWeights(levels, BINARY, AffineCode(x.bits))
    return LevelWeights(levels)
