"""Valid ONNX files with something in them changed: bytes, or fields as protobuf has them.

Case ``number`` of ``seed`` is always the same file.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EXTREMES = (
    -(2**63),
    -(2**31),
    -9,
    -2,
    -1,
    0,
    1,
    2,
    3,
    5,
    8,
    17,
    64,
    1000,
    2**20,
    2**31,
    2**40,
    2**62,
)
REALS = (0.0, -1.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"), 0.5, 2.0)
TEXTS = ("", "x", "SAME_UPPER", "VALID", "linear", "cubic", "../w", "/etc/passwd", "a\0b", "n" * 300, "\u2028")  # fmt: skip
ENTRIES = ("location", "offset", "length", "checksum")


def mutated(valid: list[bytes], seed: int, number: int) -> tuple[int, bytes]:
    """Which of the valid files was changed, and the changed file."""
    rng = np.random.default_rng([seed, number])
    which = int(rng.integers(len(valid)))
    data = valid[which]
    if rng.random() < 0.25:
        return which, _with_other_bytes(rng, data)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        _CHANGES[int(rng.integers(len(_CHANGES)))](rng, model)
    return which, model.SerializeToString()


def _with_other_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    way = rng.integers(4)
    place = int(rng.integers(len(data)))
    if way == 0:
        return data[:place]
    if way == 1:
        end = int(rng.integers(place, min(len(data), place + 40) + 1))
        return data[:place] + data[end:] if rng.random() < 0.5 else data[:end] + data[place:]
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.integers(1, 9))):
        changed[place] = (
            int(rng.integers(256)) if way == 2 else changed[place] ^ (1 << rng.integers(8))
        )
    return bytes(changed)


def _any_field(rng: np.random.Generator, model: Any) -> None:
    """Another value of any field of any message in the model, or the field dropped or doubled."""
    messages = list(_messages(model))
    message = messages[int(rng.integers(len(messages)))]
    fields = message.ListFields()
    if not fields:
        return
    field, value = fields[int(rng.integers(len(fields)))]
    if not hasattr(value, "append") and not hasattr(value, "add"):
        if rng.random() < 0.3 or field.type == field.TYPE_MESSAGE:
            message.ClearField(field.name)
        else:
            _set(rng, message, field, value)
        return
    place = int(rng.integers(len(value)))
    way = rng.integers(3)
    if way == 0:
        del value[place]
    elif field.type == field.TYPE_MESSAGE:
        if way == 1:
            value.add().CopyFrom(value[place])
        else:
            moved = type(value[place])()
            moved.CopyFrom(value[place])
            del value[place]
            value.insert(int(rng.integers(len(value) + 1)), moved)
    elif way == 1:
        value.append(value[place])
    else:
        value[place] = _other(rng, field, value[place])


def _messages(message: Any) -> Iterator[Any]:
    """A message and all those in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if hasattr(value, "add") else [value]:
                yield from _messages(each)


def _set(rng: np.random.Generator, message: Any, field: Any, value: Any) -> None:
    try:
        setattr(message, field.name, _other(rng, field, value))
    except (ValueError, TypeError):  # what the field cannot hold
        message.ClearField(field.name)


def _other(rng: np.random.Generator, field: Any, value: Any) -> Any:
    if isinstance(value, bytes):
        return _with_other_bytes(rng, value) if value else b"\0"
    if isinstance(value, str):
        return TEXTS[int(rng.integers(len(TEXTS)))]
    if isinstance(value, float):
        return REALS[int(rng.integers(len(REALS)))]
    if rng.random() < 0.4:
        return value + int(rng.integers(-2, 3))
    extreme = EXTREMES[int(rng.integers(len(EXTREMES)))]
    narrow = field.type in (field.TYPE_INT32, field.TYPE_ENUM)
    return max(min(extreme, 2**31 - 1), -(2**31)) if narrow else extreme


def _wiring(rng: np.random.Generator, model: Any) -> None:
    """A node that reads, or makes, another tensor."""
    node = _node(rng, model)
    names = [
        *(t.name for t in model.graph.initializer),
        *(i.name for i in model.graph.input),
        "",
        "nobody",
    ]
    names += [name for each in model.graph.node for name in each.output]
    target = node.input if rng.random() < 0.8 or not node.output else node.output
    name = names[int(rng.integers(len(names)))]
    if target and rng.random() < 0.7:
        target[int(rng.integers(len(target)))] = name
    elif rng.random() < 0.5:
        target.append(name)
    else:
        model.graph.output[0].name = name


def _operator(rng: np.random.Generator, model: Any) -> None:
    """A node of another operator."""
    kinds = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    used = [node.op_type for node in model.graph.node]
    known = used if used and rng.random() < 0.5 else kinds
    _node(rng, model).op_type = known[int(rng.integers(len(known)))]


def _attribute(rng: np.random.Generator, model: Any) -> None:
    """An attribute that was left out, or of another type."""
    node = _node(rng, model)
    try:
        names = sorted(onnx.defs.get_schema(node.op_type, model.opset_import[0].version).attributes)
    except (onnx.defs.SchemaError, IndexError, TypeError):
        return
    if not names:
        return
    name = names[int(rng.integers(len(names)))]
    held = [each for each in node.attribute if each.name == name]
    if held and held[0].type == held[0].INTS and held[0].ints and rng.random() < 0.6:
        held[0].ints[int(rng.integers(len(held[0].ints)))] = int(rng.integers(-1, 5))
        return
    number = EXTREMES[int(rng.integers(3, 12))]
    values = (
        number,
        [number, 1],
        [1, 1, number, 1],
        REALS[int(rng.integers(10))],
        TEXTS[int(rng.integers(6))],
    )
    value = values[int(rng.integers(len(values)))]
    for old in held:
        node.attribute.remove(old)
    node.attribute.append(helper.make_attribute(name, value))


def _values(rng: np.random.Generator, model: Any) -> None:
    """A constant of other values, another shape or another type."""
    if not model.graph.initializer:
        return
    tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:
        return
    way = rng.integers(4)
    if way == 0 and array.size and array.dtype.kind in "if":
        values = EXTREMES if array.dtype.kind == "i" else REALS
        with np.errstate(all="ignore"):
            value = np.array(values[int(rng.integers(len(values)))]).astype(array.dtype)
        array.reshape(-1)[int(rng.integers(array.size))] = value
    elif way == 1:
        kinds = (np.int32, np.int64, np.float64, np.float16, np.bool_, np.uint8)
        with np.errstate(all="ignore"):
            array = array.astype(kinds[int(rng.integers(len(kinds)))])
    elif way == 2:
        array = array.reshape(array.shape[::-1]) if rng.random() < 0.5 else array.reshape(-1)
    else:
        array = array[None] if rng.random() < 0.5 or array.ndim == 0 else array[0]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _elsewhere(rng: np.random.Generator, model: Any) -> None:
    """A constant whose values lie in another file."""
    if not model.graph.initializer:
        return
    tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
    tensor.data_location = TensorProto.EXTERNAL
    for key in ENTRIES[: int(rng.integers(1, 4))]:
        text = TEXTS[int(rng.integers(len(TEXTS)))]
        number = str(EXTREMES[int(rng.integers(len(EXTREMES)))])
        tensor.external_data.add(key=key, value=text if rng.random() < 0.6 else number)


def _opset(rng: np.random.Generator, model: Any) -> None:
    entry = model.opset_import[0] if model.opset_import else model.opset_import.add()
    entry.version = int(rng.integers(9, onnx.defs.onnx_opset_version() + 2))


def _node(rng: np.random.Generator, model: Any) -> Any:
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return nodes[int(rng.integers(len(nodes)))] if nodes else model.graph.node.add()


_CHANGES = (
    *[_any_field] * 5, *[_wiring] * 4, *[_operator] * 3, *[_attribute] * 6, *[_values] * 6,
    _elsewhere, _opset,
)  # fmt: skip
