"""What is known about one recipe, and how it stands against the mix: measured, guessed or not known yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eval.answer import Answer, answer
from eval.errors import EvalError
from eval.metrics import Paired, compare
from eval.types import Measurement
from merging import Recipe
from ui.measures import figure, languages, signed, signed_short
from ui.preview import Guess, guess
from ui.status import Point

MIX = "mix 15 %"
COMPARED = ("harm", "general")


@dataclass(frozen=True)
class Reading:
    """A recipe, with its measured point or a guess between measured neighbours, if there is either."""

    recipe: Recipe
    point: Point | None
    guess: Guess | None

    @property
    def measurement(self) -> Measurement | None:
        """The measurement, if there is one."""
        return self.point.measurement if self.point else None


def read(recipe: Recipe, points: Sequence[Point], hint: Guess | None = None) -> Reading:
    """Look a recipe up among the measured points; where it is not, take the hint, else guess between its neighbours."""
    digest = recipe.digest()
    point = next((point for point in points if point.id == digest), None)
    if point is not None:
        return Reading(recipe, point, None)
    between = guess(recipe, [(other.recipe, other.measurement) for other in points])
    return Reading(recipe, None, hint.over(between) if hint else between)


def mix(points: Sequence[Point]) -> Point | None:
    """The landmark every merge is held against."""
    return next((point for point in points if point.landmark == MIX), None)


Sentence = tuple[tuple[str, str], ...]
"""The page's answer as (words, kind) pairs; kind is "", "amount", "better", "worse" or "hint"."""


def sentence(reading: Reading, points: Sequence[Point]) -> Sentence:
    """The paper's question answered for this recipe, or what to do to get an answer."""
    if not points:
        return _plain("Nothing is measured yet. Press Probe to see what this merge gains and what it costs.")
    if reading.measurement is None:
        return _unmeasured(reading)
    held = mix(points)
    if held is None:
        return _plain("The data-mixed model is not measured here, so there is nothing to hold this merge against.")
    try:
        found = answer(reading.measurement, held.measurement, [point.measurement for point in points])
    except EvalError as problem:
        return _plain(str(problem))
    return _answered(found)


def _plain(text: str) -> Sentence:
    return ((text, ""),)


def _unmeasured(reading: Reading) -> Sentence:
    if reading.guess is None:
        return _plain(
            "Not measured yet, and no measured neighbours to guess from. Press Probe to place this merge on the chart."
        )
    values = reading.guess.values
    said = " and ".join(f"{key} ≈ {figure(values[key].value)}" for key in COMPARED if key in values)
    return (
        ("Preview: ", ""),
        (said, "amount"),
        (f", {reading.guess.said}. Press Probe to measure it.", ""),
    )


def _answered(found: Answer) -> Sentence:
    if found.kind == "none" or found.general is None:
        return _plain(f"No answer yet: {found.reason}.")
    if found.kind == "equal_harm":
        needed = found.general.items_needed
        hint = f" (about {needed} items would)" if needed and found.general.word == "cannot tell" else ""
        return (
            ("At equal harm, this merge is ", ""), (_amount(found.general), "amount"),
            (f" general against {found.against}: ", ""), (found.general.word, _kind(found.general)), (hint, "hint"),
        )  # fmt: skip
    if found.harm is None:
        return _plain(str(found))
    return (
        (f"Against {found.against}: harm ", ""), (_amount(found.harm), "amount"), (" ", ""),
        (found.harm.word, _kind(found.harm)), (", general ", ""), (_amount(found.general), "amount"), (" ", ""),
        (found.general.word, _kind(found.general)),
        (". Trace for an answer at equal harm.", "hint"),
    )  # fmt: skip


def _kind(found: Paired) -> str:
    return {"better": "better", "worse": "worse"}.get(found.word, "amount")


def _amount(found: Paired) -> str:
    if found.difference is None or found.low is None or found.high is None:
        return "undefined"
    return f"{signed(found.difference)} [{signed_short(found.low)}, {signed_short(found.high)}]"


def pays(reading: Reading, points: Sequence[Point]) -> dict[str, dict[str, Paired]]:
    """Measure -> language -> paired difference from the mix; empty where one of the two is not measured."""
    held = mix(points)
    if reading.measurement is None or held is None or held.id == reading.recipe.digest():
        return {}
    if held.measurement.identity.group() != reading.measurement.identity.group():
        return {}
    return _pays(Keyed(reading.measurement), Keyed(held.measurement))


@dataclass(frozen=True, eq=False)
class Keyed:
    """A measurement that a cache can hold: equal where the key is."""

    measurement: Measurement

    def __hash__(self) -> int:
        return hash(self.measurement.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and other.measurement.key == self.measurement.key


@lru_cache(maxsize=128)
def _pays(merge: Keyed, other: Keyed) -> dict[str, dict[str, Paired]]:
    rows: dict[str, dict[str, Paired]] = {}
    for key in COMPARED:
        found = merge.measurement.measures.get(key)
        rows[key] = {
            code: compare(merge.measurement, other.measurement, key, code)
            for code in languages(found.by_language if found else ())
        }
    return rows
