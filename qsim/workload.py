"""A workload: a network, a precision, how to execute it and the hardware to price it on."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec

from hwmodels.documents import nearest, read_document
from hwmodels.memory.design import MemoryDocument
from qsim import shipped
from qsim.errors import NetworkError, WorkloadError
from qsim.hardware import HardwareDocument, read_hardware
from qsim.model import SUFFIXES, Model, ModelDocument, load_model
from qsim.network.graph import Network
from qsim.network.weights import Weights
from qsim.network.widen import widen
from qsim.precision import PrecisionDocument
from qsim.program import Arithmetic

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Width = Annotated[float, msgspec.Meta(gt=0, le=64)]


class ExecuteDocument(Arithmetic, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a workload is executed, besides the arithmetic.

    dataset              a shipped dataset, an .npz file, or a folder of .npy files; absent: seeded
                         random images
    calibration_dataset  another, whose images set the activation ranges
    images               how many images to run; absent: 1 of random, all of a dataset
    calibration_images   how many images set the activation ranges: of ``calibration_dataset``, or
                         of the dataset's ``calibration``, or, where it has none, of its ``images``;
                         or other random ones. Absent: as many as there are, or as ``images`` of
                         random ones, up to 256
    seed                 of random images, random weights and the sample that is checked
    check_per_layer      how many outputs of each layer are computed again independently
    """

    dataset: str | None = None
    calibration_dataset: str | None = None
    images: Count | None = None
    calibration_images: Count | None = None
    seed: Seed = 0
    check_per_layer: Count = 32


class RescaleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far channels are driven apart before weights are quantized (``qsim.network.rescale``).

    spread   what one channel of every layer that allows it is multiplied by
    seed     which channel
    """

    spread: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    seed: Seed = 0


class WorkloadDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A workload as a document.

    title              one line that says what it shows
    network            a network of the zoo, a layer table (.yaml) or an ONNX file, by name or
                       {name: {parameter: value}}
    precision          absent: of a model that is quantized already
    input              shape of one image, where it is not the network's own: [channels, height,
                       width]
    width              what the channels between the network's input and output are multiplied by
                       (``qsim.network.widen``)
    weights            shipped trained weights by their name, or an .npz file; absent: those of the
                       ONNX file, or seeded
    rescale_channels   how channels of the folded weights are rescaled, the function being the same
    """

    network: ModelDocument
    precision: PrecisionDocument | None = None
    title: str = ""
    input: tuple[Count, ...] | None = None
    width: Width | None = None
    weights: str | None = None
    rescale_channels: RescaleDocument | None = None
    execute: ExecuteDocument | None = None
    hardware: tuple[HardwareDocument, ...] = ()
    memory: MemoryDocument | None = None


@dataclass(frozen=True)
class Workload:
    """A workload read from ``path`` (or named by it), with its model."""

    path: Path
    document: WorkloadDocument
    model: Model

    @property
    def network(self) -> Network:
        """Its network, batch norms not yet folded."""
        return self.model.network

    @property
    def model_name(self) -> str:
        """The name of its model, without parameters."""
        document = self.document.network
        return document if isinstance(document, str) else next(iter(document))

    @property
    def name(self) -> str:
        """The name of its file, or of its network where it has none."""
        return self.path.stem if self.path.suffix in SUFFIXES else self.path.name

    @property
    def folder(self) -> Path:
        """The folder that its paths are relative to."""
        return self.path.parent

    def weights_path(self) -> Path | None:
        """The file of weights; None when seeded. Raises WorkloadError on an unknown name."""
        name = self.document.weights
        if name is None:
            return None
        if name.endswith(".npz"):
            if not (self.folder / name).exists():
                raise WorkloadError(f"{self.path}: weights: {self.folder / name}: no such file")
            return self.folder / name
        if name not in shipped.weights():
            raise WorkloadError(
                f"{self.path}: weights: {name!r} is neither an .npz file nor shipped trained"
                f" weights; {nearest(name, shipped.weights())}"
            )
        return shipped.DATA / f"{name}.npz"


def load_workload(name: str) -> Workload:
    """The workload in the YAML file ``name``, or the shipped one of that name.

    Raises WorkloadError or another InputError naming file, key and remedy.
    """
    path = _find(name)
    document = read_document(path, WorkloadDocument)
    if document.execute is None and not document.hardware and document.memory is None:
        raise WorkloadError(
            f"{path}: has neither execute nor hardware nor memory; give one of them"
        )
    if document.rescale_channels is not None and document.execute is None:
        raise WorkloadError(f"{path}: rescale_channels: has no effect; it needs execute")
    for index, hardware in enumerate(document.hardware):
        read_hardware(hardware, str(path), index)
    return workload_of(path, document)


def workload_of(
    path: Path, document: WorkloadDocument, default: PrecisionDocument | None = None
) -> Workload:
    """The workload of a document that lies, or could lie, at ``path``.

    default   the precision of a model that is not quantized, where the document has none

    Raises WorkloadError or another InputError naming file, key and remedy.
    """
    model = load_model(document.network, path.parent, where=f"{path}: network")
    if model.program is None and document.precision is None:
        if default is None:
            raise WorkloadError(
                f"{path}: key 'precision' is missing; its network is not quantized yet"
            )
        document = msgspec.structs.replace(document, precision=default)
    if model.program is not None:
        _check_settled(path, document)
    network = _sized(path, document, model.network)
    if model.weights is not None and document.weights is None:
        _check_fit(path, network, model.weights)
    return Workload(path, document, replace(model, network=network))


def _sized(path: Path, document: WorkloadDocument, network: Network) -> Network:
    """The network for images of the size, and as wide, as a document says."""
    key = "input"
    try:
        if document.input is not None:
            network = replace(network, input_shape=document.input)
        key = "width"
        return network if document.width is None else widen(network, document.width)
    except NetworkError as error:
        raise WorkloadError(f"{path}: {key}: {error}") from None


def _check_fit(path: Path, network: Network, weights: Weights) -> None:
    """Refuse weights that came with a network of other sizes."""
    for node in network.nodes.values():
        for key, shape in node.arrays.items():
            if weights[key].shape != shape:
                raise WorkloadError(
                    f"{path}: network: its array {key!r} has shape {weights[key].shape}, and"
                    f" {shape} is needed; leave out input and width, or give weights"
                )


def _check_settled(path: Path, document: WorkloadDocument) -> None:
    """Refuse what a model that is quantized already has settled."""
    keys = ("precision", "input", "width", "weights", "rescale_channels")
    given = [key for key in keys if getattr(document, key) is not None]
    if document.execute is not None:
        plain = ExecuteDocument()
        settled = msgspec.structs.asdict(Arithmetic())
        changed = [key for key in settled if getattr(document.execute, key) != getattr(plain, key)]
        given += [f"execute.{key}" for key in changed]
    if given:
        raise WorkloadError(
            f"{path}: {given[0]}: the network is quantized already, which settles it; leave it out"
        )


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")) or os.path.exists(name):  # noqa: PTH110 (refuses nothing)
        return Path(name)
    if name not in shipped.workloads():
        raise WorkloadError(
            f"{name}: no such file, nor a shipped workload; {nearest(name, shipped.workloads())}"
        )
    return shipped.WORKLOADS / f"{name}.yaml"
