"""Where the values lie that a value was made of: windows, moves, parts of a concatenation."""

import numpy as np

from qsim.network.graph import Node
from qsim.network.layers import Side, border, pair
from qsim.network.moves import Slice, Transpose, Upsample
from qsim.values import Element, Levels, Sums, element, shape_of


def source_of(node: Node, place: tuple[int, ...]) -> tuple[int, ...]:
    """Where in what it reads a layer that moves values finds the value of a place."""
    match node.layer:
        case Transpose(order=order):
            return tuple(place[order.index(axis)] for axis in range(len(order)))
        case Slice(axis=axis, start=start, step=step):
            return (*place[:axis], start + place[axis] * step, *place[axis + 1 :])
        case Upsample(factor=factor):
            height, width = pair(factor)
            return (place[0], place[1] // height, place[2] // width)
    flat = int(np.ravel_multi_index(place, node.output_shape))
    return tuple(int(i) for i in np.unravel_index(flat, node.input_shapes[0]))


def part_of(inputs: list[Levels], at: tuple[int, ...], axis: int) -> Element:
    """The value of a concatenation along an axis, from the tensor that it is of."""
    place = at[axis]
    for x in inputs:
        if place < x.levels.shape[axis]:
            break
        place -= x.levels.shape[axis]
    return element(x, (*at[:axis], place, *at[axis + 1 :]))


def window_of(
    x: Levels | Sums, kernel: Side, stride: Side | None, padding, at: tuple[int, ...]
) -> list[Element]:
    """Every value under a window, without those in the padding."""
    image, channel, *position = at
    places = places_under(shape_of(x)[2:], kernel, stride, padding, position)
    return [element(x, (image, channel, *place)) for place in places]


def levels_under(x: Levels, kernel, stride, edges, at: tuple[int, ...]) -> list[int]:
    """Every level under a window, row by row, 0 in the padding."""
    image, channel, *position = at
    first = [position[i] * stride[i] - edges[i] for i in (0, 1)]
    levels = []
    for y in range(first[0], first[0] + kernel[0]):
        for z in range(first[1], first[1] + kernel[1]):
            inside = 0 <= y < x.levels.shape[2] and 0 <= z < x.levels.shape[3]
            levels.append(int(x.levels[image, channel, y, z]) if inside else 0)
    return levels


def places_under(
    sides, kernel: Side, stride: Side | None, padding, position
) -> list[tuple[int, int]]:
    """The places under a pool's window, without those in the padding."""
    top, left, _, _ = border(padding)
    (height, width), (step_h, step_w) = pair(kernel), pair(stride or kernel)
    first_row, first_column = position[0] * step_h - top, position[1] * step_w - left
    rows, columns = range(first_row, first_row + height), range(first_column, first_column + width)
    return [(y, z) for y in rows for z in columns if 0 <= y < sides[0] and 0 <= z < sides[1]]
