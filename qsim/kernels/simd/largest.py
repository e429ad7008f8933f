"""The largest bytes of a window of pixels, channel by channel."""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from qsim.kernels.simd.ir import I8, Loop, call, load, store, vector, zeros

LANES = 64


def largest_bytes(data, at, source, channels, rows, row, columns):
    """Write the largest of ``rows`` by ``columns`` pixels of ``channels`` bytes each.

    data      uint8
    at        where the result goes, which is no part of the window
    source    where the first pixel lies; ``row`` bytes farther the one below it
    """
    _largest_from(data, at, source, 0, channels, rows, row, columns)


@overload(largest_bytes, jit_options={"nogil": True})
def _largest_bytes(data, at, source, channels, rows, row, columns):
    def largest(data, at, source, channels, rows, row, columns):
        whole = channels - channels % LANES
        begin = data.ctypes.data
        for channel in range(0, whole, LANES):
            _largest_lanes(
                begin + at + channel, begin + source + channel, channels, rows, row, columns
            )
        _largest_from(data, at, source, whole, channels, rows, row, columns)

    return largest


@njit(nogil=True)
def _largest_from(data, at, source, first, channels, rows, row, columns):
    """The same of the channels from ``first`` on, one by one."""
    for channel in range(first, channels):
        largest = 0
        for y in range(rows):
            for x in range(columns):
                largest = max(largest, data[source + y * row + x * channels + channel])
        data[at + channel] = largest


@intrinsic
def _largest_lanes(typing, at, source, pixel, rows, row, columns):
    """The same of as many channels as a vector has lanes, on addresses."""
    bytes_ = vector(I8, LANES)

    def generate(context, builder: ir.IRBuilder, signature, arguments):
        at, source, pixel, rows, row, columns = arguments
        down = Loop(builder, rows, [source, zeros(bytes_)], "down")
        line, largest = down.carried
        along = Loop(builder, columns, [line, largest], "along")
        place, largest = along.carried
        read = load(builder, place, bytes_)
        largest = call(builder, f"llvm.umax.v{LANES}i8", bytes_, largest, read)
        along.close([builder.add(place, pixel), largest])
        down.close([builder.add(line, row), largest])
        store(builder, largest, at)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), generate
