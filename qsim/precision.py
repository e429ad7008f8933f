"""Which format each weight and each activation has."""

from collections.abc import Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec

from hwmodels.documents import nearest
from qsim.errors import WorkloadError
from qsim.formats import FORMATS, Facts, Float, Ttq, from_document, name_of
from qsim.network.graph import INPUT, Network
from qsim.network.kinds import KeepsLevels, ReadsLevels
from qsim.network.layers import Linear
from qsim.rounded_tensors import keeps_levels, rounded_tensors

FormatDocument = str | dict[str, Any]


class LayerPrecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document says of a layer; what is absent is as the default.

    weights        format of its weights; of a recurrent layer, of both its matrices
    activations    format in which it reads its input; of a relu, pool, addition or flatten it
                   counts where that input is rounded
    weight_scale   one scale per output channel (row), per tensor, or per group of in-channels of
                   a row; absent: as the format has it
    group_size     in-channels of a group
    """

    weights: FormatDocument | None = None
    activations: FormatDocument | None = None
    weight_scale: Literal["per_channel", "per_tensor", "per_group"] | None = None
    group_size: Annotated[int, msgspec.Meta(ge=1, le=2**20)] | None = None


class Ends(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the first and of the last layer with weights."""

    first: LayerPrecision | None = None
    last: LayerPrecision | None = None


class PrecisionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Default formats, and exceptions by layer name or glob; of those that match the last wins, and
    ``ends`` over all of them."""

    default: LayerPrecision
    layers: dict[str, LayerPrecision] = {}
    ends: Ends = Ends()


@dataclass(frozen=True)
class Granularity:
    """What of a layer's weights has a scale of its own; ``group_size`` in-channels per group."""

    kind: Literal["per_channel", "per_tensor", "per_group"]
    group_size: int | None = None


@dataclass(frozen=True)
class Precision:
    """The formats of a network.

    weights       by layer with weights
    granularity   by layer with weights
    activations   by tensor, of those that are rounded (see ``rounded_tensors``)
    """

    weights: dict[str, Facts]
    granularity: dict[str, Granularity]
    activations: dict[str, Facts]


def resolve(
    document: PrecisionDocument, network: Network, *, where: str, at_once: bool = False
) -> Precision:
    """The format of every weight and rounded tensor of ``network`` (batch norms folded).

    at_once   whether sums are rounded as soon as they are bounded, as in ``rounded_tensors``

    Raises WorkloadError (or another InputError) naming ``where`` and the key: a glob that no layer
    matches, a format that does not exist, is missing or does not fit its role, or layers that read
    one tensor and ask for different formats.
    """
    for pattern in document.layers:
        if not any(fnmatchcase(name, pattern) for name in network.nodes):
            raise WorkloadError(
                f"{where}.layers: {pattern!r} matches no layer of network {network.name} (batch"
                f" norms are folded away); {nearest(pattern, network.nodes)}"
            )
    ends = _ends(document, network, where)
    chosen = {name: _Choice(document, name, where, ends) for name in network.nodes}
    default = _Choice(document, None, where, {})
    weights = {node.name: chosen[node.name].format("weights") for node in network.weighted_nodes}
    granularity = {name: _granularity(chosen[name], weights[name]) for name in weights}
    for node in network.recurrent_nodes:
        _check_recurrent(node.name, chosen[node.name], granularity[node.name])
    several = {
        node.name
        for node in network.product_nodes
        if isinstance(weights[node.name], Ttq)
        or granularity[node.name].kind == "per_group"
        or chosen[node.name].format("activations").scale_map
    }
    _check_maps(network, chosen)
    _check_default_scale(document.default, granularity, where)
    rounded = rounded_tensors(network, several, at_once)
    _check_effects(document, network, rounded, where)
    return Precision(weights, granularity, _tensor_formats(network, chosen, default, rounded))


def _granularity(choice: "_Choice", number: Facts) -> Granularity:
    """What is stated, if the format allows it, else the format's own."""
    kind, at = choice.value("weight_scale")
    size, size_at = choice.value("group_size")
    name = name_of(number)
    if kind is not None and kind not in number.granularities:
        if not choice.singled_out("weight_scale"):
            kind = None  # a default for all layers holds where it can
        else:
            raise WorkloadError(
                f"{at}: {name} weights cannot have a scale {kind.replace('_', ' ')}; theirs is"
                f" {' or '.join(number.granularities)}"
            )
    kind = kind or number.granularities[0]
    if kind == "per_group" and size is None:
        where = at.removesuffix("weight_scale")
        raise WorkloadError(
            f"{where}group_size: is missing; say how many in-channels share a scale"
        )
    if kind != "per_group" and choice.singled_out("group_size"):
        raise WorkloadError(f"{size_at}: has no effect; it needs weight_scale: per_group")
    return Granularity(kind, size if kind == "per_group" else None)


def _check_maps(network: Network, chosen: dict[str, "_Choice"]) -> None:
    """Refuse a map of scales for a layer that reads tokens, which have none."""
    for node in network.product_nodes:
        choice = chosen[node.name]
        tokens = isinstance(node.layer, Linear) and len(node.input_shapes[0]) > 1
        if tokens and choice.format("activations").scale_map:
            raise WorkloadError(
                f"{choice.value('activations')[1]}: layer {node.name!r} reads tokens, whose sums no"
                " map scales; leave out scale_map"
            )


def _check_default_scale(
    default: LayerPrecision, granularity: dict[str, Granularity], where: str
) -> None:
    """Refuse a default that no layer can take."""
    kinds = {each.kind for each in granularity.values()}
    if default.weight_scale is not None and kinds and default.weight_scale not in kinds:
        raise WorkloadError(
            f"{where}.default.weight_scale: no layer has a format that can have a scale"
            f" {default.weight_scale.replace('_', ' ')}; leave it out"
        )
    grouped = default.weight_scale == "per_group" or "per_group" in kinds
    if default.group_size is not None and not grouped:
        raise WorkloadError(
            f"{where}.default.group_size: has no effect; it needs weight_scale: per_group"
        )


def _check_recurrent(name: str, choice: "_Choice", granularity: Granularity) -> None:
    """Refuse formats that a recurrent layer has no integer arithmetic for."""
    weights, activations = choice.format("weights"), choice.format("activations")
    if isinstance(weights, Ttq) or granularity.kind == "per_group":
        key = "weights" if isinstance(weights, Ttq) else "weight_scale"
        raise WorkloadError(
            f"{choice.value(key)[1]}: layer {name!r} is recurrent, so each row of its weights has"
            " one scale; choose another format, or weight_scale: per_channel"
        )
    if activations.scale_map:
        raise WorkloadError(
            f"{choice.value('activations')[1]}: layer {name!r} is recurrent, whose sums no map"
            " scales; leave out scale_map"
        )
    if isinstance(activations, Float) and not isinstance(weights, Float):
        raise WorkloadError(
            f"{choice.value('activations')[1]}: layer {name!r} is recurrent and has quantized"
            " weights, so it cannot read float; give it activations, or weights: float"
        )


def _check_effects(
    document: PrecisionDocument, network: Network, rounded: Set[str], where: str
) -> None:
    """Refuse what is said of a layer by its full name and could not change anything."""
    weighted = {node.name for node in network.weighted_nodes}
    for name in document.layers.keys() & network.nodes.keys():
        stated, node = document.layers[name], network.nodes[name]
        for key in ("weights", "weight_scale", "group_size"):
            if getattr(stated, key) is not None and name not in weighted:
                raise WorkloadError(f"{where}.layers.{name}.{key}: layer {name!r} has no weights")
        if stated.activations is not None and rounded.isdisjoint(node.inputs):
            raise WorkloadError(
                f"{where}.layers.{name}.activations: layer {name!r} reads sums that are not"
                " rounded; name the layer that reads its result"
            )


def _ends(
    document: PrecisionDocument, network: Network, where: str
) -> dict[str, tuple[str, LayerPrecision]]:
    """What ``ends`` says, by the layer's name, and where. Raises WorkloadError where it cannot
    hold, or is also said of the layer by its name."""
    found: dict[str, tuple[str, LayerPrecision]] = {}
    for key, index in (("first", 0), ("last", -1)):
        stated, at = getattr(document.ends, key), f"{where}.ends.{key}"
        if stated is None:
            continue
        if not network.weighted_nodes:
            raise WorkloadError(f"{at}: network {network.name} has no layer with weights")
        name = network.weighted_nodes[index].name
        if name in found and found[name][1] != stated:
            raise WorkloadError(
                f"{at}: layer {name!r} is the first and the last one with weights of network"
                f" {network.name}; say the same of both, or leave one out"
            )
        _check_said_once(document, name, stated, at, where)
        found[name] = (at, stated)
    return found


def _check_said_once(
    document: PrecisionDocument, name: str, stated: LayerPrecision, at: str, where: str
) -> None:
    named = document.layers.get(name)
    for key in msgspec.structs.asdict(stated):
        if None not in (getattr(stated, key), getattr(named, key, None)):
            raise WorkloadError(
                f"{at}.{key}: is of layer {name!r}, of which {where}.layers.{name}.{key} says it"
                " too; leave one out"
            )


class _Choice:
    """What a document says of one layer (None: of every layer it does not single out)."""

    def __init__(
        self,
        document: PrecisionDocument,
        name: str | None,
        where: str,
        ends: dict[str, tuple[str, LayerPrecision]],
    ):
        self._stated = [(f"{where}.default", document.default)]
        if name is not None:
            for pattern, stated in document.layers.items():
                if fnmatchcase(name, pattern):
                    self._stated.append((f"{where}.layers.{pattern}", stated))
        if name in ends:
            self._stated.append(ends[name])

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
        if key not in number.roles:
            fitting = ", ".join(name for name, record in FORMATS.items() if key in record.roles)
            raise WorkloadError(
                f"{at}: {name_of(number)} is no format of {key}; those are {fitting}"
            )
        if key == "weights" and not number.signed:
            raise WorkloadError(f"{at}: weights are signed; leave out signed: false")
        if key == "activations" and getattr(number, "rounding", None) == "stochastic":
            raise WorkloadError(
                f"{at}.rounding: stochastic rounding is for weights; activations take nearest"
            )
        return number


def _tensor_formats(
    network: Network, chosen: dict[str, _Choice], default: _Choice, rounded: Set[str]
) -> dict[str, Facts]:
    formats: dict[str, Facts] = {}
    for name in (INPUT, *network.nodes):
        if name not in rounded:
            continue
        if name != INPUT and keeps_levels(network.nodes[name], rounded):
            formats[name] = formats[network.nodes[name].inputs[0]]
            continue
        if network.row_counts(name):
            formats[name] = Float()  # the numbers of rows are no quantities
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
    """Layers whose activation format a rounded tensor must have: those of its readers that compute
    with levels, or are singled out, and theirs where a max pool or a move passes it on."""
    names = []
    for reader in network.readers[tensor]:
        reads_levels = isinstance(reader.layer, ReadsLevels)
        if reader.has_products or reads_levels or chosen[reader.name].singled_out("activations"):
            names.append(reader.name)
        if isinstance(reader.layer, KeepsLevels):
            names += _demanding(network, reader.name, chosen)
    return names
