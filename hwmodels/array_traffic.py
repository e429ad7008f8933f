"""Values that a spatial array reads and writes: at its edges, and in the memory behind its buffers.

The edges are those of ``array_cycles``: every fold reads what it streams and what it keeps, and
writes its sums. Behind the buffers a value is moved once, or again for each fold that needs it
where its buffer does not hold it in between. Folds go along the rows first, then to the next
columns, as in SCALE-Sim. Partial sums stay on chip: where their buffer does not hold those of all
that streams through a fold, it streams in tiles, and what stays is brought again for each.
"""

from dataclasses import dataclass

import numpy as np

from hwmodels.array_cycles import Dataflow, MatrixProducts, folds
from hwmodels.explain import formula
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class EdgeTraffic:
    """Values that cross the array's edges, arrays of (..., layers).

    inputs, weights   read into the array
    sums              written by it, partial ones among them
    partial_sums      read again, to be added to
    """

    inputs: np.ndarray
    weights: np.ndarray
    sums: np.ndarray
    partial_sums: np.ndarray


def edge_traffic(
    products: MatrixProducts, rows, columns, dataflow: Dataflow, tiles=1.0
) -> EdgeTraffic:
    """What crosses the edges of an array of ``rows`` x ``columns``, which broadcast with the
    layers. A value that is streamed is read once for each column fold, one that stays once for each
    of the ``tiles``; unused elements read nothing. Raises ValueError on an unknown dataflow."""
    cut = folds(products, rows, columns, dataflow)
    inputs = products.repeats * products.positions * products.depth
    weights = products.repeats * products.depth * products.channels
    results = products.repeats * products.positions * products.channels
    again = {  # of inputs and weights
        "weight_stationary": (cut.along_columns, tiles),
        "output_stationary": (cut.along_columns, cut.along_rows),
        "input_stationary": (tiles, cut.along_columns),
    }[dataflow]
    partial = 0.0 if dataflow == "output_stationary" else cut.along_rows - 1
    return EdgeTraffic(
        inputs * again[0], weights * again[1], results * (1 + partial), results * partial
    )


@formula
def sum_tiles(streamed, across, columns, held):
    """Streamed values / those whose sums of a column fold are held, in whole tiles: one where all
    are; not finite where not even one is."""
    at_once = np.floor(held / np.minimum(columns, across))
    return np.where(at_once > 0, np.ceil(streamed / np.maximum(at_once, 1)), np.inf)


def layer_tiles(products: MatrixProducts, columns, dataflow: Dataflow, held) -> np.ndarray:
    """Tiles of each layer, for a buffer of so many sums; an array that keeps its sums has one."""
    if dataflow == "output_stationary":
        return np.ones(np.broadcast_shapes(np.shape(products.repeats), np.shape(columns)))
    sizes = (products.positions, products.channels)
    streamed, across = sizes if dataflow == "weight_stationary" else sizes[::-1]
    return sum_tiles(streamed, across, columns, held)


@dataclass(frozen=True)
class Passes:
    """How often each layer moves its inputs and weights from memory, arrays of (..., layers)."""

    inputs: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Capacities:
    """Values that the buffers hold for the layer at hand, numbers or arrays of (..., 1)."""

    inputs: np.ndarray
    weights: np.ndarray


def memory_passes(
    work: WorkTable,
    products: MatrixProducts,
    array: tuple,
    dataflow: Dataflow,
    held: Capacities,
    tiles=1.0,
) -> Passes:
    """How often what is moved.

    array   rows and columns, broadcasting with the layers
    """
    rows, columns = array
    cut = folds(products, rows, columns, dataflow)
    # what one product reads; the windows of a kernel are read out of the buffer
    values = work.column("in_channels") * work.column("in_h") * work.column("in_w")
    inputs = values * products.positions / (work.column("positions") * work.column("groups"))
    weights = products.depth * products.channels
    strip = products.depth * np.minimum(columns, products.channels)
    uses = {  # of inputs and of weights
        "weight_stationary": (cut.along_columns, tiles),
        "output_stationary": (
            cut.along_columns,
            np.where(strip <= held.weights, 1.0, cut.along_rows),
        ),
        "input_stationary": (tiles, cut.along_columns),
    }[dataflow]
    return Passes(
        input_passes(uses[0], inputs <= held.inputs),
        weight_passes(uses[1] * work.column("sequential"), weights <= held.weights),
    )


@formula
def input_passes(uses, are_held):
    """Once where the buffer holds the inputs of a product, else once for each use."""
    return np.where(are_held, 1.0, uses)


@formula
def weight_passes(uses, are_held):
    """Once where the buffer holds the weights of a product, else once for each use."""
    return np.where(are_held, 1.0, uses)
