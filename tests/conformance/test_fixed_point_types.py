"""Fixed point against apytypes, a library of hardware types, and quantizers, which is HGQ2's.

apytypes computes with integers: words of one width are cast to words of another. quantizers works
in float64; its round-half-up adds 1/2 before it cuts, which is exact for the values here, words of
up to 30 bits.
"""

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.peers import APYTYPES, QUANTIZERS, RECORD, load
from hypothesis import given, settings

from qsim.formats.fixed_point import FixedPoint

EXAMPLES = settings(max_examples=60)
SOURCE_BITS = 30
# our roundings by the names of the peers
APYTYPES_ROUNDINGS = {
    "half_even": "TIES_EVEN",
    "half_up": "TIES_POS",
    "half_away": "TIES_AWAY",
    "floor": "TO_NEG",
    "ceil": "TO_POS",
    "toward_zero": "TO_ZERO",
}
QUANTIZERS_ROUNDINGS = {
    "half_even": "RND_CONV",
    "half_up": "RND",
    "half_away": "RND_INF",
    "floor": "TRN",
    "toward_zero": "TRN_ZERO",
}
OVERFLOWS = pytest.mark.parametrize(("overflow", "name"), [("saturate", "SAT"), ("wrap", "WRAP")])


def _words(random, number):
    """Words of SOURCE_BITS bits, most of them around the range, and their bits behind the point.

    The point lies so that the range of ``number`` is a part of theirs, with some bits to round.
    """
    cut = random.integer(0, SOURCE_BITS - number.bits - 2)
    span = 2 ** (number.bits + cut + 1)
    words = random.generator.integers(-span, span, 200)
    halves = random.generator.integers(-(2**number.bits), 2**number.bits, 100) * 2**cut
    words[:100] = halves + (2**cut >> 1)  # a half of the last bit that is kept
    return words, number.fraction_bits + cut


@pytest.mark.parametrize("rounding", APYTYPES_ROUNDINGS)
@OVERFLOWS
@EXAMPLES
@given(SEEDS)
def test_a_cast_is_that_of_apytypes(rounding, overflow, name, seed):
    apytypes, random = load(APYTYPES), Random.seeded(seed)
    number = FixedPoint(
        random.integer(2, 16), random.integer(-20, 40), overflow=overflow, rounding=rounding
    )
    words, fraction_bits = _words(random, number)
    source = apytypes.APyFixedArray(words.tolist(), bits=SOURCE_BITS, frac_bits=fraction_bits)
    cast = source.cast(
        bits=number.bits,
        frac_bits=number.fraction_bits,
        quantization=apytypes.QuantizationMode[APYTYPES_ROUNDINGS[rounding]],
        overflow=apytypes.OverflowMode[name],
    )
    quantized = number.quantize(source.to_numpy())
    got, expected = (quantized.codes, quantized.real), (np.array(cast.to_bits()), cast.to_numpy())
    RECORD.compare(APYTYPES, f"fixed point, {overflow}", got, expected)


@pytest.mark.parametrize("rounding", QUANTIZERS_ROUNDINGS)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@OVERFLOWS
@EXAMPLES
@given(SEEDS)
def test_a_quantizer_is_that_of_quantizers(rounding, signed, overflow, name, seed):
    quantizers, random = load(QUANTIZERS), Random.seeded(seed)
    bits = random.integer(2 if signed else 1, 16)
    number = FixedPoint(bits, random.integer(-20, 40), signed, overflow, rounding)
    words, fraction_bits = _words(random, number)
    values = words * 2.0**-fraction_bits
    peer = quantizers.get_fixed_quantizer_np(QUANTIZERS_ROUNDINGS[rounding], name)
    expected = peer(values, int(signed), bits - signed - number.fraction_bits, number.fraction_bits)
    RECORD.compare(QUANTIZERS, f"fixed point, {overflow}", number.quantize(values).real, expected)
