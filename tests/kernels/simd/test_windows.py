import naive
import numpy as np
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.simd.windows import Windows, in_whole_tiles, pixels_of


@given(strategies.geometry(), st.integers(1, 4), st.tuples(*[st.integers(0, 2)] * 4), st.booleans())
def test_windows_are_those_that_the_naive_convolution_reads(geometry, pixel, wider, apart):
    kernel, sides, arguments = geometry
    windows = Windows(sides, kernel, **arguments)
    border = tuple(map(sum, zip(windows.padding, wider, strict=True)))
    runs, pixels = windows.runs(pixel, border, apart=apart)
    assert not apart or pixels == 1
    pattern, taps = windows.patterns()
    reads = {
        (*output[2:], *weight[2:]): None if read is None else read[2:]
        for output, weight, read in naive.conv_reads(
            (1, 1, *sides), (1, 1, *kernel), **arguments, groups=1
        )
    }
    places = (
        windows.rows(pixel, border).reshape(-1, 1, 1) + runs[:, None] + pixel * np.arange(pixels)
    ).reshape(*windows.out, *kernel)
    assert len(reads) == places.size
    inside = pixels_of(sides, border, pixel).reshape(sides)
    inside_taps = taps[pattern].reshape(places.shape)
    for at, read in reads.items():
        assert inside_taps[at] == (read is not None)
        if read is not None:
            assert places[at] == inside[read]


@given(st.integers(0, 7), st.integers(1, 4))
def test_a_table_ends_in_its_last_position_up_to_a_whole_tile(count, rows):
    table = in_whole_tiles(np.arange(count), rows)
    assert len(table) % rows == 0
    assert len(table) < count + rows
    assert table.tolist() == [min(m, count - 1) for m in range(len(table))]
