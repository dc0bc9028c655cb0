"""What stands under `parameters`: numbers, switches, gradients over the layers, filters by name. Needs no torch."""

import math
from typing import Any

from merging import registry
from merging.errors import RecipeError, did_you_mean
from merging.recipe_parts import brief, items, keys, mapping, text
from merging.schedule import Entry, Scalar, Setting


def parameters(given: Any, place: str, method: registry.Method) -> tuple[tuple[str, Setting], ...]:
    """The settings under one `parameters` key, by name.

    Raises:
        RecipeError: A name is not known, or a value is none.
    """
    found = {}
    for name, value in mapping({} if given is None else given, place).items():
        if name not in method.knobs and name not in registry.MERGEKIT_PARAMETERS:
            hint = did_you_mean(name, [*method.knobs, *registry.MERGEKIT_PARAMETERS])
            raise RecipeError(
                f"Unknown key {name!r} in {place}.{hint} {method.name} knows: {', '.join(method.knobs)}.",
                at=f"{place}.{name}",
            )
        if value is None:
            raise RecipeError(f"{place}.{name} has no value.", at=f"{place}.{name}")
        knob = method.knobs.get(name)
        found[name] = _setting(value, f"{place}.{name}", knob.kind if knob else None)
    return tuple(sorted(found.items()))


def _setting(given: Any, place: str, kind: str | None) -> Setting:
    if isinstance(given, dict):
        return (_entry(given, place, kind),)
    if isinstance(given, list) and any(isinstance(item, dict) for item in given):
        return tuple(_entry(item, f"{place}[{i}]", kind) for i, item in enumerate(items(given, place)))
    return (Entry(_anchors(given, place, kind)),)


def _entry(given: Any, place: str, kind: str | None) -> Entry:
    keys(mapping(given, place), ("filter", "value"), place)
    if given.get("value") is None:
        raise RecipeError(f"{place} has no value.", at=place)
    name = given.get("filter")
    name = None if name is None or name == "*" else text(name, f"{place}.filter")
    return Entry(_anchors(given["value"], f"{place}.value", kind), name)


def _anchors(given: Any, place: str, kind: str | None) -> tuple[Scalar, ...]:
    if not isinstance(given, list):
        return (_scalar(given, place, place, kind),)
    values = tuple(_scalar(item, place, f"{place}[{i}]", kind) for i, item in enumerate(items(given, place)))
    return values[:1] if len(set(map(repr, values))) == 1 else values


def _scalar(given: Any, place: str, at: str, kind: str | None) -> Scalar:
    if kind == "switch" and not isinstance(given, str) and given in (0, 1):
        return bool(given)
    if isinstance(given, bool) and kind != "number":
        return given
    try:
        number = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or kind == "switch":
        wanted = {"number": "a number", "switch": "true or false"}.get(kind or "", "a number, or true or false")
        raise RecipeError(f"{place} is {brief(given)}: it must be {wanted}.", at=at)
    if not math.isfinite(number):
        raise RecipeError(f"{place} is {brief(given)}: it must be a finite number.", at=at)
    return number + 0.0  # -0 means 0
