"""Who pays: the loaded merge against the mix, language by language, paired on the same items."""

from collections.abc import Mapping
from html import escape

from eval.metrics import Paired
from ui.measures import BY_KEY, LANGUAGES, languages, signed, signed_short

WIDTH, HEIGHT, REACH = 74, 16, 0.6


def strip(rows: Mapping[str, Mapping[str, Paired]], *, against: str) -> str:
    """Markup of the strip.

    Args:
        rows: Measure -> language -> difference of the merge minus the other model.
        against: What the other model is called, e.g. "mix 15 %".
    """
    codes = languages({code for row in rows.values() for code in row})
    heads = "".join(f'<span class="mf-measure">{BY_KEY[key].label} {BY_KEY[key].arrow}</span>' for key in rows)
    groups = "".join(
        f'<div class="mf-language" role="group" aria-label="{_name(code)}"><b title="{_name(code)}">{escape(code)}</b>'
        + "".join(_cell(key, row.get(code)) for key, row in rows.items())
        + "</div>"
        for code in codes
    )
    title = f'<span class="mf-who"><b>Who pays</b> against the {escape(against)}</span>'
    first = f'<div class="mf-language mf-heads">{title}{heads}</div>'
    return f'<section class="mf-strip" aria-label="Who pays">{first}{groups}</section>'


def waiting(text: str) -> str:
    """The strip before there is anything to compare."""
    said = f"<p><b>Who pays</b> {escape(text)}</p>"
    return f'<section class="mf-strip mf-strip-empty" aria-label="Who pays">{said}</section>'


def _name(code: str) -> str:
    return escape(LANGUAGES.get(code, code))


def _cell(key: str, found: Paired | None) -> str:
    if found is None or found.difference is None:
        return '<span class="mf-cell mf-none"><span class="mf-number">–</span></span>'
    kind = {"better": "better", "worse": "worse"}.get(found.word, "same")
    bounds = f"[{signed_short(found.low or 0.0)}, {signed_short(found.high or 0.0)}]"
    title = f"{BY_KEY[key].label} {signed(found.difference)} {bounds}: {found.word}"
    return (
        f'<span class="mf-cell mf-{kind}" title="{title}">{_glyph(found, kind)}'
        f'<span class="mf-number">{signed(found.difference)}</span>'
        f'<span class="mf-sr">{bounds} {found.word}</span></span>'
    )


def _glyph(found: Paired, kind: str) -> str:
    """Interval and point about a dashed zero; filled only where the sign is sure."""

    def at(value: float | None) -> float:
        return WIDTH / 2 + max(-1.0, min(1.0, (value or 0.0) / REACH)) * (WIDTH / 2 - 5)

    middle = HEIGHT / 2
    sure = "" if kind == "same" else " mf-sure"
    dot = f'<circle cx="{at(found.difference):.1f}" cy="{middle}" r="4" class="mf-dotmark{sure}"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<line x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="{HEIGHT}" class="mf-zero"/>'
        f'<line x1="{at(found.low):.1f}" x2="{at(found.high):.1f}" y1="{middle}" y2="{middle}" class="mf-span"/>'
        f"{dot}</svg>"
    )
