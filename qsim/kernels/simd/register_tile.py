"""LLVM IR of a tile of products: a few rows of activations times two vectors of weights.

The registers of the tile stay in those of the processor over the whole depth. Nothing here is of
one instruction set. What the lanes do, and why that is exact, is said in ``register_lanes``.
"""

from llvmlite import ir

from qsim.kernels.simd.ir import (
    I16,
    I32,
    I64,
    Loop,
    call,
    load,
    pick,
    splat,
    store,
    vector,
    zeros,
)
from qsim.kernels.simd.register_lanes import Absent, Held

VECTORS = 2  # of weights


class Register:
    """Lanes of a kind of Held, as IR.

    ``held`` is the IR value of its fields, 64-bit integers.
    """

    def __init__(self, builder: ir.IRBuilder, kind: type[Held], held: ir.Value, lanes: int):
        self._builder, self._kind = builder, kind
        self.vector = vector(ir.IntType(kind.lane_bits), lanes)
        self._low, self._high, self._up, self._down = (
            self._spread(builder.extract_value(held, at)) for at in range(4)
        )

    def extended(self, value: ir.Value) -> ir.Value:
        """A scalar or a vector of narrower signed integers in the type of the lanes."""
        kind = self.vector if isinstance(value.type, ir.VectorType) else self.vector.element
        return value if value.type == kind else self._builder.sext(value, kind)

    def add(self, total: ir.Value, term: ir.Value) -> ir.Value:
        """The total after one more term."""
        step = self._kind.step
        saturates = step == "saturate" or (step == "clip" and self._kind.lane_bits == 16)
        add = self._call if saturates else lambda _, a, b: self._builder.add(a, b)
        total = add("sadd.sat", total, term)
        if step != "clip":
            return total
        return self._call("smax", self._call("smin", total, self._high), self._low)

    def finish(self, total: ir.Value) -> ir.Value:
        """What the register holds in the end."""
        return self._builder.ashr(self._builder.shl(total, self._up), self._down)

    def _call(self, name: str, a: ir.Value, b: ir.Value) -> ir.Value:
        full = f"llvm.{name}.v{self.vector.count}i{self._kind.lane_bits}"
        return call(self._builder, full, self.vector, a, b)

    def _spread(self, scalar: ir.Value) -> ir.Value:
        if self._kind.lane_bits < 64:
            scalar = self._builder.trunc(scalar, self.vector.element)
        return splat(self._builder, scalar, self.vector.count)


class Operands:
    """What is multiplied to fill ``lanes``: by 16 bits each lane of 16 or 32, by 32 each of 64.

    In a lane of 32 bits lie two operands, of which the upper one of the weights is 0; the products
    of both are added, as machines have an instruction for just that.
    """

    def __init__(self, builder: ir.IRBuilder, lanes: ir.VectorType):
        self._builder = builder
        self._element = I32 if lanes.element == I64 else I16
        self._count = lanes.count * (2 if lanes.element == I32 else 1)
        self._multiplied = vector(lanes.element, self._count)
        self.bytes = self._element.width // 8
        self.vector_bytes = self.bytes * self._count

    def weights(self, address: ir.Value) -> ir.Value:
        """A vector of weights."""
        held = load(self._builder, address, vector(self._element, self._count), self.bytes)
        return self._widened(held)

    def activation(self, address: ir.Value) -> ir.Value:
        """A vector of the same activation."""
        held = load(self._builder, address, self._element, self.bytes)
        return self._widened(splat(self._builder, held, self._count))

    def product(self, x: ir.Value, w: ir.Value) -> ir.Value:
        """The products, in the lanes."""
        product = self._builder.mul(x, w)
        if self._multiplied.element != I32:
            return product
        halves = [list(range(first, self._count, 2)) for first in (0, 1)]
        return self._builder.add(*(pick(self._builder, product, half) for half in halves))

    def _widened(self, held: ir.Value) -> ir.Value:
        same = held.type == self._multiplied
        return held if same else self._builder.sext(held, self._multiplied)


class TileCode:
    """The code of one tile of ``rows`` rows; ``narrow`` and ``wide`` are a kind and its value."""

    def __init__(self, builder: ir.IRBuilder, vector_bytes: int, rows: int):
        self._builder, self._rows, self._vector_bytes = builder, rows, vector_bytes

    def emit(
        self,
        narrow: tuple[type[Held], ir.Value],
        wide: tuple[type[Held], ir.Value],
        addresses: tuple[ir.Value, ir.Value, ir.Value],
        counts: tuple[ir.Value, ir.Value],
    ) -> None:
        """Write the sums of a tile, int64 [row][lane].

        addresses   of the rows, one after the other; of the weights [depth][lane]; of the sums
        counts      the depth, and how many products the narrow register takes at a time
        """
        b = self._builder
        rows, panel, sums = addresses
        lanes = self._vector_bytes * 8 // narrow[0].lane_bits
        register = Register(b, *narrow, lanes)
        self._operands = Operands(b, register.vector)
        self._pitch = b.mul(counts[0], I64(self._operands.bytes))
        if wide[0] is Absent:
            totals, *_ = self._products(register, rows, panel, counts[0])
        else:
            totals = self._groups(register, Register(b, *wide, lanes), (rows, panel), counts)
        for at, total in enumerate(totals):
            total = total if total.type.element == I64 else b.sext(total, vector(I64, lanes))
            store(b, total, b.add(sums, I64(at * lanes * 8)), 8)

    def _groups(self, narrow, wide, addresses, counts):
        """The wide totals over all groups of products."""
        b, (depth, products) = self._builder, counts
        groups = b.sdiv(b.sub(b.add(depth, products), I64(1)), products)
        start = [zeros(wide.vector)] * (VECTORS * self._rows)
        loop = Loop(b, groups, [*addresses, *start], "groups")
        rows, panel, *totals = loop.carried
        left = b.sub(depth, b.mul(loop.index, products))
        count = b.select(b.icmp_signed("<", left, products), left, products)
        parts, rows, panel = self._products(narrow, rows, panel, count)
        pairs = zip(totals, parts, strict=True)
        totals = [wide.add(total, wide.extended(part)) for total, part in pairs]
        loop.close([rows, panel, *totals])
        return [wide.finish(total) for total in totals]

    def _products(self, register, rows, panel, count):
        """The totals of ``count`` products, and the addresses after them."""
        b, operands = self._builder, self._operands
        start = [zeros(register.vector)] * (VECTORS * self._rows)
        loop = Loop(b, count, [rows, panel, *start], "products")
        rows, panel, *totals = loop.carried
        places = [b.add(panel, I64(operands.vector_bytes * at)) for at in range(VECTORS + 1)]
        weights = [operands.weights(place) for place in places[:VECTORS]]
        sums = []
        for i in range(self._rows):
            x = operands.activation(b.add(rows, b.mul(self._pitch, I64(i))))
            for w in weights:
                sums.append(register.add(totals[len(sums)], operands.product(x, w)))
        following = [b.add(rows, I64(operands.bytes)), places[VECTORS]]
        loop.close([*following, *sums])
        return [register.finish(total) for total in sums], *following
