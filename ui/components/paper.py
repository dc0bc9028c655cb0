"""The paper's comparison as a widget, and who pays as markup."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from eval.metrics import Paired
from ui.components.plotting import PLOTLY_ADDRESS, script
from ui.components.strip import strip

_HERE = Path(__file__).parent
ENGLISH = (
    "The paper found that English pays for merging: 24.87 % less safe with the linear merge and 14.5 % fewer wins with "
    "TIES, both after DPO; Russian gained safety, Spanish wins."
)


def paper(value: dict[str, Any], **kwargs: Any) -> gr.HTML:
    """The widget; `value` is what `ui.paper.view` returns. Event `pick` carries the `row` to load, from the client."""
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        value,
        html_template=(_HERE / "paper.html").read_text(encoding="utf-8"),
        js_on_load=script("paper"),
        apply_default_css=False,
        plotly=PLOTLY_ADDRESS,
        **kwargs,
    )


def paying(found: Sequence[tuple[str, Mapping[str, Mapping[str, Paired]], str]]) -> str:
    """Markup of who pays: for every merge that takes a mix's place, a strip of its languages and a sentence."""
    strips = "".join(
        f"<p><b>{escape(name)}.</b> {escape(words)}</p>{strip(rows, against='mix')}" for name, rows, words in found
    )
    told = strips or "<p>Which language pays is not measured yet.</p>"
    return f'<section class="mf-paying"><h2>Who pays</h2><p>{escape(ENGLISH)}</p>{told}</section>'


def limits(sentences: Sequence[str]) -> str:
    """Markup of what a reader must know."""
    if not sentences:
        return ""
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<section class="mf-paying"><h2>What to know</h2><ul>{listed}</ul></section>'
