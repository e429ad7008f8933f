"""Where tensors lie in memory: one takes the place of another that is read no more."""

from qsim.engine.steps import Buffer, Plan, reads

ALIGNED = 64  # bytes, a line of the cache


def places(plan: Plan, *, keep: bool) -> tuple[dict[Buffer, int], dict[str, int]]:
    """The offset of every tensor in its memory, and how large each memory is: how many bytes, sums,
    and words of planes.

    Each tensor is placed at the lowest offset at which no tensor lies that is still needed, in the
    order in which they are made.

    keep   whether no tensor takes the place of another, so that all can be read afterwards
    """
    spans = lifetimes(plan)
    placed: dict[Buffer, int] = {}
    for buffer in spans:
        others = [
            other
            for other in placed
            if other.memory == buffer.memory and (keep or _overlap(spans[other], spans[buffer]))
        ]
        placed[buffer] = _lowest(buffer, [(placed[other], other.size) for other in others])

    sizes = dict.fromkeys(("bytes", "sums", "planes"), 0)
    for buffer, at in placed.items():
        sizes[buffer.memory] = max(sizes[buffer.memory], at + buffer.size)
    return placed, sizes


def lifetimes(plan: Plan) -> dict[Buffer, tuple[int, int]]:
    """The first step that makes each tensor, and the last that makes or reads it; those of the
    result are read after all."""
    spans = {}
    for number, step in enumerate(plan.steps):
        spans[step.out] = (spans.get(step.out, (number,))[0], number)  # it may be made in parts
        for buffer in reads(step):
            spans[buffer] = (spans[buffer][0], number)
    for term in plan.result.terms:
        spans[term.source.source] = (spans[term.source.source][0], len(plan.steps))
    return spans


def _overlap(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] <= other[1] and other[0] <= span[1]


def _lowest(buffer: Buffer, taken: list[tuple[int, int]]) -> int:
    """The lowest aligned offset where the buffer fits between those that are taken."""
    at = 0
    for start, size in sorted(taken):
        if at + buffer.size <= start:
            break
        at = max(at, -(-(start + size) // ALIGNED) * ALIGNED)
    return at
