"""Where a figure comes from: the formulas, design parameters and constants behind it, as a tree.

A cost formula is decorated with ``formula`` and takes what it needs of a device or design with
``read``. Inside ``recording()`` every call is noted with its inputs, so that the tree is made of
the calls that really computed the figure; outside, both do nothing else.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from hwmodels.provenance import Figure

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Node:
    """A figure and what it was made of.

    name      of the formula, constant or parameter, with its unit
    value     scalar or array
    text      what it is: the first line of the formula's docstring, or a constant's source
    place     module, function and line of the formula; of a constant or parameter, what has it
    status    of a constant, how far it is to be trusted; "given" of a design parameter; else ""
    inputs    what it was computed from
    """

    name: str
    value: Any
    text: str
    place: str
    status: str = ""
    inputs: tuple["Node", ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it has a value: not NaN everywhere."""
        return not np.isnan(np.asarray(self.value, np.float64)).all()

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it from other constants and parameters."""
        return self.place, self.name, self.text

    def leaves(self) -> Iterator["Node"]:
        """The constants and parameters it rests on, each once. One of a table that is known here
        and not known there counts as two, as their texts differ."""
        seen: set[tuple[str, str, str]] = set()
        for node in self._walk():
            if not node.inputs and node.identity not in seen:
                seen.add(node.identity)
                yield node

    def _walk(self) -> Iterator["Node"]:
        yield self
        for each in self.inputs:
            yield from each._walk()


@dataclass
class Recording:
    """The calls noted so far."""

    _made: dict[int, tuple[Any, Node]] = field(default_factory=dict)
    _frames: list[list[Node]] = field(default_factory=lambda: [[]])

    def node_of(self, value: Any) -> Node | None:
        """The node that made this very ``value``, if one did."""
        made = self._made.get(id(value))
        return made[1] if made else None

    def origins(self, cost: Any) -> dict[str, Node]:
        """The nodes that made the fields of a cost, by their names, of those that one made."""
        nodes = {name: self.node_of(value) for name, value in vars(cost).items()}
        return {name: node for name, node in nodes.items() if node is not None}

    def note(self, node: Node, *values: Any) -> None:
        """A node found inside the formula that is being computed, and the values it made."""
        frame = self._frames[-1]
        # a constant or parameter that is read twice stands once
        if node.inputs or node.identity not in [each.identity for each in frame]:
            frame.append(node)
        for value in values:
            self._made[id(value)] = (value, node)

    def call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """The result of a formula, noted."""
        arguments = [self.node_of(value) for value in (*args, *kwargs.values())]
        given = [node for node in arguments if node is not None]
        self._frames.append([])
        try:
            result = function(*args, **kwargs)
        finally:
            inside = self._frames.pop()
        consumed = {id(each) for node in inside for each in node.inputs}
        own = [node for node in inside if id(node) not in consumed and node not in given]
        inputs = tuple(dict.fromkeys([*given, *own]))
        outer = self._frames[-1]
        outer[:] = [node for node in outer if node not in inputs]  # now they stand below this one
        self.note(_formula_node(function, result, inputs), result)
        return result


_RECORDING: ContextVar[Recording | None] = ContextVar("recording", default=None)


@contextmanager
def recording() -> Iterator[Recording]:
    """A recording of the formulas that are computed inside the block."""
    started = Recording()
    token = _RECORDING.set(started)
    try:
        yield started
    finally:
        _RECORDING.reset(token)


def formula(function: F) -> F:
    """A cost formula that can be explained: named with its unit, its docstring's first line saying
    what it is, returning one scalar or array."""

    @wraps(function)
    def called(*args, **kwargs):
        started = _RECORDING.get()
        if started is None:
            return function(*args, **kwargs)
        return started.call(function, args, kwargs)

    return called


def read(record: Any, name: str) -> np.ndarray:
    """The field ``name`` of a device, design or set of constants, in float64: the value of a figure
    (NaN where it is not known), or a design's number or array."""
    held = getattr(record, name)
    return _read(held, name, _name_of(record))


def read_figure(figure: Figure | float, name: str, *, where: str) -> np.ndarray:
    """The value of one ``figure``, in float64, NaN where it is not known; ``name`` and ``where``
    say what it is in an explanation."""
    return _read(figure, name, where)


def reshaped(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` broadcast to ``shape``, explained as ``value`` is."""
    result = np.broadcast_to(value, shape)
    return same_figure(value, result)


def same_figure(value: Any, result: Any) -> Any:
    """``result``, explained as ``value`` is, of which it is another view."""
    started = _RECORDING.get()
    node = started and started.node_of(value)
    if node:
        started._made[id(result)] = (result, node)
    return result


def unknown(node: Node) -> list[str]:
    """Why a figure has no value: the constants behind it that are not known, in words."""
    return [f"{leaf.name} of {leaf.place}: {leaf.text}" for leaf in node.leaves() if leaf.status and
            not leaf.is_known]  # fmt: skip


def _read(held: Any, name: str, where: str) -> np.ndarray:
    is_figure = isinstance(getattr(held, "source", None), str)
    value = held.value if is_figure else held
    result = np.asarray(np.nan if value is None else value, np.float64)
    started = _RECORDING.get()
    if started is not None:
        text, status = (held.source, held.status) if is_figure else ("", "given")
        started.note(Node(name, result, text, where, status), result)
    return result


def _name_of(record: Any) -> str:
    own = getattr(record, "name", None)
    return own if isinstance(own, str) else type(record).__name__


def _formula_node(function: Callable, value: Any, inputs: tuple[Node, ...]) -> Node:
    text = inspect.getdoc(function).split("\n\n")[0].replace("\n", " ").replace("``", "")
    line = function.__code__.co_firstlineno
    place = f"{function.__module__}.{function.__name__}, line {line}"
    return Node(function.__name__, value, text, place, "", inputs)
