"""Steps on planes of bits as a compiled program runs them, and levels of counts."""

import numpy as np
import pytest
from bit_operands import ALL_TILES
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit

from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.barrier import alone
from qsim.kernels.simd.bit_program import step_of_bits
from qsim.kernels.simd.bit_tiles import TILES, BitLimits, BitWrites, levels_of_counts, literal
from qsim.kernels.simd.host import available
from qsim.kernels.simd.tag import Tag

BACKENDS = ["plain"] if config.DISABLE_JIT else sorted({available()[0], "plain"})


@njit
def run(backend, steps, constants, memory, team):
    """All steps, one after another."""
    for number in range(len(steps)):
        step_of_bits(backend, steps[number], constants, memory, team)


@njit
def levels(tile, planes, first, panel, limits, writes, counts):
    levels_of_counts(tile, planes, first, panel, limits, writes, counts)


def constants(tables, octets):
    empty = {name: np.zeros(0, kind) for name, kind in codes.COLUMN_TYPES._asdict().items()}
    nothing = {name: np.zeros(0, np.int32) for name in codes.Constants._fields}
    nothing |= {
        "tables": tables, "octets": octets, "columns": codes.Columns(**empty),
        "panels": np.zeros(0, np.uint32),
    }  # fmt: skip
    return codes.Constants(**nothing)


def memory(data, planes):
    nothing = {name: np.zeros(0, np.int32) for name in codes.Memory._fields}
    return codes.Memory(
        **nothing | {"data": data, "planes": planes, "counts": np.zeros((1, 1), np.int32)}
    )


def steps(*rows):
    table = np.zeros(len(rows), codes.STEP)
    for row, fields in zip(table, rows, strict=True):
        for name, value in fields.items():
            row[name] = value
    return table


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    st.data(), st.integers(1, 3), st.integers(1, 130), st.integers(1, 5), st.sampled_from([1, 2])
)
def test_bytes_are_packed_and_unpacked(backend, data, bits, channels, pixels, step):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    source = step * rng.integers(0, 2**bits, (pixels, channels))
    width = -(-channels // 64) * 2
    octets = np.array([[0, step << j] for j in range(bits)], np.uint8).reshape(-1)
    begin = pixels * channels  # of the bytes that are made of planes again
    rows = [channels * np.arange(pixels), 1 + width * np.arange(pixels)]
    tables = np.concatenate([*rows, begin + rows[0], [0, 1]])
    plane = width * pixels + 1  # its first word is a border
    fields = {"positions": pixels, "channels": channels, "planes": bits, "factor": step}
    both = steps(
        {**fields, "kind": codes.PACK_BITS, "out_rows": pixels, "out_plane": plane,
         "n_octets": 2 * bits, "word_fills": 3 * pixels, "n_word_fills": 1},
        {**fields, "kind": codes.UNPACK_BITS, "rows": pixels, "out_rows": 2 * pixels,
         "source_plane": plane},
    )  # fmt: skip
    held = np.full(2 * begin, 255, np.uint8)
    held[:begin] = source.reshape(-1)
    planes = np.full(bits * plane, 0xA5A5A5A5, np.uint32)
    run(Tag(backend), both, constants(tables, octets), memory(held, planes), alone())
    assert np.array_equal(held[begin:].reshape(source.shape), source)
    assert planes[0] == 0
    for j in range(bits):
        words = planes[j * plane + 1 : (j + 1) * plane].reshape(pixels, width)
        found = [[int(w) >> n & 1 for w in row for n in range(32)] for row in words]
        wanted = np.pad(source // step >> j & 1, ((0, 0), (0, 32 * width - channels)))
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@given(st.data())
def test_a_pool_of_signs_is_the_largest_under_each_window(backend, data):
    side = st.integers(1, 4)
    height, width, kernel_h, kernel_w, stride_h, stride_w = (data.draw(side) for _ in range(6))
    top, left = (data.draw(st.integers(0, kernel - 1)) for kernel in (kernel_h, kernel_w))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = rng.integers(0, 2**32, (height, width, 2), np.uint32)
    words &= rng.integers(0, 2**32, words.shape, np.uint32)
    ys, xs = range(-top, height, stride_h), range(-left, width, stride_w)
    out = words.size + 2 * np.arange(len(ys) * len(xs))
    step = steps(
        {"kind": codes.POOL_BITS, "positions": out.size, "channels": 2, "source_row": 2 * width,
         "height": height, "width": width, "kernel_h": kernel_h, "kernel_w": kernel_w,
         "stride_h": stride_h, "stride_w": stride_w, "top": top, "left": left,
         "out_width": len(xs)}
    )  # fmt: skip
    planes = np.concatenate([words.reshape(-1), np.full(2 * out.size, 0xA5A5A5A5, np.uint32)])
    nothing = np.zeros(0, np.uint8)
    run(Tag(backend), step, constants(out, nothing), memory(nothing, planes), alone())
    places, made = [(y, x) for y in ys for x in xs], planes[out[0] :].reshape(-1, 2)
    for (y, x), found in zip(places, made, strict=True):
        window = words[max(y, 0) : y + kernel_h, max(x, 0) : x + kernel_w].reshape(-1, 2)
        assert np.array_equal(found, np.bitwise_or.reduce(window, axis=0))


@pytest.mark.parametrize("tile", ALL_TILES)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_levels_of_counts_are_the_limits_that_they_do_not_exceed(tile, seed, thresholds):
    shape, rng = TILES[tile], np.random.default_rng(seed)
    rows, width, panels = shape.rows, shape.channels, 2
    channels, patterns = panels * width, 3
    counts = rng.integers(0, 9, (rows, width)).astype(np.int32)
    limits = np.sort(rng.integers(-1, 9, (patterns, thresholds, channels)), axis=1)[:, ::-1]
    flips = rng.random(channels) < 0.5
    limits[..., flips] = limits[:, ::-1][..., flips]  # so that as many are reached in order
    pattern = rng.integers(0, patterns, rows)
    octets, planes = channels // 8, 1 if thresholds == 1 else 2
    written = np.full(planes * rows * octets, 0xA5, np.uint8)
    compared = BitLimits(
        np.ascontiguousarray(limits, np.int32).reshape(-1), pattern * thresholds * channels,
        channels, np.packbits(flips, bitorder="little"),
    )  # fmt: skip
    writes = BitWrites(written, octets * np.arange(rows), rows * octets)
    for panel in range(panels):
        levels(literal(tile), literal(str(planes)), 0, panel, compared, writes, counts)
    bits = np.unpackbits(written.reshape(planes, rows, octets), axis=2, bitorder="little")
    found = sum(bits[j].astype(int) << j for j in range(planes))
    for row in range(rows):
        for channel in range(channels):
            reached = counts[row, channel % width] <= limits[pattern[row], :, channel]
            assert found[row, channel] == (reached != flips[channel]).sum()
