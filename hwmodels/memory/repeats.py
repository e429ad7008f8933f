"""Blocks that follow one another unchanged, found by what their steps are."""

from collections.abc import Sequence

from hwmodels.work import Step


def without_repeats(steps: Sequence[Step]) -> list[Step]:
    """The steps with each run of equal blocks counted once: what is left of a run is its first
    block.

    Two steps are equal if they are of one kind and size and read tensors that lie as far back, so
    that blocks are found whatever they are called. A block has several layers with weights (equal
    layers in a row are no blocks); the runs that leave out most are taken first.
    """
    left = list(range(len(steps)))
    stands_for = {step.name: index for index, step in enumerate(steps)}  # what is left of a tensor
    while run := _longest(steps, left, stands_for):
        start, period, saved = run
        for offset, index in enumerate(left[start + period : start + period + saved]):
            equal = left[start + offset % period]
            same = [name for name, stands in stands_for.items() if stands == index]
            stands_for |= dict.fromkeys(same, equal)
        del left[start + period : start + period + saved]
    return [steps[index] for index in left]


def _longest(
    steps: Sequence[Step], left: list[int], stands_for: dict[str, int]
) -> tuple[int, int, int] | None:
    """Start and period of the run of equal blocks that leaves out most steps, and how many; of
    those that leave out as many the one with the shortest period."""
    marks = _marks(steps, left, stands_for)
    best = None
    for period in range(1, len(left) // 2 + 1):
        run = 0
        for end in range(period, len(left) + 1):
            if end < len(left) and marks[end] == marks[end - period]:
                run += 1
                continue
            saved, start = run // period * period, end - run - period
            layers = sum(steps[index].weights > 0 for index in left[start : start + period])
            if saved and layers > 1 and (best is None or saved > best[2]):
                best = (start, period, saved)
            run = 0
    return best


def _marks(steps: Sequence[Step], left: list[int], stands_for: dict[str, int]) -> list[int]:
    """A number for what each step is, without its name: equal in equal blocks."""
    place = {index: position for position, index in enumerate(left)}
    numbers: dict[tuple, int] = {}
    marks = []
    for position, index in enumerate(left):
        step = steps[index]
        back = tuple(position - place[stands_for[name]] for name in step.reads)
        mark = (step.kind, step.values, step.bits, step.weights, step.weight_bits, step.macs, back)
        marks.append(numbers.setdefault(mark, len(numbers)))
    return marks
