"""The constants of the GPU model that no device file has, each with its measurements."""

from functools import cache

import msgspec

from hwmodels.documents import read_document
from hwmodels.explain import read_figure
from hwmodels.provenance import HERE, FittedFigure

FILE = "calibrated/gpu.yaml"


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured latency of a network, that constants were fitted to or that was held out.

    name        as ``fitted_to`` has it
    network     of the zoo, at ``precision``, ``batch`` images at a time
    batch_latency_s   as it was measured
    source      a key of ``sources``
    """

    name: str
    device: str
    network: str
    precision: str
    batch: int
    batch_latency_s: float
    source: str


class GpuConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the comments of the file."""

    matrix_fraction: FittedFigure
    convolution_fraction: FittedFigure
    plain_convolution_fraction: FittedFigure
    depthwise_fraction: FittedFigure
    binary_issue_fraction: FittedFigure
    dram_fraction: FittedFigure
    kernel_overhead_s: FittedFigure
    idle_power_fraction: FittedFigure
    sources: dict[str, str]
    measurements: tuple[Measurement, ...]

    @property
    def fitted_to(self) -> set[str]:
        """The names of all measurements and cells that any constant was fitted to."""
        values = (getattr(self, name) for name in self.__struct_fields__)
        return {
            name for value in values if isinstance(value, FittedFigure) for name in value.fitted_to
        }


@cache
def load_constants() -> GpuConstants:
    """The constants, from ``calibrated/gpu.yaml``."""
    return read_document(HERE / FILE, GpuConstants)


def constant(name: str):
    """One constant, in float64, noted with its source."""
    return read_figure(getattr(load_constants(), name), name, where=f"hwmodels/{FILE}")
