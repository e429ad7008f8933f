"""QONNX models: written by hand as exporters write them, and run by QONNX's own executor."""

from itertools import pairwise

import numpy as np
from conformance.peers import ONNX, QONNX, load

GENERAL = "qonnx.custom_op.general"
ROUNDINGS = ("ROUND", "HALF_UP", "HALF_DOWN", "FLOOR", "CEIL", "DOWN", "UP")
RUNTIME_IR_VERSION = 10  # the newest that the runtime reads may be older than what onnx writes


def run_qonnx(model, image):
    """Every tensor of a ModelProto for one image, by name, as QONNX's executor computes them."""
    execution = load(QONNX, ".core.onnx_exec")
    wrapper = prepared(model)
    make = execution.qonnx_make_model
    execution.qonnx_make_model = lambda graph: make(graph, ir_version=RUNTIME_IR_VERSION)
    try:
        fed = {wrapper.graph.input[0].name: image}
        return execution.execute_onnx(wrapper, fed, return_full_exec_context=True)
    finally:
        execution.qonnx_make_model = make


def prepared(model, *, datatypes=False):
    """QONNX's wrapper of a model, with shapes (and types) inferred by its own transformations."""
    wrapper = load(QONNX, ".core.modelwrapper").ModelWrapper(model)
    wrapper = wrapper.transform(load(QONNX, ".transformation.infer_shapes").InferShapes())
    if datatypes:
        infer = load(QONNX, ".transformation.infer_datatypes").InferDataTypes
        wrapper = wrapper.transform(infer(allow_scaledint_dtypes=True))
    return wrapper


class Sketch:
    """A model that is being put together; methods return the name of what a node makes."""

    def __init__(self, shape, domain=GENERAL, version=1):
        self.onnx, self.domain, self.version = load(ONNX), domain, version
        self.shape, self.nodes, self.constants = (1, *shape), [], {}

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def add(self, operator, *inputs, domain="", **attributes):
        """A node; arrays and numbers among its inputs become constants."""
        names = [x if isinstance(x, str) else self.constant(np.float32(x)) for x in inputs]
        output = f"t{len(self.nodes)}_{operator.lower()}"
        node = self.onnx.helper.make_node(
            operator, names, [output], name=f"{operator}_{len(self.nodes)}", domain=domain,
            **attributes,
        )  # fmt: skip
        self.nodes.append(node)
        return output

    def quant(self, x, bits, scale, signed=1, narrow=0, zero_point=0.0, mode="ROUND"):
        words = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
        return self.add("Quant", x, scale, zero_point, float(bits), domain=self.domain, **words)

    def bipolar(self, x, scale=1.0):
        return self.add("BipolarQuant", x, scale, domain=self.domain)

    def weight(self, array, bits, scale, **words):
        """Quantized weights: of 1 bit the signs."""
        if bits == 1:
            return self.bipolar(array, scale)
        return self.quant(array, bits, scale, **{"narrow": 1} | words)

    def reshape(self, x, shape):
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))

    def norm(self, x, channels, rng):
        """A batch norm that is exact in float32: powers of two and few bits."""
        gamma = rng.choice([0.5, 1, 2, -1], channels) * 0.25
        beta, mean = (rng.integers(-8, 9, channels) / 8 for _ in range(2))
        variance = rng.choice([0.25, 1, 4], channels)
        return self.add("BatchNormalization", x, gamma, beta, mean, variance, epsilon=0.0)

    def model(self, output, *, opset=11):
        helper = self.onnx.helper
        kind = self.onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "sketch",
            [helper.make_tensor_value_info("in", kind, self.shape)],
            [helper.make_tensor_value_info(output, kind, None)],
            [self.onnx.numpy_helper.from_array(a, name) for name, a in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(self.domain, self.version)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weights_of(rng, shape, bits):
    """Weights and the scale of their levels, a power of two, for each row in one of two draws."""
    per_row = (shape[0], *(1,) * (len(shape) - 1)) if rng.integers(2) else ()
    scale = np.float32(2.0 ** rng.integers(-3, 1, per_row)) if bits > 1 else np.float32(0.5)
    return np.float32(rng.normal(0, 2.0 ** (bits - 2), shape) * scale), scale


def activation(sketch, x, bits):
    """The quantizer of activations of few bits."""
    return sketch.bipolar(x) if bits == 1 else sketch.quant(x, bits, 0.5, narrow=1)


def fully_connected(rng, weight_bits, activation_bits):
    """Like brevitas's TFC: an input scaled to -1 .. 1, linear layers, batch norms, a last scale."""
    sketch, widths = Sketch((1, 4, 4)), (16, 12, 12, 5)
    x = sketch.reshape("in", (1, 16))
    x = sketch.add("Sub", sketch.add("Mul", x, 2.0), 1.0)
    for index, (features, rows) in enumerate(pairwise(widths)):
        x = activation(sketch, x, activation_bits)
        weight, scale = weights_of(rng, (rows, features), weight_bits)
        held = sketch.add("Transpose", sketch.weight(weight, weight_bits, scale), perm=(1, 0))
        x = sketch.add("MatMul", x, held)
        if index < len(widths) - 2:
            x = sketch.norm(x, rows, rng)
    return sketch.model(sketch.add("Add", sketch.add("Mul", x, 0.125), -0.5))


def convolutional(rng, weight_bits, activation_bits):
    """Like brevitas's CNV: convolutions with batch norms and pools, then linear layers."""
    sketch = Sketch((3, 8, 8))
    x, channels = sketch.quant("in", 8, 2.0**-6), 3
    for rows, pooled in ((6, False), (8, True), (8, False)):
        weight, scale = weights_of(rng, (rows, channels, 3, 3), weight_bits)
        padding = (1, 1, 1, 1) if activation_bits > 1 else (0, 0, 0, 0)
        held = sketch.weight(weight, weight_bits, scale)
        x = sketch.add("Conv", x, held, kernel_shape=(3, 3), pads=padding)
        x = activation(sketch, sketch.norm(x, rows, rng), activation_bits)
        if pooled:
            x = sketch.add("MaxPool", x, kernel_shape=(2, 2), strides=(2, 2))
        channels = rows
        if activation_bits == 1 and pooled:
            break
    side = 4 if activation_bits > 1 else 2
    x = sketch.reshape(x, (1, -1))
    weight, scale = weights_of(rng, (4, channels * side * side), weight_bits)
    x = sketch.add("Gemm", x, sketch.weight(weight, weight_bits, scale), transB=1)
    return sketch.model(sketch.add("Mul", x, 0.5))


def residual(rng, weight_bits=4, activation_bits=4):
    """A residual block of quantized branches, their mean, biases in integers, a relu in float."""
    sketch = Sketch((2, 6, 6))
    x = sketch.quant("in", activation_bits, 0.25)
    branches = []
    for kernel in (3, 1):
        weight, scale = weights_of(rng, (4, 2, kernel, kernel), weight_bits)
        of_sums = np.float32(0.25) * np.broadcast_to(scale.reshape(-1), (4,))
        bias = sketch.quant(np.float32(rng.integers(-40, 40, 4) * of_sums), 16, of_sums)
        held = sketch.weight(weight, weight_bits, scale)
        pads = (kernel // 2,) * 4
        made = sketch.add("Conv", x, held, bias, kernel_shape=(kernel, kernel), pads=pads)
        branches.append(sketch.quant(sketch.add("Relu", made), activation_bits, 0.5, signed=0))
    x = sketch.add("Relu", sketch.add("Add", *branches))
    x = sketch.quant(x, activation_bits, 0.5, signed=0)
    x = sketch.add("Concat", x, branches[0], axis=1)
    x = sketch.quant(x, activation_bits, 0.5, signed=0)
    x = sketch.quant(sketch.add("AveragePool", x, kernel_shape=(2, 2), strides=(2, 2)), 6, 0.125)
    x = sketch.add("Flatten", sketch.add("GlobalAveragePool", x), axis=1)
    return sketch.model(sketch.quant(x, 8, 2.0**-6, mode="FLOOR"))
