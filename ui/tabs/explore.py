"""Explore: drag a merge, see where it lies, and who pays. Layout and wiring; what happens is in `ui.explore`."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.context import Context

from ui.advanced import Advanced
from ui.components import controls as parts
from ui.components.controls import Controls
from ui.components.drawer import Handles, drawer
from ui.components.frontier import frontier
from ui.components.loaded import chip
from ui.explore import Explore
from ui.order import Order, choosing, reporting, showing
from ui.plots import Axes
from ui.screen import Screen
from ui.session import Session
from ui.status import Service

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# A drag never waits in a line behind a probe: the service alone says who has the device.
FREE: dict[str, Any] = {**QUIET, "concurrency_limit": None}
DRAG: dict[str, Any] = {**FREE, "trigger_mode": "always_last"}
# Not for an event with data: "always_last" repeats the data of the first, and "once" forgets the second.
EACH: dict[str, Any] = {**FREE, "trigger_mode": "multiple"}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": 16, "concurrency_id": "probe"}


def build(service: Service, session: gr.State) -> None:
    """Lay the tab out and wire it; call inside a `gr.Tab`, with the session that all tabs share."""
    tab = Context.block
    screen, handles = _layout(service, session)
    explore = Explore(service, screen)
    order = gr.State(Order())
    _wire(screen, explore, order)
    _wire_drawer(screen, handles, explore, Advanced(service, screen), order)
    if isinstance(tab, gr.Tab):
        # another tab may have moved the recipe meanwhile
        here = [order, screen.session, screen.axes, screen.path]
        opened = tab.select(showing(explore.open, screen.session), here, screen.everything, **FREE)
        _settling(screen, explore, order, opened)


def _layout(service: Service, session: gr.State) -> tuple[Screen, Handles]:
    names = service.checkpoints()
    axes, path = gr.State(Axes()), gr.State(())
    with gr.Row(elem_id="mf-explore"):
        with gr.Column(elem_id="mf-controls"):
            method, more = parts.method_picker(service.methods(), Session().method)
            with gr.Group(elem_id="mf-recipe"):
                base, models, dials, ends, seed = parts.pool(names)
            with gr.Row(elem_id="mf-run"):
                probe = gr.Button("Probe", variant="primary", elem_id="mf-probe")
                trace = gr.Button("Trace", elem_id="mf-trace")
                stop = gr.Button("Stop", elem_id="mf-stop", interactive=False)
            progress = gr.HTML("", elem_id="mf-progress", elem_classes="mf-quiet", apply_default_css=False)
            loaded = chip(elem_id="mf-loaded", elem_classes="mf-quiet")
            below, handles, switches, extras = drawer()
        with gr.Column(elem_id="mf-stage"):
            answer = gr.HTML("", elem_id="mf-answer", elem_classes="mf-quiet", apply_default_css=False)
            figures = gr.HTML("", elem_id="mf-figures", elem_classes="mf-quiet", apply_default_css=False)
            chart = frontier(elem_id="mf-chart")
            strip = gr.HTML("", elem_id="mf-strip", elem_classes="mf-quiet", apply_default_css=False)
    controls = Controls(method, more, base, models, dials, ends, seed, switches, extras)
    screen = Screen(
        session=session, axes=axes, path=path, awake=gr.Timer(1.0, active=False), controls=controls, probe=probe,
        trace=trace, stop=stop, progress=progress, loaded=loaded,
        drawer=below, answer=answer, figures=figures, chart=chart, strip=strip,
    )  # fmt: skip
    return screen, handles


def _wire(screen: Screen, explore: Explore, order: gr.State) -> None:
    shown = screen.controls
    everything = screen.everything
    here = [order, screen.session, screen.axes, screen.path]
    chooses, shows = partial(choosing, key=screen.session), partial(showing, key=screen.session)
    pickers = [shown.base, *shown.models]
    moving = shown.moving
    for picker in (shown.method, shown.more):
        named = picker.input(chooses(explore.choose_method), [*here, picker], everything, **DRAG)
        _settling(screen, explore, order, named)
    # what is typed into the list searches it, so it must replace the title that stands there
    shown.more.focus(None, None, None, js="() => document.querySelector('#mf-more input')?.select()", **QUIET)
    models = [picker.input for picker in pickers]
    chosen = gr.on(models, chooses(explore.choose_models), [*here, *pickers], everything, **DRAG)
    moved = gr.on([widget.input for widget in moving], chooses(explore.move), [*here, *moving], everything, **DRAG)
    moved.then(_hinting(screen, explore), here, everything, **EACH)
    other = screen.loaded.choose(chooses(explore.choose), here, everything, **EACH)
    picked = screen.chart.pick(chooses(explore.pick), here, everything, **EACH)
    screen.chart.axes(shows(explore.turn), here, [screen.axes, screen.chart], **EACH)
    for button, work in ((screen.probe, explore.probe), (screen.trace, explore.trace)):
        measured = button.click(work, here[1:], everything, **LONG)
        _settling(screen, explore, order, measured.then(shows(explore.refresh), here, everything, **FREE))
    screen.stop.click(explore.stop, None, screen.stop, **QUIET, queue=False)
    screen.awake.tick(reporting(explore.wake, {screen.awake: gr.skip()}), here, everything, **FREE)
    page = _page()
    opened = page.load(shows(explore.open), here, everything, **FREE)
    _settling(screen, explore, order, chosen, other, picked, opened)
    page.unload(explore.leave)


def _settling(screen: Screen, explore: Explore, order: gr.State, *events: Any) -> None:
    """After each of these events, merge what it left in the session, and see which way that leans."""
    d = screen.drawer
    settle = reporting(explore.settle, {screen.loaded: gr.skip()})
    here = [order, screen.session, screen.axes, screen.path]
    for event in events:
        settled = event.then(settle, here[:2], [screen.loaded, d.bands, d.check, d.memory], **DRAG)
        settled.then(_hinting(screen, explore), here, screen.everything, **EACH)


def _hinting(screen: Screen, explore: Explore) -> Any:
    return reporting(explore.hint, {screen.loaded: gr.skip()})


def _wire_drawer(screen: Screen, handles: Handles, explore: Explore, advanced: Advanced, order: gr.State) -> None:
    d, everything = screen.drawer, screen.everything
    here = [order, screen.session, screen.axes, screen.path]
    chooses, shows = partial(choosing, key=screen.session), partial(showing, key=screen.session)
    used = handles.use.click(chooses(advanced.use_yaml), [*here, d.yaml], everything, **FREE)
    back = d.back.click(chooses(advanced.back), here, everything, **FREE)
    d.yaml.input(shows(advanced.type), [*here[:2], d.yaml], [screen.session, d.note, d.back], **DRAG)
    aimed = d.aim.input(chooses(advanced.aim), [*here[:2], d.aim], [screen.session, d.bands], **DRAG)
    _settling(screen, explore, order, used, back, aimed)
    # the curve says when it has something new to send, and has to be told when the last of it was answered
    bent = d.bands.bend(chooses(advanced.bend), here, everything, **EACH)
    for answered in (bent.then, bent.failure):
        answered(None, None, None, js="() => { window.dispatchEvent(new Event('mf-bent')); }", **QUIET)
    handles.flat.click(chooses(advanced.flat), here, everything, **FREE)
    handles.classic.click(chooses(advanced.classic), here, everything, **FREE)
    d.compute.click(advanced.survey, screen.session, [d.compute, d.halt, d.geometry], **LONG)
    d.halt.click(advanced.halt, None, d.halt, **QUIET, queue=False)
    _page().unload(advanced.leave)


def _page() -> gr.Blocks:
    if Context.root_block is None:
        raise RuntimeError("a tab is built inside the page's gr.Blocks")
    return Context.root_block
