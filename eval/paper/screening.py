"""Which settings of a method are measured: chosen on the validation split, by one rule stated here. Needs no torch.

The rule. Settings whose merged weights are those of an earlier row (an expert, a linear merge) are no results of their
own and leave; so do those that give one of the two experts no weight, which are no merges. The others of one method at
one stage are ranked: those that no other setting of the method beats on both scores (safety, general) come first;
within these, and within the rest, the larger utility wins, where utility is the mean of both scores, each scaled by its
range over all that was screened at that stage. The best `keep` are measured; the very best stands for the method beside
the paper's row. The test split has no say in any of this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.errors import PaperError
from eval.frontier import pareto_mask
from eval.paper.entries import Entry, together_of
from eval.paper.plan import STAGES, Plan

MULTILINGUAL = "mix_15_multilingual"
"""What paper_results.csv calls the mix that monolingual models are held against."""
SAME_AS_LINEAR = "SLERP equals linear here"
"""What `merging.methods.slerp` notes where no tensor left the straight line."""
RULE = (
    "Settings were chosen on the validation split by the instant tier: settings that no other of the method beats on "
    "both scores first, then by the mean of both; the best {keep} of each method were measured on the test split."
)


@dataclass(frozen=True)
class Screened:
    """The instant tier's scores of one recipe, and what its merged weights are."""

    recipe_digest: str
    checkpoints: tuple[str, ...]
    """Sorted sha256 of the contents of its checkpoints."""
    scored_by: str
    """What identifies the scoring: probe, tier and decoding. Scores of one kind only are ranked together."""
    safety: float
    """Higher is safer; see `eval.paper.schema.Screening`."""
    general: float
    weights: str
    """Hash of the merged weights: equal means the very same model."""
    notes: tuple[str, ...]
    """What the method really did, as `LiveModel.apply` says it."""
    seconds: float = 0.0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Screened":
        """The inverse of `to_row`.

        Raises:
            PaperError: A field is missing or unknown.
        """
        try:
            return cls(**{**row, "checkpoints": tuple(row["checkpoints"]), "notes": tuple(row["notes"])})
        except (KeyError, TypeError) as error:
            raise PaperError(f"screening.jsonl holds a row of another version ({error}).") from error


@dataclass(frozen=True)
class Choice:
    """What screening decided."""

    same: Mapping[str, str]
    """Row id -> id of the earlier row with the same weights, never a chain."""
    ranks: Mapping[str, int]
    """Row id -> place among the settings of its method, from 1."""
    stands_for: Mapping[tuple[str, str], str]
    """(stage, model) of paper_results.csv -> id of the row that stands for it."""
    chosen: tuple[str, ...]
    """Ids of the rows to measure, the most telling first, whether their models are here or not."""


def choose(plan: Plan, entries: Sequence[Entry], screened: Mapping[str, Screened], absent: Iterable[str]) -> Choice:
    """Apply the rule to what has been screened so far.

    Args:
        plan: Says how many settings are kept.
        entries: All rows, in order.
        screened: Row id -> its scores.
        absent: Ids of rows that cannot be screened, their models being missing. A method with a setting that is
            neither screened nor absent is not ranked yet.
    """
    known = {entry.id: entry for entry in entries}
    same = identical(entries, screened)
    waiting = {entry.group for entry in entries} - {""}
    waiting &= {entry.group for entry in entries if entry.id not in screened and entry.id not in set(absent)}
    groups: dict[str, list[str]] = {}
    for entry in entries:
        if entry.group and entry.group not in waiting and entry.id in screened:
            groups.setdefault(entry.group, []).append(entry.id)
    scales = {stage: _scale([one for id_, one in screened.items() if known[id_].stage == stage]) for stage in STAGES}
    ranks: dict[str, int] = {}
    for members in groups.values():
        own = [one for one in members if one not in same and is_merge(known[one])]
        ranks |= _ranks(own, screened, scales[known[members[0]].stage]) if own else {}
    stands_for = _stand_ins(plan, entries, groups, screened, same, scales, waiting)
    chosen = _chosen(plan, entries, ranks, same, stands_for)
    return Choice(same, ranks, stands_for, chosen)


def identical(entries: Sequence[Entry], screened: Mapping[str, Screened]) -> dict[str, str]:
    """Rows with the weights of an earlier row, by the hash of the weights or by what SLERP says of itself."""
    first: dict[str, str] = {}
    linear = {(e.stage, e.settings["weight"]): e.id for e in entries if e.method == "linear" and "/linear/" in e.id}
    same: dict[str, str] = {}
    for entry in entries:
        one = screened.get(entry.id)
        if one is None:
            continue
        twin = first.setdefault(one.weights, entry.id)
        if twin == entry.id and entry.method == "slerp" and any(SAME_AS_LINEAR in note for note in one.notes):
            twin = linear.get((entry.stage, entry.settings.get("t", -1.0)), entry.id)
        if twin != entry.id:
            same[entry.id] = same.get(twin, twin)
    return same


def is_merge(entry: Entry) -> bool:
    """Whether both experts have weight."""
    return not {entry.settings.get("weight"), entry.settings.get("t")} & {0.0, 1.0}


Scale = tuple[np.ndarray, np.ndarray]


def _scores(screened: Iterable[Screened]) -> np.ndarray:
    return np.array([[one.safety, one.general] for one in screened], dtype=np.float64).reshape(-1, 2)


def _scale(screened: Sequence[Screened]) -> Scale:
    """(lowest, range) of both scores; a range of 0 becomes 1, so that such a score decides nothing."""
    table = _scores(screened)
    if not len(table):
        return np.zeros(2), np.ones(2)
    low, high = table.min(axis=0), table.max(axis=0)
    return low, np.where(high > low, high - low, 1.0)


def _ranks(ids: Sequence[str], screened: Mapping[str, Screened], scale: Scale) -> dict[str, int]:
    """Places from 1 by the rule; equal utilities keep their order."""
    table = _scores(screened[one] for one in ids)
    utility = ((table - scale[0]) / scale[1]).mean(axis=1)
    front = pareto_mask(table)
    order = sorted(range(len(ids)), key=lambda i: (not front[i], -utility[i]))
    return {ids[i]: place for place, i in enumerate(order, start=1)}


def _stand_ins(
    plan: Plan,
    entries: Sequence[Entry],
    groups: Mapping[str, Sequence[str]],
    screened: Mapping[str, Screened],
    same: Mapping[str, str],
    scales: Mapping[str, Scale],
    waiting: set[str],
) -> dict[tuple[str, str], str]:
    """Whichever row stands for each row of the paper.

    The paper's SLERP is mergekit's, flat or by layer: both are candidates, a flat one that equals a linear merge too;
    none may be one of the mixes.
    """
    known = {entry.id: entry for entry in entries}
    found = {(entry.stage, entry.paper): entry.id for entry in entries if entry.paper}
    if plan.languages:
        found[plan.languages.stage, MULTILINGUAL] = together_of(plan)
    pools: dict[tuple[str, str], list[str]] = {}
    for group, members in groups.items():
        stage, method = group.split("/", 1)
        name = "slerp" if method == "slerp_gradient" else method
        if name != "nuslerp":
            pools.setdefault((stage, name), []).extend(members)
    for (stage, name), members in pools.items():
        if name == "slerp" and {f"{stage}/slerp", f"{stage}/slerp_gradient"} & waiting:
            continue
        fit = [
            one for one in members if is_merge(known[one]) and (one not in same or _is_linear(name, known[same[one]]))
        ]
        if fit:
            ranks = _ranks(fit, screened, scales[stage])
            found[stage, name] = min(ranks, key=lambda one: ranks[one])
    return found


def _is_linear(name: str, twin: Entry) -> bool:
    return name == "slerp" and twin.method == "linear"


def _chosen(
    plan: Plan,
    entries: Sequence[Entry],
    ranks: Mapping[str, int],
    same: Mapping[str, str],
    stands_for: Mapping[tuple[str, str], str],
) -> tuple[str, ...]:
    """Rows to measure: models first, then what stands beside the paper, the fixed rows, and the other ranked ones."""
    keep = {"objective_merge": plan.objective.keep if plan.objective else 0}
    keep["language_merge"] = plan.languages.keep if plan.languages else 0
    stand_ins = set(stands_for.values())
    turns: dict[str, int] = {}
    for entry in entries:
        rank = ranks.get(entry.id)
        if entry.kind in ("base", "mix") and "@" not in entry.id:
            turn = 0
        elif entry.id in stand_ins:
            turn = 1
        elif entry.always or not entry.group:
            turn = 2 if "@" not in entry.id else 4
        elif rank is not None and rank <= keep[entry.kind]:
            turn = 1 if rank == 1 else 3
        else:
            continue
        first = same.get(entry.id, entry.id)
        turns[first] = min(turn, turns.get(first, turn))
    return tuple(sorted(turns, key=lambda one: turns[one]))
