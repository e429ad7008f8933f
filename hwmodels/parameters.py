"""Parameters of designs: what their numbers may be, and the shape that they broadcast to."""

from typing import Any

import msgspec
import numpy as np

from hwmodels.explain import read

LEAST = {"hz": 1.0, "s": 1e-6}  # by the unit that a name ends in; of all others 1
LARGEST = {"hz": 1e12, "bits": 64, "elements": 2**40, "s": 1e12}
MOST = 2**16  # of what has no unit


def check_numbers(design: msgspec.Struct) -> None:
    """Refuse numbers that are not whole or out of range: all of a design's but those in Hz and per
    second are whole, and these not so small that a time overflows. Raises ValueError naming the
    parameter."""
    for name, values in numbers(design).items():
        unit = name.rpartition("_")[2]
        low, high, is_whole = LEAST.get(unit, 1), LARGEST.get(unit, MOST), unit not in LEAST
        whole = not is_whole or (np.floor(values) == values).all()
        if not (whole and ((values >= low) & (values <= high)).all()):
            kind = "a whole number from " if is_whole else ""
            raise ValueError(f"{name} must be {kind}{low:g} to {high:,g}")


def numbers(design: msgspec.Struct) -> dict[str, np.ndarray]:
    """The parameters that are numbers or arrays of numbers, by name."""
    given: dict[str, Any] = {name: getattr(design, name) for name in design.__struct_fields__}
    numeric = (int, float, np.ndarray, np.number, list)
    return {
        name: np.asarray(value, np.float64)
        for name, value in given.items()
        if isinstance(value, numeric) and not isinstance(value, bool)
    }


def shape_of(design: msgspec.Struct) -> tuple[int, ...]:
    """The shape that all numbers of a design broadcast to."""
    return np.broadcast_shapes(*(np.shape(value) for value in numbers(design).values()))


def over_layers(design: msgspec.Struct, name: str) -> np.ndarray:
    """A design parameter with a last axis for the layers."""
    return read(design, name)[..., None]
