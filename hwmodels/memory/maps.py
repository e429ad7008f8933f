"""WRPN's account of memory: feature maps and weights, by layer, without a schedule.

Training is the sum of all activation maps, all weights, and the largest of the gradients of input
maps (dZ) and of those handed back (dX); inference is the largest input map, the largest output map
and all weights.

Source: Mishra et al., arXiv 1709.01134, section 2. ``wrpn_fig1`` counts as its Figure 1 must have,
which adds no gradients, counts the first pool's map, and takes the largest input map over all
layers; for AlexNet fully connected layers are left out, for Inception-ResNet-v2 too, and repeated
blocks are counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hwmodels.memory.repeats import without_repeats
from hwmodels.memory.sharing import BOUNDS, MOVED_NOTHING, readers_of
from hwmodels.work import Step

Weights = Literal["all", "conv"]
Maps = Literal["ofm", "ifm_ofm", "with_pools", "every", "every_in_place"]
Gradients = Literal["text_rule", "none", "each"]
Blocks = Literal["each", "once"]


@dataclass(frozen=True)
class Account:
    """What is counted.

    weights       of all layers, or of convolutions alone; other layers' maps are left out as well
    activations   in training, of the counted layers: "ofm" their outputs and the network's input;
                  "ifm_ofm" what each reads and what it makes; "with_pools" as "ofm", and the
                  outputs of max pools; "every" the outputs of all layers that make values, as
                  summaries of models count them; "every_in_place" the same without relus and other
                  bounds, which overwrite what they read
    gradients     in training: the text's two maxima, "none", or one for "each" counted output
    blocks        each repeated block, or one of them
    input_maps    in inference, the largest input map: of the "counted" layers, or of "all" layers
                  that read the output of a counted one
    """

    weights: Weights = "all"
    activations: Maps = "ofm"
    gradients: Gradients = "text_rule"
    blocks: Blocks = "each"
    input_maps: Literal["counted", "all"] = "counted"


TEXT = Account()
FIGURE_1 = Account(activations="with_pools", gradients="none", input_maps="all")
# What differs for a network of Figure 1
FIGURE_1_OF = {
    "alexnet": {"weights": "conv", "activations": "ofm"},
    "resnet50": {},
    "resnet101": {},
    "inception-resnet-v2": {"weights": "conv", "blocks": "once"},
}


@dataclass(frozen=True)
class CountedMap:
    """A feature map that is counted: of which tensor, as what, and for each image its values and
    their bits in all."""

    tensor: str
    role: str
    values: int
    image_bits: int


def counted_steps(steps: Sequence[Step], account: Account) -> list[Step]:
    """The layers that are counted, with all of their neighbours where blocks are counted once."""
    return list(without_repeats(steps) if account.blocks == "once" else steps)


def has_counted_weights(step: Step, account: Account) -> bool:
    """Whether a layer's weights are counted."""
    return step.weights > 0 and (account.weights == "all" or step.kind == "conv")


def training_maps(steps: Sequence[Step], account: Account) -> list[CountedMap]:
    """The maps of training."""
    counted = counted_steps(steps, account)
    others = {"with_pools": ("input", "max_pool"), "ifm_ofm": ()}.get(
        account.activations, ("input",)
    )
    names = []
    for step in counted:
        if _is_layer(step, account):
            names += [*step.reads, step.name] if account.activations == "ifm_ofm" else [step.name]
        elif step.kind in others or _is_among_all(step, account):
            names.append(step.name)
    maps = all_maps(steps)
    return [replace(maps[name], role="activations") for name in names]


def gradient_maps(steps: Sequence[Step], account: Account, gradient_bits: int) -> list[CountedMap]:
    """Of training, the largest output map, as dZ, and input map, as dX; or one map for each output
    that is counted."""
    if account.gradients == "none":
        return []
    if account.gradients == "each":
        counted = training_maps(steps, account)
        kinds = {step.name: step.kind for step in steps}
        return [
            replace(each, role="gradient", image_bits=each.values * gradient_bits)
            for each in counted
            if kinds[each.tensor] != "input"
        ]
    layers = [step for step in counted_steps(steps, account) if _is_layer(step, account)]
    maps = {
        name: replace(each, image_bits=each.values * gradient_bits)
        for name, each in all_maps(steps).items()
    }
    made = _largest([maps[step.name] for step in layers], "dZ")
    return made + _largest([maps[name] for step in layers for name in step.reads], "dX")


def inference_maps(steps: Sequence[Step], account: Account) -> list[CountedMap]:
    """The two maps of inference: the largest input map and the largest output map."""
    counted = counted_steps(steps, account)
    layers = [step.name for step in counted if _is_layer(step, account)]
    maps = all_maps(steps)
    if account.input_maps == "counted":
        read = [name for step in counted if step.name in layers for name in step.reads]
    else:
        read = [name for step in counted for name in step.reads if name in layers]
    largest = _largest([maps[name] for name in read], "largest input map")
    return largest + _largest([maps[name] for name in layers], "largest output map")


def all_maps(steps: Sequence[Step]) -> dict[str, CountedMap]:
    """Every tensor as a map, at the bits at which the next layer with products reads it, once what
    comes between has rounded it."""
    readers = readers_of(steps)
    bits: dict[str, int] = {}
    for step in reversed(steps):
        after = readers[step.name]
        ends = not after or any(reader.macs for reader in after)
        bits[step.name] = step.bits if ends else bits[after[0].name]
    return {
        step.name: CountedMap(step.name, "", step.values, step.values * bits[step.name])
        for step in steps
    }


def _is_layer(step: Step, account: Account) -> bool:
    return step.macs > 0 and (account.weights == "all" or step.kind == "conv")


def _is_among_all(step: Step, account: Account) -> bool:
    left_out = {"every": MOVED_NOTHING, "every_in_place": (*MOVED_NOTHING, *BOUNDS)}
    return step.kind not in left_out.get(account.activations, (step.kind,))


def _largest(maps: list[CountedMap], role: str) -> list[CountedMap]:
    """The largest of the maps, the first of equals; none of none."""
    if not maps:
        return []
    return [replace(max(maps, key=lambda each: each.image_bits), role=role)]
