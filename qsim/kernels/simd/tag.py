"""A back end as an argument of compiled code, whose name is its type: code is compiled for each.

A literal string would do as much, but numba compiles the call of one anew every time.
"""

from dataclasses import dataclass

from numba import types
from numba.extending import (
    NativeValue,
    box,
    models,
    register_model,
    typeof_impl,
    unbox,
)


@dataclass(frozen=True)
class Tag:
    """A back end of this name."""

    name: str


class TagType(types.Opaque):
    """The numba type of the tag of one back end."""

    def __init__(self, name: str):
        self.backend = name
        super().__init__(name=f"Backend({name})")


register_model(TagType)(models.OpaqueModel)


@typeof_impl.register(Tag)
def _typeof(value, context):
    return TagType(value.name)


@unbox(TagType)
def _unbox(kind, value, context):
    return NativeValue(context.context.get_dummy_value())


@box(TagType)
def _box(kind, value, context):
    raise TypeError("a back end is never returned")
