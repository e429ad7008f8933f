"""Two words that numba has no word for: arrays that do not overlap, and a fused multiply-add."""

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from qsim.kernels.fused import multiply_add


@intrinsic
def _arrays_are_separate(typing_context):
    """Marks the data of every array that the function around this call is given as reached through
    that array alone. Numba's flag ``noalias`` marks all of an array, and no decorator can set it.

    An array is passed as its fields, of which the data are number 4; were they elsewhere in another
    version of numba, nothing would be marked and loops would be slower."""

    def mark(context, builder, signature, arguments):
        for argument in builder.function.args:
            if argument.name.endswith(".4") and isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), mark


@intrinsic
def _fused_multiply_add(typing_context, x, factor, term):
    """LLVM's ``fma``: the processor's instruction, or the C library's function where it has none.
    It is typed for float32 alone, so that anything else is converted as at a call."""

    def emit(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), emit


def _nothing() -> None:
    """In plain Python there is nobody to tell."""


# Called first in a kernel whose arrays do not overlap where it writes: LLVM then tests nothing
# before it reads several elements at once.
arrays_are_separate = _nothing if config.DISABLE_JIT else _arrays_are_separate

# x * factor + term of float32, rounded once.
fused_multiply_add = multiply_add if config.DISABLE_JIT else _fused_multiply_add
