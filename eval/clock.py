"""How long work that is under way will still take, from its own pace."""

import time
from collections.abc import Callable


class Clock:
    """Time left for work of any unit, from the pace since `begin`."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """Start now.

        Args:
            now: Seconds of a clock that never goes back.
        """
        self._now = now
        self._start, self._all = now(), 0.0

    def begin(self, work: float) -> None:
        """So much work starts now."""
        self._start, self._all = self._now(), work

    def left(self, ahead: float) -> str:
        """The time that the work still ahead will take, "about 4 min"; empty before any of it is done."""
        done = self._all - ahead
        if done <= 0:
            return ""
        seconds = (self._now() - self._start) / done * ahead
        return f"about {round(seconds / 60)} min" if seconds >= 90 else f"about {max(1, round(seconds))} s"
