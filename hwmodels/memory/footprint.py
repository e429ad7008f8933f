"""The memory of a network in either phase, by what it holds, and the peak of its schedule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, reshaped
from hwmodels.memory import account, peak
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.parameters import (
    layer_parameters_bytes,
    layer_states,
    layer_weights_bytes,
    layers_with_weights,
    optimizer_bytes,
    parameters_bytes,
    weights_bytes,
)
from hwmodels.outputs import Output
from hwmodels.work import Step


@dataclass(frozen=True)
class MemoryCost:
    """Bytes, arrays of the design's shape.

    weights_bytes            with scales; in mixed precision also their copies in 16 bits
    parameters_bytes         biases, norms and statistics; 0 under WRPN's rules
    activations_bytes        tensors, and what steps keep for their backward pass
    gradients_bytes          of tensors
    weight_gradients_bytes   of parameters
    optimizer_bytes          its state, and master weights
    total_bytes              their sum: what the rule counts, or the peak
    activation_share         tensors and their gradients in the total
    peak_bytes               of a schedule that reuses buffers, with all weights and state
    lower_bound_bytes        weights and state, and the most that one step reads and writes
    recomputed_macs          for one image, by checkpointing
    """

    weights_bytes: np.ndarray
    parameters_bytes: np.ndarray
    activations_bytes: np.ndarray
    gradients_bytes: np.ndarray
    weight_gradients_bytes: np.ndarray
    optimizer_bytes: np.ndarray
    total_bytes: np.ndarray
    activation_share: np.ndarray
    peak_bytes: np.ndarray
    lower_bound_bytes: np.ndarray
    recomputed_macs: np.ndarray


LEFT_OUT = "workspace of kernels, context and fragments of an allocator, the loss and its tensors"
OUTPUTS = {
    "total_bytes": Output("what the rule counts", "B", "count", ignores=LEFT_OUT),
    "weights_bytes": Output("weights", "B", "count"),
    "parameters_bytes": Output("other parameters", "B", "count"),
    "activations_bytes": Output(
        "activations", "B", "count",
        validation="as PyTorch 2.13 holds them for the backward pass: to the byte for 8 networks in"
        " 29 settings (rule framework, CPU)",
    ),
    "gradients_bytes": Output("gradients of activations", "B", "count"),
    "weight_gradients_bytes": Output("gradients of parameters", "B", "count"),
    "optimizer_bytes": Output("optimizer state", "B", "count"),
    "activation_share": Output("share of activations", "%", "count"),
    "peak_bytes": Output(
        "peak of the schedule", "B", "estimate", ignores=LEFT_OUT,
        validation="of what PyTorch 2.13 allocates on a CPU besides weights and momentum, -3.3 to"
        " -0.5 % for 6 networks; with checkpointing -13 to +4 % for 4 (rule framework)",
    ),
    "lower_bound_bytes": Output("lower bound of the peak", "B", "count"),
    "recomputed_macs": Output("MACs computed again per image", "", "count"),
}  # fmt: skip


def footprint(steps: Sequence[Step], **options) -> MemoryCost:
    """The memory of a network; ``options`` are the fields of ``MemoryDesign``.

    steps   in inference those of a work table, in training those of a network as it is trained

    Raises ValueError on impossible options, and InputError on a kind of layer of which it is not
    known what it keeps for its backward pass.
    """
    return evaluate(steps, MemoryDesign(**options))


def evaluate(steps: Sequence[Step], design: MemoryDesign) -> MemoryCost:
    """The memory of a network as ``design`` has it. Raises as ``footprint`` does."""
    steps = tuple(steps)
    alive = peak.alive_bytes(steps, design)
    resident = _resident(steps, design)
    everything = resident_bytes(*resident.values())
    most = peak.peak_bytes(everything, alive)
    if design.account is None:
        held, total = _alive(resident, alive), most
    else:
        held = _counted(steps, design, resident["optimizer_bytes"])
        total = account.total_bytes(*held.values())
    fields = {
        **held,
        "total_bytes": total,
        "activation_share": activation_share(
            held["activations_bytes"], held["gradients_bytes"], total
        ),
        "peak_bytes": most,
        "lower_bound_bytes": peak.lower_bound_bytes(steps, design, everything),
        "recomputed_macs": peak.recomputed_macs(steps, design),
    }
    shape = peak.design_shape(design)
    return MemoryCost(**{name: reshaped(value, shape) for name, value in fields.items()})


def _resident(steps: Sequence[Step], design: MemoryDesign) -> dict[str, np.ndarray]:
    """What is held from beginning to end, whatever the rule counts of it."""
    layers = [step for step in steps if step.weights]
    return {
        "weights_bytes": weights_bytes(layer_weights_bytes(layers, design)),
        "parameters_bytes": parameters_bytes(layer_parameters_bytes(steps, design)),
        "optimizer_bytes": optimizer_bytes(layer_states(steps, design)),
    }


def _alive(resident: dict[str, np.ndarray], alive: np.ndarray) -> dict[str, np.ndarray]:
    """What is held at the peak of the schedule."""
    cast = peak.weights_cast_alive_bytes(alive)
    return {
        **resident,
        "weights_bytes": all_weights_bytes(resident["weights_bytes"], cast),
        "activations_bytes": peak.activations_alive_bytes(alive),
        "gradients_bytes": peak.gradients_alive_bytes(alive),
        "weight_gradients_bytes": peak.weight_gradients_alive_bytes(alive),
    }


def _counted(
    steps: Sequence[Step], design: MemoryDesign, state: np.ndarray
) -> dict[str, np.ndarray]:  # fmt: skip
    """What WRPN's rule counts."""
    layers = layers_with_weights(steps, design)
    trained = account.layer_weight_gradients(steps, design)
    return {
        "weights_bytes": weights_bytes(layer_weights_bytes(layers, design)),
        "parameters_bytes": account.no_parameters_bytes(),
        "activations_bytes": account.activations_bytes(steps, design),
        "gradients_bytes": account.gradients_bytes(steps, design),
        "weight_gradients_bytes": account.weight_gradients_bytes(trained),
        "optimizer_bytes": state,
    }


@formula
def resident_bytes(*held_bytes):
    """Weights, other parameters and optimizer state."""
    return sum(held_bytes)


@formula
def all_weights_bytes(held_bytes, cast_bytes):
    """Weights as they are held, and those cast to the bits that are computed with."""
    return held_bytes + cast_bytes


@formula
def activation_share(activations_bytes, gradients_bytes, total):
    """Tensors and their gradients / total; not known where nothing is counted."""
    counted = np.where(total > 0, total, np.nan)
    return (activations_bytes + gradients_bytes) / counted
