"""One device in full: what it has and from where, and what a design on it may say."""

import inspect
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwmodels.provenance import Figure
from qsim.hardware import MODELS, Called, called_device, design_of


def device_card(text: str) -> RenderableType:
    """The figures of the device called ``text``, and for each architecture the parameters of a
    design. Raises QsimError on an unknown device."""
    called = called_device(text)
    parts: list[RenderableType] = [Text(f"{called.kind} {called.device.name}", style="bold")]
    parts += [_figures(called.device)]
    for architecture in MODELS[called.kind]:
        parts += ["", *_design(called, architecture)]
    return Group(*parts)


def _figures(device: msgspec.Struct) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("has", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("status")
    table.add_column("source")
    for name, held in _flat(msgspec.structs.asdict(device)).items():
        if isinstance(held, Figure):
            value = "not known" if held.value is None else f"{held.value:,.10g}"
            table.add_row(name, value, held.status, Text(held.source))
        elif isinstance(held, str) and held and name != "name":
            table.add_row(name, Text(held), "", "")
    return table


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """Figures by name, those of a mapping as ``mapping.key``."""
    flat = {}
    for name, held in fields.items():
        if isinstance(held, dict):
            flat |= {f"{name}.{key}": value for key, value in held.items()}
        else:
            flat[name] = held
    return flat


def _design(called: Called, architecture: str) -> list[RenderableType]:
    """What a design of an architecture is, and its parameters with their defaults."""
    record = design_of(called.kind, architecture)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("design", no_wrap=True)
    table.add_column("default")
    for field in msgspec.structs.fields(record):
        needed = field.default is msgspec.NODEFAULT
        usual = "absent" if field.default is None else str(field.default)
        table.add_row(field.name, "needed" if needed else usual)
    title = Text(f"architecture {architecture}", style="bold")
    return [title, table, Text(inspect.getdoc(record) or "", style="dim")]
