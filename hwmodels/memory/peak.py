"""The peak of a design's schedule, by what is alive at it, and the bound below it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.memory.buffers import ROLES, Schedule
from hwmodels.memory.checkpointing import cuts
from hwmodels.memory.checkpointing import recomputed_macs as macs_again
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.inference import inference_schedule
from hwmodels.memory.settings import Settings
from hwmodels.memory.training import training_schedule
from hwmodels.work import Step

ARRAYS = ("batch", "weight_bits", "activation_bits", "scale_bytes", "zero_point_bytes")


def design_shape(design: MemoryDesign) -> tuple[int, ...]:
    """The shape of a design's arrays, broadcast together."""
    return np.broadcast_shapes(*(np.shape(getattr(design, name)) for name in ARRAYS))


def formatted(steps: Sequence[Step], activation_bits: int | None) -> tuple[Step, ...]:
    """The steps with all tensors at so many bits, where that is said."""
    if activation_bits is None:
        return tuple(steps)
    return tuple(replace(step, bits=activation_bits) for step in steps)


def schedule_of(steps: Sequence[Step], design: MemoryDesign) -> Schedule:
    """The schedule of a single design. Raises InputError on a kind of layer of which it is not
    known what it keeps for its backward pass."""
    [bits] = _activation_bits(design)
    return _schedule(tuple(steps), bits, design.phase, design.settings, design.checkpointing)


@lru_cache(maxsize=64)
def _schedule(
    steps: tuple[Step, ...], bits: int | None, phase: str, settings: Settings, checkpointing: str
) -> Schedule:
    steps = formatted(steps, bits)
    if phase == "inference":
        return inference_schedule(steps, settings)
    return training_schedule(steps, settings, cuts(steps, checkpointing))


@formula
def alive_bytes(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Bytes of the buffers alive when they are most, with their roles as last axis."""

    def at_peak(schedule: Schedule, batch: np.ndarray) -> np.ndarray:
        image, fixed = np.moveaxis(schedule.alive[..., schedule.peak_moment(batch)], 1, -1)
        return batch[..., None] * image + fixed

    return _over_bits(steps, design, at_peak, (len(ROLES),))


@formula
def peak_bytes(resident_bytes, alive):
    """Weights, other parameters and optimizer state, and the buffers alive at the peak."""
    return resident_bytes + alive.sum(axis=-1)


@formula
def lower_bound_bytes(steps: Sequence[Step], design: MemoryDesign, resident_bytes):
    """Weights, other parameters and optimizer state, and the most that one step reads and
    writes."""
    return resident_bytes + _over_bits(steps, design, Schedule.most_touched, ())


@formula
def recomputed_macs(steps: Sequence[Step], design: MemoryDesign):
    """Multiply-accumulates of all segments but the last, for one image."""
    if design.phase == "inference":
        return np.float64(0)
    return np.float64(macs_again(steps, cuts(steps, design.checkpointing)))


@formula
def activations_alive_bytes(alive):
    """Of the buffers at the peak, tensors and what steps keep for their backward pass."""
    return alive[..., ROLES.index("activations")]


@formula
def gradients_alive_bytes(alive):
    """Of the buffers at the peak, gradients of tensors."""
    return alive[..., ROLES.index("gradients")]


@formula
def weight_gradients_alive_bytes(alive):
    """Of the buffers at the peak, gradients of parameters."""
    return alive[..., ROLES.index("weight gradients")]


@formula
def weights_cast_alive_bytes(alive):
    """Of the buffers at the peak, weights cast to the bits that are computed with."""
    return alive[..., ROLES.index("weights")]


def _over_bits(
    steps: Sequence[Step],
    design: MemoryDesign,
    figure: Callable[[Schedule, np.ndarray], np.ndarray],
    last: tuple[int, ...],
) -> np.ndarray:
    """A figure of the schedule for every design: one schedule for each number of bits."""
    shape = np.broadcast_shapes(np.shape(design.batch), np.shape(design.activation_bits))
    batch = np.broadcast_to(read(design, "batch"), shape)
    result = np.zeros((*shape, *last))
    for bits in _activation_bits(design):
        at = np.broadcast_to(bits is None or np.asarray(design.activation_bits) == bits, shape)
        schedule = _schedule(
            tuple(steps), bits, design.phase, design.settings, design.checkpointing
        )
        result[at] = figure(schedule, batch[at])
    return result


def _activation_bits(design: MemoryDesign) -> list[int | None]:
    if design.activation_bits is None:
        return [None]
    return [int(bits) for bits in np.unique(np.asarray(design.activation_bits))]
