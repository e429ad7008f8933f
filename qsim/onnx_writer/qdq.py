"""The QDQ form: operators on real numbers between QuantizeLinear and DequantizeLinear, which a
runtime that knows the pattern computes in integers."""

from qsim.network.graph import Node
from qsim.onnx_writer.common import FormWriter
from qsim.onnx_writer.operators import operator
from qsim.onnx_writer.plan import Step


class QdqWriter(FormWriter):
    """Writes a plan in QDQ form."""

    def compute(self, step: Step, operands: list[str], made: str) -> None:
        node, found = step.node, operator(step.node)
        read = [self.dequantized(name) for name in operands]
        read += self._weights(node) if node.has_products else self.constants(node, found)
        real = self.graph.add(found.name, read, f"{node.name}_real", **found.attributes)
        self.quantize(self.bounded(step, real), made, step.codes)

    def real_rows(self, node: Node, rows: str, made: str) -> None:
        found = operator(node)
        read = [self.dequantized(rows), *self._weights(node)]
        self.graph.add(found.name, read, made, **found.attributes)

    def move(self, step: Step) -> None:
        node, found = step.node, operator(step.node)
        read = [self.dequantized(node.inputs[0]), *self.constants(node, found)]
        real = self.graph.add(found.name, read, f"{node.name}_real", **found.attributes)
        parameters = self.parameters(step.name, step.codes)
        self.graph.add("QuantizeLinear", [real, *parameters], f"{step.name}_quantized")
        self.codes[step.name] = step.codes

    def _weights(self, node: Node) -> list[str]:
        """The real weights and bias of a layer."""
        held = self.stored(node)
        axis = {"axis": 0} if self.plan.weights(node).scale.ndim else {}
        names = [held["weight"], held["weight_scale"], held["weight_zero_point"]]
        real = [self.graph.add("DequantizeLinear", names, f"{node.name}.weight_real", **axis)]
        if "bias" in held:
            names = [held["bias"], held["bias_scale"]]
            bias = self.graph.add("DequantizeLinear", names, f"{node.name}.bias_real", **axis)
            real.append(bias)
        return real
