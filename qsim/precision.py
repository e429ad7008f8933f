"""Which format each weight and each activation has."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from hwmodels.documents import nearest
from qsim.errors import WorkloadError
from qsim.formats import Affine, Fixed, Float, from_document
from qsim.network.graph import INPUT, Network, Node
from qsim.network.layers import Add, AveragePool, Flatten, MaxPool, Relu

FormatDocument = str | dict[str, Any]
ActivationFormat = Fixed | Affine | Float


class LayerPrecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document says of a layer; what is absent is as the default.

    weights        format of its weights
    activations    format in which it reads its input; of a relu, pool, addition or flatten it
                   counts where that input is rounded
    weight_scale   one scale per output channel (row), or one per tensor
    """

    weights: FormatDocument | None = None
    activations: FormatDocument | None = None
    weight_scale: Literal["per_channel", "per_tensor"] | None = None


class PrecisionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Default formats, and exceptions by layer name or glob; of those that match the last wins."""

    default: LayerPrecision
    layers: dict[str, LayerPrecision] = {}


@dataclass(frozen=True)
class Precision:
    """The formats of a network.

    weights            by layer with products
    scale_per_channel  by layer with products: whether each row has its own scale
    activations        by tensor, of those that are rounded (see ``rounded_tensors``)
    """

    weights: dict[str, Any]
    scale_per_channel: dict[str, bool]
    activations: dict[str, ActivationFormat]


def resolve(document: PrecisionDocument, network: Network, *, where: str) -> Precision:
    """The format of every weight and rounded tensor of ``network`` (batch norms folded).

    Raises WorkloadError (or another InputError) naming ``where`` and the key: a glob that no layer
    matches, a format that does not exist or is missing, or layers that read one tensor and ask for
    different formats.
    """
    for pattern in document.layers:
        if not any(fnmatchcase(name, pattern) for name in network.nodes):
            raise WorkloadError(
                f"{where}.layers: {pattern!r} matches no layer of network {network.name} (batch"
                f" norms are folded away); {nearest(pattern, network.nodes)}"
            )
    _check_effects(document, network, where)
    chosen = {name: _Choice(document, name, where) for name in network.nodes}
    default = _Choice(document, None, where)
    products = [node.name for node in network.product_nodes]
    return Precision(
        weights={name: chosen[name].format("weights") for name in products},
        scale_per_channel={
            name: chosen[name].value("weight_scale", "per_channel")[0] == "per_channel"
            for name in products
        },
        activations=_tensor_formats(network, chosen, default),
    )


def rounded_tensors(network: Network) -> set[str]:
    """The tensors that are rounded to an activation format; the others stay in the accumulator.

    Rounded are the network's input, what a layer with products or an average pool reads, what
    several layers read, sums (add, or relu of one) that anything but a relu reads, and what a max
    pool or flatten makes of rounded tensors. The network's output is not rounded.
    """
    rounded = {INPUT}
    for name, readers in network.readers.items():
        if name in (INPUT, network.output):
            continue
        node, reader = network.nodes[name], readers[0]
        if keeps_levels(node, rounded):
            rounded.add(name)
            continue
        if len(readers) > 1 or not isinstance(reader.layer, _carried_on_by(network, node)):
            rounded.add(name)
    return rounded


def _carried_on_by(network: Network, node: Node) -> tuple[type, ...]:
    """The kinds of layer that can go on with a layer's sums in the accumulator: a sum of several
    terms is rounded once, after its relu."""
    if isinstance(node.layer, Add):
        return (Relu,)
    return () if _relu_of_sum(network, node) else (Relu, Add, MaxPool, Flatten)


def keeps_levels(node: Node, rounded: set[str]) -> bool:
    """Whether the layer only moves levels that were rounded before, so that it rounds nothing."""
    return isinstance(node.layer, MaxPool | Flatten) and node.inputs[0] in rounded


def _relu_of_sum(network: Network, node: Node) -> bool:
    source = network.nodes.get(node.inputs[0])
    return isinstance(node.layer, Relu) and source is not None and isinstance(source.layer, Add)


def _check_effects(document: PrecisionDocument, network: Network, where: str) -> None:
    """Refuse what is said of a layer by its full name and could not change anything."""
    rounded = rounded_tensors(network)
    for name in document.layers.keys() & network.nodes.keys():
        stated, node = document.layers[name], network.nodes[name]
        for key in ("weights", "weight_scale"):
            if getattr(stated, key) is not None and not node.has_products:
                raise WorkloadError(f"{where}.layers.{name}.{key}: layer {name!r} has no weights")
        if stated.activations is not None and rounded.isdisjoint(node.inputs):
            raise WorkloadError(
                f"{where}.layers.{name}.activations: layer {name!r} reads sums that are not"
                " rounded; name the layer that reads its result"
            )


class _Choice:
    """What a document says of one layer (None: of every layer it does not single out)."""

    def __init__(self, document: PrecisionDocument, name: str | None, where: str):
        self._stated = [(f"{where}.default", document.default)]
        if name is not None:
            for pattern, stated in document.layers.items():
                if fnmatchcase(name, pattern):
                    self._stated.append((f"{where}.layers.{pattern}", stated))

    def value(self, key: str, default=None):
        """The last value stated for ``key`` and where."""
        stated = [(getattr(p, key), f"{at}.{key}") for at, p in self._stated]
        given = [(value, at) for value, at in stated if value is not None]
        return given[-1] if given else (default, stated[0][1])

    def singled_out(self, key: str) -> bool:
        """Whether ``key`` is stated for this layer and not only by default."""
        return any(getattr(stated, key) is not None for _, stated in self._stated[1:])

    def format(self, key: str):
        """The format stated for ``key``. Raises WorkloadError when there is none."""
        document, at = self.value(key)
        if document is None:
            raise WorkloadError(f"{at}: is missing; give a format such as {{fixed: {{bits: 4}}}}")
        number = from_document(document, where=at)
        if key == "weights" and isinstance(number, Fixed) and not number.signed:
            raise WorkloadError(f"{at}: weights are signed; leave out signed: false")
        if key == "activations" and not isinstance(number, ActivationFormat):
            raise WorkloadError(
                f"{at}: activations are fixed, affine or float; other formats are for weights"
            )
        return number


def _tensor_formats(
    network: Network, chosen: dict[str, _Choice], default: _Choice
) -> dict[str, ActivationFormat]:
    rounded = rounded_tensors(network)
    formats: dict[str, ActivationFormat] = {}
    for name in (INPUT, *network.nodes):
        if name not in rounded:
            continue
        if name != INPUT and keeps_levels(network.nodes[name], rounded):
            formats[name] = formats[network.nodes[name].inputs[0]]
            continue
        demanding = _demanding(network, name, chosen)
        asked = {reader: chosen[reader].format("activations") for reader in demanding}
        readers = list(asked)
        for other in readers[1:]:
            if asked[other] != asked[readers[0]]:
                raise WorkloadError(
                    f"{chosen[other].value('activations')[1]}: layers {readers[0]!r} and {other!r}"
                    f" read the same tensor {name!r}; give both one format"
                )
        formats[name] = asked[readers[0]] if readers else default.format("activations")
    return formats


def _demanding(network: Network, tensor: str, chosen: dict[str, _Choice]) -> list[str]:
    """Layers whose activation format a rounded tensor must have: those of its readers with products
    or an average, or that are singled out, and theirs where a max pool or flatten passes it on."""
    names = []
    for reader in network.readers[tensor]:
        averages = isinstance(reader.layer, AveragePool)
        if reader.has_products or averages or chosen[reader.name].singled_out("activations"):
            names.append(reader.name)
        if isinstance(reader.layer, MaxPool | Flatten):
            names += _demanding(network, reader.name, chosen)
    return names
