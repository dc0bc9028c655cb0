"""Recipes near a visitor's: the stops of a trace, and the alternatives one click away."""

from collections.abc import Sequence

from merging import Recipe, registry
from ui.components.controls import SHARED, Dial, dials
from ui.components.dress import share
from ui.session import Session

STOPS = 5


def stops(session: Session) -> list[tuple[str, Session]]:
    """The first slider at STOPS even values over its range, with words for each; nothing where there is no slider.

    Where only the ratio of two weights counts, the other weight takes the rest, so that the path runs from one model
    to the other.
    """
    method = registry.get(session.method)
    shown = dials(method, len(session.models))
    if not shown:
        return []
    first = shown[0]
    knob = method.knobs[first.knob]
    values = [knob.lo + (knob.hi - knob.lo) * at / (STOPS - 1) for at in range(STOPS)]
    return [(f"{first.knob} = {value:.2f}", _at(session, first, value)) for value in values]


def _at(session: Session, dial: Dial, value: float) -> Session:
    method = registry.get(session.method)
    rests = len(session.models) == 2 and share(session, method, dial) is not None
    if rests and dial.model is not None:
        return session.with_value(dial.knob, value, dial.model).with_value(
            dial.knob, method.knobs[dial.knob].hi - value, 1 - dial.model
        )
    for model in range(len(session.models)) if dial.model == SHARED else (dial.model,):
        session = session.with_value(dial.knob, value, model)
    return session


def curve(session: Session, checkpoints: Sequence[str]) -> Session:
    """A per-layer line of t whose mean is the slider's: from the first model at the bottom to the second on top."""
    t = min(1.0, max(0.0, float(session.value("t"))))
    ends = [round(max(0.0, 2 * t - 1), 4), round(min(1.0, 2 * t), 4)]
    models = list(session.models)
    recipe = Recipe.build("slerp", models=models, base_model=models[0], parameters={"t": ends})
    return Session.from_recipe(recipe)


def task_slerp(session: Session, checkpoints: Sequence[str]) -> Session:
    """SLERP of what each model learned beyond the base, at the same share."""
    t = min(1.0, max(0.0, float(session.value("t"))))
    return (
        session.with_method("nuslerp", checkpoints)
        .with_value("weight", round(1 - t, 4), 0)
        .with_value("weight", round(t, 4), 1)
    )
