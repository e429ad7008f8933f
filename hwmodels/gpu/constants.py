"""The constants of the GPU model that no device file has, each with its measurements."""

from functools import cache

import msgspec

from hwmodels.documents import read_document
from hwmodels.explain import read_figure
from hwmodels.provenance import HERE, Status

FILE = "calibrated/gpu.yaml"


class FittedFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A constant, how far it is to be trusted, and the measurements it was fitted to, if any."""

    value: float
    status: Status
    source: str
    fitted_to: tuple[str, ...] = ()


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured or published figure that the model gives as well.

    name        as `fitted_to` has it
    device, network   which; or, of one matrix product, its rows, columns and depth
    precision   of weights and activations alike
    quantity    of the model's cost
    """

    name: str
    device: str
    precision: str
    batch: int
    quantity: str
    value: float
    source: str
    network: str | None = None
    rows_columns_depth: tuple[int, int, int] | None = None


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
    measurements: tuple[Measurement, ...] = ()

    @property
    def fitted_to(self) -> set[str]:
        """The names of all measurements and cells that any constant was fitted to."""
        figures = [getattr(self, name) for name in self.__struct_fields__ if name != "measurements"]
        return {name for figure in figures for name in figure.fitted_to}


@cache
def load_constants() -> GpuConstants:
    """The constants, from ``calibrated/gpu.yaml``."""
    return read_document(HERE / FILE, GpuConstants)


def constant(name: str):
    """One constant, in float64, noted with its source."""
    return read_figure(getattr(load_constants(), name), name, where=f"hwmodels/{FILE}")
