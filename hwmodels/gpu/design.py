"""How a network is run on a GPU: images at a time, types, and which steps are fused."""

from typing import Any, Literal, get_args

import msgspec
import numpy as np

Precision = Literal["auto", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4"]
Composition = Literal["auto", "never", "always"]

MOST_IMAGES = 2**20


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network is run.

    batch       images at a time; may be an array
    precision   the type of all products; "auto": of each layer's the fastest type of the device
                that holds its operands. A type that the device lacks is rounded up
    binary_composition   whether products of M by K bits may be composed of M x K passes of single
                bits: "auto", where that is faster; "never"; or "always", of all integer products
    fused       elementwise steps are part of the kernel whose result they change
    """

    batch: int | Any = 1
    precision: Precision = "auto"
    binary_composition: Composition = "auto"
    fused: bool = True

    def __post_init__(self):
        try:
            batch = np.asarray(self.batch, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"batch must be a whole number from 1 to {MOST_IMAGES:,}") from None
        whole = (np.floor(batch) == batch) & (batch >= 1) & (batch <= MOST_IMAGES)
        number = isinstance(self.batch, int | np.ndarray | np.integer)
        if not number or isinstance(self.batch, bool) or not whole.all():
            raise ValueError(f"batch must be a whole number from 1 to {MOST_IMAGES:,}")

        for name, choices in (("precision", Precision), ("binary_composition", Composition)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the batches."""
        return np.shape(self.batch)
