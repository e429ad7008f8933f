"""From a network, its weights and formats to an integer program, with ranges from images."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from qsim.calibrate.methods import observers
from qsim.calibrate.observe import observe
from qsim.calibrate.observer import Observer
from qsim.datapaths import datapath
from qsim.errors import WorkloadError
from qsim.formats import BinaryActivations, Facts, Fixed, Float, Format, Quantized
from qsim.formats.base import Found
from qsim.network.fold import Unfolded
from qsim.network.graph import INPUT, Network, Node
from qsim.network.kinds import KeepsLevels, ReadsLevels
from qsim.network.layers import Add, Clipping, Concat, Relu, Sigmoid, Softmax
from qsim.network.pointwise import Multiply, Scale
from qsim.network.pools import AveragePool
from qsim.network.weights import Weights
from qsim.parameters import bias_levels, quantize_weights, raise_low_scales
from qsim.precision import Precision
from qsim.program import Arithmetic, Program, Recurrence, stands_for
from qsim.program_checks import (
    check_accumulator,
    check_curves,
    check_integer_only,
    check_powers_of_two,
    check_softmax,
)
from qsim.recurrent_layers import Operand, make_cell
from qsim.rounded_tensors import keeps_levels
from qsim.stand_in import stand_in


def build(
    network: Network,
    weights: Weights,
    precision: Precision,
    images: np.ndarray,
    arithmetic: Arithmetic,
    trained: dict[str, Unfolded] | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, steps: None,
) -> Program:
    """The integer program of a network (batch norms folded), its ranges set by real ``images``.

    trained    the weights before folding and the factors of their batch norms, for formats that
               quantize them as trained; None: there were no batch norms
    progress   called while calibrating, with the steps that are done and those in all

    Raises WorkloadError when a tensor with negative values is read as unsigned, a layer's formats
    do not go together, the accumulator could overflow and is exact, or a step in floating point is
    refused; WeightsError when the float network overflows or weights cannot be quantized.
    """
    quantized, factors = _quantized_products(network, weights, precision, arithmetic, trained)
    held = {f"{n}.weight": stands_for(quantized[n], factors[n]) for n in factors}
    recurrent = _quantized_recurrent(network, weights, precision, arithmetic)
    quantized |= {node.name: None for node in network.recurrent_nodes if node.name not in recurrent}
    for name, both in recurrent.items():
        if not precision.weights[name].folds:
            held |= {key: stands_for(matrix, None) for key, matrix in both.items()}
    weights = weights | held
    functions, layers = stand_in(network, precision.activations)
    asked = precision.activations
    rounding = {name: asked[name] for name in asked if not _is_kept(network, name, asked)}
    watching = observers(arithmetic.calibration_method, rounding)
    lowest = observe(
        network, weights, images, watching, functions, layers=layers, progress=progress
    )
    formats, scales = _activations(network, asked, lowest, watching, arithmetic)
    draft = Program(network, weights, quantized, factors, {}, formats, scales, arithmetic)
    in_integers = [
        node
        for node in network.product_nodes
        if quantized[node.name] is not None and node.inputs[0] in scales
    ]
    for node in in_integers:
        raise_low_scales(draft, node, precision)
    biases = {node.name: bias_levels(draft, node) for node in in_integers}
    recurrences = {
        name: _recurrence(draft, network.nodes[name], precision, both)
        for name, both in recurrent.items()
    }
    program = replace(draft, biases=biases, recurrences=recurrences)
    for node in network.nodes.values():
        check_accumulator(program, node)
    check_curves(program)
    check_softmax(program)
    check_powers_of_two(program)
    if arithmetic.integer_only:
        check_integer_only(program)
    return program


def _quantized_products(
    network: Network,
    weights: Weights,
    precision: Precision,
    arithmetic: Arithmetic,
    trained: dict[str, Unfolded] | None,
) -> tuple[dict[str, Quantized | None], dict[str, np.ndarray]]:
    """The weights of each layer with products in their format, None where they are float, and the
    batch norm factors of those that are quantized as trained, by the layer's name."""
    quantized, factors = {}, {}
    for node in network.product_nodes:
        number, name = precision.weights[node.name], node.name
        _check_groups(node, precision)
        if isinstance(number, Float):
            if precision.activations[node.inputs[0]].scale_map:
                raise WorkloadError(
                    f"precision: layer {name!r} has float weights, whose products no map of scales"
                    " stands for; quantize them or leave out scale_map"
                )
            quantized[name] = None
        elif number.folds:
            weight, rule = weights[f"{name}.weight"], arithmetic.scale_rule
            quantized[name] = quantize_weights(name, number, precision, weight, rule)
        else:
            weight = trained[name].weight if trained else weights[f"{name}.weight"]
            quantized[name] = quantize_weights(name, number, precision, weight, None)
            factors[name] = trained[name].factor if trained else np.ones(len(weight), np.float32)
    return quantized, factors


def _check_groups(node: Node, precision: Precision) -> None:
    """Refuse a scale per group of a grouped convolution, whose rows read few in-channels."""
    grouped = getattr(node.layer, "groups", 1) > 1
    if grouped and precision.granularity[node.name].kind == "per_group":
        raise WorkloadError(
            f"precision: layer {node.name!r} is a convolution in groups, which cannot have a scale"
            " per group of in-channels; give it weight_scale: per_channel"
        )


def _activations(
    network: Network,
    asked: dict[str, Facts],
    lowest: dict[str, float],
    watching: dict[str, Observer],
    arithmetic: Arithmetic,
) -> tuple[dict[str, Format | Float], dict[str, np.ndarray]]:
    """The format of every rounded tensor, and the scale of those that are not float; one that keeps
    its source's levels keeps both."""
    formats, scales = {}, {}
    for name, number in asked.items():
        _check_sign(network, name, number, lowest[name])
        kept = _is_kept(network, name, asked)
        source = network.nodes[name].inputs[0] if kept else name
        if isinstance(number, Float):
            formats[name] = number
        elif kept:
            formats[name], scales[name] = formats[source], scales[source]
            if isinstance(network.nodes[name].layer, Scale):
                scales[name] = scales[source] * np.float32(network.nodes[name].layer.factor)
        else:
            try:
                found = watching[name].found(number) if name in watching else Found()
                formats[name], scales[name] = number.bind(found, arithmetic.adjusted)
            except ValueError as error:
                raise WorkloadError(
                    f"precision: tensor {name!r} of network {network.name}: {error}"
                ) from None
    return formats, scales


def _is_kept(network: Network, name: str, asked: dict[str, Facts]) -> bool:
    """Whether a rounded tensor keeps the levels of the one that its layer reads."""
    return name != INPUT and keeps_levels(network.nodes[name], set(asked))


def _check_sign(network: Network, name: str, number: Facts, lowest: float) -> None:
    if isinstance(number, BinaryActivations) and _never_negative(network, name) and lowest >= 0:
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} is never negative, so its sign"
            " is always +1; a network of xnor_activations has batch norms and no relu before them"
        )
    clips = not number.signed and not _feeds_products(network, name)
    if clips and not number.refuses_negative and not _never_negative(network, name):
        readers = " and ".join(repr(node.name) for node in network.readers[name])
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} can be negative, and its format"
            f" would clip that away before layer {readers} reads it; under precision.layers give"
            " that layer activations with negative levels"
        )
    if number.refuses_negative and (not _never_negative(network, name) or lowest < 0):
        readers = ", ".join(node.name for node in network.readers[name])
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} can be negative but is read as"
            f" unsigned; under precision.layers give each layer that reads it ({readers})"
            f" activations: {{fixed: {{bits: {max(number.bits, 2)}}}}}"
        )


def _feeds_products(network: Network, name: str) -> bool:
    """Whether a layer that computes with levels reads the tensor or what is moved of it."""
    return any(
        reader.has_products
        or isinstance(reader.layer, ReadsLevels)
        or (isinstance(reader.layer, KeepsLevels) and _feeds_products(network, reader.name))
        for reader in network.readers[name]
    )


def _never_negative(network: Network, name: str) -> bool:
    """Whether a tensor cannot be negative; the input is taken at its word where it is read."""
    if name == INPUT or isinstance(network.nodes[name].layer, Relu | Sigmoid | Softmax):
        return True
    node = network.nodes[name]
    if isinstance(node.layer, Clipping) and node.layer.bounds[0] >= 0:
        return True
    passes_on = isinstance(
        node.layer, KeepsLevels | AveragePool | Add | Concat | Clipping | Multiply
    )
    return passes_on and all(_never_negative(network, source) for source in node.inputs)


def _quantized_recurrent(
    network: Network, weights: Weights, precision: Precision, arithmetic: Arithmetic
) -> dict[str, dict[str, Quantized]]:
    """The matrices of each recurrent layer whose weights are not float, by their array's name."""
    found = {}
    for node in network.recurrent_nodes:
        number = precision.weights[node.name]
        if not isinstance(number, Float):
            own, rule = _own_precision(node, precision), arithmetic.scale_rule
            found[node.name] = {
                product.name: quantize_weights(
                    product.name, number, own, weights[product.name], rule if number.folds else None
                )
                for product in node.step_products
            }
    return found


def _own_precision(node: Node, precision: Precision) -> Precision:
    """That of the products of a recurrent layer."""
    names = [product.name for product in node.step_products]
    number, granularity = precision.weights[node.name], precision.granularity[node.name]
    return Precision(dict.fromkeys(names, number), dict.fromkeys(names, granularity), {})


def _recurrence(
    draft: Program, node: Node, precision: Precision, quantized: dict[str, Quantized]
) -> Recurrence:
    """A recurrent layer of quantized weights. Raises WorkloadError or WeightsError naming it."""
    layer, source, arithmetic = node.layer, node.inputs[0], draft.arithmetic
    of_sums = arithmetic.requantizer.real_bias == "none"
    if not of_sums:  # the gates are brought to their format as TFLite does, with integer biases
        arithmetic = msgspec.structs.replace(arithmetic, requantize="tflite")
    real = {}
    for product, operand in zip(node.step_products, layer.operands, strict=True):
        real[f"{product.name}.weight"] = draft.real[product.name]
        if layer.bias:
            real[f"{product.name}.bias"] = draft.real[f"{node.name}.bias_{operand}"]
    factors = {}
    if not precision.weights[node.name].folds:
        factors = {name: np.ones(len(q.levels), np.float32) for name, q in quantized.items()}
    products = replace(
        draft,
        real=real,
        weights=quantized,
        factors=factors,
        formats={
            source: draft.formats[source],
            node.name: Fixed(layer.hidden_bits, full_range=True),
        },
        scales={
            source: draft.scales[source],
            node.name: np.float32(2.0**-layer.hidden_fraction_bits),
        },
        arithmetic=arithmetic,
    )
    for product in node.step_products:
        raise_low_scales(products, product, _own_precision(node, precision))
    biases = {product.name: bias_levels(products, product) for product in node.step_products}
    products = replace(products, biases=biases)
    operands = []
    for product in node.step_products:
        check_accumulator(products, product)
        [scale], [term] = products.accumulator_scales(product), products.terms[product.name]
        x, number = products.formats[product.inputs[0]], products.weights[product.name].format
        weights = datapath(term.levels, number, x, arithmetic.accumulator)
        bias = biases[product.name]
        operands.append(Operand(weights, term.levels, bias, scale, x.max_magnitude))
    try:
        return Recurrence(products, make_cell(layer, *operands, arithmetic.accumulator))
    except OverflowError as error:
        raise WorkloadError(f"execute: recurrent layer {node.name!r}: its {error}") from None
