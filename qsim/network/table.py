"""Layer tables: networks written as YAML."""

from pathlib import Path

import msgspec

from hwmodels.documents import read_document
from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.layers import LayerRow
from qsim.network.moves import Move
from qsim.network.pointwise import PointwiseRow
from qsim.network.recurrent import Gru, Lstm
from qsim.network.roundings import RoundingRow


class LayerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network as a document: its input shape and its layers in order.

    input    shape of one image: [channels, height, width], [steps, features], [features] or
             [tokens]
    source   where the network is defined
    """

    input: tuple[int, ...]
    layers: tuple[LayerRow | Move | PointwiseRow | RoundingRow | Lstm | Gru, ...]
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
