"""A word by which a compiled function tells LLVM that the arrays it is given do not overlap."""

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def _nothing() -> None:
    """In plain Python there is nobody to tell."""


@intrinsic
def _declare(typing_context):
    """Marks every pointer that the function around this call is given as the only one to its
    memory, as numba's own flag ``noalias`` does, which no decorator can set."""

    def mark(context, builder, signature, arguments):
        result, exception = builder.function.args[:2]
        for argument in builder.function.args:
            if argument not in (result, exception) and isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), mark


# Called first in a kernel whose loops then need no test whether what they write is what they read.
# The arrays must not overlap, where anything is written to them.
arrays_are_separate = _nothing if config.DISABLE_JIT else _declare
