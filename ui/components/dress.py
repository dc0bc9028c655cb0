"""How the pool of widgets is dressed for one visitor's choices: session -> updates, and moved widgets -> session."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from merging.registry import Method
from ui.components.controls import (
    DIALS,
    MODELS,
    SHARED,
    SWITCHES,
    Controls,
    Dial,
    dial_label,
    dials,
    ends,
    says,
    switches,
)
from ui.session import Session, Value

REMOVE = ("— none —", "")


def most_models(method: Method) -> int:
    """How many models the controls take: as many as keep one weight slider each."""
    if method.inputs.startswith("two"):
        return 2
    return max(
        count for count in range(2, MODELS + 1) if all(dial.model != SHARED for dial in dials(method, count)[:1])
    )


def dress(controls: Controls, session: Session, method: Method, checkpoints: Sequence[str]) -> dict[Any, Any]:
    """Updates that make every widget show the session."""
    return {
        controls.method: gr.update(value=session.method),
        controls.base: _base(session, method, checkpoints),
        **dict(zip(controls.models, _models(session, method, checkpoints), strict=True)),
        **dict(zip(controls.dials, _dials(session, method), strict=True)),
        controls.ends: gr.update(value=below(session, method)),
        controls.seed: gr.update(value=session.seed, visible=method.random),
        **dict(zip(controls.switches, _switches(session, method), strict=True)),
    }


def labels(controls: Controls, session: Session, method: Method) -> dict[Any, Any]:
    """Updates of the words beside the sliders only: shares change while a weight is dragged."""
    shown = dials(method, len(session.models))
    return {
        slider: gr.update(label=dial_label(dial, session.models, share(session, method, dial)))
        for slider, dial in zip(controls.dials, shown, strict=False)
        if share(session, method, dial) is not None
    }


def share(session: Session, method: Method, dial: Dial) -> float | None:
    """The part a model really has in the merge; None where its weight is no share."""
    relative = method.inputs == "two+base?" or ("normalize" in method.knobs and session.value("normalize") is True)
    if dial.knob != "weight" or dial.model is None or dial.model == SHARED or not relative:
        return None
    weights = [float(session.value("weight", at)) for at in range(len(session.models))]
    return weights[dial.model] / sum(weights) if abs(sum(weights)) > 1e-9 else None


def below(session: Session, method: Method) -> str:
    """The line below the sliders."""
    if session.written is not None:
        return says("This recipe varies by layer (see Advanced). Moving a slider replaces it.")
    if method.inputs == "two" and len(session.models) == 2:
        return ends(*session.models)
    shown = dials(method, len(session.models))
    if len(session.models) > 1 and any(share(session, method, dial) is not None for dial in shown):
        return says("Only the ratio of the weights counts.")
    return ""


def moved(session: Session, method: Method, values: Sequence[Any]) -> Session:
    """The session after widgets moved; values are those of dials, seed and switches, in this order.

    An emptied number box keeps the value it had.
    """
    numbers, seed, flags = values[:DIALS], values[DIALS], values[DIALS + 1 :]
    result = session
    for dial, number in zip(dials(method, len(session.models)), numbers, strict=False):
        if number is not None:
            result = _set(result, dial, float(number))
    for (name, knob), flag in zip(switches(method), flags, strict=False):
        for at in range(len(session.models)) if knob.per_model else (None,):
            result = result.with_value(name, bool(flag), at)
    return replace(result, seed=int(seed) if seed is not None else session.seed, written=None)


def chosen(session: Session, method: Method, names: Sequence[str | None]) -> Session:
    """The session after a picker changed; names are base, then the model slots; empty slots are left out.

    A model keeps its values when another one before it is taken out.
    """
    base, *slots = names
    kept = [(name, at) for at, name in enumerate(slots[: most_models(method)]) if name]
    own = [session.per_model[at] if at < len(session.per_model) else {} for _, at in kept]
    takes_base = method.inputs in ("base+models", "two+base?")
    models = tuple(str(name) for name, _ in kept) or session.models
    return replace(
        session, models=models, base=(base or None) if takes_base else None, per_model=tuple(own), written=None
    )


def _set(session: Session, dial: Dial, value: Value) -> Session:
    if dial.model != SHARED:
        return session.with_value(dial.knob, value, dial.model)
    for at in range(len(session.models)):
        session = session.with_value(dial.knob, value, at)
    return session


def _base(session: Session, method: Method, checkpoints: Sequence[str]) -> dict[str, Any]:
    choices: list[Any] = list(checkpoints)
    if method.inputs == "two+base?":
        choices.append(REMOVE)
    shown = method.inputs in ("base+models", "two+base?")
    return gr.update(value=session.base or "", choices=_with(choices, session.base), visible=shown)


def _models(session: Session, method: Method, checkpoints: Sequence[str]) -> list[dict[str, Any]]:
    most, least = most_models(method), 2 if method.inputs.startswith("two") else 1
    shown = min(most, max(least, len(session.models) + 1))
    updates = []
    for at in range(MODELS):
        name = session.models[at] if at < len(session.models) else ""
        choices: list[Any] = list(checkpoints)
        if len(session.models) > least or not name:
            choices.append(REMOVE)
        label = f"t = {at}" if method.inputs == "two" else f"model {at + 1}" if name else "add"
        updates.append(gr.update(label=label, value=name, choices=_with(choices, name), visible=at < max(shown, least)))
    return updates


def _with(choices: list[Any], name: str | None) -> list[Any]:
    """The choices, and the name in use where it is not one of them (a path, a hub id)."""
    return choices if not name or name in choices else [*choices, name]


def _dials(session: Session, method: Method) -> list[dict[str, Any]]:
    shown = dials(method, len(session.models))
    updates: list[dict[str, Any]] = []
    for dial in shown:
        knob = method.knobs[dial.knob]
        value = float(session.value(dial.knob, 0 if dial.model == SHARED else dial.model))
        updates.append(
            gr.update(
                label=dial_label(dial, session.models, share(session, method, dial)),
                minimum=min(knob.lo, value), maximum=max(knob.hi, value), step=knob.step, value=value, visible=True,
            )
        )  # fmt: skip
    return updates + [gr.update(visible=False)] * (DIALS - len(updates))


def _switches(session: Session, method: Method) -> list[dict[str, Any]]:
    shown = switches(method)
    updates: list[dict[str, Any]] = [
        gr.update(
            label=name, info=knob.help, value=bool(session.value(name, 0 if knob.per_model else None)), visible=True
        )
        for name, knob in shown
    ]
    return updates + [gr.update(visible=False)] * (SWITCHES - len(updates))
