"""Which tensors of a network are rounded to levels, and which stay sums in the accumulator."""

from collections.abc import Set
from typing import get_args

from qsim.network.graph import INPUT, Network, Node
from qsim.network.kinds import KeepsLevels, MakesLevels
from qsim.network.layers import Add, Clipping, Flatten, Relu
from qsim.network.pointwise import FloatStep
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.roundings import RoundingRow


def rounded_tensors(
    network: Network, several: Set[str] = frozenset(), at_once: bool = False
) -> set[str]:
    """The tensors that are rounded to an activation format; the others stay in the accumulator.

    Rounded are the network's input, what a layer with products, an average pool or a batch norm of
    its own reads, what several layers read, sums of several terms (or relu of one) that anything
    but a relu reads, what tables, products of two tensors and recurrent layers read and make, what
    moves values reads, and what a max pool or a move makes of rounded tensors. The network's output
    is not rounded. A clip counts as a relu. What is computed in floating point reads what it finds.

    several   layers with products whose sums have several terms, as additions have
    at_once   whether what an addition or a flatten reads is rounded too, and an average that a max
              pool reads
    """
    rounded = {INPUT}
    if at_once:  # the values under a window are terms
        several = several | {
            n.name for n in network.nodes.values() if isinstance(n.layer, AveragePool)
        }
    for name, readers in network.readers.items():
        if name in (INPUT, network.output):
            continue
        node, reader = network.nodes[name], readers[0]
        if keeps_levels(node, rounded):
            rounded.add(name)
            continue
        carried_on_by = _carried_on_by(network, node, several)
        if at_once:
            carried_on_by = tuple(set(carried_on_by) - {Add, Flatten, FloatStep})
        if len(readers) > 1 or not isinstance(reader.layer, carried_on_by):
            rounded.add(name)
    return rounded


def _carried_on_by(network: Network, node: Node, several: Set[str]) -> tuple[type, ...]:
    """The kinds of layer that can go on with a layer's sums in the accumulator: a sum of several
    terms is rounded once, after its relu; what is bounded is not added before it is rounded."""
    if isinstance(node.layer, MakesLevels):
        return ()
    if _bound_of_sum(network, node, several):
        return (FloatStep,)
    bounds = (FloatStep, Relu, *get_args(Clipping))
    if isinstance(node.layer, Add):
        return bounds
    if node.name in several or _scaled_by_place(node):
        return (*bounds, Add)
    bounds = (*bounds, MaxPool, Flatten, *get_args(RoundingRow))
    return bounds if _is_bounded(network, node) else (*bounds, Add)


def keeps_levels(node: Node, rounded: set[str]) -> bool:
    """Whether the layer only moves levels that were rounded before, so that it rounds nothing."""
    return isinstance(node.layer, KeepsLevels) and node.inputs[0] in rounded


def _is_bounded(network: Network, node: Node) -> bool:
    """Whether the layer bounds values, or passes on what one before it has bounded."""
    if isinstance(node.layer, MaxPool | Flatten):
        source = network.nodes.get(node.inputs[0])
        return source is not None and _is_bounded(network, source)
    return isinstance(node.layer, Relu | Clipping)


def _bound_of_sum(network: Network, node: Node, several: Set[str]) -> bool:
    """Whether the layer bounds a sum of several terms, or one scaled by place."""
    source = network.nodes.get(node.inputs[0])
    if not isinstance(node.layer, Relu | Clipping) or source is None:
        return False
    return isinstance(source.layer, Add) or source.name in several or _scaled_by_place(source)


def _scaled_by_place(node: Node) -> bool:
    """Whether each place of the layer's sums has a scale of its own, as windows of unlike areas."""
    layer = node.layer
    return isinstance(layer, AveragePool) and layer.is_padded and not layer.count_padding
