"""The method's card: when to use it, its formula, what its base is, its knobs with their defaults, and its paper."""

import re
from html import escape

from merging.registry import Knob, Method

BASES = {
    "one": "None: each slice names its own model.",
    "two": "The model at t = 0: what the merge starts from, not an ancestor.",
    "models": "Takes no part in the merge; it only gives tokenizer and config.",
    "everyone": "One of the models like the others; it also gives tokenizer and config.",
    "base+models": "The common ancestor: the models' changes from it are merged.",
    "base+several": "The common ancestor: the models' changes from it are merged.",
    "two+base": "The common ancestor: the models' changes from it are compared.",
    "two+base?": "The origin, if given: the changes from it are turned, not the weights themselves.",
    "models+base?": "The origin, if given: the changes from it are merged, not the weights themselves.",
}
# A lone letter, or one with a subscript, is a symbol of the formula; longer words (density, sign) stay upright.
_SYMBOL = re.compile(r"((?<![A-Za-z_])[A-Za-z](?![A-Za-z_])|[α-ω])")


def card(method: Method) -> str:
    """Markup of the card; the paper's address is a link that opens in a new tab."""
    noise = "yes; the same seed gives the same merge." if method.random else "no: the same recipe, the same bits."
    facts = [("base_model", BASES[method.inputs]), ("Random", noise)]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in facts)
    rows += "".join(_knob(name, knob) for name, knob in method.knobs.items())
    return (
        f'<div class="mf-card"><p><b>{escape(method.title)}.</b> {escape(method.summary)}</p>'
        f'<p class="mf-formula">{formula(method.formula)}</p><dl>{rows}</dl>'
        f'<p><a href="{escape(method.paper)}" target="_blank" rel="noreferrer">Paper</a></p></div>'
    )


def formula(text: str) -> str:
    """Markup of a formula: symbols in italics, its parts on lines of their own."""
    parts = [_SYMBOL.sub(r"<i>\1</i>", escape(part.strip(), quote=False)) for part in text.split(";  ")]
    return "<br>".join(parts)


def _knob(name: str, knob: Knob) -> str:
    many = " per model" if knob.per_model else ""
    return f"<dt><code>{escape(name)}</code><small>{many}</small></dt><dd>{escape(knob.help)} {_default(knob)}</dd>"


def _default(knob: Knob) -> str:
    if knob.absent is None:
        said = "must be given"
    elif isinstance(knob.absent, bool):
        said = "default " + ("on" if knob.absent else "off")
    else:
        said = f"default {knob.absent:g}"
    reach = "" if knob.kind == "switch" or knob.advanced else f", slider {knob.lo:g} to {knob.hi:g}"
    return f"<small>({said}{reach})</small>"
