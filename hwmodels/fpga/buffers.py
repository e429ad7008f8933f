"""On-chip buffers in blocks of memory and in LUTs, with whole ports and whole depths.

A buffer of ``depth`` words of ``width`` bits is laid out in blocks of one shape, side by side for
the width and one above the other for the depth; the shape that needs the fewest is taken. Blocks of
18 Kb are counted, two of which share a site of 36 Kb. Every formula takes arrays that broadcast; a
buffer without words or bits needs nothing.

Source: hwmodels/technologies/fpga_memories.yaml, which names the vendors' documents.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import formula, read_figure
from hwmodels.fpga.device import Fpga, RamKind
from hwmodels.provenance import HERE, Figure, Status

FILE = "technologies/fpga_memories.yaml"
Block = Literal["bram_18kb", "uram_288kb", "m20k_20kb", "ebr_18kb"]
Use = Literal["ram", "rom", "queue"]
Style = Literal["auto", "block", "ultra", "luts"]
BLOCK_OF: dict[RamKind, Block] = {
    "bram_36kb": "bram_18kb",
    "m20k_20kb": "m20k_20kb",
    "ebr_18kb": "ebr_18kb",
}


class BlockMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of block: its shapes as (depth, width)."""

    shapes: tuple[tuple[int, int], ...]
    status: Status
    source: str


class LutCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a few LUTs hold together."""

    depth: int
    width: int
    luts: int


class LutMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ways of using LUTs as memory of one kind."""

    cells: tuple[LutCell, ...]
    status: Status
    source: str


class Memories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All kinds of memory, and up to which depth a buffer is kept in LUTs."""

    blocks: dict[Block, BlockMemory]
    luts: dict[Use, LutMemory]
    deepest_in_luts: Figure


@cache
def load_memories() -> Memories:
    """The kinds of memory, from ``technologies/fpga_memories.yaml``."""
    return read_document(HERE / FILE, Memories)


@dataclass(frozen=True)
class Storage:
    """What buffers need: blocks of the device's block memory (of 18 Kb on AMD's devices), large
    blocks (URAM), and LUTs. Arrays that broadcast."""

    blocks: np.ndarray | float
    ultra: np.ndarray | float
    luts: np.ndarray | float

    def __add__(self, other: "Storage") -> "Storage":
        return Storage(self.blocks + other.blocks, self.ultra + other.ultra, self.luts + other.luts)

    def times(self, count: np.ndarray | float) -> "Storage":
        """So many buffers like this one."""
        return Storage(self.blocks * count, self.ultra * count, self.luts * count)


def stored(depth, width, device: Fpga, *, style: Style = "auto", use: Use = "ram") -> Storage:
    """What a buffer of ``depth`` words of ``width`` bits needs in ``device``.

    style   where it goes; "auto": to LUTs where it is shallow and the device has LUTs of 6 inputs,
            else to its RAM blocks
    use     what it does, which decides what LUTs hold
    """
    in_blocks = memory_blocks(depth, width, BLOCK_OF[device.ram_kind])
    nothing = np.zeros(np.shape(in_blocks))
    if style == "ultra":
        return Storage(nothing, memory_blocks(depth, width, "uram_288kb"), nothing)
    if style == "luts":
        return Storage(nothing, nothing, lut_memory(depth, width, use))
    if style == "block" or device.lut_kind != "lut6":
        return Storage(in_blocks, nothing, nothing)
    shallow, in_luts = is_shallow(depth), lut_memory(depth, width, use)
    return Storage(np.where(shallow, 0.0, in_blocks), nothing, np.where(shallow, in_luts, 0.0))


@formula
def memory_blocks(depth, width, block: Block):
    """Blocks along the depth x blocks along the width, of the shape that needs the fewest."""
    shapes = load_memories().blocks[block].shapes
    counts = [np.ceil(depth / deep) * np.ceil(width / wide) for deep, wide in shapes]
    return np.minimum.reduce(np.broadcast_arrays(*counts))


@formula
def lut_memory(depth, width, use: Use):
    """LUTs of the cells along the depth and the width, and of the multiplexers of 4 to 1 between
    those along the depth; of the cells that need the fewest."""
    counts = [lut_memory_of(depth, width, cell) for cell in load_memories().luts[use].cells]
    return np.minimum.reduce(np.broadcast_arrays(*counts))


def lut_memory_of(depth, width, cell: LutCell) -> np.ndarray:
    """LUTs of a memory made of one kind of cell."""
    banks = np.ceil(depth / cell.depth)
    # a tree of multiplexers, each of which leaves 3 fewer to choose from
    multiplexers = width * np.ceil(np.maximum(banks - 1, 0) / 3)
    return cell.luts * banks * np.ceil(width / cell.width) + multiplexers


@formula
def is_shallow(depth):
    """Whether a buffer is kept in LUTs: no deeper than the deepest that is."""
    limit = read_figure(
        load_memories().deepest_in_luts, "deepest_in_luts", where=f"hwmodels/{FILE}"
    )
    return depth <= limit


@formula
def whole_blocks(blocks, device: Fpga):
    """Blocks, of those of 18 Kb two in a site of 36 Kb, in whole blocks that the device counts."""
    return np.ceil(blocks / 2) if device.ram_kind == "bram_36kb" else np.ceil(blocks)
