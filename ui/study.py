"""What the Items view of Study does: pickers and filters in, one page of the table out. No widget is made here."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from eval import probes
from eval.errors import EvalError
from ui.exports import TYPES, Sheet, name, write
from ui.items import rows
from ui.pairs import DEFAULT, MOMENT, NOTHING, Pair, called, choices, others, resolve
from ui.queries import Query, matching
from ui.reading import mix
from ui.second_judge import Judged, Second, judges, second
from ui.session import Session, loaded
from ui.status import Point, Service
from ui.table import empty, table

Updates = dict[Any, Any]
USUAL = "quick"
"""The probe shown first."""


@dataclass(frozen=True)
class Screen:
    """The widgets and states that the view updates; `session` is the one all tabs share.

    Attributes:
        query: Filters, order and page of the table.
        tabs: The page's tabs, so that a recipe can be shown in Explore.
        buttons: Load the recipe, swap, load what it is held against.
    """

    session: gr.State
    query: gr.State
    tabs: gr.Tabs | None
    probe: gr.Dropdown
    ours: gr.Dropdown
    theirs: gr.Dropdown
    buttons: tuple[gr.Button, gr.Button, gr.Button]
    table: Any

    @property
    def everything(self) -> list[Any]:
        """All of it but the tabs, flat."""
        names = [field.name for field in fields(self) if field.name not in ("tabs", "session", "buttons")]
        return [getattr(self, name) for name in names]


@dataclass(frozen=True)
class Seen:
    """Two recipes as one judge sees them.

    Attributes:
        pair: The recipes, with that judge's verdicts.
        judges: Everybody who judged both, the usual judge first.
        judged: All their verdicts.
    """

    pair: Pair
    judges: list[str]
    judged: Judged

    @classmethod
    def by(cls, judged: Judged, pair: Pair, judge: str) -> "Seen":
        """The pair as a judge sees it; an unknown one gives way to the usual judge."""
        shown = [point for point in (pair.ours, pair.theirs) if point]
        names = judges(judged, [point.id for point in shown], pair.ours.measurement.identity.judge)
        verdicts = judged[judge] if judge in names else {}
        ours, *rest = (replace(one, measurement=verdicts.get(one.id, one.measurement)) for one in shown)
        return cls(replace(pair, ours=ours, theirs=rest[0] if rest else None), names, judged)

    def other(self) -> Second | None:
        """What another judge says: the usual one where that is not who is shown; None where nobody else judged."""
        mine = self.pair.ours.measurement.identity.judge
        name = next((name for name in self.judges if name != mine), None)
        if name is None:
            return None
        shown = [point for point in (self.pair.ours, self.pair.theirs) if point]
        verdicts = self.judged[name]
        return second([point.measurement for point in shown], [verdicts[point.id] for point in shown])


class Study:
    """The handlers of the view. They keep nothing: what a visitor chose travels with the request."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen

    def arrive(self, session: Session, query: Query, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """The tab was opened: pickers and table show what is measured by now."""
        s, measured = self._screen, self._measured()
        probe = probe if probe in measured or not measured else next(iter(measured))
        points = measured.get(probe, [])
        theirs = _start(points) if theirs in (None, "", DEFAULT) else theirs
        return {
            s.probe: gr.update(choices=list(measured) or [USUAL], value=probe, visible=len(measured) > 1),
            s.ours: gr.update(choices=choices(session, points), value=ours or MOMENT),
            s.theirs: gr.update(choices=others(points), value=theirs),
        } | self.show(session, query, probe, ours, theirs)

    def show(self, session: Session, query: Query, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """The table of the two chosen recipes, under the filters as they are."""
        pair = self._pair(session, probe, ours, theirs)
        if isinstance(pair, str):
            return {self._screen.table: empty(pair), self._screen.query: query}
        try:
            seen = Seen.by(self._service.judged(probe), pair, query.judge)
            value = table(seen.pair, query, seen.judges, seen.other())
        except EvalError as problem:
            value = empty(str(problem))
        return {self._screen.table: value, self._screen.query: query}

    def choose(self, session: Session, query: Query, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """Another recipe: the filters stay, the first page is shown."""
        return self.show(session, replace(query, page=0), probe, ours, theirs)

    def turn(self, session: Session, query: Query, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """Another probe: other items, so the filters start anew."""
        points = self._measured().get(probe, [])
        known = {MOMENT, NOTHING, *(point.id for point in points)}
        ours = ours if ours in known else MOMENT
        theirs = theirs if theirs in known else None
        return self.arrive(session, Query(), probe, ours, theirs)

    def swap(self, session: Session, query: Query, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """The two recipes change places, so that what broke is what would be mended the other way round."""
        pair = self._pair(session, probe, ours, theirs)
        if isinstance(pair, str) or pair.theirs is None:
            return {self._screen.table: gr.skip()}
        ours, theirs = pair.theirs.id, pair.ours.id
        return {self._screen.ours: ours, self._screen.theirs: theirs} | self.choose(session, query, probe, ours, theirs)

    def narrow(
        self, session: Session, probe: str, ours: str | None, theirs: str | None, event: gr.EventData
    ) -> Updates:
        """Other filters, another order, another page."""
        asked = event._data  # a plain dict of the table's own making; anything else is checked away
        return self.show(session, Query.checked(asked), probe, ours, theirs)

    def load_ours(self, session: Session, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """Show the recipe in Explore."""
        pair = self._pair(session, probe, ours, theirs)
        return self._load(session, None if isinstance(pair, str) else pair.ours)

    def load_theirs(self, session: Session, probe: str, ours: str | None, theirs: str | None) -> Updates:
        """Show what it is held against in Explore."""
        pair = self._pair(session, probe, ours, theirs)
        return self._load(session, None if isinstance(pair, str) else pair.theirs)

    def _load(self, session: Session, point: Point | None) -> Updates:
        if point is None:
            return {self._screen.session: gr.skip()}
        return shown_in_explore(self._screen, session, point)

    def _pair(self, session: Session, probe: str, ours: str | None, theirs: str | None) -> Pair | str:
        return resolve(session, self._points(probe), ours, theirs)

    def _points(self, probe: str) -> list[Point]:
        return self._service.points(probe) if probe in probes.listing() else []

    def _measured(self) -> dict[str, list[Point]]:
        """Probes that something was measured by, the usual one first."""
        names = sorted(probes.listing(), key=lambda known: (known != USUAL, known))
        return {known: points for known in names if (points := self._service.points(known))}


def shown_in_explore(screen: Any, session: Session, point: Point) -> Updates:
    """The session after a recipe was loaded, and the page turned to Explore."""
    turned = {} if screen.tabs is None else {screen.tabs: gr.Tabs(selected="Explore")}
    return {screen.session: loaded(session, point.recipe)} | turned


def _start(points: list[Point]) -> str:
    held = mix(points)
    return held.id if held else NOTHING


def exporter(service: Service) -> Callable[[Any], dict[str, str]]:
    """The function the table calls for a file of its filtered rows; whoever calls it, everything is looked up.

    It is asked for {"probe", "ours", "theirs", "query", "form"},
    and answers {"name", "type", "text"} or {"problem"}.
    """

    def items_file(asked: Any) -> dict[str, str]:
        given = asked if isinstance(asked, dict) else {}
        form = "csv" if given.get("form") == "csv" else "jsonl"
        probe = given.get("probe") if given.get("probe") in probes.listing() else USUAL
        by_id = {point.id: point for point in service.points(str(probe))}
        ours, theirs = by_id.get(str(given.get("ours"))), by_id.get(str(given.get("theirs")))
        if ours is None:
            return {"problem": "This recipe is not measured any more: open the tab again."}
        query = Query.checked(given.get("query"))
        seen = Seen.by(service.judged(str(probe)), Pair(ours, theirs), query.judge)
        sheet = sheet_of(seen, query)
        return {"name": name(sheet, form), "type": TYPES[form], "text": write(sheet, form)}

    return items_file


def sheet_of(seen: Seen, query: Query) -> Sheet:
    """The rows of two recipes under the filters, all pages of them.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    ours, theirs, other = seen.pair.ours, seen.pair.theirs, seen.other()
    everything = rows(ours.measurement, theirs.measurement if theirs else None)
    found = matching(everything, query, other.differ if other else ())
    recipes = {"recipe": ours.recipe.to_yaml()} | ({"against": theirs.recipe.to_yaml()} if theirs else {})
    identity = ours.measurement.identity
    about = {"probe": identity.probe, "tier": identity.tier, "judge": identity.judge, "decoding": identity.decoding}
    return Sheet(found, called(ours), called(theirs) if theirs else None, recipes, about, query)
