"""Where an unmeasured merge probably lies: a straight line between its measured neighbours, and how unsure that is.

A guess is only made along one knob, between two measured recipes that differ from the visitor's in that knob alone.
Anywhere else there is no guess: the page then says that the merge has to be measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.types import Estimate, Measurement
from merging import Recipe, registry

# Methods that divide by the sum of the weights unless told otherwise: only the shares matter there.
_SHARES = {"linear", "ties", "nuslerp"}
# Methods whose result is one of the two models when it has the whole share.
_ENDPOINTS = {"slerp", "linear", "nuslerp"}
_SAME = 1e-9


@dataclass(frozen=True)
class Spread:
    """A guessed value and the half width within which it is expected."""

    value: float
    half_width: float


@dataclass(frozen=True)
class Guess:
    """Guessed measures by key, and the words that say where they come from."""

    values: Mapping[str, Spread]
    said: str

    def over(self, other: "Guess | None") -> "Guess":
        """This guess, and what only the other one has a value for."""
        return self if other is None else replace(self, values={**other.values, **self.values})


@dataclass(frozen=True)
class _Place:
    """A recipe as a point in the space of its family's knobs."""

    family: tuple[Any, ...]
    knobs: Mapping[str, float]
    method: str
    base: str | None
    models: tuple[str, ...]


def guess(recipe: Recipe, measured: Iterable[tuple[Recipe, Measurement]]) -> Guess | None:
    """Interpolate every measure of recipe between its two nearest measured neighbours along one knob.

    The half width adds the neighbours' own intervals (interpolated, since both are measured on the same items) to what
    a bent but monotone path could differ from the straight line.

    Returns:
        None where the recipe has no measured neighbour on both sides of any single knob.
    """
    place = _place(recipe)
    if place is None:
        return None
    known = [(other, measurement) for source, measurement in measured for other in _as_in(source, place)]
    best: tuple[float, str, float, float, Measurement, Measurement] | None = None
    for knob, at in place.knobs.items():
        line = [(other.knobs[knob], m) for other, m in known if _same_but(other.knobs, place.knobs, knob)]
        below = max((pair for pair in line if pair[0] <= at + _SAME), key=lambda pair: pair[0], default=None)
        above = min((pair for pair in line if pair[0] >= at - _SAME), key=lambda pair: pair[0], default=None)
        if below is None or above is None:
            continue
        gap = above[0] - below[0]
        if best is None or gap < best[0]:
            best = (gap, knob, below[0], above[0], below[1], above[1])
    if best is None:
        return None
    gap, knob, low, high, first, second = best
    share = (place.knobs[knob] - low) / gap if gap > _SAME else 0.0
    return Guess(_between(first, second, share), f"a guess between {knob} = {low:.2f} and {high:.2f}")


def _between(first: Measurement, second: Measurement, share: float) -> dict[str, Spread]:
    values = {}
    for key in first.measures.keys() & second.measures.keys():
        a, b = first.measures[key], second.measures[key]
        if a.value is None or b.value is None:
            continue
        sampling = (1 - share) * _half(a) + share * _half(b)
        bend = 2 * share * (1 - share) * abs(b.value - a.value)
        values[key] = Spread((1 - share) * a.value + share * b.value, sampling + bend)
    return values


def _half(estimate: Estimate) -> float:
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def _same_but(knobs: Mapping[str, float], others: Mapping[str, float], knob: str) -> bool:
    return knobs.keys() == others.keys() and all(
        abs(knobs[name] - others[name]) <= _SAME for name in knobs if name != knob
    )


def _place(recipe: Recipe) -> _Place | None:
    """Family and knobs of a recipe; None where a value differs by layer or by tensor, or layers are picked."""
    if not recipe.is_whole or recipe.slices[0].module:
        return None
    method = registry.get(recipe.method)
    piece = recipe.slices[0]
    _, sources = recipe.roles(piece)
    names = [source.model for source in sources]
    numbers: dict[str, float] = {}
    fixed: list[tuple[str, bool]] = []
    for name, knob in method.knobs.items():
        for source in sources if knob.per_model else (None,):
            setting = recipe.setting(name, piece, source)
            if len(setting) != 1 or setting[0].filter is not None or len(setting[0].value) != 1:
                return None
            value = setting[0].value[0]
            key = f"{name} of {source.model}" if source else name
            if isinstance(value, bool):
                fixed.append((key, value))
            else:
                numbers[key] = float(value)
    if recipe.method in _SHARES and ("normalize", False) not in fixed:
        numbers = _shares(numbers, names)
    seed = recipe.seed if method.random else 0
    words = (recipe.tokenizer, recipe.tokens, recipe.pad_to_multiple_of, recipe.chat_template)
    rest = (recipe.method, recipe.base_model, tuple(sorted(names)), tuple(fixed), words, seed)
    return _Place(rest, numbers, recipe.method, recipe.base_model, tuple(names))


def _shares(knobs: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Replace weights by shares; with two models one share says both."""
    total = sum(knobs.get(f"weight of {name}", 0.0) for name in names)
    if abs(total) < _SAME:
        return dict(knobs)
    rest = {key: value for key, value in knobs.items() if not key.startswith("weight of ")}
    counted = sorted(names)[1:] if len(names) == 2 else names
    return rest | {f"share of {name}": knobs.get(f"weight of {name}", 0.0) / total for name in counted}


def _as_in(source: Recipe, place: _Place) -> list[_Place]:
    """The source as a point of place's family: itself, or the end of the knob where the merge is that one model."""
    own = _place(source)
    if own is not None and own.family == place.family:
        return [own]
    ends = {place.base, *place.models} if place.method == "slerp" else set(place.models)
    single = _single(source)
    if single not in ends or place.method not in _ENDPOINTS or len(ends) != 2 or len(place.knobs) != 1:
        return []
    (knob,) = place.knobs
    far = single != place.base if knob == "t" else knob == f"share of {single}"
    return [replace(place, knobs={knob: 1.0 if far else 0.0})]


def _single(recipe: Recipe) -> str | None:
    """The one checkpoint that a recipe stands for, or None."""
    sources = recipe.slices[0].sources
    plain = recipe.method == "linear" and recipe.is_whole and len(sources) == 1 and recipe.chat_template is None
    return sources[0].model if plain else None
