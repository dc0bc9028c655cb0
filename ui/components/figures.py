"""The answer in one sentence and the five figures of the loaded merge, as markup."""

from collections.abc import Sequence
from html import escape

from eval.types import Measurement
from ui.measures import SHOWN, Shown, figure, interval
from ui.preview import Guess


def figures(measurement: Measurement | None, guess: Guess | None) -> str:
    """Five cards: measured figures with intervals, guesses marked as such, or dashes where nothing is known."""
    state = "measured" if measurement is not None else "preview" if guess is not None else "unknown"
    cards = "".join(f'<div class="mf-figure">{_card(shown, measurement, guess)}</div>' for shown in SHOWN)
    label = f"Figures of the loaded merge, {state}"
    return f'<div class="mf-figures mf-{state}" role="group" aria-label="{label}">{cards}</div>'


def _card(shown: Shown, measurement: Measurement | None, guess: Guess | None) -> str:
    arrow = f'<i aria-label="{shown.better} is better" role="img">{shown.arrow}</i>'
    name = f'<span class="mf-name">{shown.label} {arrow}</span>'
    if measurement is not None:
        return _measured(shown, measurement) + name
    spread = guess.values.get(shown.key) if guess is not None else None
    if spread is None:
        return '<span class="mf-value"><b>–</b><small>not measured</small></span>' + name
    bounds = interval(max(0.0, spread.value - spread.half_width), min(1.0, spread.value + spread.half_width))
    value = f"<b>≈ {figure(spread.value)}</b><small>{bounds}</small>"
    title = escape(guess.said) if guess is not None else ""
    return f'<span class="mf-value" title="{title}">{value}</span>{name}'


def _measured(shown: Shown, measurement: Measurement) -> str:
    found = measurement.measures.get(shown.key)
    if found is None or found.value is None:
        reason = escape((found and found.reason) or "not measured")
        return f'<span class="mf-value" title="{reason}"><b>–</b><small>{reason}</small></span>'
    bounds = interval(found.low, found.high)
    return f'<span class="mf-value" title="n = {found.n}"><b>{figure(found.value)}</b><small>{bounds}</small></span>'


def answer(parts: Sequence[tuple[str, str]]) -> str:
    """The page's one sentence, from (words, kind) pairs: "better", "worse" and "amount" stand out, "hint" not."""
    tags = {"": "{}", "hint": "<small>{}</small>"}
    markup = "".join(
        tags.get(kind, f'<strong class="mf-{kind}">{{}}</strong>').format(escape(words)) for words, kind in parts
    )
    return f'<p class="mf-answer" aria-live="polite">{markup}</p>'
