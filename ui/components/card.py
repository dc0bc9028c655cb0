"""The method's card: what it does, its formula, its knobs and its paper."""

from html import escape

from merging.registry import Method


def card(method: Method) -> str:
    """Markup of the card; the paper's address is a link that opens in a new tab."""
    knobs = "".join(
        f"<dt><code>{escape(name)}</code>{' (per model)' if knob.per_model else ''}</dt><dd>{escape(knob.help)}</dd>"
        for name, knob in method.knobs.items()
    )
    return (
        f'<div class="mf-card"><p><b>{escape(method.title)}.</b> {escape(method.summary)}</p>'
        f"<p><code>{escape(method.formula)}</code></p>"
        f'<dl>{knobs}</dl><p><a href="{escape(method.paper)}" target="_blank" rel="noreferrer">Paper</a></p></div>'
    )
