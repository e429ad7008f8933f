"""Arrays that compiled code uses without counting who holds them.

Each access to an array in a tuple counts a reference up and down again, by an instruction that
other cores wait for. The caller of a program holds its arrays as long as it runs, so that nothing
is to be counted.
"""

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def _itself(arrays):
    """In plain Python there is nothing to be left out."""
    return arrays


@intrinsic
def _borrowed(typing, arrays):
    def generate(context, builder: ir.IRBuilder, signature, arguments):
        return _without_owner(context, builder, signature.args[0], arguments[0])

    return arrays(arrays), generate


def _without_owner(context, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> ir.Value:
    """An array, or a tuple of such to any depth, whose owners are not known."""
    if isinstance(kind, types.Array):
        array = make_array(kind)(context, builder, value)
        array.meminfo = ir.Constant(array.meminfo.type, None)
        array.parent = ir.Constant(array.parent.type, None)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        for at, each in enumerate(kind.types):
            part = builder.extract_value(value, at)
            value = builder.insert_value(value, _without_owner(context, builder, each, part), at)
    return value


# Called with a tuple of arrays, or of tuples of them, which must be held by somebody else.
borrowed = _itself if config.DISABLE_JIT else _borrowed
