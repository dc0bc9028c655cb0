"""What the charts of the page share: plotly.js from the installed Python package, and the script in front of theirs."""

from pathlib import Path

import gradio as gr
import plotly

_HERE = Path(__file__).parent
PLOTLY_FOLDER = Path(plotly.__file__).parent / "package_data"
PLOTLY_ADDRESS = f"/gradio_api/file={PLOTLY_FOLDER / 'plotly.min.js'}"


def script(name: str) -> str:
    """A chart's own script, with what all charts share in front of it."""
    return "\n".join((_HERE / f"{part}.js").read_text(encoding="utf-8") for part in ("plotting", name))


def serve_plotly() -> None:
    """Let the app hand out plotly.js from the installed package; call once before launch."""
    gr.set_static_paths([PLOTLY_FOLDER])
