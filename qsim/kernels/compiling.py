"""Which kernel is being compiled at the moment, for who waits for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core.event import Event, Listener, install_listener


@contextmanager
def watch_compiling(show: Callable[[str, int], None], done: Callable[[], None]) -> Iterator[None]:
    """Within the context, ``show`` is called with the name of each kernel of ours that is not found
    in the cache, when its compilation begins, and how many there have been with it; ``done`` when
    all that were begun are compiled."""
    with install_listener("numba:compile", _Watcher(show, done)):
        yield


class _Watcher(Listener):
    def __init__(self, show: Callable[[str, int], None], done: Callable[[], None]):
        self._show, self._done = show, done
        self._begun = self._open = 0

    def on_start(self, event: Event) -> None:
        if self._is_ours(event):
            self._begun += 1
            self._open += 1
            self._show(event.data["dispatcher"].py_func.__name__.strip("_"), self._begun)

    def on_end(self, event: Event) -> None:
        if self._is_ours(event):
            self._open -= 1
            if not self._open:
                self._done()

    def _is_ours(self, event: Event) -> bool:
        """Whether it is no function of numba's own that a kernel uses."""
        return event.data["dispatcher"].py_func.__module__.startswith("qsim.")
