"""Widening: the same network with more channels in every layer (WRPN, arXiv 1709.01134, section 3).

Depth, kernels and sizes of images stay. The first layer reads the input that it read before, and
the layers that make the output have as many channels as before, so that a network of L layers
grows in its first and last layer by the factor, in all others by its square.
"""

from math import floor, lcm

import msgspec

from qsim.errors import NetworkError
from qsim.network.graph import INPUT, Network, Node, replaced
from qsim.network.layers import Conv, Layer, Linear, Shape, shape_text
from qsim.network.moves import Reshape, Slice
from qsim.network.pointwise import Embedding, Offset
from qsim.network.recurrent import Recurrent


def widen(network: Network, factor: float) -> Network:
    """``network`` with ``factor`` times the channels of every convolution, linear, recurrent and
    embedding layer but those from which the output is reached through no other of them.

    The paper does not say how channels are rounded: here to the nearest integer, a half up, and 1
    at least. Convolutions in groups keep their number of groups, as the two towers of an AlexNet
    stay two, and channels are rounded to a multiple of it; depthwise ones (a group for each
    channel) stay depthwise, their number of groups growing with the channels.

    Raises NetworkError on a layer whose parameters name a number of channels that would change, or
    when branches no longer fit together.
    """
    if not 0 < factor <= 64:
        raise NetworkError(f"the factor must be more than 0 and at most 64, not {factor:g}")
    if factor == 1:
        return network
    step = lcm(*(_groups(node) for node in network.nodes.values()))
    kept = _last_weighted(network)
    shapes: dict[str, Shape] = {INPUT: tuple(network.input_shape)}
    layers = []
    for node in network.nodes.values():
        reads = tuple(shapes[name] for name in node.inputs)
        layer = _widened(node, reads, 1.0 if node.name in kept else factor, step)
        layers.append(msgspec.structs.replace(layer, inputs=node.inputs))
        try:
            shapes[node.name] = layer.output_shape(*reads)
        except NetworkError as error:
            raise NetworkError(
                f"network {network.name} cannot be widened by {factor:g}: layer {node.name!r}:"
                f" {error}"
            ) from None
    name = f"{network.name} {factor:g}x wide"
    return Network(name, network.input_shape, replaced(network, layers).layers)


def _widened(node: Node, reads: tuple[Shape, ...], factor: float, step: int) -> Layer:
    layer, replace = node.layer, msgspec.structs.replace
    match layer:
        case Conv() if _is_depthwise(node):
            each = layer.out_channels // layer.groups
            return replace(layer, groups=reads[0][0], out_channels=each * reads[0][0])
        case Conv():
            return replace(layer, out_channels=_times(layer.out_channels, factor, step))
        case Linear():
            return replace(layer, out_features=_times(layer.out_features, factor, step))
        case Recurrent():
            return replace(layer, hidden=_times(layer.hidden, factor, step))
        case Embedding():
            return replace(layer, features=_times(layer.features, factor, step))
    if reads != node.input_shapes:
        _check_free(node, reads)
    return layer


def _check_free(node: Node, reads: tuple[Shape, ...]) -> None:
    """Refuse a layer whose parameters say how many channels it reads."""
    layer, before, after = node.layer, node.input_shapes[0], reads[0]
    fixed = isinstance(layer, Reshape | Offset)
    if isinstance(layer, Slice):
        fixed = before[layer.axis] != after[layer.axis]
    if fixed:
        kind = type(layer).__name__.lower()
        raise NetworkError(
            f"{kind} layer {node.name!r} is made for {shape_text(before)} and cannot read"
            f" {shape_text(after)}; networks with such a layer cannot be widened"
        )


def _times(channels: int, factor: float, step: int) -> int:
    """``channels`` times ``factor``, as a multiple of ``step`` where they are one."""
    if factor == 1 or channels % step:
        step = 1
    return max(floor(channels * factor / step + 0.5), 1) * step


def _groups(node: Node) -> int:
    """How many groups of channels a convolution keeps."""
    return 1 if _is_depthwise(node) or not isinstance(node.layer, Conv) else node.layer.groups


def _is_depthwise(node: Node) -> bool:
    layer = node.layer
    return isinstance(layer, Conv) and layer.groups == node.input_shapes[0][0] > 1


def _last_weighted(network: Network) -> set[str]:
    """The layers of weights from which the output is reached through no other, by name; a depthwise
    convolution, which follows what it reads, is none."""
    last, waiting, seen = set(), [network.output], set()
    while waiting:
        name = waiting.pop()
        if name == INPUT or name in seen:
            continue
        seen.add(name)
        node = network.nodes[name]
        weighted = isinstance(node.layer, Conv | Linear | Recurrent | Embedding)
        if weighted and not _is_depthwise(node):
            last.add(name)
        else:
            waiting += node.inputs
    return last
