"""The frontier chart as a Gradio component: plotly.js from the installed Python package, one plot for the page's whole life."""

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

_HERE = Path(__file__).parent
PLOTLY_FOLDER = Path(plotly.__file__).parent / "package_data"
PLOTLY_ADDRESS = f"/gradio_api/file={PLOTLY_FOLDER / 'plotly.min.js'}"


class Frontier(gr.HTML):
    """Chart of measured merges.

    `value` is what `ui.plots.chart` returns, the prop `star` what `ui.plots.star` returns. Events: `pick` with the `id`
    of a clicked point (it comes from the client: look it up, never trust it), `axes` with the chosen `x` and `y`.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, star: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            value=value,
            html_template=(_HERE / "frontier.html").read_text(encoding="utf-8"),
            js_on_load=(_HERE / "frontier.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            plotly=PLOTLY_ADDRESS,
            star=star,
            **kwargs,
        )

    def postprocess(self, value: Any) -> Any:
        """The chart's value is a dict, not markup: it passes as it is."""
        return value

    def api_info(self) -> dict[str, Any]:
        """JSON schema of the value."""
        return {"type": "object"}


def serve_plotly() -> None:
    """Let the app hand out plotly.js from the installed package; call once before launch."""
    gr.set_static_paths([PLOTLY_FOLDER])
