"""Networks in fixed point of every rounding and overflow, run and computed again."""

import numpy as np
import pytest
from programs import EVERYTHING, program_for, residual_network

from qsim.execute import execute
from qsim.verify import count_checked

ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "ceil", "toward_zero")
WEIGHTS = {"fixed_point": {"bits": 4, "fraction_bits": 3}}


def narrow(rounding, overflow):
    return {"fixed_point": {"bits": 4, "fraction_bits": 2, "rounding": rounding, "overflow": overflow}}  # fmt: skip


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("requantize", ["onnx", "shift"])
def test_every_integer_is_computed_again_as_it_was(rounding, overflow, requantize):
    program, images = program_for(
        residual_network(), WEIGHTS, activations=narrow(rounding, overflow), requantize=requantize
    )
    checked, wrong = count_checked(program, execute(program, images), EVERYTHING)
    assert checked > 0
    assert wrong == []


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_thresholds_give_the_levels_of_exact_arithmetic(rounding):
    program, images = program_for(
        residual_network(),
        WEIGHTS,
        activations=narrow(rounding, "saturate"),
        requantize="thresholds",
    )
    assert count_checked(program, execute(program, images), EVERYTHING)[1] == []


def test_a_relu_bounds_the_value_and_not_the_word_that_wraps():
    program, images = program_for(
        residual_network(), WEIGHTS, activations=narrow("half_even", "wrap")
    )
    words = execute(program, images)["relu1"].value.levels
    assert (words < 0).any()
    assert np.isin(words, np.arange(-8, 8)).all()
