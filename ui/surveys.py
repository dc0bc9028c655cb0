"""Geometries of checkpoints on the shared device: one at a time, behind everything else, kept while the files are."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from merging.errors import Cancelled
from ui.turns import Turns, Urgency

if TYPE_CHECKING:
    from merging import Pool
    from merging.geometry import Geometry

MOST = 16
"""Geometries kept: each is a few thousand numbers."""
PATIENCE = 0.2
"""Seconds between two looks whether a waiting visitor still wants it."""


class Surveys:
    """Call it for a geometry. Before every tensor it lets whoever waits for the device go first."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._one = threading.Lock()
        self._known: OrderedDict[Any, Geometry] = OrderedDict()

    def __call__(
        self,
        pool: "Pool",
        base: str,
        models: Sequence[str],
        progress: Callable[[float, str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> "Geometry":
        """The geometry of the checkpoints as their files are now.

        Raises:
            MergeError: A checkpoint cannot be read, or they differ in shape.
            Cancelled: `cancelled()` became true.
        """
        from merging.geometry import geometry

        with pool.lock:
            key = tuple((name, pool.checkpoint(name).version) for name in (base, *models))
        while not self._one.acquire(timeout=PATIENCE):
            if cancelled and cancelled():
                raise Cancelled
        try:
            if key not in self._known:
                self._known[key] = geometry(
                    base, models, pool, progress=progress, cancelled=lambda: self._stopped(cancelled)
                )
            self._known.move_to_end(key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
            return self._known[key]
        finally:
            self._one.release()

    def _stopped(self, cancelled: Callable[[], bool] | None) -> bool:
        if cancelled and cancelled():
            return True
        with self._turns.turn(Urgency.SWEEP):
            return False
