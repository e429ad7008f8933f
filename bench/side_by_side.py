"""Timing calls side by side: they take turns, and what is said of them are medians and ratios.

Threads of all peers are held to the same cores. A process is held to its cores before it loads
anything (``hold``), since libraries count the cores they may use when they are loaded.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Call = Callable[[], object]
Clock = Callable[[], float]
TURN_S = 0.08  # of calls of one kind, before the next kind has its turn
MOST_CALLS = 15  # of a turn
REST_S = 0.004  # before a turn, for the threads of the last kind that still spin
QUIET = 0.15  # cores that others may keep busy
STATISTICS = Path("/proc/stat")
SLOW_S = 1.0  # a call that takes longer is not called again to warm up


@dataclass(frozen=True)
class Times:
    """Seconds of one kind of call, the median of each turn."""

    turns: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.turns)

    @property
    def in_ms(self) -> dict[str, float]:
        """Milliseconds of a call: the median of the turns, and their least, which says what it is
        while nothing disturbs it."""
        return {"ms": 1e3 * self.median_s, "least_ms": 1e3 * min(self.turns)}

    def over(self, other: "Times") -> float:
        """How many times as long as ``other`` it takes: the median of the ratios of their turns."""
        pairs = zip(self.turns, other.turns, strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def of_medians(self, other: "Times") -> float:
        """The same as the ratio of the medians, which says how steady the machine was."""
        return self.median_s / other.median_s


def take_turns(calls: dict[str, Call], rounds: int, threads: int = 1) -> dict[str, Times]:
    """Seconds of each of ``calls``, which take ``rounds`` turns in the order they are given.

    A turn is a call that is not counted, then as many as take about ``TURN_S``. On one thread the
    seconds are the processor's for this process, which do not run while another program has the
    core; on several they are the clock's.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    counts = {name: _calls_of_a_turn(call, clock) for name, call in calls.items()}
    turns = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(REST_S)
            turns[name].append(_turn(call, counts[name], clock))
    return {name: Times(tuple(seconds)) for name, seconds in turns.items()}


def _calls_of_a_turn(call: Call, clock: Clock) -> int:
    taken = min(_seconds(call, clock), _seconds(call, clock))
    return max(1, min(MOST_CALLS, round(TURN_S / max(taken, 1e-9))))


def _turn(call: Call, count: int, clock: Clock) -> float:
    first = _seconds(call, clock)
    if first > SLOW_S:
        return first
    return statistics.median(_seconds(call, clock) for _ in range(count))


def _seconds(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start


class Neighbours:
    """How much other programs did on this machine between entering and leaving: ``cores``, the
    number that they kept busy on average; None where the system does not tell."""

    cores: float | None = None

    def __enter__(self):
        self._before, self._start = _busy_elsewhere_s(), time.perf_counter()
        return self

    def __exit__(self, *_):
        after = _busy_elsewhere_s()
        if after is not None:
            elapsed = time.perf_counter() - self._start
            self.cores = max(0.0, (after - self._before) / elapsed)


def said_of_neighbours(busy: float | None, threads: int) -> str:
    """A line on the cores that others kept busy while something was measured."""
    if busy is None:
        return "  what other programs did meanwhile is not known"
    doubt = "; figures of several threads are worth little" if threads > 1 and busy > QUIET else ""
    return f"  other programs kept {busy:.2f} cores busy meanwhile{doubt}"


def _busy_elsewhere_s() -> float | None:
    if not STATISTICS.exists():
        return None
    user, nice, system, _, _, *interrupts = STATISTICS.read_text().splitlines()[0].split()[1:9]
    ticks = sum(map(int, (user, nice, system, *interrupts)))
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def cores(threads: int) -> tuple[int, ...]:
    """As many cores as there are threads, of those that this process may use; fewer where it has
    fewer."""
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(min(threads, os.cpu_count() or 1)))
    return tuple(sorted(os.sched_getaffinity(0)))[:threads]


def hold(to: Sequence[int]) -> None:
    """Hold the calling thread to some cores, and all threads that it starts from now on; where the
    system cannot, nothing is done."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, to)


@contextmanager
def held(to: Sequence[int]):
    """Hold the calling thread to some cores for a while."""
    before = cores(os.cpu_count() or 1)
    hold(to)
    try:
        yield
    finally:
        hold(before)
