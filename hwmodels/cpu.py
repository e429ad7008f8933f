"""The time of a network on one core of a processor: multiply-accumulates and element-wise work.

Two kinds of work are kept apart: multiply-accumulates, and the values that every step of a network
reads, products among them. In fixed point a third weighs heavily: the values that an addition or a
batch norm of its own makes, which brings operands to a common scale (a batch norm before its layer,
as in the second ResNets, cannot be folded). Of floating point two constants are fitted; of fixed
point two more, the time to read a value being that of floating point.

Source: R. Krishnamoorthi, arXiv 1806.08342, table 7, measured on a Google Pixel 2; the constants
and what they were fitted to are in ``calibrated/cpu_pixel2.yaml``.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.documents import nearest, read_document
from hwmodels.errors import DesignError, InputError
from hwmodels.explain import formula, read_figure, reshaped
from hwmodels.outputs import Output
from hwmodels.provenance import HERE, Figure, FittedFigure, shipped_names
from hwmodels.rates import gops, images_per_s, latency_s
from hwmodels.work import WorkTable

FOLDER = "devices/cpu"
WIDEST_FIXED = 8  # bits of the operands that the measured integer kernels take
RESCALED = ("add", "batch_norm", "multiply", "scale", "offset")


class Cpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cpu", tag_field="kind"):
    """A processor that was measured."""

    name: str
    description: str
    cores: Figure
    clock_hz: Figure


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network is run.

    precision   "auto": float where a layer is computed in floating point, else fixed
    threads     1: no time of more was published
    """

    precision: Literal["auto", "float", "fixed"] = "auto"
    threads: int = 1

    def __post_init__(self):
        if self.threads != 1:
            raise ValueError("threads must be 1: no times of several threads were published")


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds for each unit of work."""

    s_per_mac: FittedFigure
    s_per_value_read: FittedFigure
    s_per_rescaled_value: FittedFigure


class CpuConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The constants of one processor; ``hvx_latency_s`` holds what was measured on the DSP beside
    it, by network, and serves no formula."""

    paper: str
    device: str
    float: Rates
    fixed: Rates
    hvx_latency_s: dict[str, Figure]


@dataclass(frozen=True)
class Cost:
    """What a work table costs: scalars, or arrays of the layers where a name begins with
    ``layer_``. A layer's times hold the steps that follow it until the next layer."""

    layer_mac_s: np.ndarray
    layer_element_wise_s: np.ndarray
    layer_latency_s: np.ndarray
    latency_s: np.ndarray
    images_per_s: np.ndarray
    gops: np.ndarray
    mac_s: np.ndarray
    element_wise_s: np.ndarray


OUTPUTS = {
    "latency_s": Output(
        "latency per image", "s", "estimate",
        ignores="caches and shapes: a MAC costs the same in every layer",
        validation="of the seven networks that it was fitted to: float -2.1 to +2.4 %, fixed point"
        " -6.1 to +3.8 %; each left out of the fit: -2.5 to +3.0 %, -12.8 to +4.7 %",
    ),
    "images_per_s": Output("throughput", "images/s", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "mac_s": Output("of it multiply-accumulates", "s", "estimate"),
    "element_wise_s": Output("of it element-wise", "s", "estimate"),
}  # fmt: skip


def device_names() -> list[str]:
    """The shipped processors."""
    return shipped_names(FOLDER)


def load_device(name: str) -> Cpu:
    """The shipped processor of that name. Raises InputError on an unknown one."""
    if name not in device_names():
        raise InputError(f"unknown CPU {name!r}; {nearest(name, device_names())}")
    return read_document(HERE / FOLDER / f"{name}.yaml", Cpu)


@cache
def load_constants(device: str) -> CpuConstants:
    """The constants of a processor, from ``calibrated/cpu_NAME.yaml``."""
    return read_document(HERE / "calibrated" / f"cpu_{device}.yaml", CpuConstants)


def check(work: WorkTable, design: Design) -> None:
    """Refuse what was not measured. Raises DesignError naming the parameter."""
    if not work.steps:
        raise DesignError(
            "", "the table of work lists no steps, which element-wise work is read from"
        )
    if precision_of(work, design) == "float":
        return
    for layer in work:
        if layer.in_float:
            raise DesignError(
                "precision",
                f"layer {layer.name!r} is computed in floating point; quantize it, or choose float",
            )
        for key in ("weight_bits", "activation_bits"):
            if getattr(layer, key) > WIDEST_FIXED:
                raise DesignError(
                    "precision",
                    f"layer {layer.name!r} has {getattr(layer, key)}-bit operands, and fixed point"
                    f" was measured with {WIDEST_FIXED} bits; narrow the layer, or choose float",
                )


def precision_of(work: WorkTable, design: Design) -> Literal["float", "fixed"]:
    """The precision that all layers are computed in."""
    if design.precision != "auto":
        return design.precision
    return "float" if any(layer.in_float for layer in work) else "fixed"


def evaluate(work: WorkTable, design: Design, device: Cpu) -> Cost:
    """The time of ``work`` on one core of ``device``; narrower operands than 8 bits take as long.

    Raises DesignError where nothing like it was measured.
    """
    check(work, design)
    precision = precision_of(work, design)
    read_values, rescaled = element_wise_values(work)
    mac_s = layer_mac_s(work, precision, device)
    element_wise_s = layer_element_wise_s(read_values, rescaled, precision, device)
    by_layer_s = layer_latency_s(mac_s, element_wise_s)
    total_s = latency_s(by_layer_s)
    by_layer = {
        "layer_mac_s": mac_s,
        "layer_element_wise_s": element_wise_s,
        "layer_latency_s": by_layer_s,
    }
    totals = {
        "latency_s": total_s,
        "images_per_s": images_per_s(total_s),
        "gops": gops(work, total_s),
        "mac_s": over_all_layers_s(mac_s),
        "element_wise_s": over_all_layers_s(element_wise_s),
    }
    return Cost(
        **{name: reshaped(value, (len(work.layers),)) for name, value in by_layer.items()},
        **{name: reshaped(value, ()) for name, value in totals.items()},
    )


def element_wise_values(work: WorkTable) -> tuple[np.ndarray, np.ndarray]:
    """Values read by all steps, and values rescaled by additions and batch norms, by the layer
    that they follow; those before the first layer count with it, and so do all of a step that has
    several layers with the first of them."""
    values = {step.name: step.values for step in work.steps}
    read_values, rescaled = (np.zeros(len(work.layers)) for _ in range(2))
    for step, layer in zip(work.steps, _layer_of_each_step(work), strict=True):
        read_values[layer] += sum(values[name] for name in step.reads)
        rescaled[layer] += step.values if step.kind in RESCALED else 0
    return read_values, rescaled


def _layer_of_each_step(work: WorkTable) -> list[int]:
    """For each step the layer whose products it makes or follows: steps with products take as many
    layers, in order, as make up their multiply-accumulates."""
    macs, at, taken = [layer.macs for layer in work], 0, 0
    places = []
    for step in work.steps:
        if step.macs > 0:
            at, left = taken, step.macs
            while left > 0 and taken < len(macs):
                left -= macs[taken]
                taken += 1
        places.append(min(at, len(macs) - 1))
    return places


@formula
def layer_mac_s(work: WorkTable, precision: str, device: Cpu):
    """MACs x time of one, of each layer."""
    return work.column("macs") * _rate("s_per_mac", precision, device)


@formula
def layer_element_wise_s(read_values, rescaled, precision: str, device: Cpu):
    """Values read x time of one + values rescaled x time of one, of each layer."""
    return read_values * _rate("s_per_value_read", precision, device) + rescaled * _rate(
        "s_per_rescaled_value", precision, device
    )


@formula
def layer_latency_s(mac_s, element_wise_s):
    """Multiply-accumulates + element-wise work, of each layer."""
    return mac_s + element_wise_s


@formula
def over_all_layers_s(by_layer_s):
    """Sum over the layers of a part of their time."""
    return by_layer_s.sum(axis=-1)


def fitted_cells(device: str) -> set[str]:
    """The published cells (network/precision) that any constant was fitted to."""
    constants = load_constants(device)
    rates = (constants.float, constants.fixed)
    held = (getattr(each, name) for each in rates for name in each.__struct_fields__)
    return {cell for constant in held for cell in constant.fitted_to}


def _rate(name, precision, device):
    constant = getattr(getattr(load_constants(device.name), precision), name)
    where = f"hwmodels/calibrated/cpu_{device.name}.yaml"
    return read_figure(constant, f"{precision} {name}", where=where)
