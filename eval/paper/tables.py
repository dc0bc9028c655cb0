"""From what was screened and measured to the tables that page and reader see. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from eval.paper import published
from eval.paper.counting import Counting
from eval.paper.entries import BASE, Entry, mixes_of, together_of
from eval.paper.kept import Kept
from eval.paper.payers import payments
from eval.paper.plan import Plan
from eval.paper.schema import Row, Screening, State, Table, Tables
from eval.paper.screening import RULE, Choice, Screened
from eval.paper.search import search
from eval.paper.verdicts import Verdicts
from eval.paper.words import points
from eval.probes import ProbeSet

TITLES: Mapping[str, tuple[str, str]] = {
    "a": (
        "Two experts merged, against data mixed",
        "Does merging the 0 % and the 100 % model beat training one model on the mix?",
    ),
    "b": (
        "One model a language, merged",
        "Does merging monolingual 15 % models beat one model trained on the same rows together?",
    ),
    "c": ("The weight of safety", "What does every step of the safety model's weight cost in a linear merge?"),
    "d": ("Merge before or after preference tuning", "Is SFT, merge, DPO better than SFT, DPO, merge?"),
    "e": ("Fewer rows, other seeds", "Does the comparison hold with less data and from another seed?"),
}


@dataclass(frozen=True)
class Found:
    """All that a comparison knows at some moment."""

    plan: Plan
    entries: Sequence[Entry]
    screened: Mapping[str, Screened]
    kept: Mapping[str, Kept]
    choice: Choice
    missing: Mapping[str, str]
    """Row id -> why it cannot be made here and what to do."""


def build(found: Found, probe: ProbeSet) -> Tables:
    """Count everything and decide every claim.

    Raises:
        PaperError: The probe has changed since something was measured, or the paper's own files are broken.
    """
    same = found.choice.same
    counting = Counting(probe, {row: one for row, one in found.kept.items() if row not in same}, BASE)
    table = published.figures()
    verdicts = Verdicts(
        counting, found.choice.stands_for, same, [entry.id for entry in found.entries], found.plan.family
    )
    rows = {entry.id: _row(entry, found, counting, verdicts, table) for entry in found.entries}
    return Tables(
        family=found.plan.family,
        base=BASE,
        measured_as=_measured_as(found, probe),
        languages=probe.languages,
        rows=rows,
        tables=tuple(_table(name, found, rows) for name in TITLES if any(name in e.tables for e in found.entries)),
        claims=tuple(verdicts.of_finding(finding) for finding in published.findings()),
        who_pays=payments(_pairs(found), counting, same),
        search=search(_candidates(found), counting),
        limits=_limits(found, rows),
    )


def _row(
    entry: Entry,
    found: Found,
    counting: Counting,
    verdicts: Verdicts,
    table: Mapping[tuple[str, str], published.Figures],
) -> Row:
    state = _state(entry, found)
    measured = state == "measured"
    stands_for = next((key for key, row in found.choice.stands_for.items() if row == entry.id and key in table), None)
    mixes = {mix: found.choice.same.get(mix, mix) for mix in entry.against} if measured else {}
    return Row(
        id=entry.id,
        stage=entry.stage,
        kind=entry.kind,
        method=entry.method,
        label=entry.label,
        recipe=entry.recipe.to_yaml(),
        state=state,
        settings=entry.settings,
        identical_to=found.choice.same.get(entry.id),
        note=_note(entry, found),
        screening=_screening(entry, found),
        key=found.kept[entry.id].key if measured else None,
        measures=counting.measures(entry.id) if measured else {},
        differences={mix: counting.gaps(entry.id, held) for mix, held in mixes.items() if held in counting},
        paper=table[stands_for] if stands_for else None,
        verdict=verdicts.of_row(stands_for, entry.kind, table) if stands_for else None,
    )


def _state(entry: Entry, found: Found) -> State:
    if entry.id in found.choice.same:
        return "identical"
    if entry.id in found.kept:
        return "measured"
    passed_over = entry.id in found.screened and entry.id not in found.choice.chosen
    decided = any(other.group == entry.group and other.id in found.choice.ranks for other in found.entries)
    return "screened" if passed_over and entry.group and decided else "not measured"


def _note(entry: Entry, found: Found) -> str:
    if entry.id in found.screened:
        return " ".join(found.screened[entry.id].notes)
    return "" if entry.id in found.kept else found.missing.get(entry.id, "")


def _screening(entry: Entry, found: Found) -> Screening | None:
    one = found.screened.get(entry.id)
    return None if one is None else Screening(one.safety, one.general, found.choice.ranks.get(entry.id))


def _table(name: str, found: Found, rows: Mapping[str, Row]) -> Table:
    title, question = TITLES[name]
    ids = tuple(entry.id for entry in found.entries if name in entry.tables)
    sweep = found.plan.sweep
    baselines = {
        "b": together_of(found.plan),
        "c": f"{sweep.stage}/mix-15" if sweep else "",
        "d": "DPO/mix-15",
    }
    baseline = baselines.get(name) or None
    return Table(name, title, question, ids, baseline, _table_note(name, found, [rows[one] for one in ids]))


def _table_note(name: str, found: Found, rows: Sequence[Row]) -> str:
    measured = sum(row.state == "measured" for row in rows)
    words = [f"{measured} of {len(rows)} rows are measured."]
    if name == "a" and found.plan.objective:
        words.append(RULE.format(keep=found.plan.objective.keep))
    if name == "b" and found.plan.languages:
        words.append("The density of each merge was chosen on the validation split by the same rule.")
    if smallest := _smallest(rows):
        words.append(smallest)
    return " ".join(words)


def _smallest(rows: Sequence[Row]) -> str:
    """The smallest differences against the baseline that can be told, in the middle of the rows."""
    words = []
    for measure, name in (("harm", "harm"), ("general", "general"), ("win_rate", "win-rate")):
        gaps = [next(iter(row.differences.values())) for row in rows if row.differences]
        told = [gap[measure].overall.detectable for gap in gaps]
        known = [points(value, measure) for value in told if value is not None]
        if known:
            words.append(f"{name} {median(known):.1f}")
    return f"Smallest paired differences that can be told, in points: {', '.join(words)}." if words else ""


def _pairs(found: Found) -> list[tuple[str, str]]:
    """The merges that stand for a method, each with its baseline mix."""
    leading = {row for row, rank in found.choice.ranks.items() if rank == 1} | set(found.choice.stands_for.values())
    return [
        (entry.id, entry.against[0])
        for entry in found.entries
        if entry.id in leading and entry.kind not in ("base", "mix") and entry.against
    ]


def _candidates(found: Found) -> list[tuple[str, tuple[str, ...]]]:
    """Every merge of the two experts, with the mixes of its stage."""
    own = [entry for entry in found.entries if entry.kind == "objective_merge" and "@" not in entry.id]
    return [(entry.id, mixes_of(entry.stage)) for entry in own]


def _measured_as(found: Found, probe: ProbeSet) -> dict[str, str]:
    one = next(iter(found.kept.values()), None)
    if one is None:
        return {"probe": probe.id, "probe_hash": probe.hash}
    known = one.identity
    return {
        "probe": known.probe,
        "probe_hash": known.probe_hash,
        "tier": known.tier,
        "judge": known.judge,
        "decoding": known.decoding,
    }


def _limits(found: Found, rows: Mapping[str, Row]) -> tuple[str, ...]:
    waiting = sum(row.state == "not measured" for row in rows.values())
    told = [
        "One training run of each model stands for its recipe; table e says how far another seed moves the figures.",
        "The rule judge counts answers that are not refusals; it does not grade how harmful an answer is.",
        "The win-rate is by chrF against references, not by a judge that reads both answers.",
        "Verdicts compare directions with the paper, by paired 95 % intervals, not corrected for their number.",
    ]
    if found.choice.same:
        told.append(
            f"{len(found.choice.same)} rows have the very weights of another row and are no results of their own."
        )
    return (*told, *([f"{waiting} rows are not measured yet."] if waiting else []))
