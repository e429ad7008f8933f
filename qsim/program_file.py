"""The integers of a program as arrays in one ``.npz`` file, for those who compute with them.

Of a layer with products (of a recurrent layer: of each of its two), by its name:

``LAYER.levels.0``      integers (rows, ...), in the narrowest signed type: what is multiplied; of
                        weights that are the sum of several terms also ``LAYER.levels.1`` and so on
``LAYER.scale.0``       float32 (rows,): the scale of these levels, batch norm included
``LAYER.codes``         the stored words of the weights, unsigned
``LAYER.zero_point``    of weights that have one: a level of theirs is code - zero point
``LAYER.sign``          int8 (rows,), of weights that were quantized as trained: what a batch norm
                        multiplies the sums of each row by
``LAYER.bias``          int64 (rows,): then added to the sums of the first term
``LAYER.offset``        float32 (rows,): a real bias, added to the scaled sums
``LAYER.hidden_scale``  float32 (), of the hidden state within a recurrent layer
``LAYER.weight``, ...   float32, of a layer that is computed in floating point, or of one without
                        products that has arrays (a batch norm of its own, thresholds), as in its
                        weights

Of a tensor that is rounded, by the name of the layer that makes it, or ``input``:

``TENSOR.tensor_scale``        float32 (): it stands for scale * level
``TENSOR.tensor_zero_point``   () of an affine one: a level is code - zero point

The sums of a term have the scale of the input tensor times that of its levels. ``program`` is JSON:
``network`` (its ``name``, ``input`` and ``layers`` as in a layer table), ``arithmetic`` as in a
workload, ``weights`` and ``tensors`` with the format of each, and ``inputs`` of terms that multiply
some in-channels only: the first and the one after the last. No array is an object, so that
``numpy.load`` reads the file as it is.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from qsim.errors import QsimError
from qsim.formats import FORMATS, AffineGrid, Facts, Float, QuantizedAffine
from qsim.program import Program

TEXT = "program"


def write_program(program: Program, path: Path) -> None:
    """Write ``program_arrays``, compressed. Raises QsimError where the file cannot be written."""
    arrays = program_arrays(program)
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise QsimError(f"{path}: cannot be written: {error.strerror}") from None


def program_arrays(program: Program) -> dict[str, np.ndarray]:
    """The arrays of a program by name, and its text as an array of one string (see above)."""
    arrays = {TEXT: np.array(json.dumps(_text(program), indent=1))}
    for name in program.weights:
        arrays |= _layer_arrays(program, name)
    for node in program.network.nodes.values():
        if node.name not in program.weights:
            arrays |= {key: program.real[key] for key in node.arrays}
    for name, recurrence in program.recurrences.items():
        for product in recurrence.products.weights:
            arrays |= _layer_arrays(recurrence.products, product)
        arrays[f"{name}.hidden_scale"] = np.asarray(recurrence.products.scales[name])
    for name, scale in program.scales.items():
        arrays[f"{name}.tensor_scale"] = np.asarray(scale)
        if isinstance(program.formats[name], AffineGrid):
            arrays[f"{name}.tensor_zero_point"] = np.array(program.formats[name].zero_point)
    return arrays


def _layer_arrays(program: Program, name: str) -> dict[str, np.ndarray]:
    quantized = program.weights[name]
    if quantized is None or name not in program.biases:
        held = {key: value for key, value in program.real.items() if _layer_of(key) == name}
        return held if quantized is None else held | {f"{name}.weight": program.held(name)}
    arrays = {f"{name}.codes": quantized.codes, f"{name}.bias": program.biases[name]}
    for index, term in enumerate(program.terms[name]):
        arrays[f"{name}.levels.{index}"] = _narrowest(term.levels)
        arrays[f"{name}.scale.{index}"] = np.array(term.scale, np.float32)
    if isinstance(quantized, QuantizedAffine):
        arrays[f"{name}.zero_point"] = quantized.zero_point
    if name in program.factors:
        arrays[f"{name}.sign"] = np.sign(program.factors[name]).astype(np.int8)
    offset = program.offset(program.network.nodes[name]) if name in program.network.nodes else None
    return arrays if offset is None else arrays | {f"{name}.offset": offset}


def _layer_of(key: str) -> str:
    return key.rsplit(".", 1)[0]


def _narrowest(levels: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest signed type that holds them."""
    for kind in (np.int8, np.int16, np.int32):
        info = np.iinfo(kind)
        if not levels.size or info.min <= levels.min() <= levels.max() <= info.max:
            return levels.astype(kind)
    return levels


def _text(program: Program) -> dict[str, Any]:
    network = program.network
    weights = {name: held.format for name, held in program.weights.items() if held is not None}
    terms = {name: terms for name, terms in program.terms.items() if terms[0].inputs is not None}
    return {
        "network": {
            "name": network.name,
            "input": network.input_shape,
            "layers": msgspec.to_builtins(network.layers),
        },
        "arithmetic": msgspec.to_builtins(program.arithmetic),
        "weights": {name: _format_text(number) for name, number in weights.items()},
        "tensors": {name: _format_text(number) for name, number in program.formats.items()},
        "inputs": {name: [term.inputs for term in each] for name, each in terms.items()},
    }


def _format_text(number: Facts) -> dict[str, Any]:
    """A format by its name and parameters, with its lowest and highest level where it has some."""
    names = {record: name for name, record in FORMATS.items()} | {AffineGrid: "affine"}
    text = {"format": names[type(number)]} | dataclasses.asdict(number)
    if isinstance(number, Float) or not hasattr(number, "min_level"):
        return text
    return text | {"lowest": number.min_level, "highest": number.max_level}
