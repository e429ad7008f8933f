"""What both forms write alike: the input, bounds and moves of codes, parameters, and the result."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from qsim.network.graph import INPUT, Node
from qsim.network.layers import Conv, Flatten, Linear, MatMul, Relu
from qsim.network.moves import Move
from qsim.network.pools import MaxPool
from qsim.onnx_writer.graph import GraphBuilder
from qsim.onnx_writer.operators import Operator, operator
from qsim.onnx_writer.plan import Bound, Codes, Plan, Step

FLOAT = 1  # TensorProto.FLOAT


class FormWriter(ABC):
    """Writes a plan step by step. The integers of tensor NAME are ``NAME_quantized``; its real
    values, where they are written, ``NAME_dequantized``."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.network = plan.program.network
        self.graph = GraphBuilder(self.network.name)
        self.codes: dict[str, Codes] = {}
        self._dequantized: set[str] = set()
        self._reals: dict[str, str] = {}  # of tensors that are not held in integers

    def model(self) -> Any:
        """The ModelProto of the plan."""
        shape = self.network.input_shape
        self.quantize(self.graph.input(INPUT, shape), INPUT, self.plan.input)
        for step in self.plan.steps:
            self._write(step)
        output = self.network.nodes[self.network.output]
        name = self.real(output.name)
        self.graph.output(name, np.dtype(np.float32), output.output_shape)
        return self.graph.model()

    @abstractmethod
    def compute(self, step: Step, operands: list[str], made: str) -> None:
        """Write a step that computes: its first layer reads the codes of tensors ``operands`` (and
        its weights), and the codes it makes are those of tensor ``made``."""

    @abstractmethod
    def real_rows(self, node: Node, rows: str, made: str) -> None:
        """Write the real numbers ``made`` of a linear layer that reads the codes of ``rows``."""

    @abstractmethod
    def move(self, step: Step) -> None:
        """Write a step that moves codes, or takes the largest of some."""

    def _write(self, step: Step) -> None:
        node, codes = step.node, step.codes
        source = node.inputs[0]
        if codes is None:
            self._result(step)
        elif isinstance(node.layer, Bound):
            if source in self.plan.program.formats:  # to be rounded again
                self.quantize(self._bounds(step, self.dequantized(source)), step.name, codes)
            else:
                self.clip(source, step.name, codes)
        elif isinstance(node.layer, Move | Flatten | MaxPool):
            self.move(step)
        elif reads_tokens(node):
            self.compute(step, [self._as_rows(node)], f"{node.name}_rows")
            self._as_tokens(node, step.name)
        else:
            self.compute(step, self._matrices(node), step.name)

    def _result(self, step: Step) -> None:
        """Write a step whose tensor is not rounded, as the network's result may be: of products the
        sums times their scale in float32, else real numbers."""
        node, made = step.node, f"{step.node.name}_real"
        if isinstance(node.layer, Linear):
            tokens = reads_tokens(node)
            rows = self._as_rows(node) if tokens else node.inputs[0]
            self.real_rows(node, rows, f"{node.name}_rows_real" if tokens else made)
            if tokens:
                shape = self._token_shape(node)
                self.graph.add("Reshape", [f"{node.name}_rows_real", shape], made)
        elif isinstance(node.layer, Conv):
            self._real_sums(node, made)
        elif isinstance(node.layer, Bound):
            made = self.real(node.inputs[0])
        else:
            found = operator(node)
            read = [self.real(name) for name in self._matrices(node)]
            read += self.constants(node, found)
            self.graph.add(found.name, read, made, **found.attributes)
        self._reals[step.name] = self._bounds(step, made)

    def _real_sums(self, node: Node, made: str) -> None:
        """The integer sums of a convolution times their scale."""
        held, source = self.stored(node), node.inputs[0]
        zero_point = self.parameters(source, self.codes[source])[1]
        rows = (-1, 1, 1)
        weights = self.plan.weights(node)
        zero = self.graph.constant(
            f"{node.name}.zero", np.array(weights.zero_point, weights.codes.dtype)
        )
        found = operator(node)
        read = [f"{source}_quantized", held["weight"], zero_point, zero]
        sums = self.graph.add("ConvInteger", read, f"{node.name}_products", **found.attributes)
        if "bias" in held:
            bias = self.graph.constant(f"{node.name}.bias_rows", weights.bias.reshape(rows))
            sums = self.graph.add("Add", [sums, bias], f"{node.name}_sums")
        scale = np.broadcast_to(weights.bias_scale, weights.bias.shape).reshape(rows)
        by = self.graph.constant(f"{node.name}.sum_scale", scale)
        real = self.graph.add("Cast", [sums], f"{node.name}_cast", to=FLOAT)
        self.graph.add("Mul", [real, by], made)

    def real(self, name: str) -> str:
        """The real values of a tensor."""
        return self._reals[name] if name in self._reals else self.dequantized(name)

    def quantize(self, real: str, name: str, codes: Codes) -> None:
        """The codes of a real tensor."""
        scale, zero_point = self.parameters(name, codes)
        before = f"{name}_unbounded" if codes.is_narrowed else name
        self.graph.add("QuantizeLinear", [real, scale, zero_point], f"{before}_quantized")
        self.bound(name, codes)

    def bound(self, name: str, codes: Codes) -> None:
        """Settle the codes of a tensor, which are those of ``NAME_unbounded`` where they do not
        fill their integer type."""
        if codes.is_narrowed:
            self.clip(f"{name}_unbounded", name, codes)
        self.codes[name] = codes

    def clip(self, source: str, name: str, codes: Codes) -> None:
        """The codes of a tensor within bounds."""
        bounds = [
            self.graph.constant(f"{name}_{which}", np.array(bound, np.uint8))
            for which, bound in (("low", codes.low), ("high", codes.high))
        ]
        self.graph.add("Clip", [f"{source}_quantized", *bounds], f"{name}_quantized")
        self.codes[name] = codes

    def bounded(self, step: Step, real: str) -> str:
        """Real values after the relu of a step, where all that it leaves is what codes can hold, so
        that runtimes find the operator; the bounds of the codes do it otherwise."""
        relus = [node for node in step.bounds if isinstance(node.layer, Relu)]
        if not relus or step.codes.zero_point > 0:
            return real
        return self.graph.add("Relu", [real], f"{relus[0].name}_real")

    def _bounds(self, step: Step, real: str) -> str:
        """Real values after all bounds of a step."""
        for node in step.bounds:
            if isinstance(node.layer, Relu):
                real = self.graph.add("Relu", [real], f"{node.name}_real")
                continue
            ends = [
                self.graph.constant(f"{node.name}.{which}", np.array(end, np.float32))
                for which, end in zip(("low", "high"), node.layer.bounds, strict=True)
            ]
            real = self.graph.add("Clip", [real, *ends], f"{node.name}_real")
        return real

    def dequantized(self, name: str) -> str:
        """The real values of the codes of a tensor."""
        made = f"{name}_dequantized"
        if made not in self._dequantized:
            self._dequantized.add(made)
            parameters = self.parameters(name, self.codes[name])
            self.graph.add("DequantizeLinear", [f"{name}_quantized", *parameters], made)
        return made

    def parameters(self, name: str, codes: Codes) -> list[str]:
        """The scale and the zero point of a tensor."""
        return [
            self.graph.constant(f"{name}_scale", np.array(codes.scale, np.float32)),
            self.graph.constant(f"{name}_zero_point", np.array(codes.zero_point, np.uint8)),
        ]

    def stored(self, node: Node) -> dict[str, str]:
        """The constants of a layer with products, by what they are; a bias where it has one."""
        weights = self.plan.weights(node)
        zero_point = np.full(weights.scale.shape, weights.zero_point, weights.codes.dtype)
        arrays = {
            "weight": weights.codes,
            "weight_scale": weights.scale,
            "weight_zero_point": zero_point,
        }
        if weights.bias.any() or node.layer.bias:
            arrays |= {"bias": weights.bias, "bias_scale": weights.bias_scale}
        return {
            key: self.graph.constant(f"{node.name}.{key}", array) for key, array in arrays.items()
        }

    def constants(self, node: Node, operator: Operator) -> list[str]:
        """The constant inputs of an operator."""
        return [
            self.graph.constant(f"{node.name}.{key}", array)
            for key, array in operator.constants.items()
        ]

    def _matrices(self, node: Node) -> list[str]:
        """The tensors that a layer reads, the second of a matrix product turned around if it is
        read so."""
        if not isinstance(node.layer, MatMul) or not node.layer.transposed:
            return list(node.inputs)
        first, second = node.inputs
        axes = len(node.input_shapes[1])
        turned = f"{node.name}_transposed"
        perm = (*range(axes - 1), axes, axes - 1)
        self.graph.add("Transpose", [f"{second}_quantized"], f"{turned}_quantized", perm=perm)
        self.codes[turned] = self.codes[second]
        return [first, turned]

    def _as_rows(self, node: Node) -> str:
        """The tokens that a linear layer reads as rows (N, features)."""
        shape = np.array([-1, node.input_shapes[0][-1]], np.int64)
        to, rows = self.graph.constant(f"{node.name}.rows", shape), f"{node.name}_tokens"
        self.graph.add("Reshape", [f"{node.inputs[0]}_quantized", to], f"{rows}_quantized")
        self.codes[rows] = self.codes[node.inputs[0]]
        return rows

    def _as_tokens(self, node: Node, name: str) -> None:
        """The rows that a linear layer made as its tensor."""
        rows = f"{node.name}_rows"
        shape = self._token_shape(node)
        self.graph.add("Reshape", [f"{rows}_quantized", shape], f"{name}_quantized")
        self.codes[name] = self.codes[rows]

    def _token_shape(self, node: Node) -> str:
        return self.graph.constant(f"{node.name}.tokens", np.array([-1, *node.output_shape]))


def reads_tokens(node: Node) -> bool:
    """Whether a linear layer reads more than one row of an image."""
    return isinstance(node.layer, Linear) and len(node.input_shapes[0]) > 1
