"""The parameters of epilogues and additions, by channel and by step, as the program reads them."""

import numpy as np

from qsim.engine.steps import Addition, MakeTensor, Read
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.counted_thresholds import pack_thresholds


class Parameters:
    """Parameters as they grow, each step's channels padded to whole tiles of ``lanes``."""

    def __init__(self, lanes: int):
        self._lanes, self._count = lanes, 0
        types = codes.COLUMN_TYPES._asdict()
        self._columns = {name: [np.zeros(0, dtype)] for name, dtype in types.items()}
        self._exceeded, self._steps = [np.zeros((0, 0), np.int32)], [np.zeros(0, np.int32)]
        self._additions: list[tuple[Addition, bool]] = []

    def put(self, step: MakeTensor, channels: slice) -> dict[str, int]:
        """The fields of a step that say where its parameters are, of these channels of it."""
        begin, bias = self._count, _bias(step)[channels]
        columns = {"bias": (bias + 2**31) % 2**32 - 2**31, "wide_bias": bias}
        fields = {"parameters": begin, "mode": codes.KEEP_SUMS}
        exceeded = np.zeros((0, len(bias)), np.int32)
        made = step.epilogue
        if made is not None:
            columns |= {name: values[channels] for name, values in made.columns.items()}
            fields |= {"mode": made.mode, "low": made.low, "high": made.high}
            if made.thresholds is not None:
                values, grid = made.thresholds
                packed = pack_thresholds(values[channels], grid, self._lanes, np.int32)
                exceeded, steps, columns["start"] = packed
                fields["n_thresholds"] = len(exceeded)
                fields["threshold_steps"] = sum(len(part) for part in self._steps)
                self._steps.append(steps)
        if step.addition is not None:
            fields |= {
                "addition": step.addition.kind,
                "added": len(self._additions),
                "added_low": step.addition.low,
                "added_high": step.addition.high,
            }
            self._additions.append((step.addition, step.swapped))
        self._append(columns, exceeded, len(bias))
        return fields

    def _append(self, columns: dict[str, np.ndarray], exceeded: np.ndarray, channels: int) -> None:
        whole = -(-channels // self._lanes) * self._lanes
        for name, dtype in codes.COLUMN_TYPES._asdict().items():
            column = np.zeros(whole, dtype)
            given = columns.get(name, ())
            column[: len(given)] = given
            self._columns[name].append(column)
        self._exceeded.append(exceeded)
        self._count += whole

    def constants(
        self, tables: np.ndarray, weights: np.ndarray, of_bits: tuple[np.ndarray, ...]
    ) -> codes.Constants:
        """All that a program reads, the last of it being of steps on planes of bits."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        most = max(len(each) for each in self._exceeded)
        exceeded, at = np.zeros((most, self._count), np.int32), 0
        for each, column in zip(self._exceeded, self._columns["bias"], strict=True):
            exceeded[: len(each), at : at + each.shape[1]] = each
            at += len(column)
        return codes.Constants(
            tables,
            weights,
            codes.Columns(**columns),
            exceeded,
            np.concatenate(self._steps),
            *_additions(self._additions),
            *of_bits,
        )


def _additions(
    additions: list[tuple[Addition, bool]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratios, zero points and integer multipliers of all additions, those of the tile first."""
    ratios = np.zeros((len(additions), 3), np.float32)
    zeros = np.zeros((len(additions), 4), np.int64)
    fixed = np.zeros((len(additions), 7), np.int64)
    for row, (addition, swapped) in enumerate(additions):
        order = [1, 0, 2] if swapped else [0, 1, 2]
        ratios[row] = [addition.ratios[i] for i in order]
        zeros[row] = [*(addition.zeros[i] for i in order), not swapped]
        first_larger, factors, places, twice, sum_twice = addition.fixed
        fixed[row] = [first_larger != swapped, *factors, *places, twice, sum_twice]
    return ratios, zeros, fixed


def _bias(step: MakeTensor) -> np.ndarray:
    """What is added to the sums of a step: its bias, less what the offset of the bytes adds."""
    source = step.source
    zero = source.source.zero or 0
    if isinstance(source, Read):
        return np.full(source.shape[0], -zero, np.int64)
    by_row = [
        256**at * sum(part.reshape(len(part), -1).sum(axis=1, dtype=np.int64) for part in parts)
        for at, parts in enumerate(source.passes)
    ]
    return source.bias - zero * sum(by_row)
