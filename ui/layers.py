"""A knob by layer: three rows of five anchors, what a recipe says of them, and the value every layer really gets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merging import Recipe, layout, registry
from merging.schedule import Setting, position, value

ANCHORS = 5
ROWS = (("attention", "self_attn"), ("MLP", "mlp"), ("the rest", None))
"""Rows of a curve: words, and the filter a recipe names them by (None: every other tensor)."""
Key = tuple[str, int | None]
"""A knob, and the position of the model it belongs to (None: the merge's own)."""


@dataclass(frozen=True)
class Curve:
    """Anchors of a knob over the layers, first to last, one tuple of ANCHORS numbers for each of ROWS."""

    rows: tuple[tuple[float, ...], ...]

    @classmethod
    def flat(cls, at: float) -> "Curve":
        """One value everywhere."""
        return cls(((at,) * ANCHORS,) * len(ROWS))

    @classmethod
    def classic(cls, low: float = 0.0, high: float = 1.0) -> "Curve":
        """The curve most published SLERP recipes share: attention and MLP in opposite directions, the rest half way."""
        shape = ((0.0, 0.5, 0.3, 0.7, 1.0), (1.0, 0.5, 0.7, 0.3, 0.0), (0.5,) * ANCHORS)
        return cls(tuple(tuple(round(low + (high - low) * x, 6) for x in row) for row in shape))

    @classmethod
    def sampled(cls, setting: Setting) -> "Curve":
        """The curve nearest to what a recipe says: exact where the recipe has these rows and anchors."""
        rows = []
        for words, name in ROWS:
            found = [value(setting, name or words, at / (ANCHORS - 1)) for at in range(ANCHORS)]
            rows.append(tuple(float(number or 0.0) for number in found))
        return cls(tuple(rows))

    @classmethod
    def checked(cls, given: Any) -> "Curve | None":
        """A curve from a request, or None where it is no curve."""
        if not isinstance(given, list) or len(given) != len(ROWS):
            return None
        if any(not isinstance(row, list) or len(row) != ANCHORS for row in given):
            return None
        numbers = [number for row in given for number in row]
        if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
            return None
        return cls(tuple(tuple(float(number) for number in row) for row in given))

    @property
    def is_flat(self) -> bool:
        """Whether it is one value everywhere."""
        return len({number for row in self.rows for number in row}) == 1

    @property
    def mean(self) -> float:
        """Mean of all anchors: where the knob's slider stands while the curve holds."""
        return round(math.fsum(map(math.fsum, self.rows)) / (len(ROWS) * ANCHORS), 6)

    def said(self) -> Any:
        """What a recipe says of it in YAML: a list of filters, or one list where the three rows are equal."""
        written = [row[0] if len(set(row)) == 1 else list(row) for row in self.rows]
        if len(set(self.rows)) == 1:
            return written[-1]
        return [
            {"filter": name, "value": row} if name else {"value": row}
            for (_, name), row in zip(ROWS, written, strict=True)
        ]


@dataclass(frozen=True)
class Effect:
    """What a recipe's knob is for every tensor.

    Attributes:
        layers: Number of layers of the merged model.
        rows: For each of ROWS (layer, value), one entry for each different value met in that layer.
        outside: (words, value) of embedding, final norm and head, which stand at position 0.
    """

    layers: int
    rows: tuple[tuple[tuple[int, float], ...], ...]
    outside: tuple[tuple[str, float], ...]


def effect(recipe: Recipe, key: Key, names: Sequence[str]) -> Effect | None:
    """The value every tensor gets, by the rule that merging itself follows.

    Args:
        recipe: Any recipe.
        key: Which knob, of which model.
        names: Names of the merged model's tensors.

    Returns:
        None where layers are picked one by one (`slices`), or the recipe has no such knob.
    """
    setting = setting_of(recipe, key)
    if setting is None or not recipe.is_whole:
        return None
    layers = layout.layer_count(names)
    rows: list[dict[tuple[int, float], None]] = [{} for _ in ROWS]
    outside: dict[str, float] = {}
    for name in names:
        spot = layout.place(name)
        found = value(setting, name, position(spot.number, layers) if spot else 0.0)
        if found is None:
            continue
        if spot is not None:
            rows[_row(name)][spot.number, float(found)] = None
        else:
            outside.setdefault(_outside(name), float(found))
    return Effect(layers, tuple(tuple(sorted(row)) for row in rows), tuple(outside.items()))


def setting_of(recipe: Recipe, key: Key) -> Setting | None:
    """What the recipe says of a knob in its first slice; None where it has no such knob or model."""
    name, at = key
    knob = registry.get(recipe.method).knobs.get(name)
    piece = recipe.slices[0]
    sources = recipe.roles(piece)[1]
    if knob is None or knob.kind != "number" or (at is not None and at >= len(sources)):
        return None
    return recipe.setting(name, piece, sources[at] if at is not None else None) or None


def moved_along(curves: Mapping[Key, Curve], places: Mapping[int, int]) -> dict[Key, Curve]:
    """The curves after models changed place; those of models that are gone are left out."""
    return {
        (name, None if at is None else places[at]): curve
        for (name, at), curve in curves.items()
        if at is None or at in places
    }


def _row(name: str) -> int:
    return next((at for at, (_, part) in enumerate(ROWS) if part and part in name), len(ROWS) - 1)


def _outside(name: str) -> str:
    if layout.is_head(name):
        return "head"
    return "embedding" if layout.is_before_layers(name) else "final norm"
