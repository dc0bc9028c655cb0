"""The frontier chart as a widget: plotly.js from the installed Python package, one plot for the page's life."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui.components.plotting import PLOTLY_ADDRESS, script

_HERE = Path(__file__).parent


def frontier(**kwargs: Any) -> gr.HTML:
    """The chart as a widget; kwargs are those of `gr.HTML`.

    `value` is what `ui.plots.chart` returns, the prop `star` what `ui.plots.star` returns. Events: `pick` with the `id`
    of a clicked point (it comes from the client: look it up, never trust it), `axes` with the chosen `x` and `y`.
    """
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        html_template=(_HERE / "frontier.html").read_text(encoding="utf-8"),
        js_on_load=script("frontier"),
        apply_default_css=False,
        plotly=PLOTLY_ADDRESS,
        star=None,
        **kwargs,
    )
