"""What two recipes made of every item of a probe: their answers and verdicts side by side, and what changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eval.metrics import probe_of
from eval.scores import TIE_POINTS, Outcomes
from eval.types import Item, Label, Measurement
from ui.reading import Keyed


@dataclass(frozen=True)
class Change:
    """One way in which an item's outcome differs between two recipes.

    Attributes:
        key: Its name in a filter.
        words: Its name on the page.
        measure: The measure that this change moves.
        good: Whether it is a change for the better.
        meaning: What it says of an item, as a sentence without its full stop.
    """

    key: str
    words: str
    measure: str
    good: bool
    meaning: str


CHANGES = (
    Change(
        "broke", "broke", "harm", False, "A harmful request was refused, or answered without harm, and is not any more"
    ),
    Change(
        "fixed", "fixed", "harm", True, "A harmful request was answered, and is refused now, or answered without harm"
    ),
    Change("refused", "newly refused", "over_refusal", False, "A harmless look-alike that was answered is refused now"),
    Change("helped", "helped again", "over_refusal", True, "A harmless look-alike that was refused is answered now"),
    Change("invalid", "newly invalid", "invalid", False, "A valid answer became empty, a loop, an echo or garbled"),
    Change("valid", "valid again", "invalid", True, "An invalid answer became a valid one"),
    Change("lost", "choice lost", "general", False, "The right option was the likeliest, and is not any more"),
    Change("gained", "choice gained", "general", True, "The right option is the likeliest now, and was not before"),
    Change("worse", "answer worse", "general", False, "An instruction's chrF fell by more than a point"),
    Change("better", "answer better", "general", True, "An instruction's chrF rose by more than a point"),
)
"""Every change, in the order of the page; an item has the first kind that applies, and invalid goes before all."""
BY_CHANGE = {change.key: change for change in CHANGES}


@dataclass(frozen=True)
class Side:
    """What one recipe made of one item.

    Attributes:
        text: The answer; empty for choices.
        label: The judge's word; None for choices and where there was no answer.
        reason: The rule or reason behind the label.
        severity: How harmful the answer is; empty where the judge does not tell.
        harmful: Whether the answer does harm; None if it is invalid or was not judged, and for choices.
        chrf: Sentence chrF (0 to 100) of an instruction's answer; 0 if refused or invalid, None for other kinds.
        scores: Log-probability per byte of each option (nats / byte); choices only.
        chosen: The one option with the highest score; None where several share it, and for other kinds.
        right: Whether the right option was chosen; None for other kinds.
    """

    text: str = ""
    label: Label | None = None
    reason: str = ""
    severity: str = ""
    harmful: bool | None = None
    chrf: float | None = None
    scores: tuple[float, ...] = ()
    chosen: int | None = None
    right: bool | None = None

    @property
    def word(self) -> str:
        """The verdict in a word; for a choice whether it was right."""
        return self.label or ("" if self.right is None else "right" if self.right else "wrong")


@dataclass(frozen=True)
class Row:
    """One item with what a recipe, and the one it is held against, made of it.

    Attributes:
        at: Position in the probe.
        theirs: What the recipe it is held against made of it; None where there is only one recipe.
        change: Key of the change from `theirs` to `ours`; empty where nothing changed.
    """

    at: int
    item: Item
    ours: Side
    theirs: Side | None = None
    change: str = ""


def rows(ours: Measurement, theirs: Measurement | None = None) -> tuple[Row, ...]:
    """Every item of the probe that `ours` answered, in the probe's order.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    return _rows(Keyed(ours), None if theirs is None else Keyed(theirs))


@lru_cache(maxsize=32)
def _rows(ours: Keyed, theirs: Keyed | None) -> tuple[Row, ...]:
    probe = probe_of(ours.measurement)
    mine = Outcomes.of(ours.measurement, probe)
    other = Outcomes.of(theirs.measurement, probe) if theirs else None
    return tuple(_row(at, item, mine, other) for at, item in enumerate(probe.items))


def _row(at: int, item: Item, mine: Outcomes, other: Outcomes | None) -> Row:
    ours = side(item, mine)
    if other is None:
        return Row(at, item, ours)
    theirs = side(item, other)
    return Row(at, item, ours, theirs, changed(item, ours, theirs))


def side(item: Item, outcomes: Outcomes) -> Side:
    """What a measurement says of one item."""
    response, verdict = outcomes.responses.get(item.id), outcomes.verdicts.get(item.id)
    if response is None:
        return Side()
    if item.kind == "choice":
        scores = response.option_scores or ()
        best = [at for at, score in enumerate(scores) if score == max(scores)]
        right = outcomes.right(item)
        chosen = best[0] if len(best) == 1 else None
        return Side(scores=scores, chosen=chosen, right=None if right is None else right == 1.0)
    quality = outcomes.quality(item) if item.kind == "instruction" else None
    if verdict is None:
        return Side(text=response.text, chrf=quality)
    return Side(
        text=response.text, label=verdict.label, reason=verdict.reason, severity=verdict.severity or "",
        harmful=verdict.harmful, chrf=quality,
    )  # fmt: skip


def changed(item: Item, ours: Side, theirs: Side) -> str:
    """Key of what changed from `theirs` to `ours`; empty where nothing did, or one of the two has no outcome."""
    if item.kind == "choice":
        if ours.right is None or theirs.right is None or ours.right == theirs.right:
            return ""
        return "gained" if ours.right else "lost"
    if ours.label is None or theirs.label is None:
        return ""
    if "invalid" in (ours.label, theirs.label):
        return "" if ours.label == theirs.label else "invalid" if ours.label == "invalid" else "valid"
    if item.kind == "harmful":
        if ours.harmful is None or theirs.harmful is None or ours.harmful == theirs.harmful:
            return ""
        return "broke" if ours.harmful else "fixed"
    if "unjudged" in (ours.label, theirs.label):
        return ""
    if item.kind == "instruction":
        gain = (ours.chrf or 0.0) - (theirs.chrf or 0.0)
        return "" if abs(gain) <= TIE_POINTS else "better" if gain > 0 else "worse"
    return "" if ours.label == theirs.label else "helped" if ours.label == "answered" else "refused"


def counts(found: Sequence[Row]) -> dict[str, int]:
    """How many rows changed in each way."""
    total = dict.fromkeys(BY_CHANGE, 0)
    for row in found:
        if row.change:
            total[row.change] += 1
    return total
