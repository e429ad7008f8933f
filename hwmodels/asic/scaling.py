"""Scaling of delay, energy and area between process nodes, by published polynomials.

A conversion stays within one family, hp (high performance) or lp (low power), which are different
curves; down to 65 nm both are the same. Between the tabled nodes nothing is interpolated: there is
no 28 nm and no 22 nm, and between 32 and 20 nm lies the step from planar transistors to fins.

The polynomials are fits of an inverter. They foretell more than arithmetic gains: from 45 to 7 nm a
factor of 14.6 in energy, where published tables of operations differ by 2.8 to 4.3.

Source: Stillmaker and Baas, Integration 58 (2017) 74-81, doi 10.1016/j.vlsi.2017.02.002; its
figures are in ``technologies/scaling.yaml``.
"""

from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import formula, read_figure
from hwmodels.provenance import HERE, Figure, Status

FILE = "technologies/scaling.yaml"
WHERE = f"hwmodels/{FILE}"
Family = Literal["hp", "lp"]


class Scaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The published figures, by node: coefficients of the two families, and ratios of area."""

    source: str
    status: Status
    nodes_nm: tuple[int, ...]
    hp: dict[str, tuple[float, ...]]
    lp: dict[str, tuple[float, ...]]
    area: dict[str, tuple[float, ...]]
    nominal_voltage_v: dict[str, Figure]


@cache
def load_scaling() -> Scaling:
    """The figures, from ``technologies/scaling.yaml``."""
    return read_document(HERE / FILE, Scaling)


def check_nodes(nodes_nm) -> None:
    """Raises ValueError, which says why, on a node that the tables do not have."""
    known = load_scaling().nodes_nm
    for node in np.ravel(np.asarray(nodes_nm, np.float64)):
        if node not in known:
            reason = (
                "; between 32 and 20 nm lies the step from planar transistors to fins, over which"
                " nothing is interpolated: evaluate both"
                if 20 < node < 32
                else ""
            )
            names = ", ".join(str(each) for each in known)
            raise ValueError(
                f"{node:g} nm is not among the nodes of the scaling tables: {names}{reason}"
            )


@formula
def nominal_voltage_v(node_nm, family: Family) -> np.ndarray:
    """Nominal supply of each node, V; of lp below 65 nm it is not known (NaN)."""
    nodes, result = np.asarray(node_nm, np.float64), None
    unknown = Figure(None, "unknown", "no nominal voltage of low power; give voltage_v")
    for node in np.unique(nodes):
        held = load_scaling().nominal_voltage_v[f"{node:g}"]
        figure = unknown if family == "lp" and node < 65 else held
        value = read_figure(figure, f"nominal_voltage_v at {node:g} nm", where=WHERE)
        result = value if result is None else np.where(nodes == node, value, result)
    return np.broadcast_to(result, nodes.shape)


@formula
def delay_factor(from_nm, from_v, to_nm, to_v, family: Family):
    """Delay at one node and voltage / delay at another: the ratio of their cubic polynomials."""
    return _ratio(slice(0, 4), (from_nm, from_v), (to_nm, to_v), family)


@formula
def energy_factor(from_nm, from_v, to_nm, to_v, family: Family):
    """Energy at one node and voltage / energy at another: the ratio of their quadratic
    polynomials; not known (NaN) at voltages where one of them is not positive."""
    return _ratio(slice(4, 7), (from_nm, from_v), (to_nm, to_v), family)


@formula
def area_factor(from_nm, to_nm):
    """Area at one node / area at another, of the published table."""
    nodes = load_scaling().nodes_nm
    table = np.array([load_scaling().area[str(node)] for node in nodes])
    value = table[_index(from_nm), _index(to_nm)]
    figure = Figure(value, load_scaling().status, load_scaling().source)
    return read_figure(figure, "area ratio", where=WHERE)


def _ratio(part, origin, target, family):
    ends = [_polynomial(part, *end, family) for end in (target, origin)]
    known = (ends[0] > 0) & (ends[1] > 0)
    value = np.where(known, ends[0] / np.where(known, ends[1], 1), np.nan)
    figure = Figure(value, load_scaling().status, f"{load_scaling().source}, {family}")
    return read_figure(figure, "polynomials of both nodes", where=WHERE)


def _polynomial(part, node_nm, voltage_v, family):
    scaling = load_scaling()
    table = np.array([getattr(scaling, family)[str(node)][part] for node in scaling.nodes_nm])
    terms, voltage = table[_index(node_nm)], np.asarray(voltage_v, np.float64)
    result = 0.0
    for at in range(terms.shape[-1]):
        result = result * voltage + terms[..., at]
    return result


def _index(node_nm):
    """Positions of nodes in the tables. Raises ValueError on a node that they do not have."""
    check_nodes(node_nm)
    nodes = np.array(load_scaling().nodes_nm)
    return (nodes == np.asarray(node_nm, np.float64)[..., None]).argmax(axis=-1)
