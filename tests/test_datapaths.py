"""Which kernel a layer runs on, and that its integers are those of the product of levels."""

from dataclasses import replace

import numpy as np
import pytest
from programs import program_for, residual_network

from qsim.datapaths import MOST_PAIRS, datapath
from qsim.execute import execute
from qsim.formats import (
    BinaryActivations,
    BinaryWeights,
    DorefaActivations,
    DorefaWeights,
    Fixed,
    Quant,
    Sp2,
    TernaryWeights,
)
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights
from qsim.program import Program

SIGNS = np.array([[[1, -1, 1]]])  # weights of three axes, so not of a linear layer
ZERO = np.array([[[1, 0, -1]]])
WIDE = Accumulator()
XNOR, SERIAL, LEVELS = XnorPopcountWeights, BitSerialWeights, LevelWeights
SATURATING = Accumulator(8, "saturate")
PARTIAL = Partial(4, 8, "saturate")


@pytest.mark.parametrize(
    ("weights", "x", "pairs"),
    [
        (BinaryWeights(), BinaryActivations(), 1),
        (DorefaWeights(1), BinaryActivations(), 1),
        (BinaryWeights(), DorefaActivations(2), 2),
        (BinaryWeights(), DorefaActivations(3), 3),
        (BinaryWeights(), Fixed(2), 3),  # -1, 0 and +1
        (BinaryWeights(), Quant(2, signed=False), 2),
        (BinaryWeights(), Quant(2, zero_point=-2), 2),
        (BinaryWeights(), DorefaActivations(4), 4),
        (TernaryWeights(), BinaryActivations(), 1),
        (TernaryWeights(), DorefaActivations(2), 2),
        (TernaryWeights(), Fixed(2), 3),
        (DorefaWeights(2), BinaryActivations(), 2),
        (DorefaWeights(2), DorefaActivations(2), 4),
        (DorefaWeights(3), DorefaActivations(1), 3),
    ],
)
def test_bits_are_counted_up_to_as_many_pairs_of_planes_as_is_sooner(weights, x, pairs):
    levels = ZERO if isinstance(weights, TernaryWeights) else SIGNS
    for backend, most in MOST_PAIRS.items():
        kernel = datapath(levels, weights, x, WIDE, backend)
        assert isinstance(kernel, LevelWeights) == (pairs > most)
        assert isinstance(datapath(levels, weights, x, SATURATING, backend), LevelWeights)


@pytest.mark.parametrize(
    ("weights", "x"),
    [
        (BinaryWeights(), Quant(2, signed=False, zero_point=-3)),
        (BinaryWeights(), Fixed(3)),
        (BinaryWeights(), DorefaActivations(5)),
        (Fixed(3), BinaryActivations()),
        (Sp2(4), BinaryActivations()),
        (DorefaWeights(2), Fixed(2)),
    ],
)
def test_formats_whose_products_are_not_counts_alone_are_multiplied(weights, x):
    for backend in MOST_PAIRS:
        assert isinstance(datapath(SIGNS, weights, x, WIDE, backend), LevelWeights)


@pytest.mark.parametrize(
    ("weights", "x", "accumulator", "kernel"),
    [
        (BinaryWeights(), BinaryActivations(), WIDE, XNOR),
        (TernaryWeights(), Fixed(2), WIDE, XNOR),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "wrap"), XNOR),
        (TernaryWeights(), DorefaActivations(2), WIDE, SERIAL),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "saturate", Partial(4, 8)), LEVELS),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "saturate"), LEVELS),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "wrap", PARTIAL), LEVELS),
    ],
)
def test_the_kernel_is_that_of_the_codes_and_none_that_could_saturate(
    weights, x, accumulator, kernel
):
    assert type(datapath(SIGNS, weights, x, accumulator, "vnni512")) is kernel


def test_only_a_linear_layer_counts_bits_where_there_are_tiles():
    formats = BinaryWeights(), BinaryActivations(), WIDE
    assert isinstance(datapath(SIGNS[0], *formats, "amx"), XnorPopcountWeights)
    assert isinstance(datapath(SIGNS, *formats, "amx"), LevelWeights)
    two_bits = BinaryWeights(), DorefaActivations(2), WIDE
    assert isinstance(datapath(SIGNS[0], *two_bits, "amx"), LevelWeights)


@pytest.mark.parametrize("accumulator", [WIDE, Accumulator(5, "wrap"), Accumulator(6, "saturate")])
def test_the_integers_are_those_of_the_product_of_levels(monkeypatch, accumulator):
    monkeypatch.setenv("QSIM_BACKEND", "plain")
    program, images = program_for(
        residual_network(), "bwn", activations={"dorefa_activations": {"bits": 2}},
        accumulator=accumulator,
    )  # fmt: skip
    kernels = {type(kernel) for held in program.datapaths.values() for kernel in held}
    assert kernels == {LevelWeights if accumulator.mode == "saturate" else BitSerialWeights}
    steps = execute(program, images)
    levels = {
        name: tuple(LevelWeights(term.levels) for term in terms)
        for name, terms in program.terms.items()
    }
    monkeypatch.setattr(Program, "datapaths", levels)
    for name, step in execute(replace(program), images).items():  # nothing is held yet
        for (got, _), (wanted, _) in zip(
            getattr(steps[name].unrounded, "terms", ()),
            getattr(step.unrounded, "terms", ()),
            strict=True,
        ):
            np.testing.assert_array_equal(got, wanted)
