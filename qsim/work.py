"""The table of work of a quantized network, as the cost models read it."""

from math import prod

from hwmodels.work import LayerWork, WorkTable
from qsim.formats import Float
from qsim.network.graph import Network, Node
from qsim.network.layers import Add
from qsim.precision import Precision


def work_table(network: Network, precision: Precision) -> WorkTable:
    """The work of a network (batch norms folded) at a precision. Float operands count 32 bits."""
    return WorkTable(tuple(_layer_work(network, node, precision) for node in network.product_nodes))


def _layer_work(network: Network, node: Node, precision: Precision) -> LayerWork:
    weights = precision.weights[node.name]
    shape = node.parameters["weight"]
    rows = weights.rows_by_datapath(shape[0])
    image_in, image_out = _image(node.input_shapes[0]), _image(node.output_shape)
    return LayerWork(
        name=node.name,
        kind="conv" if len(shape) == 4 else "linear",
        in_channels=image_in[0],
        out_channels=shape[0],
        kernel_h=_image(shape[1:])[1],
        kernel_w=_image(shape[1:])[2],
        groups=getattr(node.layer, "groups", 1),
        in_h=image_in[1],
        in_w=image_in[2],
        out_h=image_out[1],
        out_w=image_out[2],
        rows_multiply=rows["multiply"],
        rows_shift_add=rows["shift_add"],
        weight_bits=weights.bits,
        activation_bits=precision.activations[node.inputs[0]].bits,
        **_stored(network, node.name, precision),
        in_float=Float in (type(weights), type(precision.activations[node.inputs[0]])),
    )


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as (channels, height, width); tokens of features are as high as there are tokens."""
    if len(shape) == 2:
        return (shape[1], shape[0], 1)
    return shape if len(shape) == 3 else (*shape, 1, 1)


def _stored(network: Network, name: str, precision: Precision) -> dict[str, int]:
    """What is stored of a layer's result once what follows on the accumulators is done: its values,
    their bits, and the values that are added to it.

    A layer whose result is added to another's is stored at the width of the sum; the last of the
    layers that meet in an addition adds, and reads what the others stored.
    """
    tensor, added = name, 0
    while tensor not in precision.activations and tensor != network.output:
        reader = network.readers[tensor][0]
        if isinstance(reader.layer, Add):
            others = [other for other in reader.inputs if other != tensor]
            if any(_made_later(network, other, tensor) for other in others):
                break
            added += sum(prod(reader.output_shape) for _ in others)
        tensor = reader.name
    values = prod(network.nodes[tensor].output_shape)
    while tensor not in precision.activations and tensor != network.output:
        tensor = network.readers[tensor][0].name
    number = precision.activations.get(tensor)
    bits = number.bits if number else 32  # the network's result leaves as accumulators
    return {"stored_values": values, "stored_bits": bits, "added_values": added}


def _made_later(network: Network, one: str, other: str) -> bool:
    order = list(network.nodes)
    return one in order and order.index(one) > order.index(other)
