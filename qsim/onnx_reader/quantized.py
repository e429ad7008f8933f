"""Quantized ONNX graphs, in QDQ or QOperator form, as programs that are executed as they are."""

from dataclasses import dataclass, replace
from pathlib import Path

from qsim.errors import QsimError, WorkloadError
from qsim.formats import Float
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import INPUT, Network
from qsim.onnx_reader.files import STANDARD
from qsim.onnx_reader.graph import MOST_SHOWN, OnnxGraph, OnnxNode
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.quantized_handlers import MICROSOFT
from qsim.onnx_reader.quantized_moves import MOVES
from qsim.onnx_reader.quantized_operators import OPERATORS
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_tensors import Activation, Draft, Parameter
from qsim.program import Arithmetic, Program
from qsim.program_checks import check_accumulator

ARITHMETIC = "onnxruntime"
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "QGemm")
HANDLERS = OPERATORS | MOVES
DOMAINS = (*STANDARD, MICROSOFT)


@dataclass(frozen=True)
class QuantizedModel:
    """What a quantized graph computes.

    program   its integers are those of ONNX Runtime's kernels
    layers    by tensor of integers in the graph, the layer that makes it
    notes     a sentence for each thing that ONNX Runtime may compute otherwise; none: every integer
              is the runtime's
    """

    program: Program
    layers: dict[str, str]
    notes: tuple[str, ...]


def is_quantized(graph: OnnxGraph) -> bool:
    """Whether a graph has quantized tensors or weights of its own."""
    return any(node.kind.startswith(QUANTIZED) and node.domain in DOMAINS for node in graph.nodes)


def read_quantized(graph: OnnxGraph, fed: Fed, result: str) -> QuantizedModel:
    """The program of a quantized graph in QDQ or QOperator form, ``requantize: onnxruntime``, up to
    the tensor ``result``.

    Raises QsimError naming the file and every operator that is not read, or the first node that
    cannot be, and why.
    """
    nodes = _needed(graph, result)
    draft = Draft(str(graph.path))
    reading = Reading(nodes, graph.constants | fed.constants, (result,), draft)
    _check_operators(reading, nodes, graph.path)
    reading.tensors[fed.name] = Activation(INPUT)
    draft.shapes[INPUT] = fed.shape[1:]
    for node in nodes:
        _read(reading, node)
    _settle_ends(reading.tensors[result], draft)
    network = Network(graph.path.stem, fed.shape[1:], tuple(draft.layers))
    program = Program(
        network, draft.real, draft.weights, {}, draft.biases, draft.formats, draft.scales,
        Arithmetic(requantize=ARITHMETIC),
    )  # fmt: skip
    return QuantizedModel(_with_register(program), reading.coded_layers, tuple(draft.notes))


def _read(reading: Reading, node: OnnxNode) -> None:
    """Take in one node."""
    try:
        if not reading.fold(node):
            HANDLERS[node.domain, node.kind](reading, node)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise reading.refusal(node, f"it is not well made: {error}") from None


def _needed(graph: OnnxGraph, result: str) -> list[OnnxNode]:
    """The nodes that the result is made of, in order."""
    needed, nodes = {result}, []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            nodes.append(node)
    return nodes[::-1]


def _check_operators(reading: Reading, nodes: list[OnnxNode], path: Path) -> None:
    unknown: dict[str, list[str]] = {}
    for node in nodes:
        if (node.domain, node.kind) not in HANDLERS and not reading.is_constant(node):
            kind = f"{node.domain}.{node.kind}" if node.domain else node.kind
            unknown.setdefault(kind, []).append(node.name or node.outputs[0])
    if unknown:
        listed = "; ".join(
            f"{kind} ({', '.join(names[:MOST_SHOWN])}{', ...' if len(names) > MOST_SHOWN else ''})"
            for kind, names in unknown.items()
        )
        raise QsimError(f"{path}: a quantized graph with operators that are not read: {listed}")


def _settle_ends(result: Activation | Parameter, draft: Draft) -> None:
    """Check what the graph reads and makes."""
    is_last = draft.layers and isinstance(result, Activation)
    if not is_last or result.layer != draft.layers[-1].name or result.merged:
        raise QsimError(f"{draft.path}: its result is not what its last operator computes")
    if draft.real_input and INPUT in draft.formats:
        raise QsimError(f"{draft.path}: its input is read both as it is and in integers")
    draft.formats.setdefault(INPUT, Float())


def _with_register(program: Program) -> Program:
    """The program with a register of 32 bits: an exact one where no sum can overflow it, else one
    that wraps around, as the runtime's."""
    try:
        for node in program.network.nodes.values():
            check_accumulator(program, node)
    except WorkloadError:
        arithmetic = Arithmetic(requantize=ARITHMETIC, accumulator=Accumulator(32, "wrap"))
        return replace(program, arithmetic=arithmetic)
    return program
