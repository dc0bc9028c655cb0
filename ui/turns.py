"""Whose turn it is on the device: one holder at a time, the most urgent first, and equals in order of arrival."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class Urgency(IntEnum):
    """Who goes first where several wait; lower goes earlier."""

    DRAG = 0
    CHAT = 1
    PROBE = 2
    SWEEP = 3


class Turns:
    """A lock with priorities, taken for one forward pass or one merge at a time.

    Long work takes a turn for every step, so that a slider moved by one visitor waits for a step and never for
    another visitor's whole probe.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals = itertools.count()
        self._waiting: list[tuple[int, int]] = []
        self._taken = False

    @property
    def waiting(self) -> int:
        """Number of callers that wait for their turn now."""
        return len(self._waiting)

    @contextmanager
    def turn(self, urgency: Urgency) -> Iterator[None]:
        """Hold the device while the body runs. Not re-entrant: a holder that asks again waits for itself."""
        ticket = (int(urgency), next(self._arrivals))
        with self._changed:
            heapq.heappush(self._waiting, ticket)
            while self._taken or self._waiting[0] != ticket:
                self._changed.wait()
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
