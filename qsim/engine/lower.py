"""From an integer program to the steps of a compiled one; what cannot be compiled is refused."""

from dataclasses import replace

import numpy as np

from qsim.datapaths import code_of_inputs
from qsim.engine.epilogue import addition_of, epilogue_of, thresholds_of
from qsim.engine.lookups import layer_table, part_table
from qsim.engine.products import (
    MOST_LEVELS,
    average_of,
    image_shape,
    levels_of,
    normed_of,
    product_of,
)
from qsim.engine.steps import (
    Buffer,
    Epilogue,
    LookUp,
    MakeTensor,
    Pending,
    Plan,
    PoolLargest,
    Product,
    Read,
    ReadImage,
    Term,
    Uncompilable,
    without_integers,
)
from qsim.errors import QsimError
from qsim.formats import Float, Format
from qsim.formats.base import UniformFormat
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.host import BackendName
from qsim.network.graph import INPUT, Node
from qsim.network.layers import (
    Add,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    Relu,
    Relu6,
    Sigmoid,
    Tanh,
)
from qsim.network.pointwise import Curve, Scale
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.roundings import Identity
from qsim.program import Program
from qsim.requantize import OnnxRuntime

OF_WIDE_SUMS = (codes.FLOAT, codes.FLOAT_SUM, codes.SHIFT_SUM)  # sums of 64 bits can be so rounded


def lower(program: Program, *, every: bool = False, backend: BackendName | None = None) -> Plan:
    """The steps of a program, the last of which makes its output.

    every     whether every rounded tensor is made, and none passed over that only an addition reads
    backend   bits are counted where that is faster on this one; None: on the one in use

    Raises QsimError naming the layer that cannot be compiled.
    """
    return _Lowering(program, every, backend).plan()


class _Lowering:
    """The state of one translation: what every tensor is so far."""

    def __init__(self, program: Program, every: bool, backend: BackendName | None):
        self.program, self.network = program, program.network
        self.every, self.backend = every, backend
        self.made: dict[str, Buffer | Pending] = {}
        self.steps, self.named = [], {}

    def plan(self) -> Plan:
        self._try(INPUT, self._read_image)
        for node in self.network.nodes.values():
            self._try(node.name, lambda node=node: self._lower(node))
        result = self._try(self.network.output, self._result)
        return Plan(self.steps, self.named, result)

    def _try(self, name: str, step):
        try:
            return step()
        except Uncompilable as error:
            what = "input" if name == INPUT else f"layer {name!r}"
            raise QsimError(
                f"network {self.network.name}: {what} cannot be compiled: {error}"
            ) from None

    def _read_image(self) -> None:
        number = self.program.formats[INPUT]
        buffer = self._bytes(INPUT, image_shape(self.network.input_shape), number)
        exact = None
        plain = type(number).nearest is UniformFormat.nearest
        if plain and type(number).at_scale is Format.at_scale:
            exact = not isinstance(self.program.arithmetic.requantizer, OnnxRuntime)
        self.steps.append(ReadImage(buffer, number.min_level, number.max_level, exact))
        self._keep(INPUT, buffer, self.network.input_shape)

    def _bytes(self, name: str | None, shape: tuple[int, int, int], number: Format) -> Buffer:
        if isinstance(number, Float):
            raise Uncompilable("its tensor is float")
        if number.max_level - number.min_level >= MOST_LEVELS:
            raise Uncompilable("its levels are more than a byte holds")
        return Buffer(shape, -min(number.min_level, 0), name, code=code_of_inputs(number))

    def _keep(self, name: str, buffer: Buffer, shape: tuple[int, ...]) -> None:
        self.made[name] = buffer
        self.named[name] = (buffer, tuple(shape))

    def _lower(self, node: Node) -> None:
        value = self._value(node)
        name = node.name
        if isinstance(value, Pending) and self.program.rounds(name):
            value = self._rounded(name, value)
        if isinstance(value, Buffer):
            if value.name is None:
                value.name = name
            self._keep(name, value, node.output_shape)
        self.made[name] = value

    def _value(self, node: Node) -> Buffer | Pending:
        """What a layer makes, before it is rounded."""
        program = self.program
        if program.in_float(node):
            raise Uncompilable("it is computed in floating point")
        x = self.made[node.inputs[0]]
        match node.layer:
            case Conv() | Linear():
                return product_of(program, node, x, self.backend)
            case Relu():
                return self._clipped(node, 0.0, np.inf)
            case Clip() | Relu6() | HardTanh():
                return self._clipped(node, *node.layer.bounds)
            case Add():
                return self._added(node)
            case MaxPool():
                return self._max_pool(node, x)
            case AveragePool():
                return average_of(program, node, x)
            case Flatten():
                return x
            case Scale() if isinstance(x, Buffer):
                return x  # its levels, which stand for others
            case BatchNorm():
                return normed_of(program, node, x)
            case Concat():
                return self._joined(node)
            case Curve() | Sigmoid() | Tanh() | Identity():
                return self._looked_up(node, x)
        raise Uncompilable(f"there is no step for a {node.layer.__struct_config__.tag}")

    def _clipped(self, node: Node, low: float, high: float) -> Pending:
        pending = self._pending(node.inputs[0])
        return replace(pending, sums=pending.sums.clipped(low, high))

    def _pending(self, name: str) -> Pending:
        """A tensor as one that is not rounded: of a rounded one, its levels."""
        value = self.made[name]
        return value if isinstance(value, Pending) else levels_of(self.program, name, value)

    def _added(self, node: Node) -> Pending:
        parts = [self._pending(name) for name in node.inputs]
        if any(p.pools or p.mean or p.sums.is_bounded or p.sums.divisor != 1 for p in parts):
            raise Uncompilable("it adds what was pooled or bounded")
        if any(part.shape != parts[0].shape for part in parts):
            raise Uncompilable("it adds images of different shapes that were flattened")
        offsets = [part.sums.offset for part in parts if part.sums.offset is not None]
        terms = tuple(term for part in parts for term in part.terms)
        sums = without_integers(
            tuple(term.scale for term in terms),
            sum(offsets[1:], start=offsets[0]) if offsets else None,
            source="add",
        )
        return Pending(
            terms, replace(sums, zero_points=self.program.zero_points(node)), parts[0].shape
        )

    def _max_pool(self, node: Node, x: Buffer | Pending) -> Buffer | Pending:
        shape = image_shape(node.output_shape)
        if isinstance(x, Pending):
            return replace(x, pools=(*x.pools, node.layer), shape=shape)
        out = Buffer(shape, x.zero, code=x.code)
        self.steps.append(PoolLargest(out, x, node.layer))
        return out

    def _joined(self, node: Node) -> Buffer:
        """Tensors one after another along the channels, each by its table."""
        tensors = [self.made[name] for name in node.inputs]
        shape = image_shape(node.output_shape)
        whole = all(isinstance(x, Buffer) and x.shape[1:] == shape[1:] for x in tensors)
        if node.layer.axis != 0 or not whole or sum(x.shape[0] for x in tensors) != shape[0]:
            raise Uncompilable("it joins tensors in another way than channel after channel")
        self._check_rounded(node)
        out, channel = self._bytes(None, shape, self.program.formats[node.name]), 0
        for name, x in zip(node.inputs, tensors, strict=True):
            table = part_table(self.program, name, node.name, x, out)
            self.steps.append(LookUp(out, x, table, channel))
            channel += x.shape[0]
        return out

    def _looked_up(self, node: Node, x: Buffer | Pending) -> Buffer:
        if not isinstance(x, Buffer):
            raise Uncompilable("it reads a tensor that is not rounded")
        self._check_rounded(node)
        out = self._bytes(None, x.shape, self.program.formats[node.name])
        self.steps.append(LookUp(out, x, layer_table(self.program, node, x, out)))
        return out

    def _check_rounded(self, node: Node) -> None:
        if not self.program.rounds(node.name):
            raise Uncompilable("its results are not rounded")

    def _rounded(self, name: str, pending: Pending) -> Buffer:
        number, scale = self.program.formats[name], self.program.scales[name]
        out = self._tensor(pending, number, scale)
        for layer in pending.pools:
            shape = (out.shape[0], *layer.output_shape(out.shape)[1:])
            pooled = Buffer(shape, out.zero, code=out.code)
            self.steps.append(PoolLargest(pooled, out, layer))
            out = pooled
        out.name = name
        return out

    def _tensor(self, pending: Pending, number: Format, scale: np.ndarray) -> Buffer:
        """The levels of a sum, by one step; terms other than one product are made before it."""
        out = self._bytes(None, pending.terms[0].source.shape, number)
        requantizer = self.program.arithmetic.requantizer
        if pending.sums.source == "add" and requantizer.at_once:
            return self._sum_of_levels(pending, number, scale, out)
        terms, sums = pending.terms, pending.sums
        if len(terms) > 2:
            raise Uncompilable("it adds more than two tensors")
        first = max(i for i in range(len(terms)) if not i or isinstance(terms[i].source, Product))
        order = [first, *(i for i in range(len(terms)) if i != first)]
        terms = [terms[first], *(self._settled(terms[i]) for i in order[1:])]
        sums = replace(sums, terms=tuple(sums.terms[i] for i in order))
        largest = [term.source.largest for term in terms]
        if pending.mean is not None:
            epilogue = thresholds_of(requantizer, sums, number, scale, largest[0], pending.mean)
        elif _is_counted(terms) and out.code is not None and not number.wraps:
            epilogue = thresholds_of(requantizer, sums, number, scale, largest[0])
        else:
            epilogue = epilogue_of(requantizer, sums, number, scale, largest)
        other = terms[1].source.source if len(terms) == 2 else None
        self._make(MakeTensor(out, terms[0].source, epilogue, other))
        return out

    def _make(self, step: MakeTensor) -> None:
        mode = codes.KEEP_SUMS if step.epilogue is None else step.epilogue.mode
        if isinstance(step.source, Product):
            if step.source.is_wide and mode not in OF_WIDE_SUMS:
                raise Uncompilable("its sums may have more than 32 bits, and none are rounded so")
            if step.source.wrap and mode in (codes.ROUND_TWICE, codes.ROUND_TWICE_AWAY):
                raise Uncompilable("its sums may wrap around, and none are rounded so")
        self.steps.append(step)

    def _sum_of_levels(
        self, pending: Pending, number: Format, scale: np.ndarray, out: Buffer
    ) -> Buffer:
        """The sum of two rounded tensors: by the step that makes one of them, where nothing else
        reads it, else by a step of its own."""
        addition = addition_of(self.program.arithmetic.requantizer, pending.sums, number, scale)
        tensors = [term.source.source for term in pending.terms]
        for this, other in ((1, 0), (0, 1)):
            made = self._only_read_here(tensors[this])
            if made is not None and tensors[this] is not tensors[other]:
                self.steps.remove(made)
                self.steps.append(
                    replace(
                        made, out=out, other=tensors[other], addition=addition, swapped=this == 1
                    )
                )
                return out
        levels = Epilogue(codes.AS_LEVELS, 0, 0)
        source = pending.terms[0].source
        self.steps.append(MakeTensor(out, source, levels, tensors[1], addition))
        return out

    def _only_read_here(self, tensor: Buffer) -> MakeTensor | None:
        """The step that makes a tensor of products that one addition reads; None if there is none,
        or if every rounded tensor is wanted."""
        made = next((step for step in self.steps if step.out is tensor), None)
        names = [name for name, (buffer, _) in self.named.items() if buffer is tensor]
        alone = all(len(self.network.readers[name]) == 1 for name in names)
        if self.every or not alone or not isinstance(made, MakeTensor):
            return None
        return made if isinstance(made.source, Product) and made.other is None else None

    def _settled(self, term: Term) -> Term:
        """A term whose sums are a tensor in memory."""
        if isinstance(term.source, Read):
            return term
        out = Buffer(term.source.shape, None)
        self._make(MakeTensor(out, term.source, None))
        return Term(Read(out, term.source.largest), term.scale)

    def _result(self) -> Pending:
        """The network's output as tensors in memory."""
        name = self.network.output
        pending = self._pending(name)
        if pending.pools or pending.mean is not None:
            raise Uncompilable("it makes sums that are not rounded")
        return replace(pending, terms=tuple(self._settled(term) for term in pending.terms))


def _is_counted(terms: list[Term]) -> bool:
    """Whether a sum is one product by counting bits."""
    source = terms[0].source
    return len(terms) == 1 and isinstance(source, Product) and source.codes is not None
