"""Adder trees and accumulators of carry chains: exact counts.

Each adder of two operands of ``width`` bits takes ``width`` LUTs, one for each carry position; its
sum is a bit wider.

Source: closed form of the rows ``adder_tree`` with kept adders and ``accumulator`` of
``synthesis/xc7.csv``, which it meets exactly.
"""

import numpy as np

from hwmodels.explain import formula

CARRY_BITS = 4  # of one CARRY4


@formula
def tree_lut(operands, operand_bits):
    """LUTs of a tree of carry-chain adders: over the levels, pairs x (operand bits + level - 1).

    An operand without a partner goes on to the next level.
    """
    return _over_levels(operands, operand_bits, lambda width: width)


@formula
def tree_carry4(operands, operand_bits):
    """CARRY4 of a tree of carry-chain adders: over the adders, (width + 1) / 4 rounded up."""
    return _over_levels(operands, operand_bits, lambda width: np.ceil((width + 1) / CARRY_BITS))


@formula
def accumulator_lut(accumulator_bits):
    """LUTs of an accumulator: one for each bit."""
    return np.asarray(accumulator_bits, np.float64)


@formula
def accumulator_carry4(accumulator_bits):
    """CARRY4 of an accumulator: one for each 4 bits."""
    return np.ceil(np.asarray(accumulator_bits, np.float64) / CARRY_BITS)


def _over_levels(operands, operand_bits, of_adder):
    left, width = np.broadcast_arrays(
        np.asarray(operands, np.float64), np.asarray(operand_bits, np.float64)
    )
    total = np.zeros(left.shape)
    while (left > 1).any():
        total = total + np.floor(left / 2) * of_adder(width)
        left, width = np.ceil(left / 2), width + 1
    return total
