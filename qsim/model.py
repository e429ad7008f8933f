"""A model by its name: a network of the zoo, a layer table, or an ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwmodels.documents import convert
from qsim.errors import WorkloadError
from qsim.network.graph import Network
from qsim.network.weights import Weights
from qsim.program import Program
from qsim.zoo import TABLES, find_network, named

ModelDocument = str | dict[str, Any]
SUFFIXES = (".onnx", *TABLES)  # of files that are models


@dataclass(frozen=True)
class Model:
    """A network and what came with it.

    network   batch norms not folded
    weights   its float32 arrays; None: none came with it
    program   its integers, where it is quantized already
    notes     of these, a sentence for each thing that their runtime may compute otherwise
    """

    network: Network
    weights: Weights | None = None
    program: Program | None = None
    notes: tuple[str, ...] = ()


def load_model(document: ModelDocument, folder: Path, *, where: str) -> Model:
    """The model that ``document`` spells as ``name`` or ``{name: {parameter: value}}``: an ONNX
    file or a layer table, paths relative to ``folder``, or a network of the zoo.

    Raises WorkloadError or another InputError naming ``where`` or the file.
    """
    name, given = named(document, where)
    if name.endswith(".onnx"):
        return _of_onnx(folder / name, given, where)
    return Model(find_network({name: given}, where=where, folder=folder))


def _of_onnx(path: Path, given: dict[str, Any], where: str) -> Model:
    from qsim.onnx_reader import OnnxOptions, read_onnx

    if not path.exists():
        raise WorkloadError(f"{where}: {path}: no such file")
    read = read_onnx(path, convert(given, OnnxOptions, where=f"{where}.{path.name}"))
    return Model(read.network, read.weights, read.program, read.notes)
