"""Win-rate by a pairwise judge: one model's instruction answers against another's, each pair asked in both orders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.errors import EvalError
from eval.judges.asking import reads, unread
from eval.metrics import Statistic, probe_of, to_measure
from eval.probes import ProbeSet
from eval.scores import Weights, rates, tally
from eval.statistics import Array, nanmean_rows
from eval.types import Item, Measure, Measurement, PairwiseJudge, Preference, Response


@dataclass(frozen=True)
class Win:
    """How often one model's answers are preferred; a tie counts half."""

    judge: str
    rate: Measure
    preferences: tuple[Preference, ...]


def win_rate(a: Measurement, b: Measurement, judge: PairwiseJudge, probe: ProbeSet | None = None) -> Win:
    """The win-rate of a against b on the instruction items both answered.

    Args:
        a: The model in question.
        b: What it is compared with.
        judge: Prefers one of two responses.
        probe: The probe both answered; by default the shipped one that a names.

    Raises:
        EvalError: The two did not answer the same probe in the same way, or it has no instruction items.
        JudgeError: The judge cannot work.
    """
    ours, theirs = a.identity, b.identity
    if (ours.probe_hash, ours.tier, ours.decoding) != (theirs.probe_hash, theirs.tier, theirs.decoding):
        raise EvalError("These measurements differ in probe, tier or decoding, so their answers cannot be compared.")
    probe = probe or probe_of(a)
    first, second = ({response.item_id: response for response in one.responses} for one in (a, b))
    items = [one for one in probe.items if one.kind == "instruction" and one.id in first and one.id in second]
    if not items:
        raise EvalError(f"Probe {probe.id!r} has no instruction items that both answered.")
    preferences = _prefer(judge, items, [first[one.id] for one in items], [second[one.id] for one in items])
    return Win(judge.id, to_measure("win_rate", _statistic(probe, preferences)), tuple(preferences))


def _prefer(
    judge: PairwiseJudge, items: Sequence[Item], ours: Sequence[Response], theirs: Sequence[Response]
) -> list[Preference]:
    read = [i for i, item in enumerate(items) if reads(judge.languages, item.language)]
    asked = judge.prefer([items[i] for i in read], [ours[i] for i in read], [theirs[i] for i in read]) if read else []
    given = dict(zip(read, asked, strict=True))
    return [given.get(i) or Preference(item.id, None, unread(judge.id, item)) for i, item in enumerate(items)]


def _statistic(probe: ProbeSet, preferences: Sequence[Preference]) -> Statistic:
    scores = {one.item_id: one for one in preferences}
    table = tally(probe, "instruction", lambda item: scores[item.id].score if item.id in scores else None)
    blank = [name for name, count in zip(table.languages, table.count.sum(axis=0), strict=True) if count == 0]
    spoken = {one.item_id: probe.by_id[one.item_id].language for one in preferences}
    reasons = {spoken[one.item_id]: one.reason for one in reversed(preferences) if spoken[one.item_id] in blank}
    table = replace(table, unjudged=reasons)

    def by_language(weights: Weights) -> Array:
        return rates([table], weights)

    return Statistic(table.languages, (table,), by_language, lambda weights: nanmean_rows(by_language(weights)))


def pick(measurements: Sequence[Measurement], name: str) -> Measurement:
    """The one measurement of a label, a method's short text or the beginning of a key.

    Raises:
        EvalError: There is none, or more than one.
    """
    found = [one for one in measurements if one.label == name] or [
        one for one in measurements if one.key.startswith(name) or one.label.startswith(name)
    ]
    if len(found) != 1:
        known = ", ".join(dict.fromkeys(one.label for one in (found or measurements)))
        raise EvalError(f"{'No' if not found else 'More than one'} measurement is named {name!r}. Known: {known}.")
    return found[0]
