"""The table of work of a quantized network, as the cost models read it."""

from math import prod

from hwmodels.work import LayerWork, Step, WorkTable
from qsim.formats import Facts, Float
from qsim.network.graph import INPUT, Network, Node
from qsim.network.layers import Add, MatMul, Shape
from qsim.precision import Precision


def work_table(network: Network, precision: Precision) -> WorkTable:
    """The work of a network (batch norms folded) at a precision. Float operands count 32 bits."""
    layers: list[LayerWork] = []
    for node in network.nodes.values():
        if node.has_products:
            layers.append(_product(network, node, precision))
        elif isinstance(node.layer, MatMul):
            layers.append(_product_of_tensors(network, node, precision))
        elif node.is_recurrent:
            layers += _recurrent(network, node, precision)
    return WorkTable(tuple(layers), _steps(network, precision, fused=True))


def training_steps(network: Network, precision: Precision) -> tuple[Step, ...]:
    """The steps of a network as it is trained: batch norms apart, every tensor stored; those that
    are rounded have the bits of their format, the others 32."""
    return _steps(network, precision, fused=False)


def _product(network: Network, node: Node, precision: Precision) -> LayerWork:
    shape = node.parameters["weight"]
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
        **_weights(precision.weights[node.name], shape[0]),
        **_activations(precision.activations[node.inputs[0]]),
        **_stored(network, node.name, precision),
    )


def _product_of_tensors(network: Network, node: Node, precision: Precision) -> LayerWork:
    """A product of two tensors of (batch, rows, depth) and (batch, depth, columns)."""
    *batch, rows, depth = node.input_shapes[0]
    groups, columns = prod(batch), node.output_shape[-1]
    first, second = (precision.activations[name] for name in node.inputs)
    return LayerWork(
        name=node.name,
        kind="matmul",
        in_channels=groups * depth,
        out_channels=groups * columns,
        groups=groups,
        **_rows_one_by_one(rows),
        rows_multiply=groups * columns,
        rows_shift_add=0,
        multiplied_as="float" if isinstance(second, Float) else "fixed",
        weight_bits=second.bits,
        **_activations(first),
        **_stored(network, node.name, precision),
    )


def _recurrent(network: Network, node: Node, precision: Precision) -> list[LayerWork]:
    """The products of the input, of all steps at once, and those of the state, step by step."""
    steps, works = node.output_shape[0], []
    for product in node.step_products:
        rows, depth = product.parameters["weight"]
        of_state = product.inputs[0] == node.name
        state = {"activation_bits": node.layer.hidden_bits, "activation_scheme": "signed"}
        sums = {"stored_values": 0, "stored_bits": 32}  # they meet in the gates
        work = LayerWork(
            name=product.name,
            kind="recurrent",
            in_channels=depth,
            out_channels=rows,
            groups=1,
            **_rows_one_by_one(steps),
            **_weights(precision.weights[node.name], rows),
            **(state if of_state else _activations(precision.activations[product.inputs[0]])),
            **(_stored(network, node.name, precision) if of_state else sums),
            sequential=steps if of_state else 1,
        )
        works.append(work)
    return works


def _rows_one_by_one(rows: int) -> dict[str, int]:
    """The geometry of a product of ``rows`` rows as a convolution of 1 x 1."""
    sides = {"in_h": rows, "in_w": 1, "out_h": rows, "out_w": 1}
    return {"kernel_h": 1, "kernel_w": 1, **sides}


def _weights(number: Facts, rows: int) -> dict[str, int | str]:
    """Which rows are multiplied and which shifted, and as what."""
    split = number.rows_by_datapath(rows)
    shifts = number.scheme in ("sp2", "power_of_two")
    return {
        "rows_multiply": split["multiply"],
        "rows_shift_add": split["shift_add"],
        "multiplied_as": "fixed" if shifts else number.scheme,
        "shifted_as": number.scheme if shifts else "sp2",
        "weight_bits": number.bits,
    }


def _activations(number: Facts) -> dict[str, int | str]:
    named = {"float": "float", "binary": "plus_minus_one"}
    scheme = named.get(number.scheme, "signed" if number.signed else "unsigned")
    return {"activation_bits": number.bits, "activation_scheme": scheme}


def _image(shape: Shape) -> Shape:
    """A shape as (channels, height, width); tokens of features are as high as there are tokens."""
    if len(shape) == 2:
        return (shape[1], shape[0], 1)
    return shape if len(shape) == 3 else (*shape, 1, 1)


def _steps(network: Network, precision: Precision, *, fused: bool) -> tuple[Step, ...]:
    """The network's input and layers; where ``fused``, only what is rounded, and the result, are
    stored."""
    result = network.output
    steps = [_step(INPUT, network.input_shape, precision, stored=True)]
    for node in network.nodes.values():
        stored = not fused or node.name in precision.activations or node.name == result
        steps.append(_step(node.name, node.output_shape, precision, stored=stored, node=node))
    return tuple(steps)


def _step(
    name: str, shape: Shape, precision: Precision, *, stored: bool, node: Node | None = None
) -> Step:
    number = precision.activations.get(name)
    return Step(
        name=name,
        kind=node.layer.__struct_config__.tag if node else "input",
        reads=node.inputs if node else (),
        values=prod(shape),
        bits=number.bits if number else 32,
        is_stored=stored,
        **(_trained(node, precision) if node else {}),
    )


def _trained(node: Node, precision: Precision) -> dict[str, int]:
    """What a layer has of parameters and weights, and its multiply-accumulates."""
    shapes = node.parameters
    number = precision.weights.get(node.name)
    weights = [shape for name, shape in shapes.items() if number and name.startswith("weight")]
    return {
        "parameters": sum(prod(shape) for shape in shapes.values()),
        "weights": sum(prod(shape) for shape in weights),
        "weight_bits": number.bits if number else 32,
        "rows": sum(shape[0] for shape in weights),
        "macs": node.macs,
    }


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
