"""Layer tables: networks written as YAML."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from hwmodels.documents import read_document
from qsim.errors import NetworkError
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Layer, LayerRow
from qsim.network.moves import Move
from qsim.network.pointwise import PointwiseRow
from qsim.network.pools import Pool
from qsim.network.recurrent import Gru, Lstm
from qsim.network.roundings import RoundingRow


class LayerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network as a document: its input shape and its layers in order.

    input    shape of one image: [channels, height, width], [steps, features], [features] or
             [tokens]
    source   where the network is defined
    """

    input: tuple[int, ...]
    layers: tuple[LayerRow | Move | PointwiseRow | Pool | RoundingRow | Lstm | Gru, ...]
    source: str = ""


def read_network(path: Path) -> Network:
    """The network of the layer table at ``path``, named after the file.

    Raises InputError (or its kind, NetworkError) naming file, key or layer.
    """
    table = read_document(path, LayerTable)
    try:
        return Network(path.stem, table.input, table.layers)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None


def write_network(network: Network, path: Path, *, source: str = "") -> None:
    """Write a layer table that ``read_network`` reads as ``network``, named after the file.

    Raises NetworkError when it cannot be written.
    """
    try:
        path.write_text(table_text(network, source=source), encoding="utf-8")
    except OSError as error:
        raise NetworkError(f"{path}: cannot be written: {error.strerror}") from None


def table_text(network: Network, *, source: str = "") -> str:
    """The layer table of a network, a line for each layer; what is as by default is left out."""
    lines = [f"source: {json.dumps(source)}", f"input: {_flow(network.input_shape)}", "layers:"]
    previous = INPUT
    for layer in network.layers:
        lines.append(f"  - {_flow(_row(layer, previous))}")
        previous = layer.name
    return "\n".join(lines) + "\n"


def _row(layer: Layer, previous: str) -> dict[str, Any]:
    """A layer as the keys and values of its row, after the layer called ``previous``."""
    row = {"name": layer.name, "type": layer.__struct_config__.tag}
    for field in msgspec.structs.fields(layer):
        value = getattr(layer, field.name)
        usual = field.default if field.name != "inputs" else (previous,)
        if field.name != "name" and value != usual and value is not None:
            row[field.name] = value
    return row


def _flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value, re.ASCII)
    if plain and value.lower() not in ("true", "false", "null"):
        return value
    return json.dumps(value, ensure_ascii=False)
