"""A scale for every group of in-channels of every row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.formats.base import Format, Quantized, ScaleRule, Term


@dataclass(frozen=True)
class QuantizedGroups(Quantized):
    """Levels (rows, channels, ...) whose ``scale``, float32 (rows, groups), is of each group.

    members   the quantized groups as rows of their own (rows * groups, channels per group, ...)
    """

    members: Quantized

    @cached_property
    def codes(self) -> np.ndarray:
        return self.members.codes.reshape(self.levels.shape)

    @property
    def real(self) -> np.ndarray:
        return self.members.real.reshape(self.levels.shape)

    @property
    def terms(self) -> tuple[Term, ...]:
        """A product for each group of in-channels."""
        size = self.levels.shape[1] // self.scale.shape[1]
        starts = range(0, self.levels.shape[1], size)
        return tuple(
            Term(self.levels[:, start : start + size], self.scale[:, i], (start, start + size))
            for i, start in enumerate(starts)
        )

    def group_format(self, row: int, channel: int) -> Format:
        """The format of the weights of one row and in-channel."""
        groups = self.scale.shape[1]
        size = self.levels.shape[1] // groups
        return self.members.row_format(row * groups + channel // size)


def quantize_groups(
    number, real: np.ndarray, size: int, *, scale: np.ndarray | ScaleRule | None = None
) -> QuantizedGroups:
    """``real`` (rows, channels, ...) with a scale for every ``size`` in-channels of a row.

    number   a format with a scale that is found
    scale    a rule as in ``Format.quantize``; or float32 (rows, groups)

    Raises ValueError when ``size`` does not divide the channels and where ``number.quantize``
    does.
    """
    rows, channels = real.shape[:2]
    if size < 1 or channels % size:
        raise ValueError(
            f"groups of {size} do not divide {channels} in-channels; a divisor of {channels} would"
        )
    members = real.reshape(rows * (channels // size), size, *real.shape[2:])
    if scale is not None and not callable(scale):
        scale = scale.reshape(len(members), *(1,) * (real.ndim - 1))
    quantized = number.quantize(members, scale=scale, axis=0)
    return QuantizedGroups(
        quantized.format,
        quantized.levels.reshape(real.shape),
        quantized.scale.reshape(rows, channels // size),
        quantized,
    )
