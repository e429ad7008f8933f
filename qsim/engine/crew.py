"""The threads that a compiled program runs on, and the cores that they are held to."""

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from qsim.errors import QsimError


class Crew:
    """Threads that wait for work; the caller's is the first of them.

    threads    how many there are
    affinity   the cores of each in turn; None: the operating system chooses

    Raises QsimError where there cannot be as many, or they cannot be held to these cores.
    """

    def __init__(self, threads: int, affinity: Sequence[int] | None):
        if threads < 1:
            raise QsimError(f"a program runs on 1 thread or more, not {threads}")
        if affinity is not None:
            _check_affinity(threads, affinity)
        self.size = threads
        self._cores = None if affinity is None else list(affinity)
        self._work: list[SimpleQueue] = [SimpleQueue() for _ in range(threads - 1)]
        self._done: SimpleQueue = SimpleQueue()
        for number, queue in enumerate(self._work, start=1):
            arguments = (queue, self._done, self._core_of(number))
            threading.Thread(target=_serve, args=arguments, daemon=True).start()
        self._stop = weakref.finalize(self, _dismiss, self._work)

    def run(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do all tasks at the same time, no more of them than threads; raises what one raises."""
        for task, queue in zip(tasks[1:], self._work, strict=False):
            queue.put(task)
        failures = []
        with _held_to(self._core_of(0)):
            try:
                tasks[0]()
            except BaseException as error:
                failures.append(error)
        failures += [self._done.get() for _ in tasks[1:]]
        for failure in failures:
            if failure is not None:
                raise failure

    def _core_of(self, number: int) -> int | None:
        return None if self._cores is None else self._cores[number % len(self._cores)]


def _serve(work: SimpleQueue, done: SimpleQueue, core: int | None) -> None:
    """Do what is asked until asked to stop."""
    if core is not None:
        os.sched_setaffinity(threading.get_native_id(), {core})
    while (task := work.get()) is not None:
        try:
            task()
            done.put(None)
        except BaseException as error:
            done.put(error)
        task = None  # it may hold the last reference to whose thread this is


def _dismiss(work: list[SimpleQueue]) -> None:
    for queue in work:
        queue.put(None)


@contextmanager
def _held_to(core: int | None) -> Iterator[None]:
    """The calling thread on one core, for as long as it takes."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _check_affinity(threads: int, affinity: Sequence[int]) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise QsimError("threads cannot be held to cores on this operating system")
    there = os.sched_getaffinity(0)
    if not affinity or not set(affinity) <= there:
        raise QsimError(
            f"threads cannot be held to cores {sorted(affinity)}; this process may use"
            f" {sorted(there)}"
        )
