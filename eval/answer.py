"""The paper's question, answered for one merge: at equal harm, is it better than mixing the data?

Where the merge's own path (the same recipe at other settings of its slider, down to its two endpoints) was measured on
both sides of the mix's harm, the path is followed to that harm and the two general scores are compared: an answer at
equal harm. Otherwise there is no such point, and the answer is the two paired differences as they are. Nothing is
extrapolated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import yaml

from eval.frontier import eligible
from eval.metrics import Paired, Statistic, compare, paired, probe_of, statistic
from eval.probes import ProbeSet
from eval.scores import Outcomes, Tally
from eval.types import Measurement

SLIDERS = ("t", "weight")
"""Settings that move a merge along its path; all others must agree for two recipes to lie on one path."""
REACH_THEIR_ENDS = ("slerp", "nuslerp", "linear")
"""Methods whose path between two models begins and ends with those models themselves."""


@dataclass(frozen=True)
class Answer:
    """The parts of the sentence, for a page to set as it likes; `str()` gives it plainly."""

    kind: Literal["equal_harm", "both_axes", "none"]
    against: str
    """What the mix is called."""
    general: Paired | None = None
    """General score, merge minus mix; at the mix's harm if the kind is equal_harm."""
    harm: Paired | None = None
    """Harm, merge minus mix; only if the kind is both_axes."""
    between: tuple[str, str] | None = None
    """Keys of the two measured recipes that the path was followed between; equal if one lies exactly there."""
    share: float | None = None
    """How far from the first to the second, in [0, 1]."""
    reason: str | None = None
    """Why there is no answer, or why it is not one at equal harm."""

    def __str__(self) -> str:
        """The sentence, ending in a full stop."""
        if self.kind == "none" or self.general is None:
            return f"No answer yet: {self.reason}."
        if self.kind == "equal_harm":
            gain = f"{_amount(self.general)} general against {self.against}"
            return f"At equal harm, this merge is {gain}: {self.general.word}."
        harm = "" if self.harm is None else f"{_amount(self.harm)} harm ({self.harm.word}) and "
        general = f"{_amount(self.general)} general ({self.general.word})"
        return f"This merge has {harm}{general} against {self.against}; {self.reason}."


def answer(
    merge: Measurement,
    mix: Measurement,
    measured: Sequence[Measurement] = (),
    *,
    against: str = "the 15 % mix",
    probe: ProbeSet | None = None,
) -> Answer:
    """Answer the paper's question for one merge.

    Args:
        merge: The merge in question.
        mix: The data-mixed model it is held against.
        measured: Whatever else was measured; the merge's path is picked out of it.
        against: What to call the mix.
        probe: The probe all of them answered; by default the shipped one that `merge` names.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    if merge.key == mix.key:
        return Answer("none", against, reason="this is the mix itself")
    if merge.identity.group() != mix.identity.group():
        return Answer("none", against, reason="the two were not measured in the same way")
    for name, one in (("this merge", merge), (against, mix)):
        if not eligible(one):
            return Answer("none", against, reason=f"{name} is provisional, undefined or gives too many invalid answers")
    probe = probe or probe_of(merge)
    path = path_of(merge, measured)
    bracket = _bracket(path, mix)
    if bracket is None:
        short = "its path has not been measured" if len(path) < 2 else "its measured path does not reach the mix's harm"
        general, harm = (compare(merge, mix, name, probe=probe) for name in ("general", "harm"))
        return Answer("both_axes", against, general, harm, reason=f"not at equal harm, because {short}")
    found, share = _at_equal_harm(*bracket, mix, probe)
    return Answer("equal_harm", against, found, between=(bracket[0].key, bracket[1].key), share=share)


def path_of(merge: Measurement, measured: Sequence[Measurement]) -> list[Measurement]:
    """The merge, eligible measurements that differ from it in slider settings only, and its ends; by falling harm."""
    tree = yaml.safe_load(merge.recipe)
    family, ends = _without_sliders(tree), _ends(tree)
    found = {merge.key: merge}
    for other in measured:
        if eligible(other) and other.identity.group() == merge.identity.group():
            recipe = yaml.safe_load(other.recipe)
            if _without_sliders(recipe) == family or _single(recipe) in ends:
                found.setdefault(other.key, other)
    return sorted(found.values(), key=lambda one: (-_value(one, "harm"), _value(one, "general")))


def _bracket(path: Sequence[Measurement], mix: Measurement) -> tuple[Measurement, Measurement] | None:
    """The nearest points of the path at or above and at or below the mix's harm; on a tie the better general."""
    at = _value(mix, "harm")
    above = [one for one in path if _value(one, "harm") >= at]
    below = [one for one in path if _value(one, "harm") <= at]
    if len(path) < 2 or not above or not below:
        return None
    first = min(above, key=lambda one: (_value(one, "harm"), -_value(one, "general")))
    second = max(below, key=lambda one: (_value(one, "harm"), _value(one, "general")))
    return first, second


def _at_equal_harm(first: Measurement, second: Measurement, mix: Measurement, probe: ProbeSet) -> tuple[Paired, float]:
    """General of the path at the mix's harm, minus the mix's; with the interval of the place on the path too.

    In every resample the place is found anew between the same two points, and kept between them.
    """
    harms, generals = ([_statistic(one, name, probe) for one in (first, second, mix)] for name in ("harm", "general"))

    def place(draw: Any) -> np.ndarray:
        high, low, at = (one.overall(draw) for one in harms)
        gap = high - low
        share = np.divide(high - at, gap, out=np.full(gap.shape, 0.5), where=np.abs(gap) > 1e-12)
        return np.clip(share, 0.0, 1.0)

    def on_path(draw: Any) -> np.ndarray:
        share = place(draw)
        return (1 - share) * generals[0].overall(draw) + share * generals[1].overall(draw)

    def one_row(draw: Any) -> np.ndarray:
        return np.repeat(on_path(draw)[:, None], len(generals[2].languages), axis=1)

    there = Statistic(generals[2].languages, generals[2].tallies, one_row, on_path)
    return paired("general", there, generals[2]), float(place(Tally.once)[0])


def _statistic(measurement: Measurement, name: str, probe: ProbeSet) -> Statistic:
    return statistic(name, Outcomes.of(measurement, probe))


def _value(measurement: Measurement, name: str) -> float:
    value = measurement.value(name)
    return float("nan") if value is None else value


def _ends(recipe: Mapping[str, Any]) -> set[str]:
    """The two models that the path runs between, where the method reaches them."""
    models = [entry["model"] for entry in recipe.get("models") or ()]
    return set(models) if recipe["merge_method"] in REACH_THEIR_ENDS and len(models) == 2 else set()


def _single(recipe: Mapping[str, Any]) -> str | None:
    """The checkpoint that a recipe is nothing but, or None."""
    models = recipe.get("models") or ()
    return models[0]["model"] if recipe["merge_method"] == "linear" and len(models) == 1 else None


def _without_sliders(node: Any) -> Any:
    """The recipe without its slider settings: equal for two recipes on one path."""
    if isinstance(node, Mapping):
        kept = {key: _without_sliders(value) for key, value in node.items() if key not in SLIDERS}
        return {key: value for key, value in kept.items() if value != {}}
    return [_without_sliders(value) for value in node] if isinstance(node, list) else node


def _amount(difference: Paired) -> str:
    if difference.difference is None or difference.low is None or difference.high is None:
        return "an undefined difference in"
    return f"{difference.difference:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
