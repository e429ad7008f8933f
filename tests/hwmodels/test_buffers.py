"""Buffers in blocks: against a layout block by block, and the laws of memories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga.buffers import (
    Buffer,
    buffer_blocks,
    buffer_luts,
    buffer_ultra,
    load_memories,
    lut_memory,
    memory_blocks,
    whole_blocks,
)
from hwmodels.fpga.device import load_device

ZYNQ = load_device("xc7z020")
BLOCKS = tuple(load_memories().blocks)
USES = tuple(load_memories().luts)
depths, widths = st.integers(0, 70_000), st.integers(0, 600)


def laid_out(depth, width, shapes):
    """Blocks of one shape set down until every bit of the buffer is under one, for the best shape."""
    fewest = None
    for deep, wide in shapes:
        count, bottom = 0, 0
        while bottom < depth:
            right = 0
            while right < width:
                count, right = count + 1, right + wide
            bottom += deep
        fewest = count if fewest is None else min(fewest, count)
    return fewest


@given(depths, widths, st.sampled_from(BLOCKS))
def test_blocks_are_those_of_a_layout(depth, width, block):
    shapes = load_memories().blocks[block].shapes
    assert memory_blocks(depth, width, block) == laid_out(depth, width, shapes)


@given(depths, widths, st.sampled_from(BLOCKS))
def test_blocks_hold_every_bit(depth, width, block):
    largest = max(deep * wide for deep, wide in load_memories().blocks[block].shapes)
    assert memory_blocks(depth, width, block) * largest >= depth * width


@given(st.integers(0, 3000), widths, st.sampled_from(USES))
def test_luts_hold_every_bit(depth, width, use):
    largest = 64  # bits of a LUT
    assert lut_memory(depth, width, use) * largest >= depth * width


@given(st.integers(0, 3000), widths, st.sampled_from(USES), st.sampled_from(BLOCKS))
def test_a_larger_buffer_never_needs_less(depth, width, use, block):
    for more in ((depth + 1, width), (depth, width + 1), (2 * depth, width)):
        assert memory_blocks(*more, block) >= memory_blocks(depth, width, block)
        assert lut_memory(*more, use) >= lut_memory(depth, width, use)


def needs(*args, device=ZYNQ, **given):
    """Blocks of 18 Kb, URAM and LUTs of a buffer."""
    buffer = Buffer(*args, **given)
    return buffer_blocks(buffer, device), buffer_ultra(buffer), buffer_luts(buffer, device)


@given(
    st.lists(st.tuples(depths, widths), min_size=1, max_size=5),
    st.sampled_from(USES),
    st.sampled_from(["auto", "block", "ultra", "luts"]),
)
def test_arrays_of_buffers_equal_single_ones(sizes, use, style):
    depth, width = (np.array(column) for column in zip(*sizes, strict=True))
    together = needs(depth, width, style=style, use=use)
    for index, size in enumerate(sizes):
        alone = needs(*size, style=style, use=use)
        assert [each[index] for each in together] == list(alone)


@pytest.mark.parametrize(
    ("depth", "width", "block", "count"),
    [
        (512, 36, "bram_18kb", 1),
        (512, 72, "bram_18kb", 2),  # one site of 36 Kb in its widest shape
        (1024, 36, "bram_18kb", 2),  # one site
        (1025, 36, "bram_18kb", 3),  # as 512 x 36
        (32768, 1, "bram_18kb", 2),
        (4096, 72, "uram_288kb", 1),
        (4097, 8, "uram_288kb", 2),
        (512, 40, "m20k_20kb", 1),
        (4096, 5, "m20k_20kb", 2),
        (16384, 1, "ebr_18kb", 1),
    ],
)
def test_blocks_worked_by_hand(depth, width, block, count):
    assert memory_blocks(depth, width, block) == count


@pytest.mark.parametrize(
    ("depth", "width", "use", "count"),
    [
        (32, 6, "ram", 4),
        (33, 6, "ram", 8),
        (64, 3, "ram", 4),
        (128, 3, "ram", 2 * 4 + 3),  # two banks and a choice of each bit
        (320, 3, "ram", 5 * 4 + 3 * 2),  # five banks: four to one, and that or the fifth
        (32, 2, "rom", 1),
        (64, 8, "rom", 8),
        (256, 1, "rom", 4),
        (32, 16, "queue", 16),
    ],
)
def test_luts_worked_by_hand(depth, width, use, count):
    assert lut_memory(depth, width, use) == count


def test_shallow_buffers_go_to_luts_and_others_where_they_are_sent():
    assert needs(64, 8, use="rom") == (0, 0, 8)
    assert needs(65, 8) == (1, 0, 0)
    assert needs(64, 8, style="block") == (1, 0, 0)
    assert needs(64, 8, style="ultra") == (0, 1, 0)
    assert needs(128, 3, style="luts") == (0, 0, 11)
    assert needs(600, 40, 3) == (3 * 3, 0, 0)


def test_logic_that_holds_no_memory_as_known_leaves_shallow_buffers_to_blocks():
    assert needs(64, 8, use="rom", device=load_device("arria10_gx1150")) == (1, 0, 0)


def test_two_blocks_share_a_site():
    assert whole_blocks(np.array([0, 1, 2, 3]), ZYNQ).tolist() == [0, 1, 1, 2]
    assert whole_blocks(np.array([0, 1, 2]), load_device("arria10_gx1150")).tolist() == [0, 1, 2]
