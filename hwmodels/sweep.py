"""A model's totals for many designs at once: the same formulas, in chunks, on several threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import cache
from typing import Any, TypeVar

import msgspec
import numpy as np

D = TypeVar("D", bound=msgspec.Struct)

POINTS_PER_CHUNK = 8192  # few enough for caches, enough for Python's share of the time to be small
KEPT_BYTES = 2**24


def sweep(
    evaluate: Callable[[D], Any],
    design: D,
    *,
    outputs: Sequence[str] | None = None,
    points_per_chunk: int = POINTS_PER_CHUNK,
    executor: Executor | None = None,
) -> dict[str, np.ndarray]:
    """The totals of every design, by name, each of the shape to which the fields of ``design``
    broadcast, and equal to those of the design alone.

    evaluate   a model's function with its other arguments given: ``partial(gemm.evaluate, work,
               device=device)``; or any other whose result has, or is a dictionary of, such figures
    design     a design record, whose fields are scalars or arrays
    outputs    the totals that are kept; None: all. Figures of layers are never
    executor   evaluates chunks at the same time, as ``ThreadPoolExecutor(2)`` does: numpy computes
               outside the interpreter's lock; None: they are evaluated one after another

    Raises ValueError where there is no total of such a name or no design, and whatever ``evaluate``
    raises.
    """
    shape = np.broadcast_shapes(*map(np.shape, msgspec.structs.astuple(design)))
    size = int(np.prod(shape, dtype=np.int64))
    if size == 0 or points_per_chunk < 1:
        raise ValueError(f"there are {size} designs, {points_per_chunk} in a chunk; give some")
    _keep_freed_memory()
    starts = range(0, size, points_per_chunk)

    def totals(chunk: D) -> dict[str, np.ndarray]:
        return _totals(evaluate(chunk), outputs)

    evaluated = (map if executor is None else executor.map)(totals, _chunks(design, shape, starts))
    columns: dict[str, np.ndarray] = {}
    for start, found in zip(starts, evaluated, strict=True):
        for name, values in found.items():
            if name not in columns:
                columns[name] = np.empty(size, np.asarray(values).dtype)
            columns[name][start : start + points_per_chunk] = values
    return {name: column.reshape(shape) for name, column in columns.items()}


def _chunks(design: D, shape: tuple[int, ...], starts: range) -> Iterator[D]:
    """The designs in order, some at a time. What is one value for all of them stays one."""
    fields = {name: getattr(design, name) for name in design.__struct_fields__}
    flat = {
        name: value.reshape(-1) if value.shape == shape else np.broadcast_to(value, shape).flat
        for name, value in fields.items()
        if isinstance(value, np.ndarray) and value.size > 1
    }
    for start in starts:
        stop = start + starts.step
        some = {name: values[start:stop] for name, values in flat.items()}
        yield msgspec.structs.replace(design, **some)


def _totals(cost: Any, outputs: Sequence[str] | None) -> dict[str, np.ndarray]:
    figures = cost if isinstance(cost, dict) else vars(cost)
    known = [name for name in figures if not name.startswith("layer_")]
    for name in outputs or ():
        if name not in known:
            raise ValueError(f"there is no total {name!r}; there are {', '.join(known)}")
    return {name: figures[name] for name in (known if outputs is None else outputs)}


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep the memory of temporaries that are freed, for the next ones.

    glibc returns it to the system, and has it mapped again page by page, which takes twice as long
    as the formulas do, unless a block this large was once freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(KEPT_BYTES, np.uint8)
