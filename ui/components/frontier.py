"""The frontier chart as a widget: plotly.js from the installed Python package, one plot for the page's life."""

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

_HERE = Path(__file__).parent
PLOTLY_FOLDER = Path(plotly.__file__).parent / "package_data"
PLOTLY_ADDRESS = f"/gradio_api/file={PLOTLY_FOLDER / 'plotly.min.js'}"


def frontier(**kwargs: Any) -> gr.HTML:
    """The chart as a widget; kwargs are those of `gr.HTML`.

    `value` is what `ui.plots.chart` returns, the prop `star` what `ui.plots.star` returns. Events: `pick` with the `id`
    of a clicked point (it comes from the client: look it up, never trust it), `axes` with the chosen `x` and `y`.
    """
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        html_template=(_HERE / "frontier.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "frontier.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        plotly=PLOTLY_ADDRESS,
        star=None,
        **kwargs,
    )


def serve_plotly() -> None:
    """Let the app hand out plotly.js from the installed package; call once before launch."""
    gr.set_static_paths([PLOTLY_FOLDER])
