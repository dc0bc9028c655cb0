"""The page: header, tabs, footer; how it is built and how it is launched."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui import api
from ui.components.header import header
from ui.components.plotting import serve_plotly
from ui.session import Session
from ui.status import Service
from ui.tabs import TABS
from ui.theme import HEAD, css, theme

TITLE = "Merge Frontier"
FOOTER = """
<footer class="mf-footer">
  <span>Some probe items ask for harmful things, mildly worded.
    Harm here means <em>not refused</em>, not how bad an answer is.</span>
  <span>Gemma is provided under and subject to the
    <a href="https://ai.google.dev/gemma/terms" rel="noreferrer" target="_blank">Gemma Terms of Use</a>.</span>
</footer>
"""
_WATCH = Path(__file__).parent / "components" / "watch.js"
_OFFLINE = """
<p class="mf-offline-note" role="status" hidden>The app does not answer. What you see stays as it is.</p>
"""
BUSY, CALM = 1.0, 4.0
"""Seconds between two looks at the status while something is going on, and otherwise."""


def build(service: Service) -> gr.Blocks:
    """The whole page on one service."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_id="mf-title", apply_default_css=False)
        status = gr.HTML("", elem_id="mf-status", elem_classes="mf-quiet", apply_default_css=False)
        gr.HTML(_OFFLINE, elem_id="mf-offline", js_on_load=_WATCH.read_text(encoding="utf-8"), apply_default_css=False)
        session = gr.State(Session())
        with gr.Tabs(elem_id="mf-tabs"):
            for name, tab in TABS:
                with gr.Tab(name, id=name):
                    tab(service, session)
        gr.HTML(FOOTER, elem_id="mf-footer", apply_default_css=False)
        api.register(service)
        timer = gr.Timer(BUSY)
        # not a callable value: Gradio would make a public endpoint of it
        gr.on(
            [page.load, timer.tick],
            lambda: _look(service),
            None,
            [status, timer],
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
    return page


def _look(service: Service) -> tuple[Any, Any]:
    now = service.status()
    calm = now.phase == "failed" or (now.phase == "ready" and not now.queue)
    return header(now), gr.Timer(CALM if calm else BUSY)


def launch(page: gr.Blocks, **options: Any) -> Any:
    """Serve the page: own look, no history of prompts in the browser, nothing fetched from elsewhere."""
    serve_plotly()
    settings = {
        "theme": theme(),
        "css": css(),
        "head": HEAD,
        "ssr_mode": False,
        "run_history": False,
        "footer_links": [],
    }
    return page.queue(max_size=64).launch(**{**settings, **options})
