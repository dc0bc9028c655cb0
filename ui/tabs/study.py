"""Study: the items behind the figures, and the paper's figures beside ours. What happens is in `ui.study`."""

from typing import Any

import gradio as gr
from gradio.context import Context

from ui.against_paper import AgainstPaper, PaperScreen
from ui.components.items import items
from ui.components.paper import paper
from ui.pairs import DEFAULT, MOMENT, NOTHING
from ui.paper import nothing
from ui.queries import Query
from ui.status import Service
from ui.study import USUAL, Screen, Study, exporter
from ui.table import empty

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
LAST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}


def build(service: Service, session: gr.State) -> None:
    """Lay the tab out and wire it; call inside a `gr.Tab`, with the session that all tabs share."""
    tab = Context.block
    tabs = tab.parent if isinstance(tab, gr.Tab) and isinstance(tab.parent, gr.Tabs) else None
    with gr.Tabs(elem_id="mf-study"):
        with gr.Tab("Items", id="items"):
            screen = _layout(service, session, tabs)
        with gr.Tab("Paper", id="paper") as second:
            compared = _paper(session, tabs)
    study, against = Study(service, screen), AgainstPaper(service, compared)
    _wire(screen, study)
    second.select(against.arrive, None, compared.shown, **QUIET)
    compared.paper.pick(against.pick, session, compared.loading, **QUIET)
    if isinstance(tab, gr.Tab):
        here = [screen.session, screen.query, screen.probe, screen.ours, screen.theirs]
        tab.select(study.arrive, here, screen.everything, **QUIET)


def _layout(service: Service, session: gr.State, tabs: gr.Tabs | None) -> Screen:
    query = gr.State(Query())
    with gr.Column(elem_id="mf-items-view"):
        with gr.Row(elem_id="mf-items-bar"):
            probe = _picker([USUAL], USUAL, "Probe", elem_id="mf-items-probe", visible=False)
            ours = _picker([("Your merge", MOMENT)], MOMENT, "Recipe", elem_id="mf-items-ours")
            first = gr.Button("Load in Explore", elem_classes="mf-load")
            swap = gr.Button("⇄", elem_id="mf-items-swap")
            theirs = _picker([("nothing", NOTHING)], DEFAULT, "held against", elem_id="mf-items-theirs")
            second = gr.Button("Load in Explore", elem_classes="mf-load")
        table = items(empty(""), [exporter(service)], elem_id="mf-items", elem_classes="mf-quiet")
    return Screen(session, query, tabs, probe, ours, theirs, (first, swap, second), table)


def _paper(session: gr.State, tabs: gr.Tabs | None) -> PaperScreen:
    with gr.Column(elem_id="mf-paper-view"):
        view = paper(nothing(""), elem_id="mf-paper", elem_classes="mf-quiet")
        pays = gr.HTML("", elem_id="mf-paper-pays", elem_classes="mf-quiet", apply_default_css=False)
    return PaperScreen(session, tabs, view, pays)


def _picker(choices: list[Any], value: str, label: str, **kwargs: Any) -> gr.Dropdown:
    # what is typed and is no choice reaches the handlers, which answer with a sentence
    return gr.Dropdown(
        choices, value=value, label=label, allow_custom_value=True, interactive=True, filterable=True,
        elem_classes="mf-picker", **kwargs,
    )  # fmt: skip


def _wire(s: Screen, study: Study) -> None:
    chosen = [s.session, s.query, s.probe, s.ours, s.theirs]
    asked = [s.session, s.probe, s.ours, s.theirs]
    shown = [s.table, s.query]
    for picker in (s.ours, s.theirs):
        picker.input(study.choose, chosen, shown, **LAST)
    s.probe.input(study.turn, chosen, s.everything, **LAST)
    # the table itself sends one query at a time, the last one last
    s.table.narrow(study.narrow, asked, shown, **QUIET, trigger_mode="multiple")
    first, swap, second = s.buttons
    swap.click(study.swap, chosen, [s.ours, s.theirs, *shown], **QUIET)
    loaded = [s.session, *([s.tabs] if s.tabs else [])]
    first.click(study.load_ours, asked, loaded, **QUIET)
    second.click(study.load_theirs, asked, loaded, **QUIET)
