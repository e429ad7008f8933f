"""A model by its name: a network of the zoo, a layer table, or an ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwmodels.documents import convert, nearest
from qsim import shipped
from qsim.errors import InputError, WorkloadError
from qsim.network.graph import Network
from qsim.network.table import read_network
from qsim.network.weights import Weights
from qsim.program import Program

ModelDocument = str | dict[str, Any]
TABLES = (".yaml", ".yml")


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
    name, parameters = split_document(document, where)
    if name.endswith(".onnx"):
        from qsim.onnx_reader import OnnxOptions, read_onnx

        options = convert(parameters, OnnxOptions, where=f"{where}.{name}")
        read = read_onnx(_existing(folder / name, where), options)
        return Model(read.network, read.weights, read.program)
    if name.endswith(TABLES):
        if parameters:
            raise WorkloadError(f"{where}: {name!r} is a layer table, which has no parameters")
        return Model(read_network(_existing(folder / name, where)))
    if parameters:
        raise WorkloadError(f"{where}: {name!r} has no parameters")
    if name not in known_models():
        raise WorkloadError(f"{where}: unknown network {name!r}; {nearest(name, known_models())}")
    return Model(read_network(shipped.WORKLOADS / "networks" / f"{name}.yaml"))


def known_models() -> list[str]:
    """The names of the networks that come with qsim."""
    return shipped.networks()


def split_document(document: ModelDocument, where: str) -> tuple[str, dict[str, Any]]:
    """The name of a model and its parameters."""
    if isinstance(document, str):
        return document, {}
    if len(document) != 1:
        raise InputError(f"{where}: expected one network, as {{mobilenet-v2: {{width: 1.4}}}}")
    [(name, parameters)] = document.items()
    if not isinstance(parameters, dict):
        raise InputError(f"{where}.{name}: expected a mapping of parameters, as {{width: 1.4}}")
    return name, parameters


def _existing(path: Path, where: str) -> Path:
    if not path.exists():
        raise WorkloadError(f"{where}: {path}: no such file")
    return path
