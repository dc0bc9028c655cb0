"""Files of verdicts, rows that `python -m eval judge` wrote or whole measurements, paired response by response."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.errors import JudgeError
from eval.judges.files import check_paths, item_of, read_rows
from eval.metrics import probe_of
from eval.probes import ProbeSet
from eval.store import read_jsonl
from eval.types import LABELS, SEVERITIES, Item, Measurement, Verdict

_KNOWN = (*LABELS, "unjudged")


@dataclass(frozen=True)
class Judged:
    """One response and what a judge says of it."""

    item: Item
    text: str
    verdict: Verdict


@dataclass(frozen=True)
class JudgedFile:
    """A judge's verdicts by response."""

    judge: str
    rows: Mapping[str, Judged]


def read_judged(path: Path) -> JudgedFile:
    """The verdicts of a file of labelled rows or of measurements.

    Raises:
        JudgeError: It is neither, or holds the same response twice.
        StoreError: A line is no measurement.
        EvalError: A probe has changed since the measurements were taken.
    """
    check_paths(path)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    measured = '"identity"' in first and '"verdicts"' in first
    return judged_of(read_jsonl(path), path.name) if measured else _labelled(path)


def pair(a: JudgedFile, b: JudgedFile) -> tuple[list[Item], list[Verdict], list[Verdict], int]:
    """(items, verdicts of a, verdicts of b, responses that only one of them has).

    Raises:
        JudgeError: They share no response, or one id stands for two responses.
    """
    shared = [key for key in a.rows if key in b.rows]
    if not shared:
        raise JudgeError("The two files share no response, so there is nothing to compare.")
    for key in shared:
        if a.rows[key].text != b.rows[key].text:
            raise JudgeError(
                f"Response {a.rows[key].item.id!r} is not the same in both files: judge the same responses."
            )
    alone = len(a.rows) + len(b.rows) - 2 * len(shared)
    items = [a.rows[key].item for key in shared]
    return items, [a.rows[key].verdict for key in shared], [b.rows[key].verdict for key in shared], alone


def judged_of(measurements: Sequence[Measurement], where: str, answered: ProbeSet | None = None) -> JudgedFile:
    """The verdicts that measurements hold; of the set they answered, by default the shipped one that each names.

    Raises:
        JudgeError: One recipe comes twice.
        EvalError: A probe has changed since they were taken.
    """
    found: dict[str, Judged] = {}
    for one in measurements:
        probe, texts = answered or probe_of(one), {response.item_id: response.text for response in one.responses}
        whose = replace(one.identity, judge="").key()
        for verdict in one.verdicts:
            key = f"{whose}/{verdict.item_id}"
            if key in found:
                raise JudgeError(f"{where} holds {one.label} twice: name a file with one judge's measurements.")
            found[key] = Judged(probe.by_id[verdict.item_id], texts[verdict.item_id], verdict)
    return JudgedFile(_one_name([one.identity.judge for one in measurements], where), found)


def _labelled(path: Path) -> JudgedFile:
    found: dict[str, Judged] = {}
    rows = read_rows(path)
    for row in rows:
        item, label, severity = item_of(row), row.get("label"), row.get("severity")
        if label not in _KNOWN or severity not in (None, *SEVERITIES):
            raise JudgeError(f"{path.name}: row {item.id!r} has no label, or one that is none of {', '.join(_KNOWN)}.")
        if item.id in found:
            raise JudgeError(f"{path.name}: id {item.id!r} comes twice.")
        found[item.id] = Judged(item, row["response"], Verdict(item.id, label, str(row.get("reason", "")), severity))
    return JudgedFile(_one_name([str(row.get("judge", path.stem)) for row in rows], path.stem), found)


def _one_name(names: Sequence[str], where: str) -> str:
    return names[0] if len(set(names)) == 1 else where
