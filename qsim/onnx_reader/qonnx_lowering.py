"""A QONNX graph as layers, as a float graph is read, with what its quantizers say beside them.

A tensor that is quantized is a layer of its own at first, a copy that is rounded (``Identity``).
"""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.formats import BinaryActivations, Facts
from qsim.network.graph import INPUT
from qsim.network.layers import Conv, Layer, Linear, Shape
from qsim.network.pointwise import Scale
from qsim.network.pools import AveragePool
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.onnx_reader.float_models import HANDLERS, take_in, tensors_of
from qsim.onnx_reader.folding import MISFITS
from qsim.onnx_reader.graph import OnnxGraph, OnnxNode
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.lowering import Lowering, Value
from qsim.onnx_reader.qonnx_constants import folded
from qsim.onnx_reader.qonnx_draft import Draft, Product
from qsim.onnx_reader.qonnx_quantizers import (
    DOMAINS,
    QUANTIZERS,
    Constant,
    Quantizer,
    Reason,
    quantizer_of,
    rounding_of,
)
from qsim.onnx_writer.qonnx_grids import weight_grid

RANK_LAYOUTS = {1: "NC", 2: "NWC", 3: "NCHW"}  # what QONNX takes for granted, by axes of an image


def drafted(graph: OnnxGraph, fed: Fed, output: str) -> Draft:
    """The layers of a graph. Raises QsimError naming a node and what of it is not read."""
    reading = _Reading(graph, fed)
    for node in graph.nodes:
        reading.take(node)
    result = reading.low.tensors[output]
    if not isinstance(result, Value) or result.layer == INPUT or any(result.padding):
        raise QsimError(f"{graph.path}: its output {output!r} is not computed from the input")
    draft, low = reading.draft, reading.low
    draft.layers, draft.shapes, draft.arrays = low.layers, low.shapes, low.weights
    draft.output = result.layer
    return draft


class _Reading:
    """Takes nodes one after another. ``integers`` are quantized constants by name."""

    def __init__(self, graph: OnnxGraph, fed: Fed):
        self.low = Lowering(graph)
        self.low.tensors |= fed.constants
        integers = fed.name in graph.integers
        self.low.settle(fed.name, Value(INPUT, fed.shape, 0, integers=integers))
        self.low.shapes[INPUT] = fed.shape[1:]
        self.draft = Draft({}, {}, {}, INPUT)
        self.integers: dict[str, Constant] = {}

    def take(self, node: OnnxNode) -> None:
        """Take in one node."""
        tensors = tensors_of(self.low, node)
        if any(isinstance(tensor, Value) for tensor in tensors):
            take_in(self.low, node, self._made)
        else:
            self._constant(node, tensors)

    def _constant(self, node: OnnxNode, arrays: list) -> None:
        known = [
            None if array is None else self.integers.get(name, Constant(array))
            for name, array in zip(node.inputs, arrays, strict=True)
        ]
        try:
            constant = folded(node, known)
        except Reason as reason:
            raise self.low.refusal(node, str(reason)) from None
        except QsimError as error:  # it names the node
            raise QsimError(f"{self.low.graph.path}: {error}") from None
        except MISFITS as error:
            raise self.low.refusal(node, f"it is not well made: {error}") from None
        self.low.spend(node, constant.real)
        self.low.settle(node.outputs[0], constant.real)
        if constant.levels is not None:
            self.integers[node.outputs[0]] = constant

    def _made(self, low: Lowering, node: OnnxNode) -> Any:
        if node.domain in DOMAINS:
            quantize = _OF_QONNX[node.kind]
            try:
                return quantize(self, node, self.low.value(node))
            except Reason as reason:
                raise self.low.refusal(node, str(reason)) from None
        scaled = self._scaled(node)
        if scaled is not None:
            return scaled
        before = set(self.low.layers)
        made = HANDLERS[node.kind](self.low, node)
        for name in self.low.layers.keys() - before:
            if isinstance(self.low.layers[name], Conv | Linear):
                self.draft.products[name] = self._product(node, name)
        if node.kind in ("Add", "Sub") and isinstance(made, Value):
            self._shifted(node, made)
        return made

    # products, and what is done to their results

    def _product(self, node: OnnxNode, name: str) -> Product:
        """A layer that a node has made, with the integers of its weights."""
        real = self.low.weights[f"{name}.weight"]
        weight = self.integers.get(node.inputs[1], Constant(real))
        if weight.levels is not None:
            turned = node.kind == "MatMul" or (
                node.kind == "Gemm" and not node.attributes["transB"]
            )
            weight = weight.moved(np.transpose) if turned else weight
            weight = weight.moved(lambda array: array.reshape(real.shape))
            if not np.array_equal(weight.real, real):
                raise self.low.refusal(node, "it multiplies quantized weights by an alpha")
        bias = self.low.weights.get(f"{name}.bias")
        if bias is None:
            return Product(weight)
        constant = self.integers.get(node.inputs[2])
        whole = constant is not None and np.array_equal(bias, _rows(constant.real, len(bias)))
        return Product(weight).plus(bias, constant if whole else None)

    def _scaled(self, node: OnnxNode) -> Value | None:
        """A factor of each row of a product that nothing else reads; None: it is something else."""
        if node.kind not in ("Mul", "Div"):
            return None
        place = next(i for i in (0, 1) if isinstance(self.low.tensors[node.inputs[i]], Value))
        other = self.low.tensors[node.inputs[1 - place]]
        x = self.low.tensors[node.inputs[place]]
        product = self.draft.products.get(x.layer)
        free = product is not None and self.low.is_read_once(x.layer)
        if isinstance(other, Value) or not free or (node.kind == "Div" and place):
            return None
        axis = len(x.shape) - 1 if isinstance(self.low.layers[x.layer], Linear) else 1
        spread = other.reshape((1,) * (len(x.shape) - other.ndim) + other.shape)
        if other.ndim > len(x.shape) or other.size != spread.shape[axis] or not other.size:
            return None
        factor = spread.reshape(-1).astype(np.float64)
        if not np.isfinite(factor).all() or (node.kind == "Div" and not factor.all()):
            raise self.low.refusal(node, "its constant is not finite, or 0 where it divides")
        factor = 1 / factor if node.kind == "Div" else factor
        self.draft.products[x.layer] = product.times(factor)
        return x

    def _shifted(self, node: OnnxNode, made: Value) -> None:
        """Where an addition has given a product its bias: note it, and its integers."""
        product = self.draft.products.get(made.layer)
        bias = self.low.weights.get(f"{made.layer}.bias")
        if product is None or bias is None or product.bias is not None:
            return
        names = [name for name in node.inputs if name in self.integers]
        constant = self.integers[names[0]] if names and node.kind == "Add" else None
        self.draft.products[made.layer] = product.plus(bias, constant)

    # quantizers

    def copy(self, node: OnnxNode, x: Value, number: Facts, scale: np.ndarray) -> Value:
        """A copy of a tensor that is rounded."""
        name = self.low.name_for(replace(node, name=node.outputs[0].removesuffix("_quant")))
        return self._rounded(node, Identity(name=name, inputs=(x.layer,)), x, number, scale)

    def _rounded(self, node: OnnxNode, layer: Layer, x: Value, number, scale, arrays=None) -> Value:
        made = self.low.make(node, layer, x, arrays)
        self.draft.formats[layer.name] = number
        self.draft.scales[layer.name] = np.asarray(scale, np.float32).reshape(())
        self.draft.layer_of[node.outputs[0]] = layer.name
        return made

    def quantize(self, node: OnnxNode, x: Value) -> Value:
        """Quant and BipolarQuant."""
        arrays = [self.low.tensors.get(name) for name in node.inputs]
        arrays = [array if isinstance(array, np.ndarray) else None for array in arrays]
        quantizer = quantizer_of(node, arrays)
        return self.copy(node, x, quantizer.activations(), quantizer.scale.reshape(-1)[0])

    def truncate(self, node: OnnxNode, x: Value) -> Value:
        """Trunc of either version, told apart by its inputs."""
        numbers = [self._number(node, place) for place in range(1, len(node.inputs))]
        if len(numbers) not in (4, 5):
            raise Reason(f"has {len(node.inputs)} inputs, of which a Trunc has 5 or 6")
        scale, zero_point, in_bits, *rest = numbers
        if zero_point:
            raise Reason("it has a zero point, and bits are dropped of integers without one")
        if len(rest) == 1:
            dropped, out_scale, bounds = in_bits - rest[0], scale, (None, None)
        else:
            out_scale, out_bits = rest
            dropped = float(np.rint(np.log2(np.float32(out_scale) / np.float32(scale))))
            signed, narrow = (
                bool(_attribute(node, key, default))
                for key, default in (("signed", 1), ("narrow", 0))
            )
            one = np.ones(())
            bounds = Quantizer(one, one, _whole(out_bits), signed, narrow, "").words
        times, x = self._times(node, x)
        layer = Truncate(
            name=self.low.name_for(node), inputs=(x.layer,), scale=scale, times=times,
            dropped_bits=_whole(dropped), out_scale=out_scale,
            rounding=rounding_of(node.attributes, "FLOOR"), low=bounds[0], high=bounds[1],
        )  # fmt: skip
        low, high = bounds if bounds[0] is not None else self._ends(x.layer, times, layer)
        return self._rounded(node, layer, x, weight_grid(low, high), out_scale)

    def _number(self, node: OnnxNode, place: int) -> float:
        array = self.low.reals(node, place)
        if array.size != 1:
            raise Reason(f"its input {place} is not one number")
        return float(array.reshape(-1)[0])

    def _times(self, node: OnnxNode, x: Value) -> tuple[int, Value]:
        """What makes the sum of a window of its mean, where that is what is read: 1 elsewhere."""
        layer = self.low.layers.get(x.layer)
        source = self.low.layers.get(layer.inputs[0]) if isinstance(layer, Scale) else None
        if not isinstance(source, AveragePool):
            return 1, x
        window = source.window(self.low.shapes[source.inputs[0]])
        if layer.factor != np.prod(window):
            return 1, x
        return int(layer.factor), replace(x, layer=source.name)

    def _ends(self, tensor: str, times: int, layer: Truncate) -> tuple[int, int]:
        """The least and the largest level of what a rounded tensor, or its mean times the values
        under a window, leaves."""
        source = self.low.layers.get(tensor)
        if isinstance(source, AveragePool):
            tensor = source.inputs[0]
        number = self.draft.formats.get(tensor)
        if number is None:
            raise Reason("it drops bits of what is not rounded before")
        per_level = Fraction(float(self.draft.scales[tensor])) * times
        per_level /= Fraction(layer.scale) * 2**layer.dropped_bits
        return floor(number.min_level * per_level), ceil(number.max_level * per_level)

    def count(self, node: OnnxNode, x: Value) -> Value:
        """MultiThreshold."""
        thresholds = self.low.reals(node, 1)
        if thresholds.ndim != 2 or not thresholds.size:
            raise Reason("its thresholds are not of shape (channels, steps)")
        x = self.low.with_batch(node, x)
        layer = MultiThreshold(
            name=self.low.name_for(node), inputs=(x.layer,), steps=thresholds.shape[1],
            out_scale=_attribute(node, "out_scale", 1.0),
            out_bias=_attribute(node, "out_bias", 0.0), shared=len(thresholds) == 1,
        )  # fmt: skip
        if not layer.shared:
            _check_channels(node, layer, len(thresholds), x.own)
        low, high = sorted(layer.ends)
        signs = (low, high) == (-1, 1) and layer.steps == 1
        number = BinaryActivations() if signs else weight_grid(low, high)
        return self._rounded(node, layer, x, number, layer.unit, {"thresholds": thresholds})


_OF_QONNX = dict.fromkeys(QUANTIZERS, _Reading.quantize) | {
    "Trunc": _Reading.truncate,
    "MultiThreshold": _Reading.count,
}


def _check_channels(node: OnnxNode, layer: MultiThreshold, channels: int, own: Shape) -> None:
    layout = _attribute(node, "data_layout", "") or RANK_LAYOUTS.get(len(own), "NC")
    axis = layout.index("C") if "C" in layout else 1
    if axis != layer.axis(own) or axis > len(own):
        raise Reason(f"its channels are axis {axis} of {layout}, where a network has others")
    if channels != own[axis - 1]:
        raise Reason(f"it has thresholds of {channels} channels, and reads {own[axis - 1]}")


def _attribute(node: OnnxNode, key: str, default: Any) -> Any:
    """An attribute, of the type of its default. Raises Reason where it is of another."""
    value = node.attributes.get(key, default)
    if type(value) is not type(default):
        raise Reason(f"its attribute {key!r} is {value!r}, no {type(default).__name__}")
    return value


def _rows(array: np.ndarray, rows: int) -> np.ndarray:
    return np.broadcast_to(array.reshape(-1), (rows,))


def _whole(number: float) -> int:
    if number != int(number):
        raise Reason(f"{number:g} bits are no whole number")
    return int(number)
