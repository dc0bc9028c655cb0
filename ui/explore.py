"""What Explore does: a visitor's choices and a request in, updates of the page out. No widget is made here."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from eval.errors import Cancelled, EvalError
from eval.types import Measurement
from merging import Recipe, registry
from merging.errors import MergeError, RecipeError
from ui.components.dress import chosen, labels, moved
from ui.paths import curve, stops, task_slerp
from ui.plots import Axes
from ui.runs import Followed, Runs, Step
from ui.screen import Path, Screen, Show, Updates
from ui.session import Session, loaded
from ui.status import Service

EXPECTED = (MergeError, EvalError, Cancelled)
REST = 0.4
"""Seconds without a change after which a merge is looked at more closely."""


class Explore:
    """The handlers of the tab. They keep nothing but the stop flags: what a visitor chose travels with the request."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen
        self._show = Show(service, screen)
        self._runs, self._hints = Runs(), Runs()

    # Choices

    def open(self, session: Session, axes: Axes, path: Path) -> Iterator[Updates]:
        """The page or the tab was opened: show what is known; `settle` then merges what the controls say."""
        yield self._show.arrive(session, axes, path)

    def settle(self, session: Session) -> Updates:
        """After every change but a drag: merge what the controls say."""
        return self._show.settled(session)

    def wake(self, session: Session, axes: Axes, path: Path) -> Updates:
        """While the models are prepared: once they are, merge what the controls say.

        The points are drawn again: only now is it known which of the shipped ones were made as text is made here.
        """
        if self._service.status().phase not in ("ready", "failed"):
            return {self._screen.awake: gr.skip()}
        known = self._show.known(session, axes, path, whole=True) | {self._screen.awake: gr.Timer(active=False)}
        return known if self._service.status().phase == "failed" else known | self._show.settled(session)

    def choose_method(self, session: Session, axes: Axes, path: Path, name: str) -> Iterator[Updates]:
        """A method button, or a choice from the list of the other methods."""
        if not name or name == session.method:
            return
        yield self._show.arrive(session.with_method(name, self._service.checkpoints()), axes, path)

    def choose_models(self, session: Session, axes: Axes, path: Path, *names: str | None) -> Iterator[Updates]:
        """A picker: base, then the model slots."""
        yield self._show.arrive(chosen(session, registry.get(session.method), names), axes, path)

    def move(self, session: Session, axes: Axes, path: Path, *values: Any) -> Iterator[Updates]:
        """A slider, the seed or a switch: the star moves at once, the merge follows."""
        method = registry.get(session.method)
        session = moved(session, method, values)
        words = labels(self._screen.controls, session, method)
        yield from self._show.drag(session, axes, path, words)

    def choose(self, session: Session, axes: Axes, path: Path, event: gr.EventData) -> Iterator[Updates]:
        """A one-click alternative beside the recipe chip."""
        make = {"curve": curve, "task": task_slerp}.get(str(getattr(event, "choice", "")))
        if make is not None and session.method == "slerp":
            yield self._show.arrive(make(session, self._service.checkpoints()), axes, path)

    def pick(self, session: Session, axes: Axes, path: Path, event: gr.EventData) -> Iterator[Updates]:
        """A point of the chart: its recipe is loaded. The id comes from the client, so it is looked up."""
        wanted = str(getattr(event, "id", ""))
        point = next((point for point in self._service.points() if point.id == wanted), None)
        if point is not None:
            yield self._show.arrive(loaded(session, point.recipe), axes, path)

    def turn(self, session: Session, axes: Axes, path: Path, event: gr.EventData) -> Updates:
        """Other axes."""
        axes = Axes.checked(getattr(event, "x", None), getattr(event, "y", None))
        try:
            recipe = session.recipe()
        except RecipeError:
            recipe = None
        return {self._screen.axes: axes, self._screen.chart: self._show.chart(recipe, axes, path)}

    # Measuring

    def hint(self, session: Session, axes: Axes, path: Path, request: gr.Request) -> Updates:
        """After a change: once the controls have rested, see which way the merge leans; the next change ends it."""
        nothing = {self._screen.loaded: gr.skip()}
        flag = self._hints.start(str(request.session_hash))
        recipe = self._show.mergeable(session)
        if recipe is None or self._service.measured(recipe) or flag.wait(REST):
            return nothing
        try:
            found = self._service.hint(recipe, cancelled=flag.is_set)
        except EXPECTED:  # what cannot be merged has been said, and no hint is only no hint
            return nothing
        return nothing if found is None or flag.is_set() else self._show.known(session, axes, path)

    def probe(self, session: Session, axes: Axes, path: Path, request: gr.Request) -> Iterator[Updates]:
        """Measure the merge of the moment; `refresh` then shows where it lies."""
        try:
            recipe = session.recipe()
        except RecipeError as problem:
            yield self._show.refused(session, problem)
            return
        flag = self._runs.start(str(request.session_hash))
        yield self._show.busy(0.0, self._place())
        run = Followed(partial(self._measure, recipe), flag)
        for step in run:
            yield self._show.busy(_share(step), step.text)
        yield self._ended(run)

    def trace(self, session: Session, axes: Axes, path: Path, request: gr.Request) -> Iterator[Updates]:
        """Measure the first slider at a few values and draw its path through the plane."""
        try:
            recipes = [(words, stop.recipe()) for words, stop in stops(session)]
        except RecipeError as problem:
            yield self._show.refused(session, problem)
            return
        if not recipes:
            yield self._show.idle(RecipeError(f"{session.method} has no slider to trace: press Probe instead."))
            return
        flag = self._runs.start(str(request.session_hash))
        ids: list[str] = []
        for at, (words, recipe) in enumerate(recipes):
            said = f"{words} ({at + 1} of {len(recipes)})"
            yield self._show.busy(at / len(recipes), said)
            run = Followed(partial(self._measure, recipe), flag)
            for step in run:
                yield self._show.busy((at + _share(step)) / len(recipes), f"{said}: {step.text}")
            if run.problem() is not None:
                yield self._ended(run)
                return
            ids.append(recipe.digest())
            yield {self._screen.path: tuple(ids), self._screen.chart: self._show.chart(None, axes, tuple(ids))}
        yield self._show.idle(None)

    def refresh(self, session: Session, axes: Axes, path: Path) -> Iterator[Updates]:
        """After measuring: show the recipe of the moment, which may have moved on meanwhile."""
        yield self._show.known(session, axes, path, whole=True)

    def stop(self, request: gr.Request) -> Any:
        """Stop this visitor's work at its next batch."""
        self._runs.stop(str(request.session_hash))
        return gr.update(interactive=False)

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nobody waits for their work any more."""
        self._hints.stop(str(request.session_hash))
        self._runs.stop(str(request.session_hash))

    def _measure(self, recipe: Recipe, report: Any, stopped: Any) -> Measurement:
        return self._service.probe(recipe, progress=report, cancelled=stopped)

    def _ended(self, run: Followed[Any]) -> Updates:
        """The buttons again; a failure that a person can mend is one sentence, any other is a bug and is raised."""
        problem = run.problem()
        if problem is not None and not isinstance(problem, EXPECTED):
            raise problem
        return self._show.idle(problem)

    def _place(self) -> str:
        before = self._service.status().queue
        return f"{before} waiting before you" if before else "starting"


def _share(step: Step) -> float:
    return step.done / step.total if step.total else 0.0
