import naive
import strategies
from exactness import registers
from hypothesis import assume, example, given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.simd.register_lanes import choose_lanes

LARGEST = (1, 3, 15, 127, 128, 255, 181, 182, 2**15 - 1, 2**15, 2**31 - 1)
LARGE = 2**15 - 1


def in_lane(total, bits):
    return (total + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def added(held, total, term):
    """The next total of a lane, as the instructions make it."""
    bits, most = held.lane_bits, 2 ** (held.lane_bits - 1) - 1
    saturates = held.step == "saturate" or (held.step == "clip" and bits == 16)
    total = min(max(total + term, -most - 1), most) if saturates else in_lane(total + term, bits)
    return max(min(total, held.high), held.low) if held.step == "clip" else total


def finished(held, total):
    return in_lane(total << held.up, held.lane_bits) >> held.down


def summed(lanes, x, w):
    """The sum of products as the chosen lanes make it."""
    bits = lanes.narrow.lane_bits
    held = [in_lane(v << lanes.weight_shift, lanes.operand_bits) for v in w]
    products = [in_lane(a * b, bits) for a, b in zip(x, held, strict=True)]
    total, parts = 0, []
    for first in range(0, len(products), lanes.products):
        part = 0
        for product in products[first : first + lanes.products]:
            part = added(lanes.narrow, part, product)
        parts.append(finished(lanes.narrow, part))
    if lanes.wide.step == "none":
        return parts[0]
    for part in parts:
        total = added(lanes.wide, total, part)
    return finished(lanes.wide, total)


@st.composite
def sums(draw):
    """Operands at their ends or between, their largest magnitudes, and an accumulator."""
    depth = draw(st.integers(1, 12))
    max_x, max_w = draw(st.sampled_from(LARGEST)), draw(st.sampled_from(LARGEST))
    x, w = (
        draw(
            st.lists(
                st.one_of(st.sampled_from([-most, most]), st.integers(-most, most)),
                min_size=depth,
                max_size=depth,
            )
        )
        for most in (max_x, max_w)
    )
    assume(depth * max_x * max_w < 2**63)
    split = depth, max_x * max_w
    return x, w, max_x, max_w, draw(strategies.register(depth * max_x * max_w, split=split))


@given(sums())
@example(([1] * 3, [-(2**15 - 1)] * 3, 1, 2**15 - 1, Accumulator(16, "saturate")))
@example(([1] * 4, [3, 3, 3, -3], 1, 3, Accumulator(3, "saturate")))
@example(([127] * 4, [128] * 4, 127, 128, Accumulator(17, "exact", Partial(3, 17))))
@example(([LARGE] * 4, [LARGE] * 4, LARGE, LARGE, Accumulator(31, "saturate", Partial(2, 32))))
@example(([2] * 9, [1] * 9, 2, 1, Accumulator(33, "saturate", Partial(2, 32, "saturate"))))
def test_the_chosen_lanes_hold_what_the_registers_hold(operands):
    x, w, max_x, max_w, accumulator = operands
    try:
        accumulator.check(len(x), max_x, max_w)
    except OverflowError:
        return
    products = [a * b for a, b in zip(x, w, strict=True)]
    expected = naive.accumulate(products, 0, **registers(accumulator))
    for lane_bits in [(16, 32, 64), (32, 64), (64,)]:
        lanes = choose_lanes(accumulator, len(x), max_x, max_w, lane_bits)
        assert summed(lanes, x, w) == expected


@given(st.integers(2, 16), st.integers(1, 2**15 - 1))
def test_16_lanes_saturate_by_themselves_where_the_register_can_lie_at_their_top(bits, largest):
    lanes = choose_lanes(Accumulator(bits, "saturate"), 2**16, 1, largest)
    steps = {True: "saturate", False: "clip"}
    assert lanes.narrow.lane_bits == 16
    assert lanes.narrow.step == steps[largest * 2 ** (16 - bits) < 2**15]


def test_products_of_bytes_by_signed_bytes_fit_lanes_of_16_bits():
    for bits in (16, 12, 8):
        assert choose_lanes(Accumulator(bits, "saturate"), 4608, 255, 128).narrow.lane_bits == 16
    assert choose_lanes(Accumulator(17, "saturate"), 4608, 255, 128).narrow.lane_bits == 32
    assert choose_lanes(Accumulator(16, "saturate"), 4608, 256, 128).narrow.lane_bits == 32
