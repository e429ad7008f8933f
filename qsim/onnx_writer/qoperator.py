"""The QOperator form: operators that read and make integers, given their scales and zero points."""

from qsim.network.graph import Node
from qsim.onnx_writer.common import FormWriter
from qsim.onnx_writer.graph import MICROSOFT
from qsim.onnx_writer.operators import operator
from qsim.onnx_writer.plan import Step

# by operator on real numbers; those of ONNX Runtime are of its own domain
ELEMENTWISE = {"Add": "QLinearAdd", "Mul": "QLinearMul"}
OF_ONE = {
    "AveragePool": "QLinearAveragePool",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
    "LeakyRelu": "QLinearLeakyRelu",
    "Sigmoid": "QLinearSigmoid",
    "Softmax": "QLinearSoftmax",
}

OF_REALS = ("HardSwish", "Tanh")  # which the runtime has no operator of integers for


class QOperatorWriter(FormWriter):
    """Writes a plan in QOperator form."""

    def compute(self, step: Step, operands: list[str], made: str) -> None:
        node, codes = step.node, step.codes
        read = [
            name
            for tensor in operands
            for name in (f"{tensor}_quantized", *self.parameters(tensor, self.codes[tensor]))
        ]
        found = operator(node)
        if found.name in OF_REALS:
            read = self.dequantized(operands[0])
            real = self.graph.add(found.name, [read], f"{node.name}_real", **found.attributes)
            self.quantize(real, made, codes)
            return
        y = self.parameters(made, codes)
        output = f"{made}_unbounded" if codes.is_narrowed else made
        name, inputs, domain, attributes = self._operator(node, found, read, y)
        self.graph.add(name, inputs, f"{output}_quantized", domain=domain, **attributes)
        self.bound(made, codes)

    def real_rows(self, node: Node, rows: str, made: str) -> None:
        held = self.stored(node)
        read = [f"{rows}_quantized", *self.parameters(rows, self.codes[rows])]
        inputs = [*read, *_weights(held), held.get("bias", "")]
        self.graph.add("QGemm", inputs, made, domain=MICROSOFT, transB=1)

    def move(self, step: Step) -> None:
        node, found = step.node, operator(step.node)
        source = node.inputs[0]
        read = [f"{source}_quantized", *self.constants(node, found)]
        self.graph.add(found.name, read, f"{node.name}_quantized", **found.attributes)
        self.codes[step.name] = step.codes

    def _operator(
        self, node: Node, found, read: list[str], y: list[str]
    ) -> tuple[str, list[str], str, dict]:
        """The integer operator, its inputs, its domain and its attributes."""
        attributes = found.attributes
        match found.name:
            case "Conv":
                held = self.stored(node)
                bias = [held["bias"]] if "bias" in held else []
                return "QLinearConv", [*read, *_weights(held), *y, *bias], "", attributes
            case "Gemm":
                held = self.stored(node)
                inputs = [*read, *_weights(held), held.get("bias", ""), *y]
                return "QGemm", inputs, MICROSOFT, attributes
            case "MatMul":
                return "QLinearMatMul", [*read, *y], "", {}
            case "Concat":
                return "QLinearConcat", [*y, *read], MICROSOFT, attributes
            case name if name in ELEMENTWISE:
                return ELEMENTWISE[name], [*read, *y], MICROSOFT, {}
        if found.name == "GlobalAveragePool":
            attributes = {"channels_last": 0}
        if found.name == "Softmax":
            attributes = attributes | {"opset": 13}
        return OF_ONE[found.name], [*read, *y], MICROSOFT, attributes


def _weights(held: dict[str, str]) -> list[str]:
    return [held["weight"], held["weight_scale"], held["weight_zero_point"]]
