"""Nodes against ONNX's own definitions of operators: inputs, outputs, attributes, defaults."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from qsim.errors import QsimError
from qsim.onnx_reader.files import onnx_package


def attribute_value(attribute: Any) -> Any:
    """The number, the text or the tuple of these that an onnx.AttributeProto holds."""
    value = onnx_package().helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float | str):
        return value
    return tuple(
        each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in value
    )


@lru_cache(maxsize=1024)
def defaults(kind: str, opset: int) -> dict[str, Any]:
    """ONNX's defaults of the attributes of one of its operators."""
    schema = _schema(kind, opset)
    if schema is None:
        return {}
    given = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: attribute_value(value) for name, value in given.items() if value.type}


def check_node(path: Path, node: Any, opset: int) -> None:
    """Compare an onnx.NodeProto with the definition of its operator, where ONNX has one.

    Raises QsimError naming file and node when it has too few or too many inputs or outputs, lacks
    one of them or an attribute, or has an attribute twice, unknown, or of another type.
    """
    where = f"{path}: {node.op_type} {node.name or next(iter(node.output), '')!r}"
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) < len(names):
        raise QsimError(f"{where}: has an attribute twice")
    schema = _schema(node.op_type, opset)
    if schema is None:
        return
    _check_count(where, "inputs", node.input, schema.min_input, schema.max_input)
    _check_count(where, "outputs", node.output, schema.min_output, schema.max_output)
    for name, known in schema.attributes.items():
        if known.required and name not in names:
            raise QsimError(f"{where}: lacks its attribute {name!r}")
    for attribute in node.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            raise QsimError(f"{where}: has an attribute {attribute.name!r}, which ONNX has not")
        if int(attribute.type) != int(known.type.value):
            raise QsimError(f"{where}: its attribute {attribute.name!r} is of another type")


def _check_count(where: str, what: str, names: Any, least: int, most: int) -> None:
    held = [bool(name) for name in names]
    if len(held) > most or sum(held[:least]) < least:
        wanted = f"{least} or more" if most > 1000 else f"{least} to {most}"
        raise QsimError(f"{where}: has {sum(held)} {what}; {wanted} belong to it, and none empty")


@lru_cache(maxsize=1024)
def _schema(kind: str, opset: int) -> Any:
    """ONNX's definition of an operator; None where it has none of that version."""
    onnx = onnx_package()
    try:
        return onnx.defs.get_schema(kind, opset, "")
    except onnx.defs.SchemaError:
        return None
