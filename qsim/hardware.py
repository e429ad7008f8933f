"""The hardware that a workload may name, and which cost model prices it."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec

from hwmodels.documents import convert, nearest
from hwmodels.errors import InputError
from qsim.errors import WorkloadError
from qsim.spelling import parse_call

# By kind and architecture, the first of a kind being its default: the module that holds Design,
# evaluate and OUTPUTS, and the one that holds device_names and load_device.
MODELS = {
    "fpga": {
        "gemm": ("hwmodels.fpga.gemm", "hwmodels.fpga.device"),
        "systolic": ("hwmodels.fpga.systolic", "hwmodels.fpga.device"),
        "streaming": ("hwmodels.fpga.streaming", "hwmodels.fpga.device"),
    },
    "gpu": {"roofline": ("hwmodels.gpu.model", "hwmodels.gpu.device")},
    "asic": {"array": ("hwmodels.asic.array", "hwmodels.asic.technology")},
    "cpu": {"two_constants": ("hwmodels.cpu", "hwmodels.cpu")},
}


class HardwareDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device and the design on it.

    fpga, gpu, asic, cpu   which device, one of them
    architecture   of the design, where there are several for the kind of device
    design      its parameters
    name        of the design, as the source calls it
    published   the file of workloads/published whose cells for this design are printed beside ours
    """

    fpga: str | None = None
    gpu: str | None = None
    asic: str | None = None
    cpu: str | None = None
    architecture: str | None = None
    design: dict[str, Any] = {}
    name: str | None = None
    published: str | None = None


class CalledHardware(HardwareDocument, frozen=True):
    """A device and a design as the command line calls them.

    called   the text that does
    """

    called: str = ""


@dataclass(frozen=True)
class Hardware:
    """A device, a design on it, and the model of both.

    model     a module of ``hwmodels`` with ``evaluate(work, design, device)`` and ``OUTPUTS``
    device, design   its records
    where     what names the design, for complaints
    """

    kind: str
    architecture: str
    model: ModuleType
    device: Any
    design: Any
    where: str

    @property
    def description(self) -> str:
        """The design in words: as its model describes it, or what was set."""
        if hasattr(self.model, "describe"):
            return self.model.describe(self.design)
        defaults = self.design.__struct_defaults__
        names = self.design.__struct_fields__
        values = dict(zip(names, msgspec.structs.astuple(self.design), strict=True))
        usual = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        said = [f"{key} {values[key]}" for key in names if usual.get(key) != values[key]]
        return ", ".join(said) or "the default design"


def read_hardware(document: HardwareDocument, path: str, index: int) -> Hardware:
    """The ``index``-th hardware of the workload at ``path``, or that of the command line.

    Raises WorkloadError or another InputError naming the key: not one device, an unknown device or
    architecture, or an impossible design.
    """
    called = isinstance(document, CalledHardware)
    where = f"--on {document.called}" if called else f"{path}: hardware[{index}]"
    kind = _kind(document, where)
    architectures = MODELS[kind]
    named = document.architecture
    architecture = next(iter(architectures)) if named is None else named
    if architecture not in architectures:
        raise WorkloadError(
            f"{where}.architecture: unknown architecture {architecture!r};"
            f" {nearest(architecture, architectures)}"
        )
    model_name, devices_name = architectures[architecture]
    model, devices = import_module(model_name), import_module(devices_name)
    try:
        device = devices.load_device(getattr(document, kind))
    except InputError as error:
        raise WorkloadError(f"{where}.{kind}: {error}") from None
    if called:
        design = convert(document.design, model.Design, where=where)
        return Hardware(kind, architecture, model, device, design, where)
    within = ("hardware", index, "design")
    design = convert(document.design, model.Design, where=path, within=within)
    return Hardware(kind, architecture, model, device, design, f"{where}.design")


@dataclass(frozen=True)
class Called:
    """A device by its kind, and its record."""

    kind: str
    device: Any


def called_device(name: str) -> Called:
    """The device of that name, of any kind. Raises QsimError on an unknown one."""
    kind = _kind_of(name, "device")
    return Called(kind, _device_modules()[kind].load_device(name))


def design_of(kind: str, architecture: str) -> type[msgspec.Struct]:
    """The record of a design."""
    return import_module(MODELS[kind][architecture][0]).Design


def _kind_of(name: str, where: str) -> str:
    """The kind of a device, which may be named with the board it is on."""
    kinds = {known: kind for kind, names in device_names().items() for known in names}
    part = name.partition("@")[0]
    if part not in kinds:
        raise WorkloadError(f"{where}: unknown device {name!r}; {nearest(part, kinds)}")
    return kinds[part]


def hardware_called(text: str) -> HardwareDocument:
    """The hardware that ``text`` calls: a device's name, or ``name(parameter=value, ...)`` with the
    parameters of a design on it, and its ``architecture``.

    Raises QsimError on an unknown device or another form.
    """
    name, design = parse_call(text, what="--on", example="t4(batch=8)")
    architecture = design.pop("architecture", None)
    if architecture is not None:
        architecture = str(architecture)  # a number or truth value is none of their names
    held = {_kind_of(name, "--on"): name}
    return CalledHardware(**held, architecture=architecture, design=design, called=repr(text))


def device_names() -> dict[str, list[str]]:
    """The names of the shipped devices, by kind."""
    return {kind: module.device_names() for kind, module in _device_modules().items()}


def devices() -> dict[str, list[Any]]:
    """The records of every shipped device, by kind."""
    return {
        kind: [module.load_device(name) for name in module.device_names()]
        for kind, module in _device_modules().items()
    }


def _device_modules() -> dict[str, ModuleType]:
    return {
        kind: import_module(next(iter(architectures.values()))[1])
        for kind, architectures in MODELS.items()
    }


def _kind(document: HardwareDocument, where: str) -> str:
    named = [kind for kind in ("fpga", "gpu", "asic", "cpu") if getattr(document, kind) is not None]
    known = " or ".join([", ".join(list(MODELS)[:-1]), list(MODELS)[-1]]).removeprefix(" or ")
    if len(named) != 1:
        raise WorkloadError(f"{where}: names {len(named)} devices; give one of {known}")
    return named[0]
