"""Long work a visitor can watch and stop: one at a time for each, followed at a calm pace."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
PACE = 0.25
"""Seconds between two looks at the progress: more would only keep the browser busy."""
Report = Callable[[int, int, str], None]
Work = Callable[[Report, Callable[[], bool]], T]


@dataclass(frozen=True)
class Step:
    """How far the work is: items done of all, and words."""

    done: int
    total: int
    text: str


class Runs:
    """The stop flags of running work, by visitor. Made once for each page that is built, not for each module."""

    def __init__(self) -> None:
        self._flags: dict[str, threading.Event] = {}

    def start(self, visitor: str) -> threading.Event:
        """A new flag for this visitor; work of theirs that still runs is asked to stop."""
        self.stop(visitor)
        flag = threading.Event()
        self._flags[visitor] = flag
        return flag

    def stop(self, visitor: str) -> None:
        """Ask this visitor's work to stop; nothing happens where there is none."""
        flag = self._flags.pop(visitor, None)
        if flag is not None:
            flag.set()


class Followed(Generic[T]):
    """Work in a thread of its own: iterate over it for its steps, then read `result`."""

    def __init__(self, work: Work[T], flag: threading.Event) -> None:
        self._flag = flag
        self._latest: Step | None = None
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def __iter__(self) -> Iterator[Step]:
        """Yield the latest step whenever it changed, until the work ends; a consumer that leaves stops the work."""
        told: Step | None = None
        try:
            while not self._future.done():
                time.sleep(PACE / 5 if told is None else PACE)
                if self._latest is not None and self._latest != told and not self._future.done():
                    told = self._latest
                    yield told
        finally:
            if not self._future.done():
                self._flag.set()

    def result(self) -> T:
        """What the work returned; raises what it raised."""
        return self._future.result()

    def problem(self) -> BaseException | None:
        """What the work raised, once it has ended; None where it went well."""
        return self._future.exception()

    def _run(self, work: Work[T]) -> None:
        try:
            self._future.set_result(work(self._report, self._flag.is_set))
        except BaseException as problem:  # handed on to whoever reads the result, in their thread
            self._future.set_exception(problem)

    def _report(self, done: int, total: int, text: str) -> None:
        self._latest = Step(done, total, text)
