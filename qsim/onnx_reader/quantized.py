"""Quantized ONNX graphs, in QDQ or QOperator form, as programs that are executed as they are."""

from dataclasses import dataclass, replace

from qsim.errors import QsimError, WorkloadError
from qsim.formats import Float
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import INPUT, Network
from qsim.onnx_reader.quantized_operators import HANDLERS
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_tensors import Activation, Draft
from qsim.precision import Granularity, Precision
from qsim.program import Arithmetic, Program
from qsim.program_checks import check_accumulator

ARITHMETIC = "onnxruntime"


@dataclass(frozen=True)
class QuantizedModel:
    """What a quantized graph computes.

    program     its integers are those of ONNX Runtime's kernels
    precision   the formats of its weights and tensors
    layers      by tensor of integers in the graph, the layer that makes it
    notes       a sentence for each thing that ONNX Runtime may compute otherwise; none: every
                integer is the runtime's
    """

    program: Program
    precision: Precision
    layers: dict[str, str]
    notes: tuple[str, ...]


def is_quantized(graph) -> bool:
    """Whether a graph has quantized tensors."""
    return any(n.kind == "QuantizeLinear" or n.kind.startswith("QLinear") for n in graph.nodes)


def read_quantized(graph, path: str) -> QuantizedModel:
    """The program of a quantized graph (as ``Reading`` describes it), that of the file ``path``.

    Raises QsimError naming the file and every operator that is not read, or the first node that
    cannot be, and why.
    """
    _check_operators(graph, path)
    draft = Draft(path)
    draft.shapes[INPUT] = graph.input_shape
    reading = Reading(graph, draft)
    reading.tensors[graph.input] = Activation(INPUT)
    for node in graph.nodes:
        HANDLERS[node.domain, node.kind](reading, node)
    _settle_ends(reading, draft)
    network = Network(graph.name, graph.input_shape, tuple(draft.layers))
    program = _with_register(
        Program(
            network, draft.real, draft.weights, {}, draft.biases, draft.formats, draft.scales,
            Arithmetic(requantize=ARITHMETIC),
        )
    )  # fmt: skip
    return QuantizedModel(program, precision_of(program), reading.coded_layers, tuple(draft.notes))


def precision_of(program: Program) -> Precision:
    """The formats of a program's weights and tensors."""
    weights, granularity = {}, {}
    for node in program.network.product_nodes:
        held = program.weights[node.name]
        weights[node.name] = Float() if held is None else held.format
        one = held is not None and held.scale.size == 1
        granularity[node.name] = Granularity("per_tensor" if one else "per_channel")
    return Precision(weights, granularity, dict(program.formats))


def _check_operators(graph, path: str) -> None:
    unknown: dict[str, list[str]] = {}
    for node in graph.nodes:
        if (node.domain, node.kind) not in HANDLERS:
            kind = f"{node.domain}.{node.kind}" if node.domain else node.kind
            unknown.setdefault(kind, []).append(node.name or node.outputs[0])
    if unknown:
        listed = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in unknown.items())
        raise QsimError(f"{path}: a quantized graph with operators that are not read: {listed}")


def _settle_ends(reading: Reading, draft: Draft) -> None:
    """Check what the graph reads and makes."""
    outputs = [reading.tensors.get(name) for name in reading.graph.outputs]
    if len(outputs) != 1 or not isinstance(outputs[0], Activation):
        raise QsimError(f"{draft.path}: a network has one result, which it computes of its input")
    if not draft.layers or outputs[0].layer != draft.layers[-1].name or outputs[0].merged:
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
