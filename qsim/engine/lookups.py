"""Layers of one level at a time as tables: what each level of the input becomes."""

import numpy as np

from qsim.engine.steps import Buffer, Uncompilable
from qsim.errors import QsimError
from qsim.execute import rounded, rounded_layer
from qsim.formats import Format
from qsim.network.graph import Node
from qsim.program import Program
from qsim.values import Levels, Sums

BYTES = 256


def layer_table(program: Program, node: Node, source: Buffer, out: Buffer) -> np.ndarray:
    """The byte of ``out``, int64 (256,), that a layer makes of each byte of ``source``.

    Raises Uncompilable where the layer cannot be computed of a level.
    """
    number = program.formats[node.inputs[0]]
    inputs = [Levels(_image_of(number), program.scales[node.inputs[0]])]
    try:
        made = rounded_layer(program, node, inputs)
    except QsimError as error:
        raise Uncompilable(str(error)) from None
    return _table(number, source, made, out)


def part_table(program: Program, name: str, tensor: str, source: Buffer, out: Buffer) -> np.ndarray:
    """The same of a part ``name`` of a rounded ``tensor`` that joins several."""
    number = program.formats[name]
    scale = np.full(1, program.scales[name], np.float64)
    sums = Sums(((_image_of(number).astype(np.int64), scale),))
    try:
        made = rounded(program, tensor, sums)
    except QsimError as error:
        raise Uncompilable(str(error)) from None
    return _table(number, source, made, out)


def _image_of(number: Format) -> np.ndarray:
    """All levels as an image of one channel and one row."""
    return number.levels().astype(np.int32).reshape(1, 1, 1, -1)


def _table(number: Format, source: Buffer, made: Levels, out: Buffer) -> np.ndarray:
    table = np.full(BYTES, out.zero, np.int64)  # of a byte that stands for no level, never read
    table[number.levels() + source.zero] = made.levels.reshape(-1) + out.zero
    return table
