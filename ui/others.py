"""The other model of a comparison: a checkpoint as it is, or a recipe that was measured."""

from collections.abc import Sequence

from merging import Recipe
from merging.errors import RecipeError
from ui.status import LANDMARKS, Point

MIX = "zoo:mix-15"
BASE = "zoo:base"


def choices(checkpoints: Sequence[str], points: Sequence[Point]) -> list[tuple[str, str]]:
    """(words, value) of the picker: the mixes and the base by their names, other checkpoints, then measured merges."""
    named = [(LANDMARKS.get(name, name), name) for name in checkpoints]
    alone = {Recipe.single(name).digest() for name in checkpoints}
    merges = [(f"{point.recipe.label()} · {point.id[:6]}", point.id) for point in points if point.id not in alone]
    return named + merges


def default(checkpoints: Sequence[str]) -> str:
    """The data-mixed model; the base, or the first checkpoint, where the pool has no mix."""
    return next((name for name in (MIX, BASE) if name in checkpoints), checkpoints[0] if checkpoints else "")


def named(value: str) -> str:
    """What the pane of this choice is called."""
    return LANDMARKS.get(value, "Other model")


def recipe(value: str | None, points: Sequence[Point]) -> Recipe:
    """The recipe of a choice: the id of a measured point, or the name of a checkpoint.

    Raises:
        RecipeError: Nothing was chosen, or the name is no name of a checkpoint.
    """
    wanted = (value or "").strip()
    if not wanted:
        raise RecipeError("Choose the model to compare with.")
    point = next((point for point in points if point.id == wanted), None)
    return point.recipe if point else Recipe.single(wanted)
