"""What Explore shows for one recipe: the updates of its widgets, from what is measured and what a merge reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from eval.errors import Cancelled
from merging import Recipe, registry
from merging.errors import MergeError, RecipeError
from ui.components.card import card
from ui.components.checklist import checklist
from ui.components.controls import Controls, says
from ui.components.drawer import Drawer
from ui.components.dress import dress
from ui.components.figures import answer, figures
from ui.components.layers import picker, shown
from ui.components.loaded import loaded, progress, trouble
from ui.components.strip import strip, waiting
from ui.plots import Axes, chart, star
from ui.reading import MIX, Reading, pays, read, sentence
from ui.session import Session
from ui.status import Point, Service

Updates = dict[Any, Any]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Screen:
    """The widgets and states that Explore updates.

    Attributes:
        session: What the visitor chose; shared with the other tabs.
        axes: The measures of the chart's plane.
        path: Ids along the visitor's last trace.
        awake: Ticks until the models are ready.
    """

    session: gr.State
    axes: gr.State
    path: gr.State
    awake: gr.Timer
    controls: Controls
    probe: gr.Button
    trace: gr.Button
    stop: gr.Button
    progress: gr.HTML
    loaded: Any
    drawer: Drawer
    answer: gr.HTML
    figures: gr.HTML
    chart: Any
    strip: gr.HTML

    @property
    def everything(self) -> list[Any]:
        """All of it, flat: the outputs of most events."""
        own = [getattr(self, field.name) for field in fields(self) if field.name not in ("controls", "drawer")]
        return [*own, *self.controls.all, *self.drawer.all]


class Show:
    """Updates of the screen. It keeps nothing of any visitor."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen

    def arrive(self, session: Session, axes: Axes, path: Path) -> Updates:
        """Every widget shows the session; `settled` then merges its recipe.

        Two steps, each its own event, and not two answers of one: a busy browser takes the second answer of an event
        for the first, and would lose what only the first one said.
        """
        s, method, d = self._screen, registry.get(session.method), self._screen.drawer
        dressed = dress(s.controls, session, method, self._service.checkpoints())
        drawn = {s.session: session, d.card: card(method), d.aim: picker(session)}
        return dressed | drawn | self.known(session, axes, path, whole=True)

    def known(self, session: Session, axes: Axes, path: Path, *, whole: bool = False) -> Updates:
        """What is known of the recipe without merging it.

        `whole` redraws the points of the chart too and says that it merges; a drag leaves both alone.
        """
        s = self._screen
        try:
            recipe = session.recipe()
        except RecipeError as problem:
            return self.refused(session, problem) | self.bent(session)
        points = self._service.points()
        known = self._known(recipe, points, axes) | text_of(s.drawer, session, recipe)
        if whole:
            known[s.chart] = self.chart(recipe, axes, path, points)
        status = self._service.status()
        if status.phase != "ready":
            failed = status.phase == "failed"
            doing = "not merged" if failed else "merges as soon as the models are ready"
            said = loaded(recipe.label(), recipe.digest(), doing, problem=status.text if failed else "")
            return known | {s.loaded: said, s.awake: gr.Timer(active=not failed)} | self.bent(session)
        return known | ({s.loaded: loaded(recipe.label(), recipe.digest(), "merging …")} if whole else {})

    def drag(self, session: Session, axes: Axes, path: Path, first: Updates) -> Iterator[Updates]:
        """What is known at once (with the updates in `first`), then the same with what merging it reports.

        The second answer repeats the first, for the reason given at `arrive`.
        """
        first = first | {self._screen.session: session} | self.known(session, axes, path)
        yield first
        if recipe := self.mergeable(session):
            yield first | self.merged(session, recipe) | self.bent(session)

    def settled(self, session: Session) -> Updates:
        """Merge what the controls say, and tell what that did and whether it can be done."""
        recipe = self.mergeable(session)
        if recipe is None:
            return {self._screen.loaded: gr.skip()}
        return self.merged(session, recipe) | self.bent(session) | self.checked(recipe)

    def mergeable(self, session: Session) -> Recipe | None:
        """The session's recipe, where there is one and the models are there."""
        try:
            return session.recipe() if self._service.status().phase == "ready" else None
        except RecipeError:
            return None

    def merged(self, session: Session, recipe: Recipe) -> Updates:
        """Merge in place and say what that did."""
        s = self._screen
        try:
            applied = self._service.apply(recipe)
        except MergeError as problem:
            return {s.loaded: loaded(recipe.label(), recipe.digest(), "not merged", problem=str(problem))}
        plain = session.written is None and not session.curves
        fallback = session.method == "slerp" and plain and bool(applied.notes)
        choices = [("curve", "Curve by layer"), ("task", "Task SLERP")] if fallback else []
        doing = f"merged in {1000 * applied.seconds:.0f} ms"
        said = loaded(recipe.label(), recipe.digest(), doing, notes=applied.notes, alternatives=choices)
        return {s.loaded: said}

    def refused(self, session: Session, problem: Exception) -> Updates:
        """A refusal: one calm sentence beside the chip, everything else as it was."""
        return {self._screen.loaded: loaded(session.method, "", "not merged", problem=str(problem))}

    def chart(self, recipe: Recipe | None, axes: Axes, path: Path, points: Sequence[Point] | None = None) -> Any:
        """The chart with every point; with a recipe, its star as well."""
        points = self._service.points() if points is None else points
        selected = recipe.digest() if recipe else None
        value = chart(points, methods=self._service.methods(), axes=axes, selected=selected, path=path)
        if recipe is None:
            return gr.update(value=value)
        return gr.update(value=value, star=_star(read(recipe, points, self._service.hinted(recipe)), axes))

    def busy(self, share: float, text: str) -> Updates:
        """A probe or a trace runs: how far it is, in [0, 1] and in words."""
        s, off = self._screen, gr.update(interactive=False)
        return {s.probe: off, s.trace: off, s.stop: gr.update(interactive=True), s.progress: progress(share, text)}

    def idle(self, problem: BaseException | None) -> Updates:
        """Nothing runs any more, and why it ended where it did not end well."""
        s, on = self._screen, gr.update(interactive=True)
        said = ""
        if isinstance(problem, Cancelled):
            said = says("Stopped. What was not finished is not kept.")
        elif problem is not None:
            said = trouble(str(problem))
        return {s.probe: on, s.trace: on, s.stop: gr.update(interactive=False), s.progress: said}

    def _known(self, recipe: Recipe, points: Sequence[Point], axes: Axes) -> Updates:
        s, reading = self._screen, read(recipe, points, self._service.hinted(recipe))
        return {
            s.answer: answer(sentence(reading, points)),
            s.figures: figures(reading.measurement, reading.guess),
            s.strip: _strip(reading, points),
            s.chart: gr.update(star=_star(reading, axes)),
        }

    def bent(self, session: Session) -> Updates:
        """The layer curve, with what each layer gets where the models are there to tell their layers."""
        names: tuple[str, ...] = ()
        if self._service.status().phase == "ready":
            try:
                names = self._service.tensors(session.recipe())
            except MergeError:
                names = ()
        return {self._screen.drawer.bands: shown(session, names)}

    def checked(self, recipe: Recipe) -> Updates:
        """Why these checkpoints can or cannot be merged, and what the merge keeps in memory."""
        d = self._screen.drawer
        try:
            found = checklist(self._service.report(recipe))
        except MergeError as problem:
            found = trouble(str(problem))
        try:
            memory = self._service.memory(recipe)
        except MergeError as problem:
            memory = str(problem)
        return {d.check: found, d.memory: says(memory) if memory else ""}


def text_of(drawer: Drawer, session: Session, recipe: Recipe) -> Updates:
    """The YAML box: what the visitor typed and has not used yet stays, else the recipe of the moment."""
    if session.draft is not None:
        return {}
    return {drawer.yaml: recipe.to_yaml(), drawer.note: "", drawer.back: gr.update(visible=False)}


def _star(reading: Reading, axes: Axes) -> dict[str, Any]:
    # None would leave the last star where it is
    return star(reading.guess, reading.point, axes, label=reading.recipe.label()) or {}


def _strip(reading: Reading, points: Sequence[Point]) -> str:
    rows = pays(reading, points)
    if rows:
        return strip(rows, against=MIX)
    if reading.point is not None and reading.point.landmark == MIX:
        return waiting("This is the mix itself: load or measure a merge to hold against it.")
    return waiting("Language by language against the 15 % mix, once this merge is measured.")
