"""Matrix products cut into tiles: waves of them over the SMs, and what they read from the L2.

Of a list of tiles the one is taken whose computing and reading last least, as a library of kernels
does. The depth is not split between SMs, so that a small product leaves SMs idle. Arrays have the
tiles as their last axis, and the layers before it.
Source of tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide (DU-09799-001),
sections 2.3 and 3.
"""

from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.gpu.device import Gpu

SIDES = ((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64))

TILE_ROWS, TILE_COLUMNS = np.array(SIDES, np.float64).T


@dataclass(frozen=True)
class Products:
    """Matrix products of every layer, with the layers as last axis.

    rows, columns, depth   of one product; rows are positions of all images at a time
    count                  products side by side, of groups
    repeats                how often they follow one another, as steps of a state do
    row_bits, column_bits  of the operands as they are read
    """

    rows: np.ndarray
    columns: np.ndarray
    depth: np.ndarray
    count: np.ndarray
    repeats: np.ndarray
    row_bits: np.ndarray
    column_bits: np.ndarray


@formula
def waves(products: Products, device: Gpu):
    """Tiles of all products / SMs, rounded up: of every choice of a tile."""
    tiles = np.ceil(products.rows[..., None] / TILE_ROWS)
    tiles = tiles * np.ceil(products.columns[..., None] / TILE_COLUMNS)
    return np.ceil(tiles * products.count[..., None] / read(device, "sms"))


@formula
def tiles_compute_s(products: Products, wave_count, fma_per_sm_s, fraction):
    """Waves x rows x columns of a tile x depth / (share reached x multiply-adds per SM), of every
    choice."""
    macs = TILE_ROWS * TILE_COLUMNS * (products.depth * products.repeats)[..., None]
    return wave_count * macs / (fma_per_sm_s * fraction)[..., None]


@formula
def tiles_l2_s(products: Products, wave_count, device: Gpu, clock_hz):
    """Waves x bytes of a tile's operands / an SM's share of the L2's rate, of every choice."""
    operands = TILE_ROWS * products.row_bits[..., None]
    operands = (operands + TILE_COLUMNS * products.column_bits[..., None]) / 8
    moved = operands * (products.depth * products.repeats)[..., None]
    per_sm = read(device, "l2_bytes_per_cycle") * clock_hz / read(device, "sms")
    return wave_count * moved / per_sm


def best_tile(compute_s: np.ndarray, l2_s: np.ndarray) -> np.ndarray:
    """The choice that lasts least, an index with a last axis of 1."""
    lasts = np.maximum(compute_s, l2_s)
    return np.nanargmin(np.where(np.isnan(lasts), np.inf, lasts), axis=-1)[..., None]


@formula
def of_tile(values, choice):
    """The time of the tile that lasts least, of each layer."""
    return np.take_along_axis(values, choice, axis=-1)[..., 0]
