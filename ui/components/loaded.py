"""What is loaded: recipe chip, digest, milliseconds, what the method really did, and one-click alternatives."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-choice]');
  if (button) trigger('choose', { choice: button.dataset.choice });
});
"""
DIGITS = 6


def chip(**kwargs: Any) -> gr.HTML:
    """The widget of the recipe chip. Event `choose` carries the `choice` of a pressed alternative (from the client)."""
    return gr.HTML("", js_on_load=_JS, apply_default_css=False, **kwargs)


def loaded(
    label: str,
    digest: str,
    doing: str,
    *,
    notes: Sequence[str] = (),
    alternatives: Sequence[tuple[str, str]] = (),
    problem: str = "",
) -> str:
    """Markup of the chip.

    Args:
        label: The recipe in a few words.
        digest: Its hex digest; the first six digits are shown.
        doing: "merged in 118 ms", or what it waits for.
        notes: Sentences of `Applied.notes`.
        alternatives: (choice, title) of recipes one click away.
        problem: One calm sentence when it could not be merged or measured.
    """
    words = " · ".join(part for part in (label, digest[:DIGITS]) if part)
    chip = f'<code class="mf-chip" title="{escape(digest)}">{escape(words)}</code>'
    buttons = " ".join(
        f'<button type="button" data-choice="{escape(key)}">{escape(title)}</button>' for key, title in alternatives
    )
    lines = [f'<p class="mf-loaded-line">{chip} <span>{escape(doing)}</span></p>']
    if notes or buttons:
        lines.append(f'<p class="mf-note">{escape(" ".join(notes))} {buttons}</p>')
    if problem:
        lines.append(trouble(problem))
    return f'<div class="mf-loaded" aria-live="polite">{"".join(lines)}</div>'


def trouble(text: str) -> str:
    """Markup of one calm sentence that says what went wrong and what to do."""
    return f'<p class="mf-problem">{escape(text)}</p>'


def progress(done: float, text: str) -> str:
    """Markup of a running probe: a bar and one line of text; `done` is a fraction in [0, 1]."""
    share = round(100 * min(1.0, max(0.0, done)))
    return (
        '<div class="mf-progress"><div class="mf-bar" role="progressbar" aria-label="Probe" '
        f'aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share}"><i style="width:{share}%"></i></div><p>{escape(text)}</p></div>'
    )
