"""What a thread does before its first product of tiles and after its last.

Only back end amx needs anything: its tile registers have shapes, which are a thread's own.
"""

from numba import types
from numba.extending import intrinsic, overload

from qsim.kernels.simd.amx import emit_begin, emit_end


def begin(backend):
    """Make this thread ready for ``multiply_tile`` by a back end, given as its ``Tag``."""


def end(backend):
    """Undo ``begin``; it must be called in the same thread."""


@overload(begin, jit_options={"nogil": True})
def _begin(backend):
    if backend.backend == "amx":
        return lambda backend: _configured()
    return lambda backend: None


@overload(end, jit_options={"nogil": True})
def _end(backend):
    if backend.backend == "amx":
        return lambda backend: _released()
    return lambda backend: None


@intrinsic
def _configured(typing):
    """The thread's tile registers get their shapes."""

    def generate(context, builder, signature, arguments):
        emit_begin(builder)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _released(typing):
    """The thread's tile registers are given up."""

    def generate(context, builder, signature, arguments):
        emit_end(builder)
        return context.get_dummy_value()

    return types.void(), generate
