"""What Explore does: a visitor's choices and a request in, updates of the page out. No widget is made here."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import gradio as gr

from eval.errors import Cancelled, EvalError
from merging import Recipe, registry
from merging.errors import MergeError, RecipeError
from ui.components.card import card
from ui.components.controls import Controls
from ui.components.dress import chosen, dress, labels, moved
from ui.components.figures import answer, figures
from ui.components.loaded import loaded, progress
from ui.components.strip import strip, waiting
from ui.paths import curve, stops, task_slerp
from ui.plots import Axes, chart, star
from ui.reading import MIX, Reading, pays, read, sentence
from ui.runs import Followed, Runs, Step
from ui.session import Session
from ui.status import Point, Service

Updates = dict[Any, Any]
FAILURES = (MergeError, EvalError)


@dataclass(frozen=True)
class View:
    """How this visitor looks at the chart: its axes, and the points of the last trace."""

    axes: Axes = Axes()
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Screen:
    """The widgets and states that Explore updates."""

    session: gr.State
    view: gr.State
    controls: Controls
    probe: gr.Button
    trace: gr.Button
    stop: gr.Button
    progress: gr.HTML
    loaded: Any
    yaml: gr.Textbox
    use: gr.Button
    card: gr.HTML
    answer: gr.HTML
    figures: gr.HTML
    chart: Any
    strip: gr.HTML

    @property
    def everything(self) -> list[Any]:
        """All of it, flat: the outputs of most events."""
        own = [getattr(self, field.name) for field in fields(self) if field.name not in ("controls", "use")]
        return [*own, *self.controls.all]


class Explore:
    """The handlers of the tab. They keep nothing but the stop flags: what a visitor chose travels with the request."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen
        self._runs = Runs()

    # Choices

    def open(self, session: Session, view: View) -> Iterator[Updates]:
        """The page was opened: show the shipped results, then merge what the controls say."""
        yield from self._arrive(session, view)

    def choose_method(self, session: Session, view: View, name: str) -> Iterator[Updates]:
        """A method button."""
        yield from self._arrive(session.with_method(name, self._service.checkpoints()), view)

    def choose_models(self, session: Session, view: View, *names: str | None) -> Iterator[Updates]:
        """A picker: base, then the model slots."""
        yield from self._arrive(chosen(session, registry.get(session.method), names), view)

    def move(self, session: Session, view: View, *values: Any) -> Iterator[Updates]:
        """A slider, the seed or a switch: the star moves at once, the merge follows."""
        method = registry.get(session.method)
        session = moved(session, method, values)
        words = labels(self._screen.controls, session, method)
        yield from self._show(session, view, words | {self._screen.session: session})

    def use_yaml(self, session: Session, view: View, text: str) -> Iterator[Updates]:
        """The drawer's YAML becomes the recipe, or one sentence says why not."""
        try:
            recipe = Recipe.from_yaml(text if "\n" in text.strip() else text + "\n")
            wanted = Session.from_recipe(recipe)
        except RecipeError as problem:
            yield self._problem(session, problem)
            return
        yield from self._arrive(wanted, view)

    def choose(self, session: Session, view: View, event: gr.EventData) -> Iterator[Updates]:
        """A one-click alternative beside the recipe chip."""
        make = {"curve": curve, "task": task_slerp}.get(str(getattr(event, "choice", "")))
        if make is not None:
            yield from self._arrive(make(session, self._service.checkpoints()), view)

    def pick(self, session: Session, view: View, event: gr.EventData) -> Iterator[Updates]:
        """A point of the chart: its recipe is loaded. The id comes from the client, so it is looked up."""
        wanted = str(getattr(event, "id", ""))
        point = next((point for point in self._service.points() if point.id == wanted), None)
        if point is not None:
            yield from self._arrive(Session.from_recipe(point.recipe), view)

    def turn(self, session: Session, view: View, event: gr.EventData) -> Updates:
        """Other axes."""
        view = replace(view, axes=Axes.checked(getattr(event, "x", None), getattr(event, "y", None)))
        try:
            reading = read(session.recipe(), self._service.points())
        except RecipeError:
            reading = None
        return {self._screen.view: view, self._screen.chart: self._chart(view, reading)}

    # Measuring

    def probe(self, session: Session, view: View, request: gr.Request) -> Iterator[Updates]:
        """Measure the merge of the moment; the point lands on the chart."""
        try:
            recipe = session.recipe()
        except RecipeError as problem:
            yield self._problem(session, problem)
            return
        flag = self._runs.start(str(request.session_hash))
        yield self._busy(0.0, self._place())
        run = Followed(lambda report, stopped: self._service.probe(recipe, progress=report, cancelled=stopped), flag)
        for step in run:
            yield self._busy(_share(step), step.text)
        yield from self._finish(session, view, run)

    def trace(self, session: Session, view: View, request: gr.Request) -> Iterator[Updates]:
        """Measure the first slider at a few values and draw its path through the plane."""
        flag = self._runs.start(str(request.session_hash))
        path: list[str] = []
        try:
            recipes = [(words, stop.recipe()) for words, stop in stops(session)]
        except RecipeError as problem:
            yield self._problem(session, problem)
            return
        run: Followed[Any] | None = None
        for at, (words, recipe) in enumerate(recipes):
            yield self._busy(at / len(recipes), f"{words} ({at + 1} of {len(recipes)})")
            run = Followed(partial(self._measure, recipe), flag)
            for step in run:
                yield self._busy(
                    (at + _share(step)) / len(recipes), f"{words} ({at + 1} of {len(recipes)}): {step.text}"
                )
            if run.problem() is not None:
                break
            path.append(recipe.digest())
            view = replace(view, path=tuple(path))
            yield {
                self._screen.view: view,
                self._screen.chart: self._chart(view, read(session.recipe(), self._service.points())),
            }
        if run is not None:
            yield from self._finish(session, view, run)

    def stop(self, request: gr.Request) -> Any:
        """Stop this visitor's work at its next batch."""
        self._runs.stop(str(request.session_hash))
        return gr.update(interactive=False)

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nobody waits for their work any more."""
        self._runs.stop(str(request.session_hash))

    # What the page then shows

    def _measure(self, recipe: Recipe, report: Any, stopped: Any) -> Any:
        return self._service.probe(recipe, progress=report, cancelled=stopped)

    def _finish(self, session: Session, view: View, run: Followed[Any]) -> Iterator[Updates]:
        s = self._screen
        idle = {
            s.probe: gr.update(interactive=True),
            s.trace: gr.update(interactive=True),
            s.stop: gr.update(interactive=False),
        }
        problem = run.problem()
        said = {s.progress: ""}
        if isinstance(problem, Cancelled):
            said = {s.progress: '<p class="mf-says">Stopped. Nothing of the unfinished probe was kept.</p>'}
        elif isinstance(problem, FAILURES):
            yield {**idle, **said, **self._problem(session, problem)}
            return
        elif problem is not None:
            yield {**idle, **said}
            raise problem
        yield from self._show(session, view, {**idle, **said}, whole=True)

    def _arrive(self, session: Session, view: View) -> Iterator[Updates]:
        """Every widget shows the session, then its recipe is merged."""
        method = registry.get(session.method)
        s = self._screen
        dressed = dress(s.controls, session, method, self._service.checkpoints())
        extra = {
            s.session: session,
            s.card: card(method),
        }
        yield from self._show(session, view, dressed | extra, whole=True)

    def _show(self, session: Session, view: View, first: Updates, *, whole: bool = False) -> Iterator[Updates]:
        """What is known of the recipe at once, then what merging it says; `whole` redraws the points as well."""
        s = self._screen
        try:
            recipe = session.recipe()
        except RecipeError as problem:
            yield first | self._problem(session, problem)
            return
        points = self._service.points()
        reading = read(recipe, points)
        known = {
            s.answer: answer(sentence(reading, points)),
            s.figures: figures(reading.measurement, reading.guess),
            s.strip: self._strip(reading, points),
            s.chart: self._chart(view, reading, points) if whole else gr.update(star=self._star(view, reading)),
            s.yaml: recipe.to_yaml(),
        }
        status = self._service.status()
        ready = status.phase == "ready"
        doing = (
            "merging …"
            if ready
            else "merged as soon as the models are prepared"
            if status.phase != "failed"
            else "not merged"
        )
        yield first | known | {s.loaded: loaded(recipe.label(), recipe.digest(), doing)}
        if ready:
            yield {s.loaded: self._apply(session, recipe)}

    def _apply(self, session: Session, recipe: Recipe) -> str:
        try:
            applied = self._service.apply(recipe)
        except MergeError as problem:
            return loaded(recipe.label(), recipe.digest(), "not merged", problem=str(problem))
        fallback = session.method == "slerp" and session.written is None and bool(applied.notes)
        choices = [("curve", "Curve by layer"), ("task", "Task SLERP")] if fallback else []
        doing = f"merged in {1000 * applied.seconds:.0f} ms"
        return loaded(recipe.label(), recipe.digest(), doing, notes=applied.notes, alternatives=choices)

    def _problem(self, session: Session, problem: Exception) -> Updates:
        """A refusal: one calm sentence beside the chip, everything else as it was."""
        return {self._screen.loaded: loaded(session.method, "", "not merged", problem=str(problem))}

    def _chart(self, view: View, reading: Reading | None, points: list[Point] | None = None) -> Any:
        points = self._service.points() if points is None else points
        selected = reading.recipe.digest() if reading else None
        value = chart(points, methods=self._service.methods(), axes=view.axes, selected=selected, path=view.path)
        return gr.update(value=value, star=self._star(view, reading) if reading else None)

    def _star(self, view: View, reading: Reading) -> dict[str, Any] | None:
        return star(reading.guess, reading.point, view.axes, label=reading.recipe.label())

    def _strip(self, reading: Reading, points: list[Point]) -> str:
        rows = pays(reading, points)
        if rows:
            return strip(rows, against=MIX)
        if reading.point is not None and reading.point.landmark == MIX:
            return waiting("This is the mix itself: load or measure a merge to hold against it.")
        return waiting("Language by language against the 15 % mix, once this merge is measured.")

    def _busy(self, share: float, text: str) -> Updates:
        s = self._screen
        off = gr.update(interactive=False)
        return {s.probe: off, s.trace: off, s.stop: gr.update(interactive=True), s.progress: progress(share, text)}

    def _place(self) -> str:
        waiting_now = self._service.status().queue
        return f"{waiting_now} waiting before you" if waiting_now else "starting"


def _share(step: Step) -> float:
    return step.done / step.total if step.total else 0.0
