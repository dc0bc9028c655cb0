"""How the pool of widgets is dressed for one visitor's choices: session -> updates, and moved widgets -> session."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from merging.registry import Method
from ui.components.controls import (
    DIALS,
    EXTRAS,
    SHARED,
    SWITCHES,
    Controls,
    Dial,
    dial_label,
    dials,
    ends,
    extras,
    says,
    switches,
)
from ui.layers import moved_along
from ui.names import PICKERS, USUAL, least_models, most_models, optional_base
from ui.session import Session, Value

REMOVE = ("— none —", "")


def dress(controls: Controls, session: Session, method: Method, checkpoints: Sequence[str]) -> dict[Any, Any]:
    """Updates that make every widget show the session."""
    count, usual = len(session.models), session.method in USUAL
    return {
        controls.method: gr.update(value=session.method if usual else None),
        controls.more: gr.update(value=None if usual else session.method),
        controls.base: _base(session, method, checkpoints),
        **dict(zip(controls.models, _models(session, method, checkpoints), strict=True)),
        **dict(zip(controls.dials, _dials(session, method, dials(method, count), DIALS), strict=True)),
        controls.ends: gr.update(value=below(session, method)),
        controls.seed: gr.update(value=session.seed, visible=method.random),
        **dict(zip(controls.switches, _switches(session, method), strict=True)),
        **dict(zip(controls.extras, _dials(session, method, extras(method, count), EXTRAS), strict=True)),
    }


def labels(controls: Controls, session: Session, method: Method) -> dict[Any, Any]:
    """Updates of the words beside the sliders only: shares change while a weight is dragged."""
    shown = dials(method, len(session.models))
    words = {
        slider: gr.update(label=_label(session, method, dial))
        for slider, dial in zip(controls.dials, shown, strict=False)
    }
    return {**words, controls.ends: gr.update(value=below(session, method))}


def _label(session: Session, method: Method, dial: Dial) -> str:
    return dial_label(dial, session.models, share(session, method, dial), curved=_curved(session, dial))


def _curved(session: Session, dial: Dial) -> bool:
    models = range(len(session.models)) if dial.model == SHARED else (dial.model,)
    return any((dial.knob, at) in session.curves for at in models)


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
    if session.curves:
        return says("A layer curve is set (see Advanced). Moving its slider makes it flat.")
    if method.inputs == "two" and len(session.models) == 2:
        return ends(*session.models)
    shown = dials(method, len(session.models))
    if len(session.models) > 1 and any(share(session, method, dial) is not None for dial in shown):
        return says("Only the ratio of the weights counts.")
    return ""


def moved(session: Session, method: Method, values: Sequence[Any]) -> Session:
    """The session after widgets moved; values are those of `Controls.moving`, in this order.

    A widget that stands where the session is changes nothing, so that a shared slider does not level the models'
    own values while another one moves. An emptied number box keeps the value it had.
    """
    numbers, seed, rest = values[:DIALS], values[DIALS], values[DIALS + 1 :]
    flags, more = rest[:SWITCHES], rest[SWITCHES:]
    count, result = len(session.models), session
    pairs = [*zip(dials(method, count), numbers, strict=False), *zip(extras(method, count), more, strict=False)]
    for dial, number in pairs:
        if number is not None and float(number) != _shown(session, dial):
            result = _set(result, dial, float(number))
    for (name, knob), flag in zip(switches(method), flags, strict=False):
        for at in range(count) if knob.per_model else (None,):
            if bool(flag) != session.value(name, at):
                result = result.with_value(name, bool(flag), at)
    if seed is not None and int(seed) != session.seed:
        result = replace(result, seed=int(seed), written=None)
    return result


def chosen(session: Session, method: Method, names: Sequence[str | None]) -> Session:
    """The session after a picker changed; names are base, then the model slots; empty slots are left out.

    A model keeps its values when another one before it is taken out.
    """
    base, *slots = names
    kept = [(str(name), at) for at, name in enumerate(slots[: most_models(method)]) if name]
    if not kept:
        kept = [(name, at) for at, name in enumerate(session.models)]
    elif most_models(method) == PICKERS:
        kept += [(name, at) for at, name in enumerate(session.models) if at >= PICKERS]
    own = tuple(session.per_model[at] if at < len(session.per_model) else {} for _, at in kept)
    return replace(
        session,
        models=tuple(name for name, _ in kept),
        base=(base or None) if method.takes_ancestor else None,
        per_model=own,
        curves=moved_along(session.curves, {at: new for new, (_, at) in enumerate(kept)}),
        written=None,
    )


def _shown(session: Session, dial: Dial) -> float:
    """Where a slider stands; a shared one where the first model does."""
    return float(session.value(dial.knob, 0 if dial.model == SHARED else dial.model))


def _set(session: Session, dial: Dial, value: Value) -> Session:
    if dial.model != SHARED:
        return session.with_value(dial.knob, value, dial.model)
    for at in range(len(session.models)):
        session = session.with_value(dial.knob, value, at)
    return session


def _base(session: Session, method: Method, checkpoints: Sequence[str]) -> dict[str, Any]:
    choices: list[Any] = list(checkpoints)
    if optional_base(method):
        choices.append(REMOVE)
    return gr.update(value=session.base or "", choices=_with(choices, session.base), visible=method.takes_ancestor)


def _models(session: Session, method: Method, checkpoints: Sequence[str]) -> list[dict[str, Any]]:
    most, least = most_models(method), least_models(method)
    shown = min(most, max(least, len(session.models) + 1))
    updates = []
    for at in range(PICKERS):
        name = session.models[at] if at < len(session.models) else ""
        choices: list[Any] = list(checkpoints)
        if len(session.models) > least or not name:
            choices.append(REMOVE)
        words = "model" if most == 1 else f"model {at + 1}"
        label = f"t = {at}" if method.inputs == "two" else words if name else "add"
        updates.append(gr.update(label=label, value=name, choices=_with(choices, name), visible=at < max(shown, least)))
    return updates


def _with(choices: list[Any], name: str | None) -> list[Any]:
    """The choices, and the name in use where it is not one of them (a path, a hub id)."""
    return choices if not name or name in choices else [*choices, name]


def _dials(session: Session, method: Method, shown: Sequence[Dial], most: int) -> list[dict[str, Any]]:
    updates: list[dict[str, Any]] = []
    for dial in shown:
        knob, value = method.knobs[dial.knob], _shown(session, dial)
        updates.append(
            gr.update(
                label=_label(session, method, dial),
                minimum=min(knob.lo, value), maximum=max(knob.hi, value), step=knob.step, value=value, visible=True,
            )
        )  # fmt: skip
    return updates + [gr.update(visible=False)] * (most - len(updates))


def _switches(session: Session, method: Method) -> list[dict[str, Any]]:
    shown = switches(method)
    updates: list[dict[str, Any]] = [
        gr.update(
            label=name, info=knob.help, value=bool(session.value(name, 0 if knob.per_model else None)), visible=True
        )
        for name, knob in shown
    ]
    return updates + [gr.update(visible=False)] * (SWITCHES - len(updates))
