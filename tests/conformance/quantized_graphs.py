"""Graphs of quantized operators, in QDQ form or as QLinear operators, made and run.

``Graph`` makes a model with onnx.helper; ``run_graph`` runs it by ONNX Runtime as a user would, with
all of its graph optimizations, and tells which operators it made of it.
"""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from conformance.onnx_models import MICROSOFT
from conformance.peers import ONNX, ONNX_RUNTIME, load


class Graph:
    """A graph under construction: every method adds a node and gives the name of its result."""

    def __init__(self):
        self._helper = load(ONNX).helper
        self.nodes, self.constants, self.inputs, self.outputs, self.feeds = [], [], [], [], {}

    def feed(self, array: np.ndarray) -> str:
        """An input of the graph, and the array that it is given when the graph runs."""
        name = self.input(f"input{len(self.inputs)}", array.dtype, array.shape)
        self.feeds[name] = array
        return name

    def input(self, name: str, dtype, shape: tuple[int, ...]) -> str:
        """An input of the graph."""
        self.inputs.append(self._information(name, dtype, shape))
        return name

    def constant(self, array) -> str:
        """A constant of the graph."""
        name = f"constant{len(self.constants)}"
        self.constants.append(load(ONNX).numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, *inputs: str | None, domain: str = "", **attributes) -> str:
        """The result of an operator."""
        name = f"{kind}{len(self.nodes)}"
        names = ["" if source is None else source for source in inputs]
        self.nodes.append(
            self._helper.make_node(kind, names, [name], name, domain=domain, **attributes)
        )
        return name

    def dequantize(self, codes: str, scale, zero_point, **attributes) -> str:
        """A DequantizeLinear."""
        constants = self.constant(scale), self.constant(zero_point)
        return self.node("DequantizeLinear", codes, *constants, **attributes)

    def quantize(self, real: str, scale, zero_point) -> str:
        """A QuantizeLinear."""
        return self.node("QuantizeLinear", real, self.constant(scale), self.constant(zero_point))

    def output(self, name: str, dtype) -> None:
        """Let the graph give a tensor."""
        self.outputs.append(self._information(name, np.dtype(dtype), None))

    def model(self, opset: int = 21):
        """The model, with the newest format that the runtime reads."""
        make = self._helper.make_opsetid
        graph = self._helper.make_graph(
            self.nodes, "graph", self.inputs, self.outputs, self.constants
        )
        opsets = [make("", opset), make(MICROSOFT, 1)]
        return self._helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _information(self, name, dtype, shape):
        kind = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._helper.make_tensor_value_info(name, kind, shape)


def run_graph(model, feeds: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Counter]:
    """The outputs of a model by name, and how many of each operator the runtime ran for it."""
    onnx, runtime = load(ONNX), load(ONNX_RUNTIME)
    with tempfile.TemporaryDirectory() as folder:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # a saved model that suits this machine alone is a warning
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        ran = Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True)), ran
