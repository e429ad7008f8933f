"""QONNX: real operators, and a Quant or BipolarQuant of every weight and every rounded tensor."""

from typing import Any

import numpy as np

from qsim.formats import Float, Quant, Quantized
from qsim.network.fold import normalisation
from qsim.network.graph import INPUT, Node
from qsim.network.layers import BatchNorm, Clip, Conv, HardTanh, Linear, MatMul, Relu, Relu6
from qsim.network.pointwise import Offset, Scale
from qsim.network.pools import AveragePool
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.onnx_writer import qonnx_special as special
from qsim.onnx_writer.graph import GraphBuilder, Versions
from qsim.onnx_writer.operators import operator
from qsim.onnx_writer.qonnx_grids import DOMAIN, ROUNDING_MODES, activation_grid, weight_grid
from qsim.program import Program

# as old as the operators allow; images one at a time, as QONNX's executor wants every side fixed
OPSET, IR_VERSION = 13, 8
BATCH = 1


class QonnxWriter:
    """Writes a program that is known to be expressible (``qonnx_refusals``).

    A layer's tensor has the layer's name; rounded, it is ``NAME_quant``.
    """

    def __init__(self, program: Program):
        self.program = program
        domains = {DOMAIN: special.version(program)}
        versions = Versions(OPSET, domains, IR_VERSION)
        self.graph = GraphBuilder(program.network.name, batch=BATCH, versions=versions)
        self.read: dict[str, str] = {}  # by tensor, what the layers after it read

    def model(self) -> Any:
        """The ModelProto."""
        network = self.program.network
        made = self.graph.input(INPUT, network.input_shape)
        self.read[INPUT] = self._rounded(INPUT, made)
        for node in network.nodes.values():
            made = self._layer(node)
            self.read[node.name] = self._rounded(node.name, made)
        output = network.nodes[network.output]
        self.graph.output(self.read[output.name], np.dtype(np.float32), output.output_shape)
        return self.graph.model()

    def _layer(self, node: Node) -> str:
        x, *others = (self.read[name] for name in node.inputs)
        match node.layer:
            case Identity():
                return x
            case Scale(factor=factor):
                return self._times(x, factor, node.name, node.name)
            case BatchNorm():
                return self._norm(node, x)
            case Offset():
                bias = self.graph.constant(
                    f"{node.name}.bias", self.program.real[f"{node.name}.bias"]
                )
                return self.graph.add("Add", [x, bias], node.name)
            case MultiThreshold() | Truncate():
                return special.write(self.graph, self.program, node, x)
            case Conv() | Linear():
                return self._product(node, x)
            case Relu():
                return self.graph.add("Relu", [x], node.name)
            case Clip() | Relu6() | HardTanh():
                bounds = [
                    self.graph.constant(f"{node.name}.{which}", np.array(bound, np.float32))
                    for which, bound in zip(("low", "high"), node.layer.bounds, strict=True)
                ]
                return self.graph.add("Clip", [x, *bounds], node.name)
            case MatMul(transposed=True):
                others = [self._transposed(node, others[0])]
            case AveragePool() if self._rounds_mean(node):
                return self._rounded_mean(node, x)
        return self._operator(node, [x, *others], node.name)

    def _operator(self, node: Node, inputs: list[str], output: str) -> str:
        """The operator of a layer without weights."""
        written = operator(node)
        constants = [
            self.graph.constant(f"{node.name}.{key}", array)
            for key, array in written.constants.items()
        ]
        return self.graph.add(written.name, inputs + constants, output, **written.attributes)

    def _times(self, x: str, factor, owner: str, output: str) -> str:
        held = self.graph.constant(f"{owner}.factor", np.asarray(factor, np.float32))
        return self.graph.add("Mul", [x, held], output)

    def _norm(self, node: Node, x: str) -> str:
        """A batch norm that stands alone, as the factor and the addend it comes to."""
        along = (-1, *(1,) * (len(node.output_shape) - 1))
        factor, offset = (v.reshape(along) for v in normalisation(node, self.program.real))
        scaled = self._times(x, factor, node.name, f"{node.name}_scaled")
        return self.graph.add(
            "Add", [scaled, self.graph.constant(f"{node.name}.offset", offset)], node.name
        )

    def _transposed(self, node: Node, y: str) -> str:
        axes = list(range(len(node.input_shapes[1]) + 1))
        axes[-2:] = axes[:-3:-1]
        return self.graph.add("Transpose", [y], f"{node.name}_transposed", perm=axes)

    def _product(self, node: Node, x: str) -> str:
        """The products, times the factor of a batch norm, plus the bias: each step where it is."""
        steps = [("MatMul" if isinstance(node.layer, Linear) else "Conv", self._weight(node))]
        factor, name = self.program.factors.get(node.name), node.name
        if factor is not None and (factor != 1).any():
            steps.append(("Mul", self.graph.constant(f"{name}.factor", _by_row(node, factor))))
        bias = self._bias(node)
        steps += [] if bias is None else [("Add", bias)]
        suffixes = ("_products", "_scaled")
        for index, (kind, operand) in enumerate(steps):
            made = name if index == len(steps) - 1 else name + suffixes[index]
            attributes = operator(node).attributes if kind == "Conv" else {}
            x = self.graph.add(kind, [x, operand], made, **attributes)
        return x

    def _weight(self, node: Node) -> str:
        """The weights of a layer; of a linear one (features, rows), as MatMul takes them."""
        name, quantized = f"{node.name}.weight", self.program.weights[node.name]
        turned = isinstance(node.layer, Linear)
        if quantized is None:
            real = self.program.real[name]
            return self.graph.constant(name, real.T if turned else real)
        [term] = quantized.terms
        levels = term.levels
        scale = np.broadcast_to(term.scale, levels.shape[:1]).astype(np.float32)
        scale = scale.reshape(-1, *(1,) * (levels.ndim - 1))
        if quantized.scale.size == 1:
            scale = scale[:1].reshape(())
        real = (levels * scale.astype(np.float64)).astype(np.float32)
        if turned:
            real, scale = real.T, scale.T
        grid = None if is_binary(quantized) else weight_grid(*level_range(quantized))
        return self._quant(self.graph.constant(f"{name}_real", real), name, grid, scale)

    def _bias(self, node: Node) -> str | None:
        """A real bias; or one in integers, with the Quant whose scale is that of the sums."""
        name, program = f"{node.name}.bias", self.program
        if node.name not in program.biases or program.has_real_bias(node):
            real = program.real.get(name)
            return None if real is None else self.graph.constant(name, _by_row(node, real))
        levels = program.biases[node.name]
        if not node.layer.bias and not levels.any():
            return None
        [scales] = program.accumulator_scales(node)
        scale = _by_row(node, scales.astype(np.float32))
        real = _by_row(node, (levels * scales).astype(np.float32))
        grid = bias_bits(levels)
        if program.weights[node.name].scale.size == 1:
            scale = scale.reshape(-1)[:1].reshape(())
        words = (1, 0)  # signed, not narrow
        return self._node(
            self.graph.constant(name, real), f"{name}_quant", scale, 0, grid, words, "ROUND"
        )

    def _rounded(self, tensor: str, real: str) -> str:
        """What the layers after a tensor read of it."""
        number, node = self.program.formats.get(tensor), self.program.network.nodes.get(tensor)
        if not self.program.rounds(tensor) or isinstance(number, Float):
            return real
        if node is not None and special.is_rounded(self.program, node):
            return real
        scale = np.asarray(self.program.scales[tensor], np.float32)
        return self._quant(real, f"{tensor}_quant", activation_grid(number), scale)

    def _rounds_mean(self, node: Node) -> bool:
        return self.program.arithmetic.requantizer.mean is not None

    def _rounded_mean(self, node: Node, x: str) -> str:
        """An average that is a level itself before it is brought to another scale."""
        mean = self._operator(node, [x], f"{node.name}_mean")
        number, scale = self.program.formats[node.inputs[0]], self.program.scales[node.inputs[0]]
        grid = weight_grid(number.min_level, number.max_level)  # a mean lies between the levels
        return self._quant(mean, node.name, grid, np.asarray(scale, np.float32))

    def _quant(self, real: str, output: str, grid: Quant | None, scale: np.ndarray) -> str:
        if grid is None:
            of = self.graph.constant(f"{output}_scale", scale)
            return self.graph.add("BipolarQuant", [real, of], output, domain=DOMAIN)
        mode, words = ROUNDING_MODES[grid.rounding], (int(grid.signed), int(grid.narrow))
        return self._node(real, output, scale, grid.zero_point, grid.bits, words, mode)

    def _node(self, real, output, scale, zero_point, bits, words, mode) -> str:
        """A Quant; ``words`` are whether they are signed, and narrow."""
        numbers = {"scale": scale, "zero_point": zero_point, "bits": bits}
        constants = [
            self.graph.constant(f"{output}_{key}", np.asarray(value, np.float32))
            for key, value in numbers.items()
        ]
        signed, narrow = words
        attributes = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
        return self.graph.add("Quant", [real, *constants], output, domain=DOMAIN, **attributes)


def is_binary(quantized: Quantized) -> bool:
    """Whether the levels of quantized weights are -1 and 1 alone."""
    return quantized.format.bits == 1 and bool((np.abs(quantized.levels) == 1).all())


def level_range(quantized: Quantized) -> tuple[int, int]:
    """The least and the largest level that any row of quantized weights may have."""
    rows = [quantized.row_format(row) for row in range(len(quantized.levels))]
    return min(row.min_level for row in rows), max(row.max_level for row in rows)


def bias_bits(levels: np.ndarray) -> int:
    """The bits of signed words that hold all levels of a bias."""
    return max((max(int(levels.max()), -int(levels.min()) - 1)).bit_length() + 1, 2)


def _by_row(node: Node, values: np.ndarray) -> np.ndarray:
    """Values of the rows (rows,) as they lie along what the layer makes."""
    return values if isinstance(node.layer, Linear) else values.reshape(1, -1, 1, 1)
