"""The layers that are QONNX's own: MultiThreshold and Trunc."""

import numpy as np

from qsim.network.graph import Node
from qsim.network.roundings import MultiThreshold, Truncate
from qsim.onnx_writer.graph import GraphBuilder
from qsim.onnx_writer.qonnx_grids import DOMAIN, ROUNDING_MODES, weight_grid
from qsim.program import Program


def version(program: Program) -> int:
    """The version of the domain: 2 where a Trunc has a scale or bounds of its result."""
    layers = [n.layer for n in program.network.nodes.values() if isinstance(n.layer, Truncate)]
    return 2 if any(_is_second(layer) for layer in layers) else 1


def is_rounded(program: Program, node: Node) -> bool:
    """Whether a layer's results are all levels of its tensor's format already."""
    if isinstance(node.layer, MultiThreshold):
        ends, unit = node.layer.ends, node.layer.unit
    elif isinstance(node.layer, Truncate):
        ends, unit = node.layer.bounds, node.layer.out_scale
    else:
        return False
    number, scale = program.formats[node.name], program.scales[node.name]
    # bounds that are not given are those of what was read, for which its format has levels
    within = [number.min_level <= end <= number.max_level for end in ends if np.isfinite(end)]
    return all(within) and np.float32(unit) == np.float32(scale)


def write(graph: GraphBuilder, program: Program, node: Node, x: str) -> str:
    """The node of a layer that reads ``x``."""
    if isinstance(node.layer, MultiThreshold):
        return _multi_threshold(graph, program, node, x)
    return _trunc(graph, program, node, x)


def _multi_threshold(graph: GraphBuilder, program: Program, node: Node, x: str) -> str:
    layer = node.layer
    thresholds = np.sort(program.real[f"{node.name}.thresholds"], axis=1)
    held = graph.constant(f"{node.name}.thresholds", thresholds)
    attributes = {"out_scale": layer.out_scale, "out_bias": layer.out_bias}
    return graph.add(
        "MultiThreshold", [x, held], node.name, domain=DOMAIN, out_dtype=_data_type(layer),
        data_layout={1: "NC", 2: "NWC", 3: "NCHW"}[len(node.output_shape)], **attributes,
    )  # fmt: skip


def _data_type(layer: MultiThreshold) -> str:
    """QONNX's name of the type of a layer's results."""
    if layer.unit != 1:
        return "FLOAT32"
    low, high = sorted(layer.ends)
    if (low, high) == (-1, 1) and abs(layer.step) == 2:
        return "BIPOLAR"
    grid = weight_grid(low, high)
    return f"{'INT' if grid.signed else 'UINT'}{grid.bits}" if grid.bits > 1 else "BINARY"


def _trunc(graph: GraphBuilder, program: Program, node: Node, x: str) -> str:
    layer = node.layer
    if layer.times != 1:
        times = graph.constant(f"{node.name}.times", np.float32(layer.times).reshape(()))
        x = graph.add("Mul", [x, times], f"{node.name}_sum")
    number = program.formats[node.name]
    words = weight_grid(number.min_level, number.max_level)
    out_bits = words.bits
    numbers = {"scale": layer.scale, "zero_point": 0, "in_bits": out_bits + layer.dropped_bits}
    attributes = {"rounding_mode": ROUNDING_MODES[layer.rounding]}
    if version(program) == 2:
        numbers["out_scale"] = layer.out_scale
        attributes |= {"signed": int(words.signed), "narrow": int(words.narrow)}
    numbers["out_bits"] = out_bits
    constants = [
        graph.constant(f"{node.name}.{key}", np.float32(value).reshape(()))
        for key, value in numbers.items()
    ]
    return graph.add("Trunc", [x, *constants], node.name, domain=DOMAIN, **attributes)


def _is_second(layer: Truncate) -> bool:
    bounded = layer.low is not None or layer.high is not None
    return bounded or np.float32(layer.scale) != np.float32(layer.out_scale)
