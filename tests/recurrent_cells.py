"""Recurrent cells for tests: the tables of a few formats, and cells as the naive programs take them."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import strategies
from exactness import registers
from hypothesis import strategies as st

from qsim.kernels import real_functions
from qsim.kernels.gates import GateProduct, Gates, rescale
from qsim.kernels.level_grid import LevelGrid, fixed_point
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.tables import make_table

H_GRIDS = (
    fixed_point(8, 7),
    fixed_point(16, 15),
    LevelGrid(-100, 155, Fraction(float(np.float32(0.0091)))),
)


@dataclass(frozen=True)
class Formats:
    """Of the gates, of the unit values, of the cell state, and the step bits of the tables."""

    gate: LevelGrid
    unit: LevelGrid
    state: LevelGrid
    step_bits: int


WIDE = Formats(fixed_point(16, 12), fixed_point(16, 15), fixed_point(16, 11), 7)
NARROW = Formats(fixed_point(8, 4), fixed_point(8, 7), fixed_point(8, 4), 0)


@cache
def tables(formats):
    """sigmoid, tanh, and the tanh of the cell state."""
    gate, unit, steps = formats.gate, formats.unit, formats.step_bits
    sigmoid = make_table(real_functions.sigmoid, gate, unit, steps)
    tanh = make_table(real_functions.tanh, gate, unit, steps)
    return sigmoid, tanh, make_table(real_functions.tanh, formats.state, unit, steps)


@st.composite
def products(draw, gates, hidden, inputs, largest_x):
    """Weights (gates * hidden, inputs), biases, the scale of each row's sums, and an accumulator."""
    rows = gates * hidden
    w = draw(strategies.levels((rows, inputs), draw(st.sampled_from([1, 7, 127]))))
    bias = draw(strategies.levels((rows,), draw(st.sampled_from([0, 99, 2**20]))))
    exponents = draw(st.lists(st.integers(-16, -8), min_size=rows, max_size=rows))
    odd = draw(st.sampled_from([1, Fraction(float(np.float32(0.7)))]))
    scales = [odd * Fraction(2) ** e for e in exponents]
    x = np.full((1, inputs), largest_x)
    accumulator = draw(strategies.sums_register(x, w, bias, inputs, most_bits=32))
    return w, bias, scales, accumulator


def gate_product(w, bias, scales, accumulator, formats):
    to_gate = rescale(scales, formats.gate.scale)
    return GateProduct(LevelWeights(w), to_gate, bias, accumulator)


def naive_product(w, bias, scales, accumulator):
    return w, bias, scales, registers(accumulator)


@st.composite
def cells(draw, gates):
    """Gates, their naive cell, the levels of h, and x (steps, images, inputs) and a state h."""
    formats, h_grid = draw(st.sampled_from([WIDE, NARROW])), draw(st.sampled_from(H_GRIDS))
    hidden, inputs, images = (draw(st.integers(0, n)) for n in (2, 3, 2))
    steps = draw(st.integers(0, 2))
    largest = max(-h_grid.low, h_grid.high)
    of_x = draw(products(gates, hidden, inputs, 255))
    of_h = draw(products(gates, hidden, hidden, largest))
    sigmoid, tanh, _ = tables(formats)
    made = Gates(gate_product(*of_x, formats), gate_product(*of_h, formats), sigmoid, tanh)
    naive_cell = {
        "x": naive_product(*of_x),
        "h": naive_product(*of_h),
        "gate": triple(formats.gate),
        "unit": triple(formats.unit),
        "state": triple(formats.state),
        "out": triple(h_grid),
        "step_bits": formats.step_bits,
    }
    x = draw(strategies.levels((steps, images, inputs), draw(st.sampled_from([1, 255]))))
    return formats, made, naive_cell, h_grid, x, draw(states(h_grid, (images, hidden)))


def states(grid, shape):
    """A strategy of levels of a grid, both ends likely."""
    ends = st.sampled_from([grid.low, 0, grid.high])
    return strategies.arrays(
        np.int64, shape, elements=st.one_of(ends, st.integers(grid.low, grid.high))
    )


def triple(grid):
    return grid.low, grid.high, grid.scale


def small_cell(gates, rng, formats=WIDE, hidden=3, inputs=4):
    """Gates of random weights small enough that none of their sums leaves the gate's format."""
    x_scale = h_scale = Fraction(1, 128)
    parts = []
    for depth in (inputs, hidden):
        w = rng.integers(-127, 128, (gates * hidden, depth))
        bias = rng.integers(-(2**13), 2**13, gates * hidden)
        w_scales = [
            Fraction(float(np.float32(s))) for s in rng.uniform(0.004, 0.011, gates * hidden)
        ]
        scales = [x_scale * s for s in w_scales]
        worst = max(s * (127 * 128 * depth + 2**13) for s in scales)
        assert worst < -formats.gate.low * formats.gate.scale
        product = GateProduct(LevelWeights(w), rescale(scales, formats.gate.scale), bias)
        real = np.array([[float(s / x_scale)] for s in scales]) * w
        parts.append((product, real, bias * np.array([float(s) for s in scales])))
    (of_x, *real_x), (of_h, *real_h) = parts
    sigmoid, tanh, _ = tables(formats)
    h_grid = LevelGrid(-128, 127, h_scale)
    return Gates(of_x, of_h, sigmoid, tanh), real_x, real_h, h_grid
