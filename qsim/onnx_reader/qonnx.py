"""A QONNX graph as an integer program: levels of weights, formats and scales as the file has them.

The program computes what the file says: integer products of levels, which are exact, times their
scale, plus what is added to them, in the arithmetic ``onnx``: each sum is rounded to float32 and
multiplied by float32(x scale * weight scale * |factor|) / float32(scale of the result), what is
added over the scale of the result is added, and the total is rounded as the Quant says. A run in
float32 adds the products themselves in an order of its own, so that it is the same where these are
exact: at scales and factors that are powers of two, while sums stay below 2**24.
"""

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from qsim.errors import InputError, QsimError
from qsim.formats import Quantized
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import INPUT, Network
from qsim.onnx_reader import qonnx_passes as passes
from qsim.onnx_reader.float_models import HANDLERS, SHAPE_ALONE, needed
from qsim.onnx_reader.folding import FOLDS
from qsim.onnx_reader.graph import OnnxGraph
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.qonnx_constants import PASSED_ON
from qsim.onnx_reader.qonnx_draft import Draft, Product
from qsim.onnx_reader.qonnx_lowering import drafted
from qsim.onnx_reader.qonnx_quantizers import DOMAINS, QUANTIZERS
from qsim.program import Arithmetic, Program, stands_for
from qsim.program_checks import check_accumulator, largest_operands

OF_QONNX = (*QUANTIZERS, "Trunc", "MultiThreshold")
REASONS = {"FloatQuant": "its levels are floating point, and formats have integers"}
REGISTERS = (32, 48, 64)  # bits, of which the first that no sum can overflow is taken


def is_qonnx(graph: OnnxGraph) -> bool:
    """Whether the graph has an operator of QONNX."""
    return any(node.domain in DOMAINS for node in graph.nodes)


@dataclass(frozen=True)
class QonnxModel:
    """What a QONNX graph computes.

    program   an integer program
    layers    by tensor of the file that is quantized, the layer whose rounded tensor it is
    """

    program: Program
    layers: dict[str, str]


def read_qonnx(graph: OnnxGraph, fed: Fed, output: str) -> QonnxModel:
    """The program of a QONNX graph up to the tensor ``output``.

    Raises QsimError naming the file and every operator that is not read, or a node and what of it
    is not.
    """
    graph = needed(graph, output)
    _check_operators(graph, fed)
    draft = drafted(graph, fed, output)
    name = "".join("_" if c.isspace() else c for c in graph.path.stem) or "model"
    try:
        passes.prune(draft)
        passes.join_norms(draft)
        passes.join_factors(draft)
        passes.join_copies(draft)
        passes.settle(draft, name)
        return QonnxModel(_program(name, draft), draft.layer_of)
    except InputError as error:
        raise QsimError(f"{graph.path}: {error}") from None


def _check_operators(graph: OnnxGraph, fed: Fed) -> None:
    """Refuse all operators that are not read at once; of constants alone other ones are."""
    computed, unknown = {fed.name}, {}
    for node in graph.nodes:
        of_constants = node.kind in SHAPE_ALONE or computed.isdisjoint(node.inputs)
        if not of_constants:
            computed.update(filter(None, node.outputs))
        if node.domain in DOMAINS:
            known = node.kind in OF_QONNX
        else:
            readable = (*FOLDS, *PASSED_ON) if of_constants else HANDLERS
            known = node.domain == "" and node.kind in readable
        if not known:
            kind = f"{node.domain}.{node.kind}" if node.domain else node.kind
            reason = REASONS.get(node.kind)
            name = str(node.name or node.outputs[0])
            unknown.setdefault(f"{kind} ({reason})" if reason else kind, []).append(name)
    if unknown:
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in unknown.items())
        raise QsimError(f"{graph.path}: operators that are not read, by node: {listed}")


def _program(name: str, draft: Draft) -> Program:
    weights, factors, biases, real = {}, {}, {}, {}
    layers = dict(draft.layers)
    for layer in draft.layers.values():
        product = draft.products.get(layer.name)
        if product is None:
            continue
        try:
            parts = _parts(product, draft.scales.get(layer.inputs[0]))
        except QsimError as error:
            raise QsimError(f"layer {layer.name!r}: {error}") from None
        weights[layer.name], factor, levels, weight, bias = parts
        real[f"{layer.name}.weight"] = weight
        if factor is not None:
            factors[layer.name] = factor
        if levels is not None:
            biases[layer.name] = levels
        if bias is not None:
            real[f"{layer.name}.bias"] = bias
        layers[layer.name] = msgspec.structs.replace(layer, bias=bias is not None)
    network = Network(name, draft.shapes[INPUT], tuple(layers.values()))
    for node in network.nodes.values():
        real |= {key: draft.arrays[key] for key in node.arrays if key not in real}
        if node.is_recurrent:
            weights[node.name] = None
    program = Program(
        network, real, weights, factors, biases, draft.formats, draft.scales, Arithmetic()
    )
    return _with_register(program)


def _parts(product: Product, in_scale: np.ndarray | None):
    """Of a layer: quantized weights or None, factors or None, integer biases or None where it is
    computed in floating point, real weights, and a real bias or None."""
    bias = None if product.bias is None else _float32(product.bias, "bias")
    if product.weight.levels is None:
        weight = product.weight.real.astype(np.float64)
        if product.factor is not None:
            weight = weight * product.factor.reshape(-1, *(1,) * (weight.ndim - 1))
        return None, None, None, _float32(weight, "weight"), bias
    quantized = product.weight.weights()
    factor = None if product.factor is None else _float32(product.factor, "factor")
    if in_scale is None:
        return quantized, factor, None, stands_for(quantized, factor), bias
    levels = np.zeros(product.rows, np.int64)
    if factor is None and bias is not None:
        whole = _integer_bias(product, quantized, in_scale)
        if whole is not None:
            levels, bias = whole
        else:
            factor = np.ones(product.rows, np.float32)
    return quantized, factor, levels, stands_for(quantized, factor), bias


def _integer_bias(product: Product, quantized: Quantized, in_scale: np.ndarray):
    """The levels of a bias in the scale of the sums, and the float32 values that they stand for;
    None: it has another scale, or is too large for them."""
    constant = product.integer_bias
    if constant is None or constant.levels is None:
        return None
    [term] = quantized.terms
    of_sums = in_scale.astype(np.float64) * term.scale.astype(np.float64)
    scale = np.broadcast_to(constant.scale.reshape(-1), of_sums.shape)
    levels = np.broadcast_to(constant.levels.reshape(-1), of_sums.shape)
    real = (levels * of_sums).astype(np.float32)
    fits = np.array_equal(np.rint(real.astype(np.float64) / of_sums), levels)
    if not np.array_equal(of_sums.astype(np.float32), scale) or not fits:
        return None
    return levels.astype(np.int64), real


def _float32(values: np.ndarray, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise QsimError(f"its {what} is no finite float32")
    return values


def _with_register(program: Program) -> Program:
    """With the narrowest register that no sum of the program can overflow."""
    for bits in REGISTERS:
        arithmetic = Arithmetic(accumulator=Accumulator(bits))
        tried = replace(program, arithmetic=arithmetic)
        if all(_fits(tried, node) for node in program.network.nodes.values()):
            return tried
    for node in program.network.nodes.values():
        check_accumulator(tried, node)
    raise ValueError("a register is refused for no layer")


def _fits(program: Program, node) -> bool:
    try:
        for operands in largest_operands(program, node):
            program.arithmetic.accumulator.check(*operands)
    except OverflowError:
        return False
    return True
