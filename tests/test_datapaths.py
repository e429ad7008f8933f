"""Which kernel a layer runs on, and that its integers are those of the product of levels."""

from dataclasses import replace

import numpy as np
import pytest
from programs import program_for, residual_network

from qsim.datapaths import datapath
from qsim.execute import execute
from qsim.formats import (
    BinaryActivations,
    BinaryWeights,
    DorefaActivations,
    Fixed,
    Quant,
    TernaryWeights,
)
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights
from qsim.program import Program

SIGNS = np.array([[1, -1, 1]])
WIDE = Accumulator()


@pytest.mark.parametrize(
    ("weights", "x", "accumulator", "kernel"),
    [
        (BinaryWeights(), BinaryActivations(), WIDE, XnorPopcountWeights),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "wrap"), XnorPopcountWeights),
        (BinaryWeights(), BinaryActivations(), Accumulator(8, "saturate"), LevelWeights),
        (BinaryWeights(), DorefaActivations(2), WIDE, BitSerialWeights),
        (BinaryWeights(), DorefaActivations(3), WIDE, LevelWeights),
        (BinaryWeights(), Fixed(2), WIDE, LevelWeights),
        (BinaryWeights(), Quant(2, signed=False), WIDE, BitSerialWeights),
        (BinaryWeights(), Quant(2, signed=False, zero_point=-3), WIDE, LevelWeights),
        (BinaryWeights(), Quant(2, zero_point=-2), WIDE, BitSerialWeights),
        (TernaryWeights(), DorefaActivations(2), WIDE, LevelWeights),
        (
            BinaryWeights(), BinaryActivations(),
            Accumulator(8, "saturate", Partial(4, 8, "wrap")), LevelWeights,
        ),
        (
            BinaryWeights(), BinaryActivations(),
            Accumulator(8, "wrap", Partial(4, 8)), LevelWeights,
        ),
    ],
)  # fmt: skip
def test_bits_are_counted_where_that_is_sooner_and_possible(weights, x, accumulator, kernel):
    assert type(datapath(SIGNS, weights, x, accumulator)) is kernel


@pytest.mark.parametrize("accumulator", [WIDE, Accumulator(5, "wrap"), Accumulator(6, "saturate")])
def test_the_integers_are_those_of_the_product_of_levels(monkeypatch, accumulator):
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
