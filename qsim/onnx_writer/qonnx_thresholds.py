"""QONNX of integers alone: weights and activations at scale 1, thresholds where sums become levels.

The file has the program's integers whatever its arithmetic and its scales, in float32 too, while
sums stay within 2**24. Source: FINN (arXiv 1612.07119), section 4.2.1; DoReFa-Net, section 2.8.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.kernels.pool import divide_half_away, divide_half_even
from qsim.network.graph import INPUT, Node
from qsim.network.layers import Add, Clipping, Concat, Conv, Flatten, Linear, Relu, border, pair
from qsim.network.moves import Move
from qsim.network.pointwise import Scale
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.roundings import Identity
from qsim.onnx_writer.graph import GraphBuilder, Versions
from qsim.onnx_writer.operators import operator
from qsim.onnx_writer.qonnx import BATCH, IR_VERSION, OPSET, is_binary, level_range
from qsim.onnx_writer.qonnx_counts import (
    Whole,
    as_one_term,
    format_of,
    input_thresholds,
    sum_thresholds,
)
from qsim.onnx_writer.qonnx_grids import DOMAIN, weight_grid
from qsim.program import Program
from qsim.values import Sums

WHOLE = 2**24  # up to which float32 holds every integer
EXACT_SUMS = ("shift", "thresholds")  # arithmetics in which terms of one scale are one integer


class ThresholdWriter:
    """Writes a program; the integers of tensor NAME are those of NAME in the file, the levels of a
    rounded one those of ``NAME_levels``."""

    def __init__(self, program: Program):
        self.program, self.network = program, program.network
        versions = Versions(OPSET, {DOMAIN: 1}, IR_VERSION)
        self.graph = GraphBuilder(program.network.name, batch=BATCH, versions=versions)
        self.whole: dict[str, Whole] = {}
        one = np.zeros((1, *program.network.input_shape), np.float32)
        self.steps = execute(program, one)  # for what is known of every tensor beside its integers

    def model(self) -> Any:
        """The ModelProto. Raises QsimError naming a layer that has no thresholds."""
        self._try(INPUT, self._input)
        for node in self.network.nodes.values():
            self._try(node.name, lambda node=node: self._layer(node))
        output = self.network.nodes[self.network.output]
        name = self._try(output.name, self._result)
        self.graph.output(name, np.dtype(np.float32), output.output_shape)
        return self.graph.model()

    def _try(self, name: str, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except (QsimError, ValueError, OverflowError) as error:
            raise QsimError(
                f"network {self.network.name} cannot be written as integers and thresholds: layer"
                f" {name!r}: {error}"
            ) from None

    def _input(self) -> None:
        read = self.graph.input(INPUT, self.network.input_shape)
        self.whole[INPUT] = self._counted(INPUT, read, input_thresholds(self.program))

    def _layer(self, node: Node) -> None:
        made = self._made(node)
        if self.program.rounds(node.name):
            step = self.steps[node.name]
            counts = sum_thresholds(self.program, node.name, step, made)
            made = self._counted(node.name, made.name, counts)
        self.whole[node.name] = made

    def _made(self, node: Node) -> Whole:
        inputs = [self.whole[name] for name in node.inputs]
        x = inputs[0]
        if any(each.average for each in inputs) and not isinstance(node.layer, Flatten):
            raise ValueError("it reads a mean that is not rounded to levels")
        match node.layer:
            case Conv() | Linear():
                return self._product(node, x)
            case Relu():
                return self._relu(node, x)
            case AveragePool():
                return self._window_sum(node, x)
            case Add():
                return self._sum(node, inputs)
            case Concat():
                names = [each.name for each in inputs]
                joined = self._operator(node, names)
                ends = ([getattr(each, end) for each in inputs] for end in ("lowest", "highest"))
                if node.layer.axis:
                    return Whole(joined, *_along(node, *map(np.concatenate, ends)))
                return Whole(joined, *map(np.concatenate, ends))
            case Identity() | Scale():
                return x
        if isinstance(node.layer, Clipping):
            return x  # its bounds are in the thresholds
        if isinstance(node.layer, MaxPool):
            return x.named(self._operator(node, [x.name]))
        if isinstance(node.layer, Flatten):
            inner = prod(node.input_shapes[0][1:])
            ends = (np.repeat(end, inner) for end in (x.lowest, x.highest))
            return Whole(self._operator(node, [x.name]), *ends, x.average)
        if isinstance(node.layer, Move):
            return Whole(self._operator(node, [x.name]), *_along(node, x.lowest, x.highest))
        raise ValueError(
            f"a {node.layer.__struct_config__.tag} layer is none of sums or thresholds"
        )

    def _operator(self, node: Node, inputs: list[str], output: str | None = None) -> str:
        written = operator(node)
        constants = [
            self.graph.constant(f"{node.name}.{key}", array)
            for key, array in written.constants.items()
        ]
        return self.graph.add(
            written.name, inputs + constants, output or node.name, **written.attributes
        )

    def _product(self, node: Node, x: Whole) -> Whole:
        """The sums of a layer, turned around where its batch norm does so, and an integer bias."""
        program, name = self.program, node.name
        if name not in program.biases:
            raise ValueError("it is computed in floating point; quantize its weights and input")
        terms = program.terms[name]
        if len(terms) > 1 or program.maps(node):
            raise ValueError("its sums have several scales, and thresholds compare one integer")
        [term] = terms
        levels, bias = term.levels.astype(np.int64), program.biases[name]
        sign = np.sign(program.factors.get(name, np.ones(len(levels)))).astype(np.int64)
        levels = levels * sign.reshape(-1, *(1,) * (levels.ndim - 1))
        weight = self._weight(node, levels, binary=is_binary(program.weights[name]) and sign.all())
        if isinstance(node.layer, Linear):
            made = self.graph.add(
                "MatMul", [x.name, weight], name if not bias.any() else f"{name}_sums"
            )
        else:
            made = self._conv(node, x.name, weight, name if not bias.any() else f"{name}_sums")
        if bias.any():
            along = bias if isinstance(node.layer, Linear) else bias.reshape(1, -1, 1, 1)
            held = self.graph.constant(f"{name}.bias", along.astype(np.float32))
            made = self.graph.add("Add", [made, held], name)
        padded = isinstance(node.layer, Conv) and any(border(node.layer.padding))
        least, most = int(x.lowest.min()), int(x.highest.max())
        least, most = (min(least, 0), max(most, 0)) if padded else (least, most)
        rows = levels.reshape(len(levels), -1)
        up, down = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
        return self._checked(
            Whole(made, up * least + down * most + bias, up * most + down * least + bias)
        )

    def _conv(self, node: Node, x: str, weight: str, output: str) -> str:
        return self.graph.add("Conv", [x, weight], output, **operator(node).attributes)

    def _weight(self, node: Node, levels: np.ndarray, *, binary: bool) -> str:
        name, number = f"{node.name}.weight", self.program.weights[node.name]
        levels = levels.T if isinstance(node.layer, Linear) else levels
        real = self.graph.constant(f"{name}_real", levels.astype(np.float32))
        one = self.graph.constant("one", np.ones((), np.float32))
        if binary:
            return self.graph.add("BipolarQuant", [real, one], name, domain=DOMAIN)
        lowest, highest = level_range(number)
        most = max(-lowest, highest)
        grid = weight_grid(-most if lowest < 0 or (levels < 0).any() else 0, most)
        zero = self.graph.constant("zero", np.zeros((), np.float32))
        bits = self.graph.constant(f"{name}_bits", np.array(grid.bits, np.float32))
        words = {"signed": int(grid.signed), "narrow": int(grid.narrow), "rounding_mode": "ROUND"}
        return self.graph.add("Quant", [real, one, zero, bits], name, domain=DOMAIN, **words)

    def _relu(self, node: Node, x: Whole) -> Whole:
        """An operator where it bounds integers; else it is in the thresholds."""
        made = self.steps[node.name].unrounded
        if isinstance(made, Sums) and made.is_bounded:
            return x
        name = self.graph.add("Relu", [x.name], node.name)
        return Whole(name, np.maximum(x.lowest, 0), np.maximum(x.highest, 0))

    def _window_sum(self, node: Node, x: Whole) -> Whole:
        """The sums under a window, by a convolution of ones over each channel."""
        layer, channels = node.layer, node.output_shape[0]
        divisors, rounding = layer.divisors(node.input_shapes[0]), self._mean
        if divisors.ndim or rounding == "float32":
            raise ValueError("its windows are divided by place, or in float32")
        window = layer.window(node.input_shapes[0])
        ones = self.graph.constant(f"{node.name}.ones", np.ones((channels, 1, *window), np.float32))
        made = self.graph.add(
            "Conv", [x.name, ones], node.name, group=channels, kernel_shape=window,
            strides=pair(layer.stride or window), pads=border(layer.padding),
        )  # fmt: skip
        area = prod(window)
        lowest = np.minimum(x.lowest, 0) if layer.is_padded else x.lowest
        highest = np.maximum(x.highest, 0) if layer.is_padded else x.highest
        average = None
        if rounding is not None:
            divide = {"half_even": divide_half_even, "half_away": divide_half_away}[rounding]
            average = lambda sums: divide(sums, np.array(area))  # noqa: E731
        return self._checked(Whole(made, lowest * area, highest * area, average))

    @property
    def _mean(self) -> str | None:
        return self.program.arithmetic.requantizer.mean

    def _sum(self, node: Node, inputs: list[Whole]) -> Whole:
        """An addition of one scale; of scales that are powers of two, brought to the least."""
        if self.program.arithmetic.requantize not in EXACT_SUMS:
            raise ValueError(
                "it scales each branch by itself before it adds them, which is no function of one"
                f" integer; requantize: {' or '.join(EXACT_SUMS)} adds integers"
            )
        terms = self.steps[node.name].unrounded.terms
        least = np.min([scale for _, scale in terms], axis=0)
        names, lowest, highest = [], 0, 0
        for index, (whole, (_, scale)) in enumerate(zip(inputs, terms, strict=True)):
            times = scale / least
            if (times != np.rint(times)).any():
                raise ValueError("the scales of its branches are no multiples of one another")
            name = whole.name
            if (times != 1).any():
                along = times.reshape(1, -1, *(1,) * (len(node.output_shape) - 1))
                held = self.graph.constant(f"{node.name}.times{index}", along.astype(np.float32))
                name = self.graph.add("Mul", [name, held], f"{node.name}_branch{index}")
            names.append(name)
            times = times.astype(np.int64)
            lowest, highest = lowest + whole.lowest * times, highest + whole.highest * times
        made = names[0]
        for index, other in enumerate(names[1:], 2):
            last = index == len(names)
            made = self.graph.add(
                "Add", [made, other], node.name if last else f"{node.name}_{index}"
            )
        return self._checked(Whole(made, lowest, highest))

    def _checked(self, whole: Whole) -> Whole:
        most = max(-int(whole.lowest.min()), int(whole.highest.max()))
        if most > WHOLE:
            raise ValueError(f"its sums reach {most:,}, and float32 holds integers up to 2**24")
        return whole

    def _counted(self, name: str, x: str, thresholds: np.ndarray) -> Whole:
        """The levels of a tensor, by float32 thresholds (channels or 1, steps)."""
        levels = format_of(self.program, name).levels()
        steps = np.unique(np.diff(levels))
        if len(steps) != 1:
            raise ValueError("its levels are not evenly spaced")
        if (thresholds == thresholds[:1]).all():
            thresholds = thresholds[:1]
        held = self.graph.constant(f"{name}.thresholds", thresholds.astype(np.float32))
        grid = weight_grid(int(levels[0]), int(levels[-1]))
        bipolar = levels.tolist() == [-1, 1]
        kind = "BIPOLAR" if bipolar else f"{'INT' if grid.signed else 'UINT'}{grid.bits}"
        shape = self.network.input_shape if name == INPUT else self.network.nodes[name].output_shape
        made = self.graph.add(
            "MultiThreshold", [x, held], f"{name}_levels", domain=DOMAIN,
            out_scale=float(steps[0]), out_bias=float(levels[0]),
            out_dtype="BINARY" if kind == "UINT1" else kind,
            data_layout={1: "NC", 2: "NCW", 3: "NCHW"}[len(shape)],
        )  # fmt: skip
        return Whole(made, np.full(shape[0], levels[0]), np.full(shape[0], levels[-1]))

    def _result(self) -> str:
        """The real result: integers times their scale, and what is added to it."""
        name = self.network.output
        whole, node = self.whole[name], self.network.nodes[name]
        along = (1, -1, *(1,) * (len(node.output_shape) - 1))
        if name in self.program.scales:
            return self._times(whole.name, np.float32(self.program.scales[name]).reshape(()), name)
        value = as_one_term(self.steps[name])
        if whole.average is not None:
            raise ValueError("it is a mean that is not rounded to levels")
        [(_, scale)] = value.terms
        made = self._times(
            whole.name, (scale / value.divisor).astype(np.float32).reshape(along), name
        )
        if value.offset is not None:
            held = self.graph.constant(f"{name}.offset", value.offset.reshape(along))
            made = self.graph.add("Add", [made, held], f"{name}_shifted")
        if value.is_bounded:
            bounds = [
                self.graph.constant(f"{name}.{which}", np.array(bound, np.float32))
                for which, bound in (("low", value.low), ("high", value.high))
            ]
            made = self.graph.add("Clip", [made, *bounds], f"{name}_bounded")
        return made

    def _times(self, x: str, scale: np.ndarray, name: str) -> str:
        return self.graph.add(
            "Mul", [x, self.graph.constant(f"{name}.scale", scale)], f"{name}_real"
        )


def _along(node: Node, lowest: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One range for all channels of what a layer makes."""
    channels = node.output_shape[0]
    return np.full(channels, lowest.min()), np.full(channels, highest.max())
