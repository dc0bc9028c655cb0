"""A memo of work that no slider changes, kept under a budget of bytes; results never depend on what it holds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

LEAST = 256  # bytes counted for anything, so that the memo cannot hold more and more small things


class Stages:
    """Least-recently-used memo. What does not fit is simply computed again.

    Attributes:
        budget: Most bytes kept, counted by the `nbytes` of the values (256 for a value without).
        used: Bytes kept now.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], Any]) -> Any:
        """The value under `key`, built now unless it is kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        value = build()
        size = max(int(getattr(value, "nbytes", 0)), LEAST)
        if size <= self.budget:
            self._kept[key] = (value, size)
            self.used += size
            self._shrink()
        return value

    def _shrink(self) -> None:
        while self.used > self.budget:
            _, (_, size) = self._kept.popitem(last=False)
            self.used -= size

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.used = 0
