"""How the integers of a program are held in 8-bit tensors: what both forms of ONNX write.

The layers are taken in *steps*. A step makes one tensor that is held in integers: its first layer
computes, and layers after it that only bound its sums are part of it, as bounds of its codes.
"""

from dataclasses import dataclass
from functools import cached_property
from math import isinf

import numpy as np

from qsim.formats import Format
from qsim.network.graph import INPUT, Node
from qsim.network.layers import Clipping, Flatten, Relu
from qsim.network.moves import Move
from qsim.network.pools import MaxPool
from qsim.onnx_runtime import zero_point_of
from qsim.program import Program

MIDDLE = 128  # of the codes of uint8
Bound = Relu | Clipping


@dataclass(frozen=True)
class Codes:
    """A tensor held in uint8: code = level + ``zero_point``, within ``low .. high``. (ONNX Runtime
    fuses the QDQ form of int8 tensors on some processors only.)"""

    scale: np.float32
    zero_point: int
    low: int
    high: int

    @property
    def is_narrowed(self) -> bool:
        """Whether uint8 has codes that the tensor has not."""
        return self.low > 0 or self.high < 255


@dataclass(frozen=True)
class Step:
    """Layers that make one tensor, the first one computing and the others bounding; ``codes`` is
    None where the tensor is not held in integers."""

    nodes: tuple[Node, ...]
    codes: Codes | None

    @property
    def node(self) -> Node:
        """The layer that computes."""
        return self.nodes[0]

    @property
    def bounds(self) -> tuple[Node, ...]:
        """The layers that bound what it computes; the first too, where it bounds levels."""
        return tuple(node for node in self.nodes if isinstance(node.layer, Bound))

    @property
    def name(self) -> str:
        """The tensor that the step makes."""
        return self.nodes[-1].name


@dataclass(frozen=True)
class StoredWeights:
    """Weights of a layer: int8 or uint8 ``codes`` (rows, ...), of level code - ``zero_point``;
    ``scale`` float32 () or (rows,); ``bias`` int32 (rows,) and its scale, of the weights' shape."""

    codes: np.ndarray
    zero_point: int
    scale: np.ndarray
    bias: np.ndarray
    bias_scale: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A program that is known to be expressible (see ``refusals``), as it is written."""

    program: Program

    @cached_property
    def input(self) -> Codes:
        """How the network's input is held."""
        return self._codes(INPUT, -np.inf, np.inf)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All layers, in order."""
        groups: list[list[Node]] = []
        last: dict[str, list[Node]] = {}
        for node in self.program.network.nodes.values():
            source = node.inputs[0]
            if isinstance(node.layer, Bound) and source in last:
                group = last.pop(source)
                group.append(node)
            else:
                group = [node]
                groups.append(group)
            if not isinstance(node.layer, MaxPool | Flatten | Move) and not self._is_held(node):
                last[node.name] = group
        return tuple(Step(tuple(group), self._codes_of(group)) for group in groups)

    def weights(self, node: Node) -> StoredWeights:
        """The integers of a layer with products."""
        program = self.program
        levels = signed_levels(program, node.name)
        [term], [of_sums] = program.terms[node.name], program.accumulator_scales(node)
        zero_point = 0 if fits_int8(levels) else -int(levels.min())
        per_tensor = program.weights[node.name].scale.size == 1 and np.ptp(term.scale) == 0
        pick = (lambda scale: scale[:1].reshape(())) if per_tensor else (lambda scale: scale)
        return StoredWeights(
            (levels + zero_point).astype(np.uint8 if zero_point else np.int8),
            zero_point,
            pick(term.scale.astype(np.float32)),
            program.biases[node.name].astype(np.int32),
            pick(of_sums.astype(np.float32)),
        )

    def _is_held(self, node: Node) -> bool:
        return node.name in self.program.formats

    def _codes_of(self, group: list[Node]) -> Codes | None:
        low, high = -np.inf, np.inf
        for node in group:
            if isinstance(node.layer, Bound):
                bounds = (0.0, np.inf) if isinstance(node.layer, Relu) else node.layer.bounds
                low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in (low, high))
        end = settled(self.program, group[-1].name)
        return None if end is None else self._codes(end, low, high)

    def _codes(self, tensor: str, low: float, high: float) -> Codes:
        number, scale = self.program.formats[tensor], self.program.scales[tensor]
        zero_point = zero_point_of(number) + displacement(number)
        first, last = level_limits(number, scale, low, high)
        return Codes(np.float32(scale), zero_point, first + zero_point, last + zero_point)


def settled(program: Program, tensor: str) -> str | None:
    """The rounded tensor that a tensor becomes by bounds and moves alone; None: the network's
    result before it is rounded."""
    while tensor not in program.formats:
        readers = program.network.readers[tensor]
        if not readers:
            return None
        tensor = readers[0].name
    return tensor


def displacement(number: Format) -> int:
    """What is added to the program's zero point to make uint8 codes: 128 to levels of both signs
    that have no zero point."""
    return MIDDLE if number.min_level + zero_point_of(number) < 0 else 0


def level_limits(number: Format, scale: np.ndarray, low: float, high: float) -> tuple[int, int]:
    """The lowest and the highest level that real bounds leave, which are quantized as values."""

    def level(bound: float, unbounded: int) -> int:
        if isinf(bound):
            return unbounded
        with np.errstate(over="ignore"):  # what is infinite is clipped
            return int(number.nearest(np.float32(bound) / np.float32(scale)))

    return level(low, number.min_level), level(high, number.max_level)


def signed_levels(program: Program, name: str) -> np.ndarray:
    """The levels of a layer's only term, rows turned around where their batch norm's factor is
    negative and 0 where it is 0: int32 (rows, ...)."""
    levels = program.terms[name][0].levels
    if name not in program.factors:
        return levels
    sign = np.sign(program.factors[name]).astype(np.int32)
    return levels * sign.reshape(-1, *(1,) * (levels.ndim - 1))


def fits_int8(levels: np.ndarray) -> bool:
    """Whether all levels are within -128 .. 127."""
    return not levels.size or (int(levels.min()) >= -128 and int(levels.max()) <= 127)
