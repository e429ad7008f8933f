"""An ONNX graph that is being written: nodes in order, constants by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import qsim
from qsim.errors import QsimError
from qsim.onnx_reader.files import onnx_package

OPSET = 21
IR_VERSION = 10  # the oldest with this opset
MICROSOFT = "com.microsoft"  # the domain of operators that are ONNX Runtime's own
BATCH = "N"  # the name of the side that is not fixed


@dataclass(frozen=True)
class Versions:
    """What a file says of itself: the opset of the standard operators, that of each other domain,
    the IR version."""

    opset: int = OPSET
    domains: Mapping[str, int] = field(default_factory=lambda: {MICROSOFT: 1})
    ir: int = IR_VERSION


class GraphBuilder:
    """Nodes and constants of a graph; names of tensors are what its methods return."""

    def __init__(self, name: str, *, batch: str | int = BATCH, versions: Versions = Versions()):
        self.onnx = onnx_package()
        self.name = name
        self._batch, self._versions = batch, versions
        self._nodes: list[Any] = []
        self._made: set[str] = set()
        self._constants: dict[str, np.ndarray] = {}
        self._outputs: dict[str, Any] = {}
        self._input: Any = None

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """The float32 tensor that the graph reads, (N, *shape)."""
        self._input = self._tensor(name, np.dtype(np.float32), shape)
        return name

    def output(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        """Make a tensor, (N, *shape), a result of the graph."""
        self._outputs[name] = self._tensor(name, dtype, shape)

    def constant(self, name: str, array: np.ndarray) -> str:
        """A constant tensor."""
        held = self._constants.setdefault(name, np.asarray(array))
        if held is not array and not np.array_equal(held, array):
            raise ValueError(f"constant {name} has two values")
        return name

    def add(
        self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes
    ) -> str:
        """A node named after its result, which is returned."""
        if output in self._made:
            raise QsimError(
                f"network {self.name}: two tensors would be named {output!r}; rename a layer"
            )
        self._made.add(output)
        node = self.onnx.helper.make_node(
            operator, inputs, [output], name=output, domain=domain, **attributes
        )
        self._nodes.append(node)
        return output

    def model(self) -> Any:
        """The ModelProto, checked."""
        helper, numpy_helper = self.onnx.helper, self.onnx.numpy_helper
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [self._input],
            list(self._outputs.values()),
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        model = helper.make_model(
            graph,
            producer_name="qsim",
            producer_version=qsim.__version__,
            opset_imports=[
                helper.make_opsetid("", self._versions.opset),
                *(
                    helper.make_opsetid(domain, version)
                    for domain, version in self._versions.domains.items()
                    if any(node.domain == domain for node in self._nodes)
                ),
            ],
            ir_version=self._versions.ir,
        )
        self.onnx.checker.check_model(model)
        return model

    def _tensor(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, [self._batch, *shape])


def save(model: Any, path: Path) -> None:
    """Write a model. Raises QsimError where the file cannot be written, or would be 2 GiB or more,
    which one file cannot hold."""
    if model.ByteSize() >= 2**31:
        raise QsimError(
            f"{path}: the model is {model.ByteSize() / 2**30:.1f} GiB, and an ONNX file holds less"
            " than 2 GiB"
        )
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise QsimError(f"{path}: cannot be written: {error.strerror}") from None
