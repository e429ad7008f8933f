"""QONNX's operators, by the functions that its executor calls, where these are exact.

They compute with the floats they are given, here float32 as in its models, except for Trunc and
MultiThreshold on integers. Quant is exact where its quotient is, at scales that are powers of two;
at other scales it rounds the quotient to float32 as ONNX's QuantizeLinear does. With a zero point
it adds that to the quotient in float32 before it rounds, which moves halves (2.5 goes to 2, 1 + 2.5
to 4), and so it is compared without one. It is not exact either where a quotient underflows, which
CEIL and FLOOR show; nor in HALF_UP just below a half, since it adds a half in float32 before it cuts
(0.49999997 becomes 1): HALF_UP is compared on the halves and integers themselves. 1-bit Quant,
which is bipolar where it is signed, is left out.
"""

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.peers import QONNX, RECORD, load
from hypothesis import given, settings

from qsim.formats import BinaryActivations, Fixed
from qsim.formats.fixed_point import FixedPoint
from qsim.kernels.layers import linear
from qsim.kernels.quantize_linear import dequantize_linear, quantize_linear
from qsim.kernels.requantize import requantize_shift
from qsim.kernels.thresholds import apply_thresholds
from qsim.kernels.xnor_popcount import XnorPopcountWeights

EXAMPLES = settings(max_examples=60)
OPERATORS = ".custom_op.general"
# QONNX's names; its HALF_UP goes away from zero, its UP and HALF_DOWN are no roundings of ours
ROUNDINGS = {
    "ROUND": "half_even",
    "HALF_UP": "half_away",
    "FLOOR": "floor",
    "CEIL": "ceil",
    "DOWN": "toward_zero",
}
ZERO = np.float32(0)


def _beside_levels(random, scale, bits):
    """Multiples of half the scale; their neighbours and others. All float32, some out of range."""
    g = random.generator
    halves = (g.integers(-(2 ** (bits + 1)), 2 ** (bits + 1), 120) / 2 * scale).astype(np.float32)
    beside = np.nextafter(halves[:60], np.float32(random.one_of(-1e30, 1e30)))
    near = np.where(halves[:60] == 0, np.float32(0), beside)  # no quotient underflows
    others = g.standard_normal(60) * 2.0**bits * scale
    return halves, np.concatenate([near, others.astype(np.float32)])


def _quant(values, scale, bits, signed, narrow, mode):
    quant = load(QONNX, f"{OPERATORS}.quant").quant
    return quant(values, np.float32(scale), ZERO, np.float32(bits), signed, narrow, mode)


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@EXAMPLES
@given(SEEDS)
def test_quant_at_powers_of_two_is_fixed_point(mode, signed, seed):
    random = Random.seeded(seed)
    number = FixedPoint(
        random.integer(2, 16), random.integer(-20, 40), signed, rounding=ROUNDINGS[mode]
    )
    scale = 2.0**-number.fraction_bits
    halves, others = _beside_levels(random, scale, number.bits)
    values = halves if mode == "HALF_UP" else np.concatenate([halves, others])
    expected = _quant(values, scale, number.bits, signed, False, mode)
    got = number.quantize(values).real
    RECORD.compare(QONNX, "Quant, powers of two", got, expected)


@EXAMPLES
@given(SEEDS)
def test_narrow_quant_at_powers_of_two_is_symmetric_fixed_point(seed):
    random = Random.seeded(seed)
    number, scale = Fixed(random.integer(2, 16)), np.float32(2.0 ** random.integer(-40, 20))
    values = np.concatenate(_beside_levels(random, scale, number.bits))
    expected = _quant(values, scale, number.bits, True, True, "ROUND")
    got = number.quantize(values, scale=scale).real
    RECORD.compare(QONNX, "Quant, powers of two, narrow", got, expected)


@pytest.mark.parametrize("narrow", [True, False], ids=["narrow", "full"])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@EXAMPLES
@given(SEEDS)
def test_quant_at_any_scale_rounds_as_quantize_linear(signed, narrow, seed):
    random = Random.seeded(seed)
    bits, scale = random.integer(2, 16), random.scales()
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    low = narrow - 2 ** (bits - 1) if signed else 0
    values = np.concatenate(_beside_levels(random, scale, bits))
    expected = _quant(values, scale, bits, signed, narrow, "ROUND")
    none = np.zeros((), int)
    levels = quantize_linear(values, scale, none, low, high)
    got = dequantize_linear(levels, scale, none)
    RECORD.compare(QONNX, "Quant, any scale", got, expected)


@EXAMPLES
@given(SEEDS)
def test_bipolar_quant_is_the_sign(seed):
    random = Random.seeded(seed)
    binary_quant = load(QONNX, f"{OPERATORS}.bipolar_quant").binary_quant
    values = random.generator.standard_normal((3, 50)).astype(np.float32)
    values[:, :3] = [0.0, -0.0, -1e-45]
    expected = binary_quant(values, np.float32(1))
    RECORD.compare(QONNX, "BipolarQuant", BinaryActivations().quantize(values).levels, expected)


@pytest.mark.parametrize("mode", ROUNDINGS)
@EXAMPLES
@given(SEEDS)
def test_trunc_drops_the_last_bits(mode, seed):
    """Of integers at a scale that is a power of two; the first version keeps the scale."""
    random = Random.seeded(seed)
    trunc = load(QONNX, f"{OPERATORS}.trunc").trunc_v1
    bits, dropped, exponent = random.integer(3, 22), random.integer(1, 20), random.integer(-20, 20)
    integers = random.generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 200)
    scale, kept = np.float32(2.0**exponent), max(bits - dropped, 2)
    dropped = bits - kept
    values = (integers * 2.0**exponent).astype(np.float32)
    expected = trunc(values, scale, ZERO, np.float32(bits), np.float32(kept), mode)
    number = FixedPoint(16, -dropped, rounding=ROUNDINGS[mode])
    inside = abs(integers) < 2 ** (15 + dropped) - 2**dropped
    got = number.quantize(integers[inside]).levels * float(scale)
    RECORD.compare(QONNX, "Trunc", got, expected[inside])
    if mode == "ROUND":
        column = integers[:, None]
        shifted = requantize_shift(column, np.array([dropped]), -(2**22), 2**22)[:, 0]
        RECORD.compare(QONNX, "Trunc", shifted * float(scale), expected)


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@EXAMPLES
@given(SEEDS)
def test_trunc_with_an_output_scale_saturates(mode, signed, seed):
    """The second version: the result has the output's scale and width, and is clamped to it."""
    random = Random.seeded(seed)
    trunc = load(QONNX, f"{OPERATORS}.trunc").trunc_v2
    number = FixedPoint(
        random.integer(2, 12), -random.integer(0, 10), signed, rounding=ROUNDINGS[mode]
    )
    span = 2 ** (number.bits - number.fraction_bits)
    integers = random.generator.integers(-span if signed else 0, span, 200)
    scale = np.float32(2.0 ** random.integer(-20, 20))
    output_scale = np.float32(scale * np.float32(2.0**-number.fraction_bits))
    widths = np.float32(24), np.float32(number.bits)
    values = (integers * float(scale)).astype(np.float32)
    expected = trunc(values, scale, ZERO, widths[0], False, signed, output_scale, widths[1], mode)
    got = number.quantize(integers).levels * float(output_scale)
    RECORD.compare(QONNX, "Trunc, output scale", got, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EXAMPLES
@given(SEEDS)
def test_multi_threshold_counts_as_ours(dtype, seed):
    """Sums that reach a threshold exactly are likely; all integers that the floats hold."""
    random = Random.seeded(seed)
    multithreshold = load(QONNX, f"{OPERATORS}.multithreshold").multithreshold
    most = 2**24 if dtype is np.float32 else 2**53
    images, channels, steps = (random.integer(1, n) for n in (3, 6, 40))
    spread = random.one_of(8, 1000, most)
    thresholds = np.sort(random.generator.integers(-spread, spread + 1, (channels, steps)), axis=1)
    sums = random.generator.integers(-spread, spread + 1, (images, channels, 5, 4))
    sums[..., 0] = thresholds[None, :, random.integer(0, steps - 1), None]
    low = random.integer(-steps, 0)
    rising = np.zeros(channels, bool)
    expected = multithreshold(sums.astype(dtype), thresholds.astype(dtype), out_bias=float(low))
    got = apply_thresholds(sums, thresholds, rising, low)
    RECORD.compare(QONNX, "MultiThreshold", got, expected)
    falling = multithreshold(-sums.astype(dtype), -thresholds[:, ::-1].astype(dtype))
    got = apply_thresholds(sums, thresholds, ~rising, 0)
    RECORD.compare(QONNX, "MultiThreshold, falling", got, falling)


@EXAMPLES
@given(SEEDS)
def test_xnor_popcount_counts_equal_bits(seed):
    """QONNX counts the bits that are equal, P of K; the product of the signs is P - (K - P)."""
    random = Random.seeded(seed)
    product = load(QONNX, f"{OPERATORS}.xnorpopcount").xnorpopcountmatmul
    rows, depth, columns = (random.integer(1, n) for n in (6, 200, 6))
    x, w = (random.generator.integers(0, 2, shape) for shape in ((rows, depth), (columns, depth)))
    equal = product(x.astype(np.float32), w.T.astype(np.float32))
    got = linear(2 * x - 1, XnorPopcountWeights(2 * w - 1))
    RECORD.compare(QONNX, "XnorPopcountMatMul", got, 2 * equal - depth)
