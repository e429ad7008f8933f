"""From the layers of a QONNX file to those of a program: factors join products, copies that are
rounded become the tensors that they copy, and every tensor that must have a format has one."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np

from qsim.errors import QsimError
from qsim.formats import Float
from qsim.network.graph import INPUT, Network
from qsim.network.kinds import ByTable, KeepsLevels
from qsim.network.layers import BatchNorm, Concat, Layer, Linear, Relu
from qsim.network.moves import Upsample
from qsim.network.pointwise import Scale
from qsim.network.roundings import Identity
from qsim.onnx_reader.qonnx_draft import Draft, Product
from qsim.rounded_tensors import rounded_tensors

Held = tuple  # the format of a tensor and its scale, None where it is float


def prune(draft: Draft) -> None:
    """Drop layers that the output does not depend on."""
    needed = {draft.output}
    for layer in reversed(list(draft.layers.values())):
        if layer.name in needed:
            needed.update(layer.inputs)
        else:
            del draft.layers[layer.name]


def _each(draft: Draft) -> Iterator[Layer]:
    """The layers in order, each as it is when it is reached."""
    for name in list(draft.layers):
        if name in draft.layers:
            yield draft.layers[name]


def join_factors(draft: Draft) -> None:
    """Let products have the factors and the offsets of batch norms and scales that alone read
    them."""
    readers = Counter(source for layer in draft.layers.values() for source in layer.inputs)
    for layer in _each(draft):
        source = layer.inputs[0]
        product = draft.products.get(source)
        if product is None or readers[source] != 1 or source == draft.output:
            continue
        # of tokens a batch norm has factors of the tokens, not of the rows
        by_token = isinstance(draft.layers[source], Linear) and len(draft.shapes[source]) > 1
        if isinstance(layer, Scale):
            draft.products[source] = product.times(np.float64(layer.factor))
        elif isinstance(layer, BatchNorm) and not by_token:
            draft.products[source] = _joined(draft, layer, product)
        else:
            continue
        _drop(draft, layer, source)


def _joined(draft: Draft, layer: BatchNorm, product: Product) -> Product:
    """The product with the factor and the offset of a batch norm, in float64."""
    gamma, beta, mean, variance = (
        draft.arrays[f"{layer.name}.{key}"].astype(np.float64)
        for key in ("weight", "bias", "running_mean", "running_var")
    )
    with np.errstate(all="ignore"):  # what is not finite is refused
        factor = gamma / np.sqrt(variance + layer.epsilon)
        made = product.times(factor).plus(beta - mean * factor)
    if not (np.isfinite(made.factor).all() and np.isfinite(made.bias).all()):
        raise QsimError(
            f"layer {layer.name!r}: its factors are not finite; its variances are too small"
        )
    return made


def join_norms(draft: Draft) -> None:
    """Let a batch norm of a factor alone also add what a batch norm of an offset alone adds."""
    readers = Counter(source for layer in draft.layers.values() for source in layer.inputs)
    for layer in _each(draft):
        source = draft.layers.get(layer.inputs[0])
        if not (isinstance(layer, BatchNorm) and isinstance(source, BatchNorm)):
            continue
        adds_only = _is(draft, layer, weight=1, running_mean=0, running_var=1)
        scales_only = _is(draft, source, bias=0, running_mean=0, running_var=1)
        if adds_only and scales_only and readers[source.name] == 1 and layer.epsilon == 0:
            draft.arrays[f"{source.name}.bias"] = draft.arrays[f"{layer.name}.bias"]
            _drop(draft, layer, source.name)


def _is(draft: Draft, layer: BatchNorm, **values: float) -> bool:
    return all((draft.arrays[f"{layer.name}.{key}"] == v).all() for key, v in values.items())


def join_copies(draft: Draft) -> None:
    """Round tensors themselves where only copies of one format read them, and drop copies of what
    has their levels already."""
    for layer in _each(draft):
        if not isinstance(layer, Identity):
            continue
        [source] = layer.inputs
        asked = _asked(draft, layer.name)
        if levels_of(draft, source) == asked:
            _drop(draft, layer, source)
            continue
        readers = [other for other in draft.layers.values() if source in other.inputs]
        alike = all(
            isinstance(other, Identity) and _asked(draft, other.name) == asked for other in readers
        )
        if alike and levels_of(draft, source) is None and source != draft.output:
            draft.formats[source] = draft.formats[layer.name]
            draft.scales[source] = draft.scales[layer.name]
            _drop(draft, layer, source)


def _asked(draft: Draft, tensor: str) -> Held:
    return draft.formats[tensor], float(draft.scales[tensor])


def levels_of(draft: Draft, tensor: str) -> Held | None:
    """The format and the scale of a tensor's levels, also of moved ones; None: it has none."""
    if tensor in draft.formats:
        return _asked(draft, tensor)
    layer = draft.layers.get(tensor)
    if layer is None or not isinstance(layer, KeepsLevels):
        return None
    held = levels_of(draft, layer.inputs[0])
    return held and (held[0], float(_scaled(layer, np.float32(held[1]))))


def _drop(draft: Draft, layer: Layer, source: str) -> None:
    """Remove a layer whose tensor is that of ``source``."""
    del draft.layers[layer.name]
    draft.formats.pop(layer.name, None)
    draft.scales.pop(layer.name, None)
    for name, other in draft.layers.items():
        if layer.name in other.inputs:
            inputs = tuple(source if each == layer.name else each for each in other.inputs)
            draft.layers[name] = msgspec.structs.replace(other, inputs=inputs)
    draft.output = source if draft.output == layer.name else draft.output
    for tensor, held in draft.layer_of.items():
        if held == layer.name:
            draft.layer_of[tensor] = source


def settle(draft: Draft, name: str) -> None:
    """Give a format to each tensor that must have one and has none: that of the levels that a layer
    passes on, or none (float). What passes on levels and is rounded to others is followed by a copy
    that is rounded. What is computed by tables reads real numbers, as in the file."""
    _part_from_tables(draft)
    network = Network(name, draft.shapes[INPUT], tuple(draft.layers.values()))
    must = rounded_tensors(network)
    for tensor in (INPUT, *list(draft.layers)):
        layer = draft.layers.get(tensor)
        held = None if layer is None else _passed_on(draft, layer)
        keeps = held is not None and isinstance(layer, KeepsLevels)
        if tensor in draft.formats:
            if keeps and held != (draft.formats[tensor], draft.scales.get(tensor)):
                _copy_after(draft, layer)
                _hold(draft, tensor, held)
        elif keeps or (held is not None and tensor in must):
            _hold(draft, tensor, held)
        elif tensor in must:
            draft.formats[tensor] = Float()


def _hold(draft: Draft, tensor: str, held: tuple) -> None:
    """Let a tensor have a format and a scale, None: float."""
    draft.formats[tensor], scale = held
    draft.scales.pop(tensor, None)
    if scale is not None:
        draft.scales[tensor] = scale


def _copy_after(draft: Draft, layer: Layer) -> None:
    """Have what reads a layer read a copy instead, which is rounded as the layer was to be."""
    copy = Identity(name=f"{layer.name[:90]}.rounded", inputs=(layer.name,))
    layers = {}
    for other in draft.layers.values():
        inputs = tuple(copy.name if each == layer.name else each for each in other.inputs)
        layers[other.name] = msgspec.structs.replace(other, inputs=inputs)
        if other.name == layer.name:
            layers[copy.name] = copy
    draft.layers, draft.shapes[copy.name] = layers, draft.shapes[layer.name]
    draft.formats[copy.name] = draft.formats[layer.name]
    draft.scales[copy.name] = draft.scales[layer.name]
    draft.output = copy.name if draft.output == layer.name else draft.output
    for tensor, held in draft.layer_of.items():
        if held == layer.name:
            draft.layer_of[tensor] = copy.name


def _part_from_tables(draft: Draft) -> None:
    """Have tables read copies of rounded tensors as real numbers."""
    layers = {}
    for layer in draft.layers.values():
        if isinstance(layer, ByTable) and levels_of(draft, layer.inputs[0]) is not None:
            copy = Identity(name=f"{layer.name[:90]}.real", inputs=layer.inputs)
            layers[copy.name], draft.formats[copy.name] = copy, Float()
            draft.shapes[copy.name] = draft.shapes[layer.inputs[0]]
            layer = msgspec.structs.replace(layer, inputs=(copy.name,))
        layers[layer.name] = layer
    draft.layers = layers


def _passed_on(draft: Draft, layer: Layer) -> tuple | None:
    """The format and the scale (None: float) of the levels that a layer makes of levels without
    rounding; None: it makes others."""
    sources = [(draft.formats.get(source), draft.scales.get(source)) for source in layer.inputs]
    number, scale = sources[0]
    if number is None or any(source != sources[0] for source in sources):
        return None
    if isinstance(layer, KeepsLevels):
        return number, None if scale is None else _scaled(layer, scale)
    if isinstance(layer, Relu | Concat) and not isinstance(number, Float):
        return number, scale
    return None


def _scaled(layer: Layer, scale: np.ndarray) -> np.ndarray:
    """The scale of what a layer makes of levels at ``scale``."""
    if not isinstance(layer, Scale) or isinstance(layer, Upsample):
        return scale
    with np.errstate(over="ignore", under="ignore"):
        made = np.float32(scale) * np.float32(layer.factor)
    if not np.finfo(np.float32).tiny <= made < np.inf:
        raise QsimError(f"layer {layer.name!r}: a scale of {made:g} leaves the range of float32")
    return np.asarray(made)
