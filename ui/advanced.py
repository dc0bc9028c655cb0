"""What the Advanced drawer does: YAML in and out, the layer curve, the geometry. No widget is made here."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from eval.errors import Cancelled
from merging import Recipe, registry
from merging.errors import MergeError, RecipeError
from ui.components.controls import says
from ui.components.dress import dress, labels
from ui.components.heat import heat
from ui.components.layers import aimed, keys
from ui.components.loaded import progress, trouble
from ui.components.yaml_note import note
from ui.layers import Curve
from ui.plots import Axes
from ui.runs import Followed, Runs
from ui.screen import Path, Screen, Show, Updates
from ui.session import Session
from ui.status import Service

_LINE = re.compile(r"\bline (\d+)\b")
TYPED = "Your text is not in use yet."


class Advanced:
    """The handlers of the drawer. They keep nothing but the stop flags of the geometry."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen
        self._show = Show(service, screen)
        self._runs = Runs()

    # YAML

    def use_yaml(self, session: Session, axes: Axes, path: Path, text: str) -> Iterator[Updates]:
        """The YAML becomes the recipe, or one sentence says why not and in which line; the text stays as it is."""
        try:
            # it is text, never the name of a file
            wanted = Session.from_recipe(Recipe.from_yaml(f"{text.rstrip()}\n\n"))
        except RecipeError as problem:
            d, said = self._screen.drawer, note(str(problem), text, line_of(problem))
            typed = {self._screen.session: replace(session, draft=text)}
            yield {d.note: said, d.back: gr.update(visible=True)} | typed
            return
        yield self._show.arrive(wanted, axes, path)

    def type(self, session: Session, text: str) -> Updates:
        """Every change of the text: it is kept whatever the controls do meanwhile."""
        d = self._screen.drawer
        try:
            same = text.strip() == session.recipe().to_yaml().strip()
        except RecipeError:
            same = False
        said = "" if same else says(TYPED)
        draft = None if same else text
        return {
            self._screen.session: replace(session, draft=draft),
            d.note: said,
            d.back: gr.update(visible=not same),
        }

    def back(self, session: Session, axes: Axes, path: Path) -> Iterator[Updates]:
        """The typed text is given up for the recipe of the moment."""
        yield self._show.arrive(replace(session, draft=None), axes, path)

    # Layers

    def aim(self, session: Session, place: str | None) -> Updates:
        """Another knob's curve."""
        known = keys(session)
        if place is None or not place.isdecimal() or int(place) >= len(known):
            return {}
        session = replace(session, aim=known[int(place)][1])
        return {self._screen.session: session} | self._show.bent(session)

    def bend(self, session: Session, axes: Axes, path: Path, event: gr.EventData) -> Iterator[Updates]:
        """An anchor moved: merges like a dial. The anchors come from the client, so they are checked."""
        key, curve = aimed(session), Curve.checked(getattr(event, "rows", None))
        if key is not None and curve is not None:
            yield from self._curved(session.with_curve(key, curve), axes, path, whole=curve.is_flat)

    def classic(self, session: Session, axes: Axes, path: Path) -> Iterator[Updates]:
        """The curve that most published SLERP recipes share, over the range of the knob's slider."""
        if key := aimed(session):
            knob = registry.get(session.method).knobs[key[0]]
            curve = Curve.classic(min(knob.lo, 0.0), 1.0 if knob.lo <= 0 <= 1 <= knob.hi else knob.hi)
            yield from self._curved(session.with_curve(key, curve), axes, path)

    def flat(self, session: Session, axes: Axes, path: Path) -> Iterator[Updates]:
        """The slider's one value in every layer again."""
        if key := aimed(session):
            yield from self._curved(session.with_value(key[0], session.value(*key), key[1]), axes, path, whole=True)

    def _curved(self, session: Session, axes: Axes, path: Path, *, whole: bool = False) -> Iterator[Updates]:
        controls, method = self._screen.controls, registry.get(session.method)
        first = dress(controls, session, method, self._service.checkpoints()) if whole else {}
        yield from self._show.drag(session, axes, path, first | labels(controls, session, method))

    # Geometry

    def survey(self, session: Session, request: gr.Request) -> Iterator[Updates]:
        """Compare the models with their base, layer by layer; takes seconds and can be stopped."""
        d, base = self._screen.drawer, ancestor(session, self._service.checkpoints())
        models = [name for name in dict.fromkeys(session.models) if name != base]
        if base is None or not models:
            yield {d.geometry: trouble("There is no base to compare with: choose a method that has one, such as TIES.")}
            return
        flag = self._runs.start(str(request.session_hash))
        off, on = gr.update(interactive=False), gr.update(interactive=True)
        yield {d.compute: off, d.halt: on, d.geometry: progress(0, "starting")}
        run = Followed(partial(self._measure, base, models), flag)
        for step in run:
            yield {d.geometry: progress(step.done / max(1, step.total), step.text)}
        yield {d.compute: on, d.halt: off} | self._ended(run)

    def halt(self, request: gr.Request) -> Any:
        """Stop this visitor's geometry at its next tensor."""
        self._runs.stop(str(request.session_hash))
        return gr.update(interactive=False)

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page."""
        self._runs.stop(str(request.session_hash))

    def _measure(self, base: str, models: list[str], report: Any, stopped: Any) -> Any:
        return self._service.geometry(
            base, models, progress=lambda done, text: report(round(1000 * done), 1000, text), cancelled=stopped
        )

    def _ended(self, run: Followed[Any]) -> Updates:
        d, problem = self._screen.drawer, run.problem()
        if problem is None:
            return {d.geometry: heat(run.result())}
        if isinstance(problem, Cancelled):
            return {d.geometry: says("Stopped.")}
        if not isinstance(problem, MergeError):
            raise problem
        return {d.geometry: trouble(str(problem))}


def line_of(problem: RecipeError) -> int | None:
    """The line of the text in which the fault is, 1-based; None where nobody knows."""
    found = _LINE.search(str(problem))
    return problem.line or (int(found[1]) if found else None)


def ancestor(session: Session, checkpoints: list[str]) -> str | None:
    """The base the models are compared with: the session's own, else a checkpoint that is called base."""
    if session.base:
        return session.base
    return next((name for name in checkpoints if name.rstrip("/").endswith(("base", "Base"))), None)
