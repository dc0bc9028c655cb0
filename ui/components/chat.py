"""The conversation as a widget, and the markup around it: heads of the panes, and what is going on."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

_HERE = Path(__file__).parent


def talk(value: dict[str, Any], **kwargs: Any) -> gr.HTML:
    """The widget with both models' answers, turn by turn; `value` is what `Conversation.shown` returns."""
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        value,
        html_template=(_HERE / "chat.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "chat.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def head(name: str, chip: str, digest: str) -> str:
    """Head of a pane: what it is called (nothing where a picker says it) and the recipe it would answer with now."""
    title = f"<b>{escape(name)}</b> " if name else ""
    return f'<div class="mf-head">{title}<code class="mf-chip" title="{escape(digest)}">{escape(chip)}</code></div>'


def headless(name: str, problem: str) -> str:
    """Head of a pane whose choices are no recipe, with the sentence that says why."""
    return f'<div class="mf-head"><b>{escape(name)}</b> <span class="mf-head-problem">{escape(problem)}</span></div>'


def says(text: str, *, problem: bool = False) -> str:
    """One quiet line below the prompt: what the app waits for, or what to change."""
    kind = "mf-chat-says mf-chat-wrong" if problem else "mf-chat-says"
    return f'<p class="{kind}" role="status">{escape(text)}</p>'
