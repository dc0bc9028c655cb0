"""Explore: drag a merge, see where it lies, and who pays. Layout and wiring; what happens is in `ui.explore`."""

from typing import Any

import gradio as gr
from gradio.context import Context

from ui.components import controls as parts
from ui.components.controls import Controls
from ui.components.frontier import Frontier
from ui.components.loaded import Loaded
from ui.explore import Explore, Screen, View
from ui.session import Session
from ui.status import Service

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# A drag never waits in a line behind a probe: the service alone says who has the device.
DRAG: dict[str, Any] = {**QUIET, "concurrency_limit": None, "trigger_mode": "always_last"}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": 16, "concurrency_id": "probe"}


def build(service: Service) -> None:
    """Lay the tab out and wire it; call inside a `gr.Tab`."""
    screen = _layout(service)
    _wire(screen, Explore(service, screen))


def _layout(service: Service) -> Screen:
    names = service.checkpoints()
    session, view = gr.State(Session()), gr.State(View())
    with gr.Row(elem_id="mf-explore"):
        with gr.Column(elem_id="mf-controls"):
            method = parts.method_picker(service.methods(), Session().method)
            with gr.Group(elem_id="mf-recipe"):
                base, models, dials, ends, seed = parts.pool(names)
            with gr.Row(elem_id="mf-run"):
                probe = gr.Button("Probe", variant="primary", elem_id="mf-probe")
                trace = gr.Button("Trace", elem_id="mf-trace")
                stop = gr.Button("Stop", elem_id="mf-stop", interactive=False)
            progress = gr.HTML("", elem_id="mf-progress", elem_classes="mf-quiet", apply_default_css=False)
            loaded = Loaded(elem_id="mf-loaded", elem_classes="mf-quiet")
            with gr.Accordion("Advanced", open=False, elem_id="mf-advanced"):
                switches = parts.switch_pool()
                yaml = gr.Textbox(
                    label="Recipe (mergekit YAML)",
                    lines=9,
                    max_lines=16,
                    elem_id="mf-yaml",
                    interactive=True,
                    buttons=["copy"],
                )
                use = gr.Button("Use this YAML", size="sm", elem_id="mf-use")
                card = gr.HTML("", elem_id="mf-card", elem_classes="mf-quiet", apply_default_css=False)
        with gr.Column(elem_id="mf-stage"):
            answer = gr.HTML("", elem_id="mf-answer", elem_classes="mf-quiet", apply_default_css=False)
            figures = gr.HTML("", elem_id="mf-figures", elem_classes="mf-quiet", apply_default_css=False)
            chart = Frontier(elem_id="mf-chart")
            strip = gr.HTML("", elem_id="mf-strip", elem_classes="mf-quiet", apply_default_css=False)
    controls = Controls(method, base, models, dials, ends, seed, switches)
    return Screen(
        session=session, view=view, controls=controls, probe=probe, trace=trace, stop=stop, progress=progress, loaded=loaded,
        yaml=yaml, use=use, card=card, answer=answer, figures=figures, chart=chart, strip=strip,
    )  # fmt: skip


def _wire(screen: Screen, explore: Explore) -> None:
    shown = screen.controls
    everything = screen.everything
    here = [screen.session, screen.view]
    moving = [*shown.dials, shown.seed, *shown.switches]
    shown.method.input(explore.choose_method, [*here, shown.method], everything, **DRAG)
    pickers = [shown.base, *shown.models]
    gr.on([picker.input for picker in pickers], explore.choose_models, [*here, *pickers], everything, **DRAG)
    gr.on([widget.input for widget in moving], explore.move, [*here, *moving], everything, **DRAG)
    screen.use.click(explore.use_yaml, [*here, screen.yaml], everything, **QUIET, concurrency_limit=None)
    screen.loaded.choose(explore.choose, here, everything, **QUIET, concurrency_limit=None)
    screen.chart.pick(explore.pick, here, everything, **QUIET, concurrency_limit=None)
    screen.chart.axes(explore.turn, here, [screen.view, screen.chart], **QUIET, concurrency_limit=None)
    screen.probe.click(explore.probe, here, everything, **LONG)
    screen.trace.click(explore.trace, here, everything, **LONG)
    screen.stop.click(explore.stop, None, screen.stop, **QUIET, queue=False)
    page = Context.root_block
    if page is None:
        raise RuntimeError("a tab is built inside the page's gr.Blocks")
    page.load(explore.open, here, everything, **QUIET, concurrency_limit=None)
    page.unload(explore.leave)
