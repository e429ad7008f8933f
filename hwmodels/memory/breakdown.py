"""What a footprint is made of, tensor by tensor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.memory import account
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.parameters import (
    layer_parameters_bytes,
    layer_states,
    layer_weights_bytes,
    layers_with_weights,
)
from hwmodels.memory.peak import formatted, schedule_of
from hwmodels.work import Step


@dataclass(frozen=True)
class Row:
    """One thing that is held.

    tensor   its name, or the layer's whose weights or state it is
    phase    "inference" or "training"
    role     "weights", "parameters", "activations", "gradients", "weight gradients", "optimizer"
    bytes    its size
    """

    tensor: str
    phase: str
    role: str
    bytes: float


def breakdown(steps: Sequence[Step], design: MemoryDesign) -> list[Row]:
    """What the total of a single design is made of: weights and state by layer, then the tensors
    that its rule counts, or that are alive at the peak. They sum to ``total_bytes``."""
    if design.account is None:
        return peak_rows(steps, design)
    layers = layers_with_weights(steps, design)
    batch = int(np.asarray(design.batch))
    as_read = formatted(steps, _single(design.activation_bits))
    maps = [("activations", each) for each in account.activation_maps(as_read, design)]
    maps += [("gradients", each) for each in account.counted_gradients(steps, design)]
    trained = account.layer_weight_gradients(steps, design)
    return [
        *_by_layer(layers, design, "weights", layer_weights_bytes(layers, design)),
        *_by_layer(steps, design, "weight gradients", trained),
        *_by_layer(steps, design, "optimizer", layer_states(steps, design)),
        *(Row(m.tensor, design.phase, role, m.image_bits / 8 * batch) for role, m in maps),
    ]


def peak_rows(steps: Sequence[Step], design: MemoryDesign) -> list[Row]:
    """What is held at the peak of a single design's schedule: weights and state by layer, then the
    buffers alive in the order in which they are made. They sum to ``peak_bytes``."""
    layers = [step for step in steps if step.weights]
    batch = int(np.asarray(design.batch))
    schedule = schedule_of(steps, design)
    alive = schedule.at(int(schedule.peak_moment(batch)))
    return [
        *_by_layer(layers, design, "weights", layer_weights_bytes(layers, design)),
        *_by_layer(steps, design, "parameters", layer_parameters_bytes(steps, design)),
        *_by_layer(steps, design, "optimizer", layer_states(steps, design)),
        *(Row(each.tensor, design.phase, each.role, each.bytes_at(batch)) for each in alive),
    ]


def peak_moment(steps: Sequence[Step], design: MemoryDesign) -> str:
    """The moment of the peak of a single design, in words: "backward layer4.2.bn3"."""
    schedule = schedule_of(steps, design)
    return schedule.moments[int(schedule.peak_moment(int(np.asarray(design.batch))))]


def single_design(design: MemoryDesign, batch: int) -> MemoryDesign:
    """A design for one of its batches."""
    return msgspec.structs.replace(design, batch=batch)


def _by_layer(
    steps: Sequence[Step], design: MemoryDesign, role: str, sizes: Iterable[float]
) -> list[Row]:
    return [
        Row(step.name, design.phase, role, float(size))
        for step, size in zip(steps, sizes, strict=True)
        if size
    ]


def _single(bits: int | None) -> int | None:
    return None if bits is None else int(np.asarray(bits))
