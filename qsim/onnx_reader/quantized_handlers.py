"""What reads the operators of quantized graphs, by domain and kind."""

from collections.abc import Callable
from typing import Any

from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_geometry import window_fields
from qsim.onnx_reader.quantized_reading import Reading

MICROSOFT = "com.microsoft"
Handler = Callable[[Reading, OnnxNode], None]


class Handlers(dict[tuple[str, str], Handler]):
    """Functions that read a node, by its domain and kind."""

    def of(self, *kinds: str, domain: str = "") -> Callable[[Handler], Handler]:
        """Register what reads operators."""

        def register(handler: Handler) -> Handler:
            self.update({(domain, kind): handler for kind in kinds})
            return handler

        return register


def window_of(reading: Reading, node: OnnxNode) -> dict[str, Any]:
    """The fields of a pool, from its attributes."""
    return window_fields(node, reading.shape(node, 0), reading.refuse(node))
