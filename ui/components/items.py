"""The table of items as a widget: cards of changes, filters, one page of rows, the files of an export."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

_HERE = Path(__file__).parent


def items(value: dict[str, Any], functions: Sequence[Callable[..., Any]], **kwargs: Any) -> gr.HTML:
    """The widget.

    `value` is what `ui.table.table` returns. The event `narrow` carries a query, from the client: check it. `functions`
    is the one function that makes a file of the filtered rows (`ui.study.exporter`).
    """
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        value,
        html_template=(_HERE / "items.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "items.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        server_functions=list(functions),
        **kwargs,
    )
