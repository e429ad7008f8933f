"""The integer program: a network whose weights are levels and whose scales are settled.

A tensor is either *rounded* to the levels of an activation format, or stays in the accumulator as
sums with a scale per channel. Biases are integers in the accumulator's scale, or real numbers that
are added to the scaled sums.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec
import numpy as np

from qsim.calibrate.methods import Method, MethodDocument, from_document
from qsim.calibrate.weight_scales import RANGE_RULES, RangeRule, next_power_of_two, power_of_two
from qsim.datapaths import datapath
from qsim.errors import InputError
from qsim.formats import Float, Format, Quantized, Term
from qsim.formats.base import ScaleRule
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.datapath import Datapath
from qsim.kernels.gru import Gru
from qsim.kernels.lstm import Lstm
from qsim.network.graph import Network, Node
from qsim.network.layers import MatMul
from qsim.network.pointwise import FloatStep
from qsim.network.weights import Weights
from qsim.onnx_runtime import zero_point_of
from qsim.precision import Granularity, Precision
from qsim.requantize import REQUANTIZERS, Name, Requantizer
from qsim.rounded_tensors import keeps_levels
from qsim.runtime_curves import is_runtime_curve


class Arithmetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the integer program computes.

    accumulator    the register of every product
    requantize     the arithmetic that brings sums back to levels (see ``REQUANTIZERS``)
    range          how scales of weights are found: max maps the largest magnitude to the largest
                   level, mse is the scale of least mean squared error
    calibration    how ranges of activations are found (see ``METHODS``), by name or
                   {name: {parameter: value}}
    integer_only   whether a step in floating point is refused
    """

    accumulator: Accumulator = Accumulator()
    requantize: Name = "onnx"
    range: RangeRule = "max"
    calibration: MethodDocument = "min_max"
    integer_only: bool = False

    def __post_init__(self):
        try:
            from_document(self.calibration, where="calibration")
        except InputError as error:
            raise ValueError(str(error)) from None

    @property
    def requantizer(self) -> Requantizer:
        """The arithmetic of ``requantize``."""
        return REQUANTIZERS[self.requantize]

    @property
    def scale_rule(self) -> ScaleRule:
        """The rule that finds scales of weights."""
        rule = RANGE_RULES[self.range]
        return power_of_two(rule) if self.requantizer.powers_of_two else rule

    @property
    def calibration_method(self) -> Method:
        """The way to find ranges of activations."""
        return from_document(self.calibration, where="calibration")

    def adjusted(self, scale: np.ndarray) -> np.ndarray:
        """A scale that was found from data, float32, as the arithmetic can have it."""
        return next_power_of_two(scale) if self.requantizer.powers_of_two else scale


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

    def in_float(self, node: Node) -> bool:
        """Whether the layer is computed in floating point whatever it reads."""
        unquantized = node.name in self.weights and node.name not in self.biases
        return unquantized or isinstance(node.layer, FloatStep)

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

    def has_sums(self, node: Node) -> bool:
        """Whether the layer's integer products are summed in the accumulator: of its weights, or of
        two tensors."""
        in_integers = all(name in self.scales for name in node.inputs)
        return node.name in self.biases or (isinstance(node.layer, MatMul) and in_integers)

    def has_runtime_curve(self, node: Node) -> bool:
        """Whether a curve is computed in float32 as ONNX Runtime does, and not by a table."""
        number = self.formats[node.inputs[0]]
        levels = number.max_level - number.min_level + 1
        return self.arithmetic.requantizer.float_curves and is_runtime_curve(node.layer, levels)

    def zero_points(self, node: Node) -> tuple[int, ...]:
        """Those of the tensors that a layer reads, of formats without one 0; none where one of them
        is not rounded to levels."""
        if not all(name in self.scales for name in node.inputs):
            return ()
        return tuple(zero_point_of(self.formats[name]) for name in node.inputs)

    def accumulator_scales(self, node: Node) -> list[np.ndarray]:
        """The scale of the sums of each term of a product layer: float64 (rows,), exact."""
        return sum_scales(node, self.terms[node.name], self.scales)

    def maps(self, node: Node) -> bool:
        """Whether the layer's sums are multiplied by XNOR-Net's map of its input."""
        return node.has_products and self.formats[node.inputs[0]].scale_map

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


def settled_precision(program: Program) -> Precision:
    """The formats that a program has."""
    weights, granularity = {}, {}
    for node in program.network.weighted_nodes:
        quantized = program.weights.get(node.name)
        if node.name in program.recurrences:
            quantized = next(iter(program.recurrences[node.name].products.weights.values()))
        number = Float() if quantized is None else quantized.format
        weights[node.name] = number
        several = quantized is not None and quantized.scale.size > 1
        granularity[node.name] = Granularity("per_channel" if several else "per_tensor")
    return Precision(weights, granularity, dict(program.formats))


def effective_terms(quantized: Quantized, factor: np.ndarray | None) -> tuple[Term, ...]:
    """The terms of quantized weights whose rows are multiplied by the magnitude of ``factor``. Its
    sign, also of 0, turns their sums around; a row of factor 0 keeps its scale."""
    if factor is None:
        return quantized.terms
    magnitude = np.where(factor == 0, np.float32(1), np.abs(factor))
    return tuple(replace(term, scale=term.scale * magnitude) for term in quantized.terms)


def stands_for(quantized: Quantized, factor: np.ndarray | None) -> np.ndarray:
    """The float32 weights of ``effective_terms``."""
    held = quantized.real
    if factor is not None:
        held = held * factor.reshape(-1, *(1,) * (held.ndim - 1)).astype(np.float64)
    return held.astype(np.float32)


def sum_scales(node: Node, terms: tuple[Term, ...], scales: dict) -> list[np.ndarray]:
    """The scale of the sums of each term of a product layer: float64 (rows,), exact."""
    in_scale = scales[node.inputs[0]].astype(np.float64)
    return [in_scale * term.scale.astype(np.float64) for term in terms]
