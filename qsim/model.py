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
SUFFIXES = (".onnx", *TABLES)


@dataclass(frozen=True)
class Model:
    """A network and what came with it.

    network   batch norms not folded
    weights   its float32 arrays; None: none came with it
    program   its integers, where it is quantized already
    """

    network: Network
    weights: Weights | None = None
    program: Program | None = None


def load_model(document: ModelDocument, folder: Path, *, where: str) -> Model:
    """The model that ``document`` spells as ``name`` or ``{name: {parameter: value}}``: an ONNX
    file or a layer table, paths relative to ``folder``, or a network of the zoo.

    Raises WorkloadError or another InputError naming ``where`` or the file.
    """
    name, parameters = named(document, where)
    if name.endswith(".onnx"):
        from qsim.onnx_reader import OnnxOptions, read_onnx

        if not (folder / name).exists():
            raise WorkloadError(f"{where}: {folder / name}: no such file")
        options = convert(parameters, OnnxOptions, where=f"{where}.{name}")
        read = read_onnx(folder / name, options)
        return Model(read.network, read.weights, read.program)
    return Model(find_network({name: parameters}, where=where, folder=folder))
