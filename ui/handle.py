"""The slider at hand beside a chat: the first one Explore shows for the session's method."""

from typing import Any

import gradio as gr

from merging import registry
from ui.components.controls import SHARED, Dial, dial_label, dials, short
from ui.session import Session


def first(session: Session) -> Dial | None:
    """The slider at hand: the first one Explore shows for this method."""
    shown = dials(registry.get(session.method), len(session.models))
    return shown[0] if shown else None


def moved(session: Session, value: float) -> Session:
    """The session after the slider at hand moved."""
    dial = first(session)
    if dial is None:
        return session
    for at in range(len(session.models)) if dial.model == SHARED else (dial.model,):
        session = session.with_value(dial.knob, float(value), at)
    return session


def dressed(session: Session) -> Any:
    """The update that makes the slider show the session; hidden where the method has none."""
    dial = first(session)
    if dial is None:
        return gr.update(visible=False)
    method = registry.get(session.method)
    knob = method.knobs[dial.knob]
    value = float(session.value(dial.knob, 0 if dial.model == SHARED else dial.model))
    ends = f": {short(session.models[0])} → {short(session.models[1])}" if method.inputs == "two" else ""
    replaces = " (replaces the layer curve)" if session.written or session.curves else ""
    label = dial_label(dial, session.models) + ends + replaces
    return gr.update(
        label=label, minimum=min(knob.lo, value), maximum=max(knob.hi, value), step=knob.step, value=value, visible=True
    )
