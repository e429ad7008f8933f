"""A QONNX graph as an integer program: levels of weights, formats and scales as the file has them.

The program computes what the file says: integer products of levels, which are exact, times their
scale, plus what is added to them, in the arithmetic ``onnx``: each sum is rounded to float32 and
multiplied by float32(x scale * weight scale * |factor|) / float32(scale of the result), what is
added over the scale of the result is added, and the total is rounded as the Quant says. A run in
float32 adds the products themselves in an order of its own, so that it is the same where these are
exact: at scales and factors that are powers of two, while sums stay below 2**24.
"""

from dataclasses import replace
from math import prod

import msgspec
import numpy as np

from qsim.errors import InputError, QsimError
from qsim.formats import Float, Quantized
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import INPUT, Network
from qsim.network.kinds import KeepsLevels
from qsim.network.layers import Concat, Relu
from qsim.network.roundings import Identity
from qsim.onnx_reader import OnnxOptions
from qsim.onnx_reader.folding import FOLDS
from qsim.onnx_reader.graph import OnnxGraph
from qsim.onnx_reader.qonnx_lowering import ALIASES, Lowered, Lowering, Product
from qsim.onnx_reader.qonnx_operators import LAYERS
from qsim.onnx_reader.qonnx_quantizers import DOMAINS, QUANTIZERS
from qsim.precision import rounded_tensors
from qsim.program import Arithmetic, Program, stands_for
from qsim.program_checks import check_accumulator, largest_operands

OF_QONNX = (*QUANTIZERS, "Trunc", "MultiThreshold")
OF_TENSORS = {
    *ALIASES, *LAYERS, "Add", "BatchNormalization", "Conv", "Div", "Gemm", "MatMul", "Mul", "Sub",
}  # fmt: skip
REASONS = {"FloatQuant": "its levels are floating point, and formats have integers"}
MOST_FILLED = 2**24  # values of an input that options fill
REGISTERS = (32, 48, 64)  # bits, of which the first that no sum can overflow is taken


def is_qonnx(graph: OnnxGraph) -> bool:
    """Whether the graph has an operator of QONNX."""
    return any(node.domain in DOMAINS for node in graph.nodes)


def read_qonnx(graph: OnnxGraph, options: OnnxOptions | None = None) -> Program:
    """The program of a QONNX graph of one input and one output (``options.output`` of several).

    Raises QsimError naming the file and every operator that is not read, or a node and what of it
    is not.
    """
    options = options or OnnxOptions()
    graph = _with_one_output(_with_one_input(graph, options), options)
    _check_operators(graph)
    lowered = Lowering(graph, _shape(graph, options)).run()
    try:
        name = graph.path.stem.replace(" ", "_") or "model"
        return _program(name, _settled(name, _pruned(lowered)))
    except InputError as error:
        raise QsimError(f"{graph.path}: {error}") from None


def _with_one_input(graph: OnnxGraph, options: OnnxOptions) -> OnnxGraph:
    """The graph with the inputs that options fill as constants."""
    filled = {}
    for name, number in options.constants.items():
        if name not in graph.inputs:
            raise QsimError(f"{graph.path}: constants: the file has no input {name!r}")
        sides = [options.dims.get(side, side) for side in graph.inputs[name]]
        if not all(isinstance(side, int) for side in sides) or prod(sides) > MOST_FILLED:
            raise QsimError(
                f"{graph.path}: constants: the sides of input {name!r} are open or large"
            )
        filled[name] = np.full(sides, number, np.float32)
    inputs = {name: sides for name, sides in graph.inputs.items() if name not in filled}
    if len(inputs) != 1:
        raise QsimError(
            f"{graph.path}: has {len(inputs)} inputs, and one is fed; name the others under"
            " constants"
        )
    return replace(graph, inputs=inputs, constants=graph.constants | filled)


def _with_one_output(graph: OnnxGraph, options: OnnxOptions) -> OnnxGraph:
    wanted = options.output or (graph.outputs[0] if len(graph.outputs) == 1 else None)
    if wanted not in graph.outputs:
        listed = ", ".join(graph.outputs[:8])
        raise QsimError(f"{graph.path}: output: name the one that is wanted of {listed}")
    return replace(graph, outputs=(wanted,))


def _shape(graph: OnnxGraph, options: OnnxOptions) -> tuple[int, ...]:
    """The shape of one image: the first side is the batch."""
    [(name, sides)] = graph.inputs.items()
    shape = tuple(options.dims.get(side, side) for side in sides[1:])
    if not shape or not all(isinstance(side, int) for side in shape):
        raise QsimError(
            f"{graph.path}: input {name!r} has the sides {list(sides)}; after the batch all must be"
            " numbers, or named under dims"
        )
    return shape


def _check_operators(graph: OnnxGraph) -> None:
    """Refuse all operators that are not read at once; of constants alone other ones are."""
    constant, unknown = set(graph.constants), {}
    for node in graph.nodes:
        if node.domain in DOMAINS:
            known = node.kind in OF_QONNX
        elif constant.issuperset(filter(None, node.inputs)):
            known = node.domain == "" and (node.kind in FOLDS or node.kind in ALIASES)
        else:
            known = node.domain == "" and node.kind in OF_TENSORS
        if constant.issuperset(filter(None, node.inputs)):
            constant.update(node.outputs)
        if not known:
            kind = f"{node.domain}.{node.kind}" if node.domain else node.kind
            reason = REASONS.get(node.kind)
            name = node.name or node.outputs[0]
            unknown.setdefault(f"{kind} ({reason})" if reason else kind, []).append(name)
    if unknown:
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in unknown.items())
        raise QsimError(f"{graph.path}: operators that are not read, by node: {listed}")


def _pruned(lowered: Lowered) -> Lowered:
    """Without layers that the output does not depend on."""
    needed, layers = {lowered.output}, []
    for layer in reversed(lowered.layers.values()):
        if layer.name in needed:
            needed.update(layer.inputs)
            layers.append(layer)
    return replace(lowered, layers={layer.name: layer for layer in reversed(layers)})


def _settled(name: str, lowered: Lowered) -> Lowered:
    """With a format of every tensor that must have one: that of levels which are moved or bounded,
    else none (float). What moves levels and is rounded to others is followed by a copy that is."""
    network = Network(name, lowered.shapes[INPUT], tuple(lowered.layers.values()))
    formats, scales, layers = {}, {}, {}
    renamed: dict[str, str] = {}
    must = rounded_tensors(network)
    for tensor in (INPUT, *network.nodes):
        asked, held = lowered.formats.get(tensor), None
        if tensor != INPUT:
            layer = lowered.layers[tensor]
            layer = msgspec.structs.replace(
                layer, inputs=tuple(renamed.get(source, source) for source in layer.inputs)
            )
            layers[tensor] = layer
            held = _held(layer, formats, scales)
            keeps = isinstance(layer, KeepsLevels) and held is not None
            if keeps and asked is not None and held != (asked, lowered.scales.get(tensor)):
                formats[tensor], scale = held
                _set(scales, tensor, scale)
                renamed[tensor] = tensor = f"{tensor}_again"[:100]
                layers[tensor] = Identity(name=tensor, inputs=(layer.name,))
        if asked is not None:
            formats[tensor] = asked
            _set(scales, tensor, lowered.scales.get(tensor))
        elif held is not None and (tensor in must or isinstance(layer, KeepsLevels)):
            formats[tensor] = held[0]
            _set(scales, tensor, held[1])
        elif tensor in must:
            formats[tensor] = Float()
    return replace(lowered, layers=layers, formats=formats, scales=scales)


def _held(layer, formats: dict, scales: dict):
    """The format and the scale (None: float) of the levels that a layer makes of levels without
    rounding; None: it makes others."""
    sources = [(formats.get(source), scales.get(source)) for source in layer.inputs]
    if sources[0][0] is None or any(source != sources[0] for source in sources):
        return None
    number, scale = sources[0]
    if not isinstance(layer, KeepsLevels | Relu | Concat):
        return None
    if isinstance(number, Float):
        return (number, None) if isinstance(layer, KeepsLevels) else None
    factor = getattr(layer, "factor", None)
    return number, scale if factor is None else _scaled(layer.name, scale, factor)


def _scaled(name: str, scale: np.ndarray, factor) -> np.ndarray:
    if isinstance(factor, tuple | int):  # of an upsampling
        return scale
    with np.errstate(over="ignore", under="ignore"):
        made = np.float32(scale) * np.float32(factor)
    if not np.finfo(np.float32).tiny <= made < np.inf:
        raise QsimError(f"layer {name!r}: its scale {made:g} leaves the range of float32")
    return np.asarray(made)


def _set(scales: dict, tensor: str, scale: np.ndarray | None) -> None:
    if scale is not None:
        scales[tensor] = scale


def _program(name: str, lowered: Lowered) -> Program:
    weights, factors, biases, real = {}, {}, {}, dict(lowered.arrays)
    layers = dict(lowered.layers)
    for layer in lowered.layers.values():
        product = lowered.products.get(layer.name)
        if product is None:
            continue
        try:
            parts = _parts(product, lowered.scales.get(layer.inputs[0]))
        except QsimError as error:
            raise QsimError(f"{name}: layer {layer.name!r}: {error}") from None
        weights[layer.name], factor, levels, weight, bias = parts
        real[f"{layer.name}.weight"] = weight
        if factor is not None:
            factors[layer.name] = factor
        if levels is not None:
            biases[layer.name] = levels
        if bias is not None:
            layers[layer.name] = msgspec.structs.replace(layer, bias=True)
            real[f"{layer.name}.bias"] = bias
    network = Network(name, lowered.shapes[INPUT], tuple(layers.values()))
    program = Program(
        network, real, weights, factors, biases, lowered.formats, lowered.scales, Arithmetic()
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
    constant = product.quantized_bias
    if constant is None:
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
