"""Cycles of a spatial array of processing elements: each layer as matrix products, fold by fold.

An array of ``rows`` x ``columns`` multiplies (positions x depth) by (depth x out-channels). What
stays in the elements names the dataflow; a product larger than the array is cut into folds, which
follow one another without overlap, and a fold passes through the whole array even where it fills
only part of it.

Groups follow one another, each a product of its own: a depthwise layer fills one column of a
weight- or output-stationary array. So do the steps of a state, of which each waits for the one
before it, and the products of two tensors of a batch. FPGA and ASIC models share these counts.

Source: SCALE-Sim v3 (arXiv 2504.15377; scalesim 3.0.0, scalesim/compute/systolic_compute_ws.py,
_os.py and _is.py), whose compute cycles without stalls these are. It counts from cycle 0 and prints
the last, which is why a layer has one cycle less than it occupies the array.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwmodels.explain import formula
from hwmodels.work import WorkTable

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]


@dataclass(frozen=True)
class MatrixProducts:
    """The matrix products of each layer, arrays that broadcast to (..., layers).

    repeats      products that follow one another
    depth        products of one sum
    channels     output channels of one product
    positions    output positions of one product
    """

    repeats: np.ndarray
    depth: np.ndarray
    channels: np.ndarray
    positions: np.ndarray


def matrix_products(work: WorkTable, images: np.ndarray | int = 1) -> MatrixProducts:
    """The products of ``work`` for so many images at once, a number or an array of designs.

    Images share weights and so lengthen the positions of a product; a product of two tensors is
    another one for each image.
    """
    batch = np.asarray(images, np.float64)[..., None]
    of_tensors = np.array([layer.kind == "matmul" for layer in work.layers])
    groups, sequential = work.column("groups"), work.column("sequential")
    return MatrixProducts(
        repeats=groups * sequential * np.where(of_tensors, batch, 1.0),
        depth=work.column("depth").astype(np.float64),
        channels=work.column("out_channels") / groups,
        positions=work.column("positions") / sequential * np.where(of_tensors, 1.0, batch),
    )


def element_products(products: MatrixProducts, of_one, passes) -> MatrixProducts:
    """The products as processing elements see them: those that one element adds up in a cycle,
    ``of_one``, are one; bits that are serial make ``passes`` of their own."""
    return MatrixProducts(
        repeats=products.repeats * passes,
        depth=np.ceil(products.depth / of_one),
        channels=products.channels,
        positions=products.positions,
    )


@dataclass(frozen=True)
class Folds:
    """How products are cut: pieces along the array's rows and columns, arrays (..., layers).

    streamed   values that pass through the array during one fold
    """

    along_rows: np.ndarray
    along_columns: np.ndarray
    streamed: np.ndarray


def folds(products: MatrixProducts, rows, columns, dataflow: Dataflow) -> Folds:
    """How ``products`` are cut on an array; ``rows`` and ``columns`` broadcast with the layers.

    Raises ValueError on an unknown dataflow.
    """
    down, across, streamed = {
        "weight_stationary": (products.depth, products.channels, products.positions),
        "output_stationary": (products.positions, products.channels, products.depth),
        "input_stationary": (products.depth, products.positions, products.channels),
    }[_known(dataflow)]
    return Folds(np.ceil(down / rows), np.ceil(across / columns), streamed)


def _known(dataflow: str) -> str:
    names = Dataflow.__args__
    if dataflow not in names:
        raise ValueError(f"unknown dataflow {dataflow!r}; known are: {', '.join(names)}")
    return dataflow


@formula
def layer_array_cycles(products: MatrixProducts, rows, columns, dataflow: Dataflow, tiles=1.0):
    """Folds x cycles of a fold - 1, of each layer: SCALE-Sim's count of compute cycles.

    rows, columns   of the array, broadcasting with (..., layers)
    tiles           parts that the streamed values of a fold pass in, each with the operand that
                    stays shifted in anew; SCALE-Sim has one
    """
    cut = folds(products, rows, columns, dataflow)
    count = fold_count(products.repeats, cut.along_rows, cut.along_columns)
    if dataflow == "output_stationary":
        return count * output_fold_cycles(rows, columns, cut.streamed) - 1
    return count * stationary_fold_cycles(rows, columns, cut.streamed, tiles) - 1


@formula
def fold_count(repeats, along_rows, along_columns):
    """Products x pieces along the rows x pieces along the columns."""
    return repeats * along_rows * along_columns


@formula
def stationary_fold_cycles(rows, columns, streamed, tiles):
    """Tiles x (2 x rows + columns - 2) + streamed values: the operand that stays is shifted in row
    by row, then each value of the other takes the rows and columns of the array to reach its last
    element."""
    return tiles * (2 * rows + columns - 2) + streamed


@formula
def output_fold_cycles(rows, columns, streamed):
    """Rows + columns + streamed values - 2: both operands pass, and the last element of the array
    sees its first after rows + columns - 2 cycles; results leave as they are finished."""
    return rows + columns + streamed - 2
