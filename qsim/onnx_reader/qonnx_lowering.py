"""A QONNX graph as layers: which tensor is rounded to what, and what scales the products."""

from collections import Counter
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from qsim.errors import InputError, QsimError
from qsim.formats import BinaryActivations, Float, Format
from qsim.network.graph import INPUT
from qsim.network.kinds import KeepsLevels
from qsim.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    Layer,
    Linear,
    MatMul,
    Shape,
)
from qsim.network.pointwise import Multiply, Offset, Scale
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.onnx_reader.graph import OnnxGraph, OnnxNode
from qsim.onnx_reader.qonnx_constants import folded
from qsim.onnx_reader.qonnx_operators import IN_FLOAT, LAYERS, Reading, conv_geometry
from qsim.onnx_reader.qonnx_quantizers import (
    DOMAINS,
    Constant,
    Quantizer,
    quantizer_of,
    rounding_of,
)
from qsim.onnx_writer.qonnx_grids import weight_grid

DAMAGED = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)
ALIASES = ("Identity", "Dropout", "Cast")


@dataclass(frozen=True)
class Product:
    """What a layer with products computes: sums of products with ``weight`` (rows, ...), times
    ``factor``, plus ``bias``, float64 (rows,), where they are not None.

    quantized_bias   the bias as a quantizer made it, where nothing was done to it since
    """

    weight: Constant
    factor: np.ndarray | None = None
    bias: np.ndarray | None = None
    quantized_bias: Constant | None = None

    @property
    def rows(self) -> int:
        return len(self.weight.real)

    def times(self, factor: np.ndarray) -> "Product":
        """The products and the bias times a number of each row."""
        factor = np.broadcast_to(np.asarray(factor, np.float64), (self.rows,))
        before = 1.0 if self.factor is None else self.factor
        bias = None if self.bias is None else self.bias * factor
        return replace(self, factor=before * factor, bias=bias, quantized_bias=None)

    def plus(self, bias: np.ndarray, constant: Constant | None = None) -> "Product":
        """With a number added to each row."""
        bias = np.broadcast_to(np.asarray(bias, np.float64), (self.rows,))
        first = self.bias is None and self.factor is None
        kept = constant if first and constant is not None and constant.levels is not None else None
        return replace(
            self, bias=bias if self.bias is None else self.bias + bias, quantized_bias=kept
        )


@dataclass
class Lowered:
    """The layers of a graph and what is known of their tensors, by name.

    norms   arrays of batch norms, offsets and thresholds, as ``Weights`` names them
    """

    layers: dict[str, Layer] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    formats: dict[str, Format | Float] = field(default_factory=dict)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    output: str = INPUT


class Lowering:
    """Takes the nodes of a graph one after another. ``made`` is the tensor of the program that a
    tensor of the file is, ``constants`` those that need no image."""

    def __init__(self, graph: OnnxGraph, shape: Shape):
        self.graph, self.result = graph, Lowered()
        [name] = graph.inputs
        self.made: dict[str, str] = {name: INPUT}
        self.constants = {name: Constant(array) for name, array in graph.constants.items()}
        self.result.shapes[INPUT] = shape
        self._open: set[str] = set()  # tensors of products that a factor or a bias can join
        self._factors: set[str] = set()  # tensors of batch norms that are a factor alone
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._uses.update(graph.outputs)
        self._readers: dict[str, list[OnnxNode]] = {}
        for node in graph.nodes:
            for name in set(node.inputs):
                self._readers.setdefault(name, []).append(node)

    def run(self) -> Lowered:
        """All layers. Raises QsimError naming a node and what of it is not read."""
        for node in self.graph.nodes:
            try:
                self._take(node)
            except (InputError, *DAMAGED) as error:
                raise QsimError(f"{self.graph.path}: {node.label}: {error}") from None
        self.result.output = self.made[self.graph.outputs[0]]
        return self.result

    def _take(self, node: OnnxNode) -> None:
        known = [self.constants.get(name) for name in node.inputs]
        if all(
            constant is not None for name, constant in zip(node.inputs, known, strict=True) if name
        ):
            self.constants[node.outputs[0]] = folded(node, known)
            return
        if node.domain in DOMAINS:
            getattr(self, f"_{node.kind.lower()}")(node)
        elif node.kind in ALIASES:
            if node.attributes.get("to", 1) not in (1, 11):
                raise QsimError("casts to a type that is not float or double")
            self.made[node.outputs[0]] = self._tensor(node, 0)
        elif node.kind in ("Conv", "Gemm", "MatMul"):
            self._product(node)
        elif node.kind in ("Add", "Sub", "Mul", "Div"):
            self._arithmetic(node)
        elif node.kind == "BatchNormalization":
            self._batch_norm(node)
        else:
            self._plain(node)

    # what a tensor is

    def _tensor(self, node: OnnxNode, index: int) -> str:
        """The tensor of the program that an input is; a constant has none."""
        name = node.inputs[index]
        if name not in self.made:
            raise QsimError(f"its input {name!r} is a constant where a tensor is read")
        return self.made[name]

    def _constant(self, node: OnnxNode, index: int) -> Constant | None:
        return self.constants.get(node.inputs[index]) if index < len(node.inputs) else None

    def _free_name(self, output: str) -> str:
        """A name of a layer for an output of the file."""
        name = "".join("_" if c.isspace() or not c.isprintable() else c for c in output)[:90] or "_"
        taken = {*self.result.layers, INPUT}
        for number in range(len(taken) + 1):
            tried = f"{name}_{number}" if number else name
            if tried not in taken:
                return tried
        raise ValueError("no name is free")

    def _add(self, layer: Layer, output: str | None = None) -> str:
        """Add a layer; ``output`` is what the file calls what it makes."""
        result = self.result
        result.shapes[layer.name] = layer.output_shape(*(result.shapes[i] for i in layer.inputs))
        result.layers[layer.name] = layer
        if output is not None:
            self.made[output] = layer.name
        return layer.name

    def _read_once(self, name: str) -> bool:
        return self._uses[name] == 1

    # quantizers

    def _quantizer(self, node: OnnxNode) -> Quantizer:
        arrays = [None if c is None else c.real for c in map(self.constants.get, node.inputs)]
        return quantizer_of(node, arrays)

    def _quant(self, node: OnnxNode) -> None:
        quantizer = self._quantizer(node)
        scale = quantizer.scale.reshape(-1)[0].reshape(())
        self._round(node, quantizer.activations(), scale)

    _intquant = _bipolarquant = _quant

    def _round(self, node: OnnxNode, number: Format, scale: np.ndarray) -> None:
        """What the node reads becomes levels: the tensor itself, or a copy where it has other
        readers or other levels already."""
        tensor, result = self._tensor(node, 0), self.result
        held = self._levels_of(tensor)
        if held is not None and held == (number, float(scale)):
            self.made[node.outputs[0]] = tensor
            return
        if held is not None or not self._alone(node):
            name = self._free_name(node.outputs[0].removesuffix("_quant"))
            tensor = self._add(Identity(name=name, inputs=(tensor,)))
        result.formats[tensor], result.scales[tensor] = number, scale
        self._open.discard(tensor)
        self.made[node.outputs[0]] = tensor

    def _alone(self, node: OnnxNode) -> bool:
        """Whether what a quantizer reads is read only so, by it or by others that say the same."""
        name = node.inputs[0]
        tensor = self.made[name]
        if sum(self._uses[other] for other, held in self.made.items() if held == tensor) == 1:
            return True
        readers = self._readers[name]
        same = [(r.kind, r.attributes, r.inputs) for r in readers]
        return (
            name not in self.graph.outputs
            and all(each == same[0] for each in same)
            and list(self.made.values()).count(tensor) == 1
        )

    def _levels_of(self, tensor: str) -> tuple[Format, float] | None:
        """The format and the scale that a tensor's levels have, moved ones too; None: it has
        none yet."""
        result = self.result
        if tensor in result.formats:
            scale = result.scales.get(tensor)
            return result.formats[tensor], float("nan") if scale is None else float(scale)
        layer = result.layers.get(tensor)
        if isinstance(layer, KeepsLevels):
            held = self._levels_of(layer.inputs[0])
            if held is not None and isinstance(layer, Scale):
                return held[0], float(np.float32(held[1]) * np.float32(layer.factor))
            return held
        return None

    def _trunc(self, node: OnnxNode) -> None:
        tensor, times = self._tensor(node, 0), 1
        numbers = [self._number(node, index) for index in range(1, len(node.inputs))]
        scale, zero_point, in_bits, *rest = numbers
        if zero_point:
            raise QsimError("it has a zero point, and bits are dropped of integers without one")
        if len(rest) == 1:
            dropped, out_scale, low, high = in_bits - rest[0], scale, None, None
        else:
            out_scale, out_bits = rest
            dropped = np.rint(np.log2(np.float32(out_scale) / np.float32(scale)))
            signed, narrow = (
                int(node.attributes.get(k, d)) for k, d in (("signed", 1), ("narrow", 0))
            )
            words = Quantizer(
                np.ones(()), np.zeros(()), int(out_bits), bool(signed), bool(narrow), ""
            )
            low, high = words.words
        layer = self.result.layers.get(tensor)
        if isinstance(layer, Scale) and self._is_area(layer) and self._read_once(node.inputs[0]):
            times = int(layer.factor)
            del self.result.layers[tensor]
            [tensor] = layer.inputs
        if dropped != int(dropped):
            raise QsimError(f"it drops {dropped:g} bits, no whole number")
        made = self._add(
            Truncate(
                name=self._free_name(node.outputs[0]), inputs=(tensor,), scale=scale,
                dropped_bits=int(dropped), out_scale=out_scale, times=times,
                rounding=rounding_of(node.attributes, "FLOOR"), low=low, high=high,
            ),
            node.outputs[0],
        )  # fmt: skip
        ends = (low, high) if low is not None else self._ends(tensor, times, int(dropped))
        self.result.formats[made] = weight_grid(min(ends[0], -1), ends[1])
        self.result.scales[made] = np.float32(out_scale).reshape(())

    def _number(self, node: OnnxNode, index: int) -> float:
        constant = self._constant(node, index)
        if constant is None or constant.real.size != 1:
            raise QsimError(f"its input {node.inputs[index]!r} is not one constant number")
        return float(constant.real.reshape(-1)[0])

    def _is_area(self, layer: Scale) -> bool:
        """Whether a layer makes the sum of a window of its mean."""
        pool = self.result.layers.get(layer.inputs[0])
        if not isinstance(pool, AveragePool):
            return False
        window = pool.window(self.result.shapes[pool.inputs[0]])
        return layer.factor == np.prod(window)

    def _ends(self, tensor: str, times: int, dropped: int) -> tuple[int, int]:
        """The least and the largest integer of 2**dropped that a tensor of levels, or their mean
        times the area, can be."""
        source = self.result.layers.get(tensor)
        pooled = isinstance(source, AveragePool)
        held = self._levels_of(source.inputs[0] if pooled else tensor)
        if held is None:
            raise QsimError("it drops bits of what is not rounded before")
        return tuple(
            end * times // 2**dropped + index
            for index, end in enumerate((held[0].min_level, held[0].max_level))
        )

    def _multithreshold(self, node: OnnxNode) -> None:
        thresholds = self._constant(node, 1)
        if thresholds is None or thresholds.real.ndim != 2 or not thresholds.real.size:
            raise QsimError("its thresholds are no constant (channels, steps)")
        if not np.isfinite(thresholds.real).all():
            raise QsimError("a threshold is NaN or infinite")
        tensor, array = self._tensor(node, 0), thresholds.real.astype(np.float32)
        scale, bias = (
            float(node.attributes.get(key, default))
            for key, default in (("out_scale", 1.0), ("out_bias", 0.0))
        )
        layer = MultiThreshold(
            name=self._free_name(node.outputs[0]), inputs=(tensor,), steps=array.shape[1],
            out_scale=scale, out_bias=bias, shared=len(array) == 1,
        )  # fmt: skip
        self._check_channels(node, layer, array, self.result.shapes[tensor])
        made = self._add(layer, node.outputs[0])
        self.result.arrays[f"{made}.thresholds"] = array
        ends = sorted(layer.ends)
        signs = ends == [-1, 1] and abs(layer.step) == 2
        self.result.formats[made] = BinaryActivations() if signs else weight_grid(*ends)
        self.result.scales[made] = np.float32(layer.unit).reshape(())

    def _check_channels(self, node: OnnxNode, layer: MultiThreshold, array, shape: Shape) -> None:
        if layer.shared:
            return
        layout = node.attributes.get("data_layout", "")
        layout = layout or {1: "NC", 2: "NWC", 3: "NCHW"}.get(len(shape), "NC")
        axis = layout.index("C") if "C" in layout else 1
        if axis != layer.axis(shape):
            raise QsimError(
                f"its channels are axis {axis} of {layout}; move them to the first axis"
            )
        if len(array) != shape[axis - 1]:
            raise QsimError(f"it has thresholds of {len(array)} channels for {shape[axis - 1]}")

    # products, and what scales them

    def _product(self, node: OnnxNode) -> None:
        weight = self._constant(node, 1)
        if weight is None:
            self._activation_product(node)
            return
        tensor = self._tensor(node, 0)
        name = self._free_name(node.outputs[0])
        if node.kind == "Conv":
            layer, weight = self._conv(node, weight, name, tensor)
        else:
            turned = node.kind == "MatMul" or not node.attributes.get("transB", 0)
            if weight.real.ndim != 2:
                raise QsimError(f"its weights have {weight.real.ndim} axes, and 2 are read")
            weight = weight.moved(np.transpose) if turned else weight
            if any(
                node.attributes.get(k, 1) != 1 for k in ("alpha", "beta")
            ) or node.attributes.get("transA"):
                raise QsimError("it has an alpha, a beta or a transA; 1, 1 and 0 are read")
            layer = Linear(name=name, inputs=(tensor,), out_features=len(weight.real), bias=False)
            if weight.real.shape[1] != self.result.shapes[tensor][-1]:
                raise QsimError(
                    f"its weights are of {weight.real.shape[1]} features, and it reads"
                    f" {self.result.shapes[tensor][-1]}"
                )
        self._add(layer, node.outputs[0])
        product, bias = Product(weight), self._constant(node, 2)
        if bias is not None:
            if bias.real.size not in (1, product.rows):
                raise QsimError(f"its bias of {bias.real.shape} is not one for each output channel")
            product = product.plus(bias.real.reshape(-1), bias)
        elif len(node.inputs) > 2 and node.inputs[2]:
            raise QsimError("its bias is no constant")
        self.result.products[name] = product
        self._open.add(name)

    def _conv(
        self, node: OnnxNode, weight: Constant, name: str, tensor: str
    ) -> tuple[Conv, Constant]:
        shape = weight.real.shape
        if len(shape) != 4:
            raise QsimError(f"its weights have {len(shape)} axes, and 4 are read: two-dimensional")
        reading = Reading(node, (), (), (tensor,), name)
        conv = Conv(
            name=name, inputs=(tensor,), out_channels=shape[0], kernel=shape[2:], bias=False,
            **conv_geometry(reading),
        )  # fmt: skip
        wanted = conv.parameters(self.result.shapes[tensor])["weight"]
        if tuple(wanted) != shape:
            raise QsimError(f"its weights are {shape}, and what it reads wants {tuple(wanted)}")
        return conv, weight

    def _activation_product(self, node: OnnxNode) -> None:
        if node.kind != "MatMul":
            raise QsimError("its weights are no constant")
        inputs = (self._tensor(node, 0), self._tensor(node, 1))
        self._add(MatMul(name=self._free_name(node.outputs[0]), inputs=inputs), node.outputs[0])

    def _arithmetic(self, node: OnnxNode) -> None:
        constant, first = self._constant(node, 1), False
        if constant is None and self._constant(node, 0) is not None:
            constant, first = self._constant(node, 0), True
        if constant is None:
            self._of_two(node)
            return
        value = constant.real.astype(np.float64)
        if node.kind == "Div":
            if first or not value.all():
                raise QsimError("it divides by a tensor, or by 0")
            value = 1 / value
        if node.kind == "Sub" and first:
            raise QsimError("it subtracts a tensor from a constant; multiply by -1 and add it")
        if node.kind == "Sub":
            value = -value
        adds = node.kind in ("Add", "Sub")
        tensor = self._tensor(node, int(first))
        by_row = self._by_channel(value, tensor)
        if by_row is not None and self._is_open(node.inputs[int(first)], tensor):
            product = self.result.products[tensor]
            kept = constant if node.kind == "Add" else None
            self.result.products[tensor] = (
                product.plus(by_row, kept) if adds else product.times(by_row)
            )
            self._rename(tensor, node.outputs[0])
        elif adds and by_row is not None and self._is_factor(node.inputs[int(first)], tensor):
            self._shift_norm(tensor, by_row, node.outputs[0])
        else:
            self._affine(node, tensor, value, by_row, adds)

    def _is_open(self, name: str, tensor: str) -> bool:
        return tensor in self._open and self._read_once(name)

    def _rename(self, tensor: str, output: str) -> None:
        """Call a product after what was made of its result, which nothing else reads."""
        result = self.result
        name = self._renamed_layer(tensor, output)
        result.products[name] = result.products.pop(tensor)
        self._open.discard(tensor)
        self._open.add(name)

    def _renamed_layer(self, tensor: str, output: str) -> str:
        result = self.result
        layer, shape = result.layers.pop(tensor), result.shapes.pop(tensor)
        name = self._free_name(output)
        result.layers[name] = msgspec.structs.replace(layer, name=name)
        result.shapes[name] = shape
        self.made[output] = name
        return name

    def _by_channel(self, value: np.ndarray, tensor: str) -> np.ndarray | None:
        """A constant as one number, or one of each channel; None: it is neither."""
        shape = self.result.shapes[tensor]
        if value.size == 1:
            return value.reshape(())
        axis = MultiThreshold.axis(shape)
        full = (1,) * (len(shape) + 1 - value.ndim) + value.shape
        wanted = [1] * (len(shape) + 1)
        wanted[axis] = shape[axis - 1]
        return value.reshape(-1) if list(full) == wanted else None

    def _affine(self, node: OnnxNode, tensor: str, value, by_row, adds: bool) -> None:
        """A factor or an addend of a tensor that is no product's: a layer of its own."""
        name, shape = self._free_name(node.outputs[0]), self.result.shapes[tensor]
        if adds:
            fitting = value.reshape((1,) * (len(shape) + 1 - value.ndim) + value.shape)
            if by_row is None and fitting.shape[0] != 1:
                raise QsimError(f"it adds a constant of {value.shape}")
            layer = Offset(name=name, inputs=(tensor,), shape=fitting.shape[1:])
            self._add(layer, node.outputs[0])
            self.result.arrays[f"{name}.bias"] = fitting[0].astype(np.float32)
        elif by_row is not None and by_row.ndim == 0 and by_row > 0:
            layer = Scale(name=name, inputs=(tensor,), factor=float(by_row))
            self._add(layer, node.outputs[0])
        elif by_row is not None and len(shape) != 2:
            self._norm(name, tensor, np.broadcast_to(by_row, shape[:1]), node.outputs[0])
            self._factors.add(name)
        else:
            raise QsimError(f"it multiplies by a constant of {value.shape}, not one per channel")

    def _is_factor(self, name: str, tensor: str) -> bool:
        return tensor in self._factors and self._read_once(name)

    def _shift_norm(self, tensor: str, bias: np.ndarray, output: str) -> None:
        """Let a batch norm that is a factor alone also add ``bias``."""
        arrays, name = self.result.arrays, self._renamed_layer(tensor, output)
        for key in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{name}.{key}"] = arrays.pop(f"{tensor}.{key}")
        shape = arrays[f"{name}.bias"].shape
        arrays[f"{name}.bias"] = np.broadcast_to(bias, shape).astype(np.float32)
        self._factors.discard(tensor)

    def _norm(self, name: str, tensor: str, weight: np.ndarray, output: str, **arrays) -> None:
        layer = BatchNorm(name=name, inputs=(tensor,), epsilon=arrays.pop("epsilon", 0.0))
        self._add(layer, output)
        zeros = np.zeros(len(weight))
        given = {"weight": weight, "bias": zeros, "running_mean": zeros, "running_var": zeros + 1}
        for key, array in (given | arrays).items():
            self.result.arrays[f"{name}.{key}"] = np.asarray(array).astype(np.float32)

    def _of_two(self, node: OnnxNode) -> None:
        kinds = {"Add": Add, "Mul": Multiply}
        if node.kind not in kinds:
            raise QsimError("it is of two tensors, of which only Add and Mul are read")
        inputs = (self._tensor(node, 0), self._tensor(node, 1))
        layer = kinds[node.kind](name=self._free_name(node.outputs[0]), inputs=inputs)
        self._add(layer, node.outputs[0])

    def _batch_norm(self, node: OnnxNode) -> None:
        tensor, channels = self._tensor(node, 0), self.result.shapes[self._tensor(node, 0)][0]
        arrays = [self._constant(node, index) for index in range(1, 5)]
        if any(a is None or a.real.shape != (channels,) for a in arrays):
            raise QsimError(f"its parameters are not constants of {channels} channels")
        gamma, beta, mean, variance = (a.real.astype(np.float64) for a in arrays)
        epsilon = float(node.attributes.get("epsilon", 1e-5))
        if (variance + epsilon <= 0).any():
            raise QsimError("a variance plus epsilon is not positive")
        if self._is_open(node.inputs[0], tensor):
            factor = gamma / np.sqrt(variance + epsilon)
            product = self.result.products[tensor].times(factor).plus(beta - mean * factor)
            self.result.products[tensor] = product
            self._rename(tensor, node.outputs[0])
            return
        parameters = {"bias": beta, "running_mean": mean, "running_var": variance}
        name = self._free_name(node.outputs[0])
        self._norm(name, tensor, gamma, node.outputs[0], epsilon=epsilon, **parameters)

    def _plain(self, node: OnnxNode) -> None:
        read = [name for name in node.inputs if name in self.made]
        tensors = tuple(self.made[name] for name in read)
        if node.kind in IN_FLOAT and self._levels_of(tensors[0]) is not None:
            name = self._free_name(f"{node.outputs[0]}_real")
            tensors = (self._add(Identity(name=name, inputs=tensors)),)
            self.result.formats[name] = Float()
        constants = tuple(
            None if self._constant(node, i) is None else self._constant(node, i).real
            for i in range(len(node.inputs))
        )
        shapes = tuple(self.result.shapes[name] for name in tensors)
        name = self._free_name(node.outputs[0])
        previous = ""
        for layer in LAYERS[node.kind](Reading(node, constants, shapes, tensors, name)):
            if layer.inputs is None:
                layer = msgspec.structs.replace(layer, inputs=(previous,))
            previous = self._add(layer)
        self.made[node.outputs[0]] = previous
