"""LSTM and GRU over a sequence, from states of 0."""

import numpy as np

from qsim.network.recurrent import Gru, Lstm
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value
from qsim.onnx_reader.shapes import cut

ORDERS = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}  # torch's gates among ONNX's: iofc, zrh
KINDS = {"LSTM": Lstm, "GRU": Gru}
USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}


def recurrent(low: Lowering, node: OnnxNode) -> list[Value | None]:
    """All hidden states, and the last one; an LSTM's cell state is not read."""
    _check(low, node)
    x = low.value(node)
    if len(x.shape) != 3 or x.batch not in (None, 1):
        raise low.refusal(node, "its images do not lie along the axis of the batch")
    if x.batch is None:
        if x.shape[1] != 1:
            raise low.refusal(node, "its input has no axis of images")
        x = low.reshape(node, x, x.shape, 1)
    hidden = node.attributes["hidden_size"]
    layer = KINDS[node.kind](
        name=low.name_for(node), inputs=(x.layer,), hidden=hidden, bias=low.has(node, 3)
    )
    low.add(node, layer, _arrays(low, node, hidden, x.own[1]))
    count, images = x.own[0], x.shape[1]
    every = Value(layer.name, (count, images, hidden), 1)
    read = [low.is_read(name) for name in node.outputs]
    made = low.reshape(node, every, (count, 1, images, hidden), 2) if read[0] else None
    last = cut(low, node, every, 0, range(count - 1, count)) if any(read[1:2]) else None
    return [made, last, None][: len(node.outputs)]


def _check(low: Lowering, node: OnnxNode) -> None:
    given = node.attributes
    if given.get("direction", "forward") != "forward":
        raise low.refusal(node, f"direction {given['direction']} is not read; forward is")
    if tuple(given.get("activations") or USUAL[node.kind]) != USUAL[node.kind]:
        raise low.refusal(node, "other activations than sigmoid and tanh are not read")
    if given.get("clip") or given.get("input_forget"):
        raise low.refusal(node, "clipped or coupled gates are not read")
    if node.kind == "GRU" and not given.get("linear_before_reset"):
        raise low.refusal(
            node, "a reset gate before the product (linear_before_reset 0) is not read"
        )
    if given.get("layout"):
        raise low.refusal(node, "sequences with the batch first (layout 1) are not read")
    for place in (5, 6, 7):
        if low.has(node, place) and low.constant(node, place).any():
            raise low.refusal(node, "states that do not begin at 0, or peepholes, are not read")
    if low.has(node, 4) and (low.constant(node, 4) != low.value(node).shape[0]).any():
        raise low.refusal(node, "sequences that end before the last step are not read")


def _arrays(low: Lowering, node: OnnxNode, hidden: int, features: int) -> dict[str, np.ndarray]:
    """The weights in torch's order of gates."""
    order = ORDERS[node.kind]
    gates = len(order)

    def turned(array: np.ndarray) -> np.ndarray:
        parts = array.reshape(gates, hidden, -1)
        return parts[list(order)].reshape(gates * hidden, -1)

    w, r = low.reals(node, 1), low.reals(node, 2)
    if w.shape != (1, gates * hidden, features) or r.shape != (1, gates * hidden, hidden):
        raise low.refusal(node, f"weights of shapes {w.shape} and {r.shape} do not fit it")
    arrays = {"weight_ih": turned(w[0]), "weight_hh": turned(r[0])}
    if low.has(node, 3):
        bias = low.reals(node, 3)
        if bias.shape != (1, 2 * gates * hidden):
            raise low.refusal(node, f"biases of shape {bias.shape} do not fit it")
        for key, part in zip(("bias_ih", "bias_hh"), np.split(bias[0], 2), strict=True):
            arrays[key] = turned(part)[:, 0]
    return arrays


RECURRENT = {"LSTM": recurrent, "GRU": recurrent}
