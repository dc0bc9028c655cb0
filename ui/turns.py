"""Whose turn it is on the device: one holder at a time, the most urgent first, and nobody passed over for ever."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum


class Urgency(IntEnum):
    """Who goes first where several wait; lower goes earlier."""

    DRAG = 0
    CHAT = 1
    PROBE = 2
    SWEEP = 3
    HINT = 4


PATIENCE = 3
"""Turns a caller lets go by to more urgent ones that came later, before it goes first."""


@dataclass
class _Ticket:
    urgency: Urgency
    arrival: int
    passed_over: int = 0

    def rank(self) -> tuple[int, int]:
        """Lower goes earlier. A caller whose patience is at an end stands before every urgency."""
        return (-1 if self.passed_over >= PATIENCE else int(self.urgency), self.arrival)


class Turns:
    """A lock with priorities, taken for one forward pass or one merge at a time.

    Long work takes a turn for every step, so that a slider moved by one visitor waits for a step and never for
    another visitor's whole probe. In return a slider that never rests lets a waiting step in after `PATIENCE` merges:
    urgency alone would let one visitor's drag hold up another's probe for as long as it lasts.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals = itertools.count()
        self._waiting: list[_Ticket] = []
        self._taken = False

    @property
    def waiting(self) -> int:
        """Number of callers that wait for their turn now."""
        return len(self._waiting)

    @contextmanager
    def turn(self, urgency: Urgency) -> Iterator[None]:
        """Hold the device while the body runs. Not re-entrant: a holder that asks again waits for itself."""
        with self._changed:
            ticket = _Ticket(urgency, next(self._arrivals))
            self._waiting.append(ticket)
            try:
                while self._taken or min(self._waiting, key=_Ticket.rank) is not ticket:
                    self._changed.wait()
            finally:
                self._waiting.remove(ticket)
            self._taken = True
            for other in self._waiting:
                other.passed_over += other.arrival < ticket.arrival
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
