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
class Buffer:
    """A memory of ``depth`` words of ``width`` bits, arrays that broadcast.

    count   of buffers like this one
    style   where it goes; "auto": to LUTs where it is shallow and the device has LUTs of 6 inputs,
            else to its RAM blocks
    use     what it does, which decides what LUTs hold
    """

    depth: np.ndarray | float
    width: np.ndarray | float
    count: np.ndarray | float = 1.0
    style: Style = "auto"
    use: Use = "ram"


@formula
def buffer_blocks(buffer: Buffer, device: Fpga):
    """Buffers x RAM blocks of one, of 18 Kb where two make one of the device's; none where it is
    kept elsewhere."""
    if buffer.style in ("ultra", "luts"):
        return np.zeros(np.broadcast_shapes(np.shape(buffer.depth), np.shape(buffer.width)))
    count = buffer.count * memory_blocks(buffer.depth, buffer.width, BLOCK_OF[device.ram_kind])
    if buffer.style == "block" or device.lut_kind != "lut6":
        return count
    return np.where(is_shallow(buffer.depth), 0.0, count)


@formula
def buffer_ultra(buffer: Buffer):
    """Buffers x large blocks (URAM) of one, where it is sent there."""
    if buffer.style != "ultra":
        return np.zeros(np.broadcast_shapes(np.shape(buffer.depth), np.shape(buffer.width)))
    return buffer.count * memory_blocks(buffer.depth, buffer.width, "uram_288kb")


@formula
def buffer_luts(buffer: Buffer, device: Fpga):
    """Buffers x 6-input LUTs of one, where it is kept in LUTs."""
    nothing = np.zeros(np.broadcast_shapes(np.shape(buffer.depth), np.shape(buffer.width)))
    if buffer.style in ("block", "ultra"):
        return nothing
    if buffer.style == "luts":
        return buffer.count * lut_memory(buffer.depth, buffer.width, buffer.use)
    shallow = is_shallow(buffer.depth)
    if device.lut_kind != "lut6" or not shallow.any():
        return nothing
    count = buffer.count * lut_memory(buffer.depth, buffer.width, buffer.use)
    return np.where(shallow, count, 0.0)


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
