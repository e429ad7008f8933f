"""Groups of operators that stand for one function, as exporters write them, put back as one node.

A group of operators on single values is known by what it computes: it is run on points between -9
and 9, and far beyond, and compared with the functions that there are layers for. A layer
normalisation is known by its operators.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from qsim.kernels.error_function import erf
from qsim.onnx_reader import folding
from qsim.onnx_reader.graph import OnnxGraph, OnnxNode

FAR = np.geomspace(9, 1e6, 64)
POINTS = np.concatenate([-FAR[::-1], np.linspace(-9, 9, 1153), FAR])
ANCHORS = ("Clip", "Erf", "HardSigmoid", "Relu", "Sigmoid", "Tanh")  # one is in every group
FARTHEST = 8  # operators from an anchor to either end of its group
NEAR = 2e-6  # of a function and a group, on the scale of the function


def _tanh_gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: list[tuple[str, dict, Callable]] = [
    ("Gelu", {"approximate": "none"}, lambda x: x / 2 * (1 + erf(x * np.sqrt(0.5)))),
    ("Gelu", {"approximate": "tanh"}, _tanh_gelu),
    ("Silu", {}, lambda x: x / (1 + np.exp(-x))),
    ("HardSwish", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
]
with np.errstate(over="ignore"):
    WANTED = [(kind, attributes, function(POINTS)) for kind, attributes, function in FUNCTIONS]
OF_VALUES: dict[str, Callable] = {
    "Add": np.add,
    "Clip": lambda x, low=-np.inf, high=np.inf: np.clip(x, low, high),
    "Div": np.divide,
    "Erf": erf,
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


def simplified(graph: OnnxGraph) -> OnnxGraph:
    """The same graph with groups that stand for a function as one node each: Gelu, Silu, HardSwish,
    LayerNormalization."""
    index = _Index(graph)
    for node in graph.nodes:
        if node.kind in ANCHORS and node.domain == "":
            _try_functions(index, node)
        if node.kind == "Div" and node.domain == "":
            _try_layer_norm(index, node)
    return replace(graph, nodes=tuple(index.kept()), constants=index.constants)


class _Index:
    """Nodes by what they make, and who reads what."""

    def __init__(self, graph: OnnxGraph):
        self.constants = dict(graph.constants)
        self.makers: dict[str, OnnxNode] = {}
        self.readers: dict[str, list[OnnxNode]] = {name: [] for name in graph.outputs}
        self._outputs = set(graph.outputs)
        self._nodes = list(graph.nodes)
        self._replaced: dict[int, OnnxNode | None] = {}
        for node in graph.nodes:
            self.makers |= dict.fromkeys(node.outputs, node)
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
            if node.kind == "Constant" and node.domain == "":
                self.constants[node.outputs[0]] = folding.fold(node, [])
            if node.kind == "Identity" and node.inputs[0] in self.constants:
                self.constants[node.outputs[0]] = self.constants[node.inputs[0]]

    def kept(self) -> Iterator[OnnxNode]:
        """The nodes that are left, with those that were put in the place of others."""
        for node in self._nodes:
            node = self._replaced.get(id(node), node)
            if node is not None and not (node.kind == "Constant" and node.domain == ""):
                yield node

    def unused(self, name: str) -> str:
        """A name of a tensor that there is not, much as ``name``."""
        while name in self.constants or name in self.makers or name in self.readers:
            name = f"_{name}"
        return name

    def inner(self, name: str, group: list[OnnxNode]) -> bool:
        """Whether nothing outside a group reads a tensor."""
        inside = all(any(reader is node for node in group) for reader in self.readers[name])
        return inside and name not in self._outputs

    def next_of(self, node: OnnxNode) -> OnnxNode | None:
        """The one node that reads what a node makes."""
        if len(node.outputs) != 1 or node.outputs[0] in self._outputs:
            return None
        readers = self.readers.get(node.outputs[0], [])
        return readers[0] if len({id(reader) for reader in readers}) == 1 else None

    def replace(self, group: list[OnnxNode], node: OnnxNode) -> None:
        """Put a node in the place of a group, the last of which makes what it makes."""
        for old in group:
            self._replaced[id(old)] = None
        self._replaced[id(group[-1])] = node
        self.makers[node.outputs[0]] = node

    def is_replaced(self, group: list[OnnxNode]) -> bool:
        """Whether a node of a group is part of another."""
        return any(id(node) in self._replaced for node in group)


def _try_functions(index: _Index, anchor: OnnxNode) -> None:
    """Put one node in the place of a group around ``anchor`` that computes a known function."""
    roots = [anchor]
    while len(roots) <= FARTHEST and (following := index.next_of(roots[-1])) is not None:
        if following.kind not in OF_VALUES or following.domain:
            break
        roots.append(following)
    for source in _sources(index, anchor):
        if len(index.readers.get(source, ())) < 2:  # each of the functions is x times one of x
            continue
        for root in reversed(roots):
            group = _group(index, root, source)
            if (
                group is None
                or not any(anchor is node for node in group)
                or index.is_replaced(group)
            ):
                continue
            named = _named(index, group, source)
            if named is not None:
                kind, attributes = named
                index.replace(
                    group, OnnxNode(kind, "", root.name, (source,), root.outputs, attributes)
                )
                return


def _sources(index: _Index, anchor: OnnxNode) -> Iterator[str]:
    """Tensors before an anchor that a group could be a function of, the nearest first."""
    name = anchor.inputs[0]
    for _ in range(FARTHEST):
        yield name
        maker = index.makers.get(name)
        if maker is None or maker.kind not in OF_VALUES or maker.domain:
            return
        computed = {each for each in maker.inputs if each and each not in index.constants}
        if len(computed) > 1 and maker.kind == "Add":  # x + c * x ** 3, from whichever is made last
            computed = {each for each in computed if each not in index.makers} or {
                min(computed, key=lambda each: len(_before(index, each)))
            }
        if len(computed) != 1:
            return
        [name] = computed


def _before(index: _Index, name: str) -> set[str]:
    """The tensors of single-value operators that a tensor is made of."""
    seen, waiting = set(), [name]
    while waiting and len(seen) < 4 * FARTHEST:
        current = waiting.pop()
        maker = index.makers.get(current)
        if current not in seen and maker is not None and maker.kind in OF_VALUES:
            seen.add(current)
            waiting += [each for each in maker.inputs if each not in index.constants]
    return seen


def _group(index: _Index, root: OnnxNode, source: str) -> list[OnnxNode] | None:
    """The nodes between ``source`` and ``root`` in order, where these read nothing else but numbers
    and no other reads what they make; None: there is no such group."""
    ordered: list[OnnxNode] = []

    def visit(node: OnnxNode, depth: int) -> bool:
        if any(node is seen for seen in ordered):
            return True
        if node.kind not in OF_VALUES or node.domain or depth > 2 * FARTHEST:
            return False
        for name in node.inputs:
            if name in ("", source):
                continue
            if name in index.constants:
                if index.constants[name].size != 1:
                    return False
            elif name not in index.makers or not visit(index.makers[name], depth + 1):
                return False
        ordered.append(node)
        return True

    if not visit(root, 0):
        return None
    if not all(index.inner(node.outputs[0], ordered) for node in ordered[:-1]):
        return None
    return ordered


def _named(index: _Index, group: list[OnnxNode], source: str) -> tuple[str, dict] | None:
    """The function that a group is, with its attributes; None: no known one."""
    values: dict[str, np.ndarray | float] = {source: POINTS}
    with np.errstate(all="ignore"):
        for node in group:
            given = [
                values[name] if name in values else float(index.constants[name].reshape(()))
                for name in node.inputs if name
            ]  # fmt: skip
            if node.kind == "Clip" and "min" in node.attributes:
                given += [node.attributes["min"], node.attributes.get("max", np.inf)]
            if node.kind == "HardSigmoid":
                given += [node.attributes["alpha"], node.attributes["beta"]]
            values[node.outputs[0]] = np.asarray(OF_VALUES[node.kind](*given), np.float64)
        made = np.broadcast_to(values[group[-1].outputs[0]], POINTS.shape)
        for kind, attributes, wanted in WANTED:
            if (np.abs(made - wanted) <= NEAR * np.maximum(1.0, np.abs(wanted))).all():
                return kind, attributes
    return None


def _try_layer_norm(index: _Index, div: OnnxNode) -> None:
    """Put one node in the place of (x - mean) / sqrt(variance + epsilon), with the factor and the
    offset after it."""
    centred, root = (index.makers.get(name) for name in div.inputs)
    chain = _chain(index, root, ("Sqrt", "Add", "ReduceMean"))
    if centred is None or centred.kind != "Sub" or chain is None:
        return
    sqrt, total, mean_square = chain
    square = index.makers.get(mean_square.inputs[0])
    mean = index.makers.get(centred.inputs[1])
    epsilon = next((index.constants[n] for n in total.inputs if n in index.constants), None)
    if not _is_square(index, square, div.inputs[0]) or epsilon is None or epsilon.size != 1:
        return
    if mean is None or mean.kind != "ReduceMean" or mean.inputs[0] != centred.inputs[0]:
        return
    if not (_over_last(index, mean) and _over_last(index, mean_square)):
        return
    group = [mean, centred, square, mean_square, total, sqrt, div]
    weight, after = _constant_after(index, div, "Mul")
    bias, last = _constant_after(index, after, "Add")
    for node in (after, last):
        group += [] if node is group[-1] else [node]
    if index.is_replaced(group) or not all(
        index.inner(node.outputs[0], group) for node in group[:-1]
    ):
        return
    names = tuple(index.unused(f"{div.outputs[0]}.{key}") for key in ("weight", "bias"))
    index.constants[names[0]] = np.ones(1, np.float32) if weight is None else weight
    index.constants[names[1]] = np.zeros(1, np.float32) if bias is None else bias
    attributes = {"axis": -1, "epsilon": float(epsilon.reshape(()))}
    inputs = (centred.inputs[0], *names)
    made = OnnxNode("LayerNormalization", "", div.name, inputs, group[-1].outputs, attributes)
    index.replace(group, made)


def _chain(index: _Index, node: OnnxNode | None, kinds: tuple[str, ...]) -> list | None:
    """Nodes of these kinds, each reading the next as its computed input."""
    found = []
    for kind in kinds:
        if node is None or node.kind != kind:
            return None
        found.append(node)
        computed = [name for name in node.inputs if name and name not in index.constants]
        node = index.makers.get(computed[0]) if computed else None
    return found


def _is_square(index: _Index, node: OnnxNode | None, name: str) -> bool:
    if node is None:
        return False
    if node.kind == "Mul":
        return tuple(node.inputs) == (name, name)
    power = index.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    return (
        node.kind == "Pow"
        and node.inputs[0] == name
        and power is not None
        and power.size == 1
        and power.reshape(()) == 2
    )


def _over_last(index: _Index, node: OnnxNode) -> bool:
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        given = index.constants.get(node.inputs[1])
        axes = folding.whole(given) if given is not None and given.dtype.kind in "iu" else None
    return tuple(axes or ()) == (-1,) and bool(node.attributes.get("keepdims", 1))


def _constant_after(index: _Index, node: OnnxNode, kind: str) -> tuple[np.ndarray | None, OnnxNode]:
    """The constant of one axis that the one reader of a node multiplies by or adds, and this
    reader; or None and the node itself."""
    reader = index.next_of(node)
    if reader is not None and reader.kind == kind:
        arrays = [index.constants[name] for name in reader.inputs if name in index.constants]
        if arrays and arrays[0].ndim <= 1:
            return arrays[0], reader
    return None, node
