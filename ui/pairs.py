"""Which two measured recipes Study compares: what the pickers offer, and what their choices mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from merging import Recipe
from merging.errors import RecipeError
from ui.conversation import DIGITS
from ui.reading import MIX
from ui.session import Session
from ui.status import LANDMARKS, Point

MOMENT = "moment"
"""The choice that follows the visitor's merge, wherever it moves."""
NOTHING = "nothing"
"""The choice of no second recipe."""
DEFAULT = "mix"
"""The choice of the landmark every merge is held against, as long as nobody has chosen otherwise."""


@dataclass(frozen=True)
class Pair:
    """A measured recipe, and the one it is held against.

    Attributes:
        note: Why this is not quite what was asked for; empty where it is.
    """

    ours: Point
    theirs: Point | None = None
    note: str = ""


def called(point: Point) -> str:
    """A measured recipe's name where room is short: its landmark, or its label."""
    return point.landmark or point.recipe.label()


def choices(session: Session, points: Sequence[Point]) -> list[tuple[str, str]]:
    """(words, value) of the picker of the recipe: the visitor's own merge, landmarks, then merges by label."""
    recipe = moment(session)
    own = f"Your merge: {recipe.label()} · {recipe.digest()[:DIGITS]}" if recipe else "Your merge"
    return [(own, MOMENT), *_measured(points)]


def others(points: Sequence[Point]) -> list[tuple[str, str]]:
    """(words, value) of the picker of what it is held against."""
    return [*_measured(points), ("nothing", NOTHING)]


def moment(session: Session) -> Recipe | None:
    """The recipe of the visitor's controls; None where they say none."""
    try:
        return session.recipe()
    except RecipeError:
        return None


def resolve(session: Session, points: Sequence[Point], ours: str | None, theirs: str | None) -> Pair | str:
    """The two points that the pickers mean, or a sentence that says what to do.

    Values come from the browser and are looked up. A merge of the moment that is not measured gives way to one that
    is, and the note says so.
    """
    if not points:
        return "No recipe is measured yet. Press Probe in Explore: its items are listed here then."
    by_id = {point.id: point for point in points}
    first, note = by_id.get(ours or ""), ""
    if ours in (None, "", MOMENT):
        recipe = moment(session)
        first = by_id.get(recipe.digest()) if recipe else None
        if first is None:
            first = stand_in(points)
            own = recipe.label() if recipe else "Your merge"
            note = f"{own} is not measured yet (Probe in Explore does it): this is {called(first)} instead."
    if first is None:
        return "This recipe is not measured: choose one from the list."
    if theirs == NOTHING:
        return Pair(first, None, note)
    second = by_id.get(theirs or "")
    if theirs in (None, "", DEFAULT):
        second = next((point for point in points if point.landmark == MIX), None)
    if second is None and theirs not in (None, "", DEFAULT):
        return "What it is held against is not measured: choose one from the list."
    return Pair(first, second, note)


def stand_in(points: Sequence[Point]) -> Point:
    """A measured recipe to show where the visitor's own is not measured: a merge of the frontier, if there is one."""
    merges = [point for point in points if not point.landmark]
    return next((point for point in merges if point.on_frontier), (merges or list(points))[0])


def _measured(points: Sequence[Point]) -> list[tuple[str, str]]:
    order = list(LANDMARKS.values())
    fixed = sorted(
        (p for p in points if p.landmark), key=lambda p: order.index(p.landmark) if p.landmark in order else 9
    )
    merges = sorted((p for p in points if not p.landmark), key=lambda p: p.recipe.label())
    return [(called(p), p.id) for p in fixed] + [(f"{p.recipe.label()} · {p.id[:DIGITS]}", p.id) for p in merges]
