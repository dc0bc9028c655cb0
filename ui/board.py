"""The points of the chart: of everything that is stored, what may be compared and belongs to this app."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from eval import probes
from eval.frontier import front
from eval.standing import standing
from eval.store import Store
from eval.types import Measurement
from merging import Recipe
from ui.status import LANDMARKS, Point


class Board:
    """Reads the store again only when it, or what is offered, has changed."""

    def __init__(self, store: Store, models: Sequence[str], judge: str) -> None:
        self._store, self._models, self._judge = store, tuple(models), judge
        self._merged: set[str] = set()
        self._ours: Mapping[str, str] = {}
        self._seen: dict[str, tuple[object, list[Point]]] = {}
        self._verdicts: dict[str, tuple[object, dict[str, dict[str, Measurement]]]] = {}

    def offer(self, *names: str) -> None:
        """Measurements of these checkpoints belong on the chart too: they were merged here."""
        self._merged.update(names)

    def decode(self, ours: Mapping[str, str]) -> None:
        """How text is made here, by tier: its measurements are shown wherever there are any."""
        self._ours = dict(ours)
        self._seen.clear()

    def points(self, probe: str) -> list[Point]:
        """Every measured recipe of one chart: one probe, tier, judge and decoding.

        Raises:
            EvalError: There is no such probe.
        """
        revision = (self._store.revision(), frozenset(self._merged))
        if self._seen.get(probe, (None, []))[0] != revision:
            self._seen[probe] = (revision, self._points(probe))
        return list(self._seen[probe][1])

    def judged(self, probe: str) -> dict[str, dict[str, Measurement]]:
        """Judge -> point's id -> the point's responses under that judge; the chart's own judge first.

        Raises:
            EvalError: There is no such probe.
        """
        points = self.points(probe)
        revision = (self._store.revision(), tuple(point.measurement.key for point in points))
        if self._verdicts.get(probe, (None, {}))[0] != revision:
            self._verdicts[probe] = (revision, self._judged(probe, points))
        return self._verdicts[probe][1]

    def _judged(self, probe: str, points: Sequence[Point]) -> dict[str, dict[str, Measurement]]:
        found = {self._judge: {point.id: point.measurement for point in points}}
        by_key = {point.measurement.key: point.id for point in points}
        for one in self._store.all(probe_hash=probes.load(probe).hash) if points else ():
            # what differs by its judge alone has the same responses
            same = by_key.get(replace(one.identity, judge=self._judge).key())
            if same and one.identity.judge != self._judge:
                found.setdefault(one.identity.judge, {})[same] = one
        return found

    def _points(self, probe: str) -> list[Point]:
        measurements = self._comparable(probe)
        on_front = set(front(measurements).keys)
        shares = standing(measurements)
        fixed = {Recipe.single(name).digest(): LANDMARKS.get(name, name) for name in self._models}
        found = {}
        for one in measurements:
            recipe = Recipe.from_yaml(one.recipe)
            digest = recipe.digest()
            named, share = fixed.get(digest), shares.get(one.key)
            found[digest] = Point(digest, recipe, one, one.origin, named, one.key in on_front, share)
        return list(found.values())

    def _comparable(self, probe: str) -> list[Measurement]:
        """The largest group of stored measurements that may share a chart, of those made as text is made here.

        Where none was, the largest of the others: another dtype's landmarks say more than an empty chart.
        """
        groups: dict[tuple[str, ...], list[Measurement]] = {}
        for one in self._store.all(probe_hash=probes.load(probe).hash, judge=self._judge):
            if set(one.identity.checkpoints) <= {*self._models, *self._merged}:
                groups.setdefault(one.identity.group(), []).append(one)
        ours = {group: found for group, found in groups.items() if self._ours.get(group[1]) == group[3]}
        return max((ours or groups).values(), key=len, default=[])
