"""The integers of a program as arrays in one ``.npz`` file, for those who compute with them.

Every array is named ``NAME.what``; the text ``program`` says how they go together.

``LAYER.levels``       integers (rows, ...) of the weights, in the narrowest signed type: what is
                       multiplied. The sums of a layer are those of levels by levels, plus its bias
``LAYER.codes``        the stored word of each level, unsigned
``LAYER.scale``        float32, of the levels, broadcastable to them; of weights that are the sum of
                       several terms, what their format has
``LAYER.zero_point``   of weights that have one: level = code - zero point
``LAYER.factor``       float32 (rows,): what a batch norm multiplies each row of the sums by
``LAYER.bias``         int64 (rows,), in the scale of the sums
``LAYER.offset``       float32 (rows,): a real bias, added to the scaled sums
``LAYER.weight``, ...  float32, of layers that are computed in floating point
``TENSOR.scale``       float32 (), of a tensor that is rounded: it stands for scale * level
``TENSOR.zero_point``  of an affine tensor, (): level = code - zero point

``program`` is JSON: ``network`` (its name, ``input`` and ``layers`` as in a layer table),
``arithmetic`` as in a workload, and ``formats`` by layer with weights and by rounded tensor, as a
workload writes them where they are of one kind. No array is an object, so that numpy reads the file
with ``allow_pickle=False``.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from qsim.errors import QsimError
from qsim.formats import AffineGrid, QuantizedAffine
from qsim.program import Program

TEXT = "program"


def write_program(program: Program, path: Path) -> None:
    """Write the arrays and the text of ``program_arrays``, compressed. Raises QsimError where the
    file cannot be written."""
    arrays = program_arrays(program)
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise QsimError(f"{path}: cannot be written: {error.strerror}") from None


def program_arrays(program: Program) -> dict[str, np.ndarray]:
    """The arrays of a program by name, and its text as an array of one string (see above).

    Raises QsimError where a layer is named like a tensor's array would be.
    """
    arrays = {TEXT: np.array(json.dumps(_text(program), indent=1))}
    for name in program.weights:
        _add(arrays, _layer_arrays(program, name))
    for name, recurrence in program.recurrences.items():
        for product in recurrence.products.weights:
            _add(arrays, _layer_arrays(recurrence.products, product))
        _add(arrays, {f"{name}.scale": recurrence.products.scales[name]})
    for name, scale in program.scales.items():
        key = f"{name}.output_scale" if f"{name}.scale" in arrays else f"{name}.scale"
        _add(arrays, {key: scale})
