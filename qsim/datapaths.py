"""Which kernel multiplies a layer's levels: all give the same integers, some sooner.

Counting bits takes xor (or and), popcount and an addition for every pair of a plane of the weights
and a plane of the inputs, whatever their values; the product of levels takes one instruction for
several bytes. So what matters is how many pairs there are, and which instructions the back end has.
"""

from qsim.formats import Facts, Format
from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.datapath import Datapath
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.host import BackendName, choose
from qsim.kernels.xnor_popcount import XnorPopcountWeights

BINARY = AffineCode(1, 2, -1)
TERNARY = None  # -1, 0 and +1, as a plane of signs and a mask
MOST_BITS = 4  # of formats whose planes are worth looking at

# Up to how many pairs of planes bits are counted. Measured by bench/bits.py as the rate of counting
# over that of the product of bytes by the same back end, for the shapes of ResNet-18, on a Zen 4:
#
#   pairs            1            2            3            4            9       1, one row
#   vnni512     4.3 .. 5.2   2.4 .. 2.8   1.7 .. 1.9   1.3 .. 1.4      0.6       15 (9: 2.5)
#   pairs16     9.7 .. 10    5.0 .. 5.4   3.3 .. 3.7   2.5 .. 2.9      1.2       18
#   pairs8      7.8 .. 9.0   4.1 .. 4.4   2.7 .. 3.0   2.0 .. 2.2   0.9 .. 1.0   34
#   plain          108           80           46           36          17        559
#
# pairs8 was compiled for AVX2 alone; a row is one of inputs, as a linear layer has for each image.
# On Sapphire Rapids, whose vpdpbusd is twice as fast beside its popcount, 1 pair was 3.4, 2 pairs
# 1.7 and 4 pairs 0.9 as fast as the product with it; and 1 pair 0.7 to 1.4 as fast as the product
# by tiles (amx), but for one row of inputs, where reading the weights takes the time. Those were
# measured with a prototype of these kernels, and amx could not be measured here.
MOST_PAIRS: dict[BackendName, int] = {
    "amx": 0,
    "vnni512": 3,
    "pairs16": 4,
    "pairs8": 4,
    "plain": 9,
}
MOST_PAIRS_OF_ONE_ROW: dict[BackendName, int] = MOST_PAIRS | {"amx": 1, "vnni512": 4}
TERNARY_PAIRS = 3  # what ternary by ternary costs: seven instructions instead of three


def datapath(
    levels,
    weights: Facts,
    x: Facts,
    accumulator: Accumulator,
    backend: BackendName | None = None,
) -> Datapath:
    """The kernel for integer ``levels`` (rows, ...) of a layer whose weights and input have these
    formats: counting bits where there are as few pairs of planes as ``MOST_PAIRS`` of the back end
    has them, else the product of levels. Counting bits has no order that could saturate, and is
    slower where a partial register takes a few products at a time.

    A linear layer, of weights (rows, features), is taken to read one row at a time.

    backend   None: the one that ``choose`` finds, which raises ValueError if it cannot
    """
    in_order = accumulator.mode == "saturate" or accumulator.partial is not None
    codes = None if in_order else codes_to_count(levels, weights, x, levels.ndim == 2, backend)
    if codes is None:
        return LevelWeights(levels)
    code, x_code = codes
    if x_code in (BINARY, TERNARY) and code in (BINARY, TERNARY):
        return XnorPopcountWeights(levels)
    return BitSerialWeights(levels, code, x_code)


def codes_to_count(
    levels,
    weights: Facts,
    x: Facts,
    one_row: bool,
    backend: BackendName | None = None,
    filled: float = 1.0,
) -> tuple[AffineCode | None, AffineCode | None] | None:
    """The codes of weights and inputs where counting their bits is faster on a back end, else None.

    one_row   whether the layer reads one row of inputs at a time
    filled    how many bits are counted for each that there is, where words are filled up
    """
    codes = _codes(levels, weights, x)
    most = MOST_PAIRS_OF_ONE_ROW if one_row else MOST_PAIRS
    if codes is None or _pairs(*codes) * filled > most[backend or choose().name]:
        return None
    return codes


def code_of_inputs(x: Facts) -> AffineCode | None:
    """The code of levels that are signs or a few unsigned bits; None where they are neither."""
    if not isinstance(x, Format) or x.bits > MOST_BITS:
        return None
    if x.scheme == "binary":
        return BINARY
    is_unsigned = x.scheme != "ternary" and x.min_level >= 0 and x.max_level < 2**x.bits
    return AffineCode(x.bits) if is_unsigned else None


def _pairs(code: AffineCode | None, x_code: AffineCode | None) -> int:
    """What counting costs, in pairs of planes; a mask of the weights costs nothing."""
    if x_code is TERNARY:
        return TERNARY_PAIRS
    return (1 if code is TERNARY else code.bits) * x_code.bits


def _codes(levels, weights: Facts, x: Facts) -> tuple[AffineCode | None, AffineCode | None] | None:
    """The codes of weights and inputs, None where counts alone do not make their products."""
    if not isinstance(x, Format) or x.bits > MOST_BITS or weights.bits > MOST_BITS:
        return None
    if weights.scheme in ("binary", "ternary") and magnitude(levels) <= 1:
        code = BINARY if weights.scheme == "binary" and levels.all() else TERNARY
    elif isinstance(weights, Format) and _is_symmetric(weights) and (levels % 2).all():
        code = AffineCode(weights.bits, 2, weights.min_level)
    else:
        return None
    if x.scheme == "ternary":
        return (TERNARY, TERNARY) if code in (BINARY, TERNARY) else None
    x_code = code_of_inputs(x)
    return None if x_code is None else (code, x_code)


def _is_symmetric(weights: Format) -> bool:
    """Whether the levels are all odd integers of a range around 0, as DoReFa's are."""
    levels = weights.levels()
    return levels.tolist() == list(range(1 - 2**weights.bits, 2**weights.bits, 2))
