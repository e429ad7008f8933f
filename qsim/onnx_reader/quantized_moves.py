"""Operators that move values, of quantized graphs, as layers: integers stay as they are."""

from qsim.network.layers import Flatten
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pools import MaxPool
from qsim.onnx_reader import quantized_layers as layers
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_handlers import Handlers, window_of
from qsim.onnx_reader.quantized_reading import Reading

MOVES = Handlers()
handles = MOVES.of


@handles("MaxPool")
def _max_pool(reading: Reading, node: OnnxNode) -> None:
    if len(node.outputs) > 1:
        raise reading.refusal(node, "the indices of a MaxPool are not read")
    layers.move(reading, node, MaxPool, **window_of(reading, node))


@handles("Flatten")
def _flatten(reading: Reading, node: OnnxNode) -> None:
    if node.attributes.get("axis", 1) != 1:
        raise reading.refusal(node, "only an axis of 1 is read, which keeps the images apart")
    if len(reading.shape(node, 0)) == 1:
        reading.set(node, reading.activation(node, 0))
    else:
        layers.move(reading, node, Flatten)


@handles("Reshape")
def _reshape(reading: Reading, node: OnnxNode) -> None:
    layers.reshape(reading, node, [int(side) for side in reading.constant(node, 1, "its shape")])


@handles("Squeeze", "Unsqueeze")
def _squeeze(reading: Reading, node: OnnxNode) -> None:
    axes = [int(axis) for axis in reading.constant(node, 1, "its axes")]
    shape = [1, *reading.shape(node, 0)]
    ranks = len(shape) + (len(axes) if node.kind == "Unsqueeze" else 0)
    axes = sorted(axis % ranks for axis in axes)
    if 0 in axes:
        raise reading.refusal(node, "the axis of the images must stay as it is")
    if node.kind == "Squeeze":
        shape = [side for axis, side in enumerate(shape) if axis not in axes]
    else:
        for axis in axes:
            shape.insert(axis, 1)
    layers.move(reading, node, Reshape, shape=tuple(shape[1:]))


@handles("Transpose")
def _transpose(reading: Reading, node: OnnxNode) -> None:
    axes = len(reading.shape(node, 0)) + 1
    order = [int(axis) for axis in node.attributes.get("perm", range(axes - 1, -1, -1))]
    if order[0] != 0:
        raise reading.refusal(node, "the axis of the images must stay the first")
    layers.move(reading, node, Transpose, order=tuple(axis - 1 for axis in order[1:]))


@handles("Slice")
def _slice(reading: Reading, node: OnnxNode) -> None:
    rank = len(reading.shape(node, 0)) + 1
    values = [reading.constant(node, place, "its bounds") for place in (1, 2)]
    axes = reading.constant(node, 3, "its axes") if len(node.inputs) > 3 else [0]
    steps = reading.constant(node, 4, "its steps") if len(node.inputs) > 4 else [1]
    if len(values[0]) != 1:
        raise reading.refusal(node, "slices along one axis at a time are read")
    axis = int(axes[0]) % rank
    if axis == 0:
        raise reading.refusal(node, "the axis of the images must stay as it is")
    side = reading.shape(node, 0)[axis - 1]
    start, stop = (_within(int(value[0]), side) for value in values)
    layers.move(reading, node, Slice, axis=axis - 1, start=start, stop=stop, step=int(steps[0]))


def _within(index: int, side: int) -> int:
    return min(max(index + side if index < 0 else index, 0), side)


@handles("Resize")
def _resize(reading: Reading, node: OnnxNode) -> None:
    """Nearest neighbours at whole factors, which moves values alone."""
    attributes = node.attributes
    known = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    if any(attributes.get(key, "") != value for key, value in known.items()):
        raise reading.refusal(
            node, "only nearest neighbours are read (asymmetric, floor), which move values alone"
        )
    scales = reading.constant(node, 2, "its scales")
    factors = [int(scale) for scale in scales]
    if len(factors) != 4 or [*scales] != factors or factors[:2] != [1, 1]:
        raise reading.refusal(node, "only whole factors of height and width are read")
    layers.move(reading, node, Upsample, factor=tuple(factors[2:]))


@handles("Identity", "Dropout")
def _identity(reading: Reading, node: OnnxNode) -> None:
    reading.set(node, reading.read(node, 0))
