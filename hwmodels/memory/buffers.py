"""Buffers that live for a while, and what is alive at each moment of a schedule.

A moment is a step forward, a step computed again, or a step backward. Bytes grow with the number of
images: those of a moment are ``fixed + images x per image``, so that one schedule serves any array
of batches. Fractions of a byte of packed values are kept, as in the table of work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROLES = ("weights", "activations", "gradients", "weight gradients")


@dataclass(frozen=True)
class Buffer:
    """A piece of memory.

    tensor        what it holds first
    role          one of ROLES
    image_bytes   for each image
    fixed_bytes   for any number of images
    uses          the moments at which it is written or read, in order; it is alive from the first
                  to the last
    """

    tensor: str
    role: str
    image_bytes: float
    fixed_bytes: float
    uses: tuple[int, ...]

    def bytes_at(self, batch: int) -> float:
        """Its bytes for ``batch`` images."""
        return self.fixed_bytes + batch * self.image_bytes

    def is_alive(self, moment: int) -> bool:
        """Whether it is alive at a moment."""
        return self.uses[0] <= moment <= self.uses[-1]


@dataclass(frozen=True)
class Schedule:
    """The buffers of a schedule, and its moments by name ("forward conv1", ...)."""

    buffers: tuple[Buffer, ...]
    moments: tuple[str, ...]

    @cached_property
    def alive(self) -> np.ndarray:
        """Bytes alive: shape (2, roles, moments), first those per image, then the fixed ones."""
        change = np.zeros((2, len(ROLES), len(self.moments) + 1))
        for buffer in self.buffers:
            row = ROLES.index(buffer.role)
            amount = (buffer.image_bytes, buffer.fixed_bytes)
            change[:, row, buffer.uses[0]] += amount
            change[:, row, buffer.uses[-1] + 1] -= amount
        return change.cumsum(axis=-1)[..., :-1]

    @cached_property
    def touched(self) -> np.ndarray:
        """Bytes read or written: shape (2, moments), per image and fixed."""
        amounts = np.zeros((2, len(self.moments)))
        for buffer in self.buffers:
            amounts[:, list(buffer.uses)] += [[buffer.image_bytes], [buffer.fixed_bytes]]
        return amounts

    def peak_moment(self, batch: np.ndarray | int) -> np.ndarray:
        """The first moment at which most bytes are alive, for each of ``batch``."""
        image, fixed = self.alive.sum(axis=1)
        candidates = undominated(image, fixed)
        batch = np.asarray(batch, np.float64)[..., None]
        most = (batch * image[candidates] + fixed[candidates]).argmax(axis=-1)
        return candidates[most]

    def most_touched(self, batch: np.ndarray | int) -> np.ndarray:
        """The most bytes that one moment reads and writes: no order of layers, and no way to lay
        out buffers, does with less."""
        image, fixed = self.touched
        candidates = undominated(image, fixed)
        batch = np.asarray(batch, np.float64)[..., None]
        return (batch * image[candidates] + fixed[candidates]).max(axis=-1)

    def at(self, moment: int) -> list[Buffer]:
        """The buffers alive at a moment, in the order in which they were made."""
        return [buffer for buffer in self.buffers if buffer.is_alive(moment)]


def undominated(image: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Indices of the moments that may be the largest for some batch, the first of equals, in order:
    no other has as much of both."""
    order = np.lexsort((np.arange(image.size), -fixed, -image))
    highest = np.maximum.accumulate(fixed[order])
    is_new = np.r_[True, highest[1:] > highest[:-1]]
    return np.sort(order[is_new])


def buffer_of(
    tensor: str, role: str, uses: Sequence[int], *, image_bits: float = 0, bits: float = 0
) -> Buffer:
    """A buffer of so many bits."""
    return Buffer(tensor, role, image_bits / 8, bits / 8, tuple(sorted(set(uses))))
