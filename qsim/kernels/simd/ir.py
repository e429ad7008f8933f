"""Words for writing a kernel as LLVM IR with llvmlite's builder: vectors, addresses, loops.

An emitter is given a builder and values; addresses are 64-bit integers.
"""

from llvmlite import ir
from numba.core import cgutils

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
VOID = ir.VoidType()


def vector(element: ir.Type, lanes: int) -> ir.VectorType:
    """A vector type."""
    return ir.VectorType(element, lanes)


def zeros(kind: ir.VectorType) -> ir.Constant:
    """A vector of zeros."""
    return ir.Constant(kind, None)


def filled(kind: ir.VectorType, value: int) -> ir.Constant:
    """A vector of the same constant in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def splat(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """A vector of ``scalar`` in every lane."""
    kind = vector(scalar.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, zeros(vector(I32, lanes)))


def pick(builder: ir.IRBuilder, value: ir.Value, lanes: list[int]) -> ir.Value:
    """The lanes of a vector at these places, as a vector."""
    undefined = ir.Constant(value.type, ir.Undefined)
    return builder.shuffle_vector(value, undefined, ir.Constant(vector(I32, len(lanes)), lanes))


def load(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type, align: int = 1) -> ir.Value:
    """What memory holds at an address."""
    return builder.load(builder.inttoptr(address, ir.PointerType(kind)), align=align)


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int = 1) -> None:
    """Write a value at an address."""
    builder.store(value, builder.inttoptr(address, ir.PointerType(value.type)), align=align)


def call(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """The call of an LLVM intrinsic by its full name."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments)


class Loop:
    """A loop that runs ``count`` times, at least once, and carries values from turn to turn.

    ``index`` counts from 0; ``carried`` are the values at the start of a turn; ``close`` is given
    those of the next one and leaves the builder behind the loop, where the given values hold.
    """

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, carried: list[ir.Value], name: str):
        self._builder, self._count = builder, count
        before = builder.block
        self._head = builder.append_basic_block(name)
        self._end = builder.append_basic_block(f"{name}_end")
        builder.branch(self._head)
        builder.position_at_end(self._head)
        self.index = builder.phi(I64)
        self.index.add_incoming(I64(0), before)
        self.carried = [builder.phi(value.type) for value in carried]
        for phi, value in zip(self.carried, carried, strict=True):
            phi.add_incoming(value, before)

    def close(self, values: list[ir.Value]) -> None:
        """End the turn."""
        following = self._builder.add(self.index, I64(1))
        last = self._builder.block
        self.index.add_incoming(following, last)
        for phi, value in zip(self.carried, values, strict=True):
            phi.add_incoming(value, last)
        again = self._builder.icmp_signed("<", following, self._count)
        self._builder.cbranch(again, self._head, self._end)
        self._builder.position_at_end(self._end)
