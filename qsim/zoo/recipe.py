"""A recipe: a function that writes a network down, its keyword parameters being the network's."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import msgspec

from hwmodels.documents import convert, nearest
from qsim.errors import InputError, NetworkError
from qsim.network.graph import Network
from qsim.zoo.builder import Builder

Side = Annotated[int, msgspec.Meta(ge=1, le=2**14)]  # of an image, in pixels
Count = Annotated[int, msgspec.Meta(ge=1, le=2**20)]  # of channels, classes, steps, words
Depth = Annotated[int, msgspec.Meta(ge=1, le=200)]  # of layers one after another
Width = Annotated[float, msgspec.Meta(gt=0, le=16)]  # what all channels are multiplied by


@dataclass(frozen=True)
class Recipe:
    """How a network of the zoo is made.

    write    writes it down; its keyword parameters are typed and have defaults
    source   where the network is defined
    fixed    those parameters that make this network what it is, which nobody else sets
    """

    write: Callable[..., Builder]
    source: str
    fixed: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What may be set, by name, in order."""
        every = inspect.signature(self.write).parameters
        return {name: each for name, each in every.items() if name not in self.fixed}

    def network(self, name: str, given: dict[str, Any], *, where: str) -> Network:
        """The network that this recipe, called ``name``, makes with the ``given`` parameters.

        Raises NetworkError naming ``where`` on an unknown or impossible parameter.
        """
        for key in given:
            if key not in self.parameters:
                known = nearest(str(key), self.parameters) if self.parameters else "it has none"
                raise NetworkError(f"{where}.{name}: unknown key {key!r}; {known}")
        types = [(key, each.annotation, each.default) for key, each in self.parameters.items()]
        record = msgspec.defstruct("Parameters", types)
        try:
            values = msgspec.structs.asdict(convert(given, record, where=f"{where}.{name}"))
        except InputError as error:
            raise NetworkError(str(error)) from None
        full_name = described(name, {k: v for k, v in values.items() if self._is_set(k, v)})
        try:
            builder = self.write(**values, **self.fixed)
            return Network(full_name, builder.input_shape, tuple(builder.layers))
        except NetworkError as error:
            text = str(error).removeprefix(f"network {full_name}: ")
            raise NetworkError(f"{where}: {full_name}: {text}") from None

    def _is_set(self, key: str, value: Any) -> bool:
        return value != self.parameters[key].default


def described(name: str, parameters: dict[str, Any]) -> str:
    """A network as a command line spells it: ``mobilenet-v2(width=1.4)``."""
    shown = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}({shown})" if shown else name
