"""Models in ONNX files, read as networks with weights, or as integer programs."""

from dataclasses import dataclass
from pathlib import Path

from qsim.network.graph import Network
from qsim.network.weights import Weights
from qsim.onnx_reader.files import read_message
from qsim.onnx_reader.float_models import float_network
from qsim.onnx_reader.graph import read_graph
from qsim.onnx_reader.inputs import feeds, wanted_output
from qsim.onnx_reader.options import OnnxOptions
from qsim.onnx_reader.qonnx import is_qonnx, read_qonnx
from qsim.onnx_reader.quantized import is_quantized, read_quantized
from qsim.program import Program

__all__ = ["Imported", "OnnxOptions", "read_onnx"]


@dataclass(frozen=True)
class Imported:
    """What a file holds: a network with float32 weights, and its integers where it is quantized.

    notes   of a quantized one, a sentence for each thing that ONNX Runtime may compute otherwise
    """

    network: Network
    weights: Weights | None
    program: Program | None = None
    notes: tuple[str, ...] = ()


def read_onnx(path: Path, options: OnnxOptions | None = None) -> Imported:
    """The model in the ONNX file at ``path``, named after it.

    Raises QsimError naming the file, and the node or tensor that cannot be read, and why.
    """
    options = options or OnnxOptions()
    graph = read_graph(path, read_message(path))
    fed, output = feeds(graph, options), wanted_output(graph, options)
    if is_quantized(graph):
        model = read_quantized(graph, fed, output)
        return Imported(model.program.network, model.program.real, model.program, model.notes)
    if is_qonnx(graph):
        program = read_qonnx(graph, fed, output).program
        return Imported(program.network, program.real, program)
    network, weights = float_network(graph, fed, output)
    return Imported(network, weights)
