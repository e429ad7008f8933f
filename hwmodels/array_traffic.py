"""Values that a spatial array reads and writes: at its edges, and in the memory behind its buffers.

The edges are those of ``array_cycles``: every fold reads what it streams and what it keeps, and
writes its sums. Behind the buffers a value is moved once, or again for each fold that needs it
where its buffer does not hold it in between. Folds go along the rows first, then to the next
columns, as in SCALE-Sim.
"""

from dataclasses import dataclass

import numpy as np

from hwmodels.array_cycles import Dataflow, Folds, MatrixProducts, folds
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


def edge_traffic(products: MatrixProducts, rows, columns, dataflow: Dataflow) -> EdgeTraffic:
    """What crosses the edges of an array of ``rows`` x ``columns``, which broadcast with the
    layers. A value that is streamed is read once for each column fold, unused elements read
    nothing. Raises ValueError on an unknown dataflow."""
    cut = folds(products, rows, columns, dataflow)
    inputs = products.repeats * products.positions * products.depth
    weights = products.repeats * products.depth * products.channels
    results = products.repeats * products.positions * products.channels
    if dataflow == "output_stationary":
        return EdgeTraffic(
            inputs * cut.along_columns, weights * cut.along_rows, results, results * 0
        )
    inputs_again = cut.along_columns if dataflow == "weight_stationary" else 1
    weights_again = cut.along_columns if dataflow == "input_stationary" else 1
    return EdgeTraffic(
        inputs * inputs_again,
        weights * weights_again,
        results * cut.along_rows,
        results * (cut.along_rows - 1),
    )


@dataclass(frozen=True)
class Passes:
    """How often each layer moves its inputs and weights from memory, and how many partial sums it
    has to move there and back, arrays of (..., layers)."""

    inputs: np.ndarray
    weights: np.ndarray
    spilled_sums: np.ndarray


@dataclass(frozen=True)
class Capacities:
    """Values that the buffers hold for the layer at hand, numbers or arrays of (..., 1)."""

    inputs: np.ndarray
    weights: np.ndarray
    sums: np.ndarray


def memory_passes(
    work: WorkTable, products: MatrixProducts, array: tuple, dataflow: Dataflow, held: Capacities
) -> Passes:
    """How often what is moved.

    array   rows and columns, broadcasting with the layers
    """
    rows, columns = array
    cut = folds(products, rows, columns, dataflow)
    # what one product reads; the windows of a kernel are read out of the buffer
    values = work.column("in_channels") * work.column("in_h") * work.column("in_w")
    of_a_product = products.positions / (work.column("positions") * work.column("groups"))
    group_inputs = values * of_a_product
    group_weights = products.depth * products.channels
    steps = work.column("sequential")
    if dataflow == "weight_stationary":
        inputs = input_passes(cut.along_columns, group_inputs <= held.inputs)
        weights = weight_passes(steps, group_weights <= held.weights)
    elif dataflow == "output_stationary":
        inputs = input_passes(cut.along_columns, group_inputs <= held.inputs)
        strip = products.depth * np.minimum(columns, products.channels)
        again = np.where(strip <= held.weights, steps, steps * cut.along_rows)
        weights = weight_passes(again, group_weights <= held.weights)
    else:
        inputs = np.ones(np.shape(cut.along_rows))
        weights = weight_passes(steps * cut.along_columns, group_weights <= held.weights)
    return Passes(inputs, weights, _spilled(products, cut, columns, dataflow, held))


def _spilled(
    products: MatrixProducts, cut: Folds, columns, dataflow: Dataflow, held: Capacities
) -> np.ndarray:
    if dataflow == "output_stationary":
        return np.zeros(np.shape(cut.along_rows))
    across = products.channels if dataflow == "weight_stationary" else products.positions
    strip = cut.streamed * np.minimum(columns, across)
    results = products.repeats * products.positions * products.channels
    return spilled_sums(results, cut.along_rows, strip <= held.sums)


@formula
def input_passes(column_folds, are_held):
    """Once where the buffer holds the inputs of a group, else once for each column fold."""
    return np.where(are_held, 1.0, column_folds)


@formula
def weight_passes(uses, are_held):
    """Once where the buffer holds the weights of a group, else once for each use."""
    return np.where(are_held, 1.0, uses)


@formula
def spilled_sums(results, row_folds, are_held):
    """Results x (row folds - 1) where the buffer does not hold the sums of a column fold."""
    return np.where(are_held, 0.0, results * (row_folds - 1))
