"""The integer program: a network whose weights are levels and whose scales are settled.

A tensor is either *rounded* to the levels of an activation format, or stays in the accumulator as
sums with a scale per channel. Biases are integers in the accumulator's scale, or, where thresholds
stand for the activation, real numbers in these.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import msgspec
import numpy as np

from qsim.calibrate import RANGE_RULES, RangeRule, next_power_of_two, observe, power_of_two
from qsim.datapaths import datapath
from qsim.errors import WeightsError, WorkloadError
from qsim.formats import (
    BinaryActivations,
    Facts,
    Fixed,
    Float,
    Format,
    Quantized,
    Term,
    quantize_groups,
)
from qsim.formats.base import ScaleRule
from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.datapath import Datapath
from qsim.kernels.gru import Gru
from qsim.kernels.lstm import Lstm
from qsim.network.fold import Unfolded
from qsim.network.graph import INPUT, Network, Node
from qsim.network.layers import (
    Add,
    AveragePool,
    Clipping,
    Concat,
    Flatten,
    MatMul,
    MaxPool,
    Relu,
    Sigmoid,
    Softmax,
)
from qsim.network.weights import Weights
from qsim.precision import Precision, keeps_levels
from qsim.recurrent_layers import Operand, make_cell
from qsim.requantize import REQUANTIZERS, Name, Requantizer

LARGEST_BIAS = 2**24  # levels, so that float32 holds them


class Arithmetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the integer program computes.

    accumulator    the register of every product
    requantize     the arithmetic that brings sums back to levels (see ``REQUANTIZERS``)
    range          how scales are found: max maps the largest magnitude to the largest level,
                   mse is the scale of least mean squared error
    integer_only   whether a step in floating point is refused
    """

    accumulator: Accumulator = Accumulator()
    requantize: Name = "onnx"
    range: RangeRule = "max"
    integer_only: bool = False

    @property
    def requantizer(self) -> Requantizer:
        """The arithmetic of ``requantize``."""
        return REQUANTIZERS[self.requantize]

    @property
    def scale_rule(self) -> ScaleRule:
        """The rule that finds scales."""
        rule = RANGE_RULES[self.range]
        return power_of_two(rule) if self.requantizer.powers_of_two else rule


@dataclass(frozen=True)
class Program:
    """An integer program.

    network     with batch norms folded
    real        its float32 weights and biases; of a layer whose format is trained with, those that
                its quantized weights stand for
    weights     by layer with products: levels and scales, or None where they are float; of a
                recurrent layer only None, where they are
    factors     by layer whose weights are quantized as trained: what its batch norm multiplies
                each row by, float32 (rows,); a negative one turns the levels around
    biases      by layer with integer products: int64 (rows,), in the scale of its first term, 0
                where the bias is real (see ``offset``); other layers with products are computed in
                floating point, with the values that their weights stand for
    formats     by rounded tensor, an affine one with its zero point
    scales      by rounded tensor that is not float: float32, of shape ()
    recurrences by recurrent layer in integers
    """

    network: Network
    real: Weights
    weights: dict[str, Quantized | None]
    factors: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    formats: dict[str, Format | Float]
    scales: dict[str, np.ndarray]
    arithmetic: Arithmetic
    recurrences: dict[str, "Recurrence"] = field(default_factory=dict)

    def rounds(self, tensor: str) -> bool:
        """Whether the tensor is rounded when it is made."""
        node = self.network.nodes.get(tensor)
        return tensor in self.formats and not (node and keeps_levels(node, set(self.formats)))

    @cached_property
    def terms(self) -> dict[str, tuple[Term, ...]]:
        """By layer with quantized weights: its integer products, batch norm factors included."""
        return {
            name: effective_terms(quantized, self.factors.get(name))
            for name, quantized in self.weights.items()
            if quantized is not None
        }

    @cached_property
    def datapaths(self) -> dict[str, tuple[Datapath, ...]]:
        """By layer with integer products: the kernel of each of its terms."""
        held = {}
        for name in self.biases:
            x = self.formats[self.network.nodes[name].inputs[0]]
            number, accumulator = self.weights[name].format, self.arithmetic.accumulator
            held[name] = tuple(
                datapath(term.levels, number, x, accumulator) for term in self.terms[name]
            )
        return held

    def accumulator_scales(self, node: Node) -> list[np.ndarray]:
        """The scale of the sums of each term of a product layer: float64 (rows,), exact."""
        return _sum_scales(node, self.terms[node.name], self.scales)

    def maps(self, node: Node) -> bool:
        """Whether the layer's sums are multiplied by XNOR-Net's map of its input."""
        number = self.formats.get(node.inputs[0])
        return node.has_products and isinstance(number, BinaryActivations) and number.scale_map

    def offset(self, node: Node) -> np.ndarray | None:
        """The real bias, float32 (rows,), that is added to a product layer's scaled sums."""
        if not self.has_real_bias(node):
            return None
        return self.real.get(f"{node.name}.bias")

    def has_real_bias(self, node: Node) -> bool:
        """Whether the bias of a product layer is not added to its sums as an integer."""
        real_bias = self.arithmetic.requantizer.real_bias
        trained = node.name in self.factors
        return real_bias == "all" or (trained and real_bias == "trained") or self.maps(node)

    def held(self, name: str) -> np.ndarray:
        """The float32 weights that a layer's quantized weights stand for."""
        return stands_for(self.weights[name], self.factors.get(name))


@dataclass(frozen=True)
class Recurrence:
    """A recurrent layer in integers.

    products   the program of its ``step_products`` alone, whose biases are integers
    cell       what is made of them
    """

    products: Program
    cell: Lstm | Gru


def effective_terms(quantized: Quantized, factor: np.ndarray | None) -> tuple[Term, ...]:
    """The terms of quantized weights whose rows are multiplied by ``factor``: a negative one turns
    the levels around, its magnitude scales."""
    if factor is None:
        return quantized.terms
    shape = (-1, *(1,) * (quantized.levels.ndim - 1))
    sign = np.where(factor < 0, -1, 1).astype(np.int32).reshape(shape)
    return tuple(
        replace(term, levels=term.levels * sign, scale=term.scale * np.abs(factor))
        for term in quantized.terms
    )


def stands_for(quantized: Quantized, factor: np.ndarray | None) -> np.ndarray:
    """The float32 weights of ``effective_terms``."""
    held = quantized.real
    if factor is not None:
        held = held * factor.reshape(-1, *(1,) * (held.ndim - 1)).astype(np.float64)
    return held.astype(np.float32)


def build(
    network: Network,
    weights: Weights,
    precision: Precision,
    images: np.ndarray,
    arithmetic: Arithmetic,
    trained: dict[str, Unfolded] | None = None,
) -> Program:
    """The integer program of a network (batch norms folded), its ranges set by real ``images``.

    trained   the weights before folding and the factors of their batch norms, for formats that
              quantize them as trained; None: there were no batch norms

    Raises WorkloadError when a tensor with negative values is read as unsigned, a layer's formats
    do not go together, the accumulator could overflow and is exact, or a step in floating point is
    refused; WeightsError when the float network overflows or weights cannot be quantized.
    """
    quantized, factors = {}, {}
    for node in network.product_nodes:
        number, name = precision.weights[node.name], node.name
        if isinstance(number, Float):
            quantized[name] = None
        elif number.folds:
            weight = weights[f"{name}.weight"]
            quantized[name] = _quantized(name, number, precision, weight, arithmetic.scale_rule)
        else:
            weight = trained[name].weight if trained else weights[f"{name}.weight"]
            quantized[name] = _quantized(name, number, precision, weight, None)
            factors[name] = trained[name].factor if trained else np.ones(len(weight), np.float32)
    held = {f"{n}.weight": stands_for(quantized[n], factors[n]) for n in factors}
    recurrent = _quantized_recurrent(network, weights, precision, arithmetic)
    quantized |= {node.name: None for node in network.recurrent_nodes if node.name not in recurrent}
    for name, both in recurrent.items():
        if not precision.weights[name].folds:
            held |= {key: stands_for(matrix, None) for key, matrix in both.items()}
    weights = weights | held
    functions = {name: number.before_rounding for name, number in precision.activations.items()}
    seen = observe(network, weights, images, functions)
    _check_finite(network, seen)
    formats, scales = _activations(network, precision.activations, seen, arithmetic.scale_rule)
    draft = Program(network, weights, quantized, factors, {}, formats, scales, arithmetic)
    for node in network.product_nodes:
        if quantized[node.name] is not None and node.inputs[0] in scales:
            _raise_low_scales(draft, node, precision)
    biases = {
        node.name: _bias_levels(draft, node)
        for node in network.product_nodes
        if quantized[node.name] is not None and node.inputs[0] in scales
    }
    recurrences = {
        name: _recurrence(draft, network.nodes[name], precision, both)
        for name, both in recurrent.items()
    }
    program = replace(draft, biases=biases, recurrences=recurrences)
    for node in network.nodes.values():
        _check_accumulator(program, node)
    _check_powers_of_two(program)
    if arithmetic.integer_only:
        _check_integer_only(program)
    return program


def _activations(
    network: Network,
    asked: dict[str, Facts],
    tensors: dict[str, np.ndarray],
    rule: ScaleRule,
) -> tuple[dict[str, Format | Float], dict[str, np.ndarray]]:
    """The format of every rounded tensor, and the scale of those that are not float; one that keeps
    its source's levels keeps both."""
    formats, scales = {}, {}
    for name, number in asked.items():
        _check_sign(network, name, number, tensors[name])
        kept = name != INPUT and keeps_levels(network.nodes[name], set(asked))
        source = network.nodes[name].inputs[0] if kept else name
        if isinstance(number, Float):
            formats[name] = number
        elif kept:
            formats[name], scales[name] = formats[source], scales[source]
        else:
            try:
                formats[name], scales[name] = number.bind(tensors[name], rule)
            except ValueError as error:
                raise WorkloadError(
                    f"precision: tensor {name!r} of network {network.name}: {error}"
                ) from None
    return formats, scales


def _check_finite(network: Network, tensors: dict[str, np.ndarray]) -> None:
    for name, real in tensors.items():
        if not np.isfinite(real).all():
            raise WeightsError(
                f"network {network.name}: tensor {name!r} overflows in floating point on the"
                " calibration images; the weights are too large"
            )


def _check_sign(network: Network, name: str, number: Facts, real: np.ndarray) -> None:
    if isinstance(number, BinaryActivations) and _never_negative(network, name) and real.min() >= 0:
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} is never negative, so its sign"
            " is always +1; a network of xnor_activations has batch norms and no relu before them"
        )
    if number.refuses_negative and (not _never_negative(network, name) or real.min(initial=0) < 0):
        readers = ", ".join(node.name for node in network.readers[name])
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} can be negative but is read as"
            f" unsigned; under precision.layers give each layer that reads it ({readers})"
            f" activations: {{fixed: {{bits: {max(number.bits, 2)}}}}}"
        )


def _never_negative(network: Network, name: str) -> bool:
    """Whether a tensor cannot be negative; the input is taken at its word where it is read."""
    if name == INPUT or isinstance(network.nodes[name].layer, Relu | Sigmoid | Softmax):
        return True
    node = network.nodes[name]
    if isinstance(node.layer, Clipping) and node.layer.bounds[0] >= 0:
        return True
    passes_on = isinstance(node.layer, MaxPool | AveragePool | Flatten | Add | Concat | Clipping)
    return passes_on and all(_never_negative(network, source) for source in node.inputs)


def _quantized(
    name: str,
    number: Facts,
    precision: Precision,
    weight: np.ndarray,
    scale: ScaleRule | np.ndarray | None,
) -> Quantized:
    """The weights of a layer in their format. Raises WeightsError naming the layer."""
    granularity = precision.granularity[name]
    try:
        if granularity.kind == "per_group":
            return quantize_groups(number, weight, granularity.group_size, scale=scale)
        axis = 0 if granularity.kind == "per_channel" else None
        return number.quantize(weight, scale=scale, axis=axis)
    except ValueError as error:
        raise WeightsError(f"layer {name!r}: its weights cannot be quantized: {error}") from None


def _quantized_recurrent(
    network: Network, weights: Weights, precision: Precision, arithmetic: Arithmetic
) -> dict[str, dict[str, Quantized]]:
    """The matrices of each recurrent layer whose weights are not float, by their array's name."""
    found = {}
    for node in network.recurrent_nodes:
        number = precision.weights[node.name]
        if not isinstance(number, Float):
            own, rule = _own_precision(node, precision), arithmetic.scale_rule
            found[node.name] = {
                product.name: _quantized(
                    product.name, number, own, weights[product.name], rule if number.folds else None
                )
                for product in node.step_products
            }
    return found


def _own_precision(node: Node, precision: Precision) -> Precision:
    """That of the products of a recurrent layer."""
    names = [product.name for product in node.step_products]
    number, granularity = precision.weights[node.name], precision.granularity[node.name]
    return Precision(dict.fromkeys(names, number), dict.fromkeys(names, granularity), {})


def _recurrence(
    draft: Program, node: Node, precision: Precision, quantized: dict[str, Quantized]
) -> Recurrence:
    """A recurrent layer of quantized weights. Raises WorkloadError or WeightsError naming it."""
    layer, source, arithmetic = node.layer, node.inputs[0], draft.arithmetic
    of_sums = arithmetic.requantizer.real_bias == "none"
    if not of_sums:  # the gates are brought to their format as TFLite does, with integer biases
        arithmetic = msgspec.structs.replace(arithmetic, requantize="tflite")
    real = {}
    for product, operand in zip(node.step_products, layer.operands, strict=True):
        real[f"{product.name}.weight"] = draft.real[product.name]
        if layer.bias:
            real[f"{product.name}.bias"] = draft.real[f"{node.name}.bias_{operand}"]
    factors = {}
    if not precision.weights[node.name].folds:
        factors = {name: np.ones(len(q.levels), np.float32) for name, q in quantized.items()}
    products = replace(
        draft,
        real=real,
        weights=quantized,
        factors=factors,
        formats={
            source: draft.formats[source],
            node.name: Fixed(layer.hidden_bits, full_range=True),
        },
        scales={
            source: draft.scales[source],
            node.name: np.float32(2.0**-layer.hidden_fraction_bits),
        },
        arithmetic=arithmetic,
    )
    for product in node.step_products:
        _raise_low_scales(products, product, _own_precision(node, precision))
    biases = {product.name: _bias_levels(products, product) for product in node.step_products}
    products = replace(products, biases=biases)
    operands = []
    for product in node.step_products:
        _check_accumulator(products, product)
        [scale], [term] = products.accumulator_scales(product), products.terms[product.name]
        x, number = products.formats[product.inputs[0]], products.weights[product.name].format
        weights = datapath(term.levels, number, x, arithmetic.accumulator)
        bias = biases[product.name]
        operands.append(Operand(weights, term.levels, bias, scale, x.max_magnitude))
    try:
        return Recurrence(products, make_cell(layer, *operands, arithmetic.accumulator))
    except OverflowError as error:
        raise WorkloadError(f"execute: recurrent layer {node.name!r}: its {error}") from None


def _raise_low_scales(draft: Program, node: Node, precision: Precision) -> None:
    """Give rows of next to nothing (a pruned channel) a scale at which their bias fits, in place:
    2**-24 of the layer's largest, or that at which the bias is as large as it may be."""
    name = node.name
    lowest = _lowest_scale(draft, node)
    factor, quantized = draft.factors.get(name), draft.weights[name]
    if factor is not None:
        least = np.min([term.scale for term in quantized.terms], axis=0)
        raised = np.maximum(np.abs(factor), lowest / least).astype(np.float32)
        draft.factors[name] = np.where(factor < 0, -raised, raised)
        return
    if quantized.scale.ndim == 0:
        lowest = lowest.max()
    else:
        lowest = lowest.reshape(-1, *(1,) * (quantized.scale.ndim - 1))
    if (quantized.scale >= lowest).all():
        return
    raised = np.maximum(quantized.scale, lowest)
    if draft.arithmetic.requantizer.powers_of_two:
        raised = next_power_of_two(raised)
    weight = draft.real[f"{name}.weight"]
    draft.weights[name] = _quantized(name, precision.weights[name], precision, weight, raised)


def _lowest_scale(draft: Program, node: Node) -> np.ndarray:
    """The least scale that each row may have, float32 (rows,)."""
    terms = effective_terms(draft.weights[node.name], draft.factors.get(node.name))
    scale = np.max([term.scale for term in terms], axis=0)
    is_zero = np.all([~term.levels.reshape(len(scale), -1).any(axis=1) for term in terms], axis=0)
    largest = np.where(is_zero, np.float32(0), scale).max(initial=np.float32(0))
    by_bias = np.zeros(len(scale), np.float32)
    if not draft.has_real_bias(node):
        room = _bias_room(draft, node)
        with np.errstate(over="ignore"):
            by_bias = np.abs(_bias(draft, node)) / (
                draft.scales[node.inputs[0]].astype(np.float64) * room
            )
            by_bias = (by_bias * (1 + 2.0**-22)).astype(np.float32)  # more than two roundings take
    return np.maximum(by_bias, np.float32(largest * 2.0**-24))


def _bias(draft: Program, node: Node) -> np.ndarray:
    """The real bias, float64 (rows,)."""
    rows = np.zeros(len(draft.weights[node.name].levels), np.float32)
    return draft.real.get(f"{node.name}.bias", rows).astype(np.float64)


def _bias_room(draft: Program, node: Node) -> int:
    """The most levels of a bias: LARGEST_BIAS, or what the products leave of an exact register."""
    weights, accumulator = draft.weights[node.name], draft.arithmetic.accumulator
    max_x = draft.formats[node.inputs[0]].max_magnitude
    products = prod(weights.terms[0].levels.shape[1:]) * max_x * weights.format.max_magnitude
    left = accumulator.high - products
    return min(LARGEST_BIAS, left) if accumulator.mode == "exact" and left > 0 else LARGEST_BIAS


def _sum_scales(node: Node, terms: tuple[Term, ...], scales: dict) -> list[np.ndarray]:
    in_scale = scales[node.inputs[0]].astype(np.float64)
    return [in_scale * term.scale.astype(np.float64) for term in terms]


def _bias_levels(draft: Program, node: Node) -> np.ndarray:
    """The bias in the scale of the first sums, the nearest integer, a half to the even one; zeros
    where it is not added to sums."""
    terms = effective_terms(draft.weights[node.name], draft.factors.get(node.name))
    scales = _sum_scales(node, terms, draft.scales)
    info = np.finfo(np.float32)
    if not all(((scale >= info.tiny) & (scale <= info.max)).all() for scale in scales):
        raise WeightsError(
            f"layer {node.name!r}: the scale of its sums leaves the range of float32; its weights"
            " or inputs are too small or too large"
        )
    if draft.has_real_bias(node):
        return np.zeros(len(scales[0]), np.int64)
    return np.rint(_bias(draft, node) / scales[0]).astype(np.int64)


def _check_accumulator(program: Program, node: Node) -> None:
    for operands in _largest_operands(program, node):
        try:
            program.arithmetic.accumulator.check(*operands)
        except OverflowError as error:
            raise WorkloadError(
                f"execute.accumulator: layer {node.name!r}: {error}; give it more bits, or mode"
                " wrap or saturate"
            ) from None


def _largest_operands(program: Program, node: Node) -> list[tuple[int, int, int, int]]:
    """Of each integer product of a layer: its depth, and the largest magnitudes of what it
    multiplies and of its bias."""
    formats = [program.formats.get(name) for name in node.inputs]
    if isinstance(node.layer, MatMul) and Float not in map(type, formats):
        x, y = formats
        return [(node.input_shapes[0][-1], x.max_magnitude, y.max_magnitude, 0)]
    if node.name not in program.biases:
        return []
    weights, bias = program.weights[node.name], magnitude(program.biases[node.name])
    max_x, max_w = formats[0].max_magnitude, weights.format.max_magnitude
    return [(prod(term.levels.shape[1:]), max_x, max_w, bias) for term in weights.terms]


def _check_powers_of_two(program: Program) -> None:
    """Refuse what ``shift`` cannot rescale: a format whose scale is no power of two."""
    if not program.arithmetic.requantizer.powers_of_two:
        return
    for name, terms in program.terms.items():
        if not all((np.frexp(term.scale)[0] == 0.5).all() for term in terms):
            raise WorkloadError(
                f"execute.requantize: layer {name!r} has weights whose scale is no power of two,"
                f" which {program.arithmetic.requantize} needs; choose another"
            )
    for name, scale in program.scales.items():
        if np.frexp(scale)[0] != 0.5:
            raise WorkloadError(
                f"execute.requantize: tensor {name!r} has the scale {float(scale):g}, no power of"
                f" two, which {program.arithmetic.requantize} needs; choose another"
            )


def _check_integer_only(program: Program) -> None:
    """Refuse the first step in floating point."""
    network, requantize = program.network, program.arithmetic.requantize
    for name in (INPUT, *network.nodes):
        node, step = network.nodes.get(name), None
        if name in program.weights and name not in program.biases:
            step = f"layer {name!r} is computed in floating point; quantize its weights and input"
        elif node and program.maps(node):
            step = f"layer {name!r} scales its sums by a real map; leave out scale_map"
        elif isinstance(program.formats.get(name), Float):
            step = f"tensor {name!r} is float; give it a format"
        elif node and program.rounds(name) and not program.arithmetic.requantizer.integer_only:
            integer = [key for key, value in REQUANTIZERS.items() if value.integer_only]
            step = (
                f"tensor {name!r} is rounded by a float32 multiplication (requantize:"
                f" {requantize}); choose one of {', '.join(integer)}"
            )
        if step:
            raise WorkloadError(f"execute.integer_only: {step}")
