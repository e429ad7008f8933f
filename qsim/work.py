"""The table of work of a quantized network, as the cost models read it."""

from hwmodels.work import LayerWork, WorkTable
from qsim.formats import Float
from qsim.network.graph import Network, Node
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
        output_bits=_stored_bits(network, node.name, precision),
        in_float=Float in (type(weights), type(precision.activations[node.inputs[0]])),
    )


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as (channels, height, width)."""
    return shape if len(shape) == 3 else (*shape, 1, 1)


def _stored_bits(network: Network, tensor: str, precision: Precision) -> int:
    """Bits in which a layer's result is stored once what follows on the accumulators is done."""
    while tensor not in precision.activations:
        if tensor == network.output:
            return 32  # results leave as accumulators
        tensor = network.readers[tensor][0].name
    return precision.activations[tensor].bits
