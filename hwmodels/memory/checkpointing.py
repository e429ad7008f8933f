"""Activation checkpointing: where a network is cut into segments that are computed again.

Sources: Chen et al., arXiv 1604.06174 (segments of about the square root of the number of steps);
all segments but the last are computed again, as PyTorch's checkpoint_sequential does.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Literal

from hwmodels.memory.sharing import readers_of
from hwmodels.memory.training import segments_of
from hwmodels.work import Step

Checkpointing = Literal["none", "sqrt", "per_block"]


def cuts(steps: Sequence[Step], checkpointing: Checkpointing) -> list[int]:
    """Indices of the steps at which a segment begins, the first segment apart.

    none        one segment, which is not computed again
    sqrt        about sqrt(n) segments of about sqrt(n) steps each, which end where one tensor alone
                goes on
    per_block   one for each block: where one tensor alone goes on, and several steps, or one with
                weights, read it
    """
    if checkpointing == "none":
        return []
    single = single_tensors(steps)
    if checkpointing == "per_block":
        readers = readers_of(steps)
        return [at for at, name in single.items() if _begins_a_block(readers[name])]
    count = isqrt(len(steps))
    ideal = [part * len(steps) / count for part in range(1, count)]
    return sorted({min(single, key=lambda at: abs(at - each)) for each in ideal} if single else ())


def single_tensors(steps: Sequence[Step]) -> dict[int, str]:
    """The steps before which one tensor alone goes on, by their index, and that tensor; not those
    that only the network's input is before."""
    order = {step.name: index for index, step in enumerate(steps)}
    last = {name: max((order[each.name] for each in reading), default=-1)
            for name, reading in readers_of(steps).items()}  # fmt: skip
    single: dict[int, str] = {}
    alive: set[str] = set()
    for index, step in enumerate(steps):
        begun = any(each.kind != "input" for each in steps[:index])
        if begun and len(alive) == 1:
            single[index] = next(iter(alive))
        alive = {name for name in (*alive, step.name) if last[name] > index}
    return single


def recomputed_macs(steps: Sequence[Step], at: Sequence[int]) -> int:
    """Multiply-accumulates that are computed again for one image: of all segments but the last."""
    again = segments_of(steps, at)[:-1]
    return sum(steps[index].macs for segment in again for index in segment)


def _begins_a_block(readers: list[Step]) -> bool:
    return len(readers) > 1 or any(reader.weights for reader in readers)
