"""What a command line names, as a workload: a workload's file, or a model and some options."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hwmodels.documents import convert, nearest
from hwmodels.memory.design import MemoryDocument
from hwmodels.strict_yaml import read_yaml
from qsim import shipped, zoo
from qsim.datasets import DATASETS
from qsim.errors import WorkloadError
from qsim.hardware import hardware_called
from qsim.model import SUFFIXES
from qsim.precision_text import precision_of
from qsim.requantize import REQUANTIZERS
from qsim.spelling import parse_call
from qsim.workload import ExecuteDocument, Workload, WorkloadDocument, load_workload, workload_of

DEFAULT_PRECISION = precision_of("w8a8")


@dataclass(frozen=True)
class Options:
    """What is said beside a name; of a workload it stands in for what the document says.

    precision      as ``precision_of`` reads it
    requantize     the arithmetic that brings sums back to levels
    weights        an .npz file, or shipped ones by their name
    images         a dataset to run, and to calibrate on where nothing else is named
    calibration    a dataset to calibrate on
    parameters     of the model
    on             devices to price it on, in the place of the document's hardware: a name, or
                   ``name(parameter=value)`` with parameters of the design
    cost_only      whether nothing is executed
    memory         options of a footprint, as ``batch=32, optimizer=momentum``
    """

    precision: str | None = None
    requantize: str | None = None
    weights: str | None = None
    images: str | None = None
    calibration: str | None = None
    parameters: dict | None = None
    on: tuple[str, ...] = ()
    cost_only: bool = False
    memory: str | None = None


def requested(name: str, options: Options) -> Workload:
    """The workload that ``name`` and ``options`` ask for: a workload's YAML file or shipped
    workload; or, executed on one image unless options say otherwise and in affine 8-bit formats, a
    layer table, an ONNX file or a network of the zoo.

    Raises WorkloadError or another InputError naming what is wrong.
    """
    if _is_workload(name):
        workload = load_workload(name)
        return _changed(workload, options) if options != Options() else workload
    network = {name: options.parameters} if options.parameters else name
    document = WorkloadDocument(network=network, execute=ExecuteDocument())
    path = Path(name)
    if path.suffix in SUFFIXES:
        network = {path.name: options.parameters} if options.parameters else path.name
        document = msgspec.structs.replace(document, network=network)
    return _with_options(path, document, options)


def _is_workload(name: str) -> bool:
    """Whether a name is that of a workload, not of a model."""
    path, exists = Path(name), os.path.exists(name)  # noqa: PTH110 (refuses nothing)
    if name in shipped.workloads() and not exists:
        return True
    if path.suffix in zoo.TABLES:
        return "layers" not in read_yaml(path)
    if path.suffix == ".onnx":
        if not exists:
            raise WorkloadError(f"{name}: no such file")
        return False
    if exists:
        return True
    known = zoo.names()
    if name.partition("(")[0].strip() in known:
        return False
    raise WorkloadError(
        f"{name}: no such file, nor a workload or a network that comes with qsim;"
        f" {zoo.remedy(name, [*shipped.workloads(), *known])}"
    )


def _changed(workload: Workload, options: Options) -> Workload:
    """A workload with what the options say in the place of what its document says."""
    if options.parameters:
        raise WorkloadError(
            f"{workload.path}: is a workload; write the parameters of its model into the file"
        )
    document = workload.document
    if document.execute is None:
        document = msgspec.structs.replace(document, execute=ExecuteDocument())
    return _with_options(workload.path, document, options)


def _with_options(path: Path, document: WorkloadDocument, options: Options) -> Workload:
    changes, execute = {}, {}
    if options.precision is not None:
        changes["precision"] = precision_of(options.precision)
    if options.weights is not None:
        shipped_ones = options.weights in shipped.weights()
        changes["weights"] = options.weights if shipped_ones else _absolute(options.weights)
    if options.requantize is not None:
        if options.requantize not in REQUANTIZERS:
            raise WorkloadError(
                f"--requantize: unknown mode {options.requantize!r};"
                f" {nearest(options.requantize, REQUANTIZERS)}"
            )
        execute["requantize"] = options.requantize
    if options.images is not None:
        execute |= {"dataset": _place(options.images), "images": None}
    if options.calibration is not None:
        execute["calibration_dataset"] = _place(options.calibration)
    changes["execute"] = msgspec.structs.replace(document.execute, **execute)
    if options.on:
        changes["hardware"] = tuple(map(hardware_called, options.on))
    if options.memory is not None:
        changes["memory"] = _memory(options.memory)
    if options.cost_only:
        if not {"hardware", "memory"} & changes.keys() and not (
            document.hardware or document.memory
        ):
            raise WorkloadError("--cost-only: names nothing to price; say --on DEVICE or --memory")
        changes["execute"] = None
    return workload_of(path, msgspec.structs.replace(document, **changes), DEFAULT_PRECISION)


def _memory(text: str) -> MemoryDocument:
    """The footprint that ``key=value, ...`` asks for."""
    _, options = parse_call(f"memory({text})", what="--memory", example="memory(batch=32)")
    return convert(options, MemoryDocument, where="--memory")


def _place(dataset: str) -> str:
    """A dataset as a workload at any place names it."""
    return dataset if dataset in DATASETS else _absolute(dataset)


def _absolute(name: str) -> str:
    if not name:
        raise WorkloadError("an empty name is neither a dataset nor a file of weights")
    return str(Path(name).absolute())
