"""The layer curve as a widget: three rows of five upright sliders over the value that every layer really gets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from merging import Recipe, registry
from merging.errors import RecipeError
from ui.components.controls import SHARED, dials, sliding
from ui.layers import ROWS, Curve, Key, effect, setting_of
from ui.names import short
from ui.session import Session

_HERE = Path(__file__).parent


def bands(**kwargs: Any) -> gr.HTML:
    """The widget; its value is what `shown` returns. Event `bend` carries all anchors as `rows` (from the client)."""
    # no subclass: Gradio would write a type stub of it beside this file
    return gr.HTML(
        {},
        html_template=(_HERE / "layers.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "layers.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def keys(session: Session) -> list[tuple[str, Key]]:
    """Every knob a curve can be drawn for, with its words."""
    found: list[tuple[str, Key]] = []
    for name, knob in sliding(registry.get(session.method)).items():
        owners: list[int | None] = list(range(len(session.models))) if knob.per_model else [None]
        found += [(name if at is None else f"{name} {short(session.models[at])}", (name, at)) for at in owners]
    return found


def aimed(session: Session) -> Key | None:
    """The knob whose curve is shown: the one chosen, else one that has a curve, else the first slider's."""
    known = [key for _, key in keys(session)]
    if session.aim in known:
        return session.aim
    curved = next((key for key in known if key in session.curves), None)
    first = next(iter(dials(registry.get(session.method), len(session.models))), None)
    if curved or first is None:
        return curved
    return first.knob, 0 if first.model == SHARED else first.model


def picker(session: Session) -> Any:
    """The update of the list of knobs; a choice's value is its place in `keys`."""
    known = keys(session)
    choices = [(words, str(at)) for at, (words, _) in enumerate(known)]
    at = next((str(at) for at, (_, key) in enumerate(known) if key == aimed(session)), None)
    return gr.update(choices=choices, value=at, visible=len(known) > 1)


def curve(session: Session, key: Key) -> Curve:
    """The anchors of one knob, whatever the session says it by."""
    if session.written is not None:
        setting = setting_of(Recipe.from_yaml(session.written), key)
        return Curve.flat(0.0) if setting is None else Curve.sampled(setting)
    return session.curves.get(key) or Curve.flat(float(session.value(*key)))


def shown(session: Session, names: Sequence[str]) -> dict[str, Any]:
    """The widget's value: anchors, and for each layer what merging makes of them.

    Args:
        session: The visitor's choices.
        names: Names of the merged model's tensors; empty where no model is loaded.
    """
    key = aimed(session)
    if key is None:
        return {"says": f"{registry.get(session.method).title} has no number that could differ by layer."}
    anchors, knob = curve(session, key), registry.get(session.method).knobs[key[0]]
    try:
        found = effect(session.recipe(), key, names)
        stacked = not session.recipe().is_whole
    except RecipeError:
        found, stacked = None, False
    ends = [number for row in anchors.rows for number in row]
    says = "This recipe stacks slices: its YAML says the values. An anchor moved here merges whole models." * stacked
    return {
        "knob": next(words for words, other in keys(session) if other == key),
        "lo": min(knob.lo, *ends),
        "hi": max(knob.hi, *ends),
        "step": knob.step,
        "layers": found.layers if found else 0,
        "rows": [
            {
                "name": words,
                "filter": part or "all others",
                "anchors": list(row),
                "dots": [list(dot) for dot in found.rows[at]] if found else [],
            }
            for at, ((words, part), row) in enumerate(zip(ROWS, anchors.rows, strict=True))
        ],
        "outside": [list(pair) for pair in found.outside] if found else [],
        "says": says or _says(anchors, found is not None and found.layers > 0),
    }


def _says(anchors: Curve, drawn: bool) -> str:
    if anchors.is_flat:
        return "The same in every layer. Drag an anchor: first layers left, last layers right."
    return "Dots: what each layer gets; what lies outside the layers takes the first anchor." if drawn else ""
