"""What a verdict is worth: how far two judges of the same answers agree, and how well the rules label held-out rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.agreement import Agreement, Rated, agreement, rate
from eval.judges import quality
from eval.metrics import probe_of
from eval.types import Measurement
from ui.measures import LANGUAGES, figure, interval, languages
from ui.reading import Keyed

Judged = Mapping[str, Mapping[str, Measurement]]
"""Judge -> recipe's digest -> the same responses under that judge."""
ENOUGH = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"), (0.0, "slight"))
"""Words for a kappa from these values on (Landis and Koch 1977); below 0 it is worse than chance."""


@dataclass(frozen=True)
class Second:
    """What another judge says of the responses that are shown.

    Attributes:
        judge: Whose verdicts these are.
        said: For each recipe shown, item -> label.
        differ: Ids of the items on which the two judges differ, for any of the recipes.
        found: How far they agree over all of the responses.
    """

    judge: str
    said: tuple[Mapping[str, str], ...]
    differ: frozenset[str]
    found: Agreement


def judges(judged: Judged, digests: Sequence[str], usual: str) -> list[str]:
    """Judges of all of these recipes, the usual one first."""
    found = [judge for judge, by_recipe in judged.items() if all(digest in by_recipe for digest in digests)]
    return sorted(found, key=lambda judge: (judge != usual, judge))


def second(first: Sequence[Measurement], other: Sequence[Measurement]) -> Second:
    """Hold two judges' verdicts on the same responses against each other.

    Args:
        first: Measurements under the judge that is shown.
        other: The same recipes under the other judge, in the same order.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    return _second(tuple(map(Keyed, first)), tuple(map(Keyed, other)))


@lru_cache(maxsize=32)
def _second(first: tuple[Keyed, ...], other: tuple[Keyed, ...]) -> Second:
    pairs: list[Rated] = []
    left_out: dict[str, int] = {}
    for one, two in zip(first, other, strict=True):
        mine, theirs = ({v.item_id: v for v in keyed.measurement.verdicts} for keyed in (one, two))
        items = [item for item in probe_of(one.measurement).items if item.id in mine and item.id in theirs]
        rated, left = rate(items, [mine[item.id] for item in items], [theirs[item.id] for item in items])
        pairs += rated
        left_out = {why: left_out.get(why, 0) + left.get(why, 0) for why in (*left_out, *left)}
    found = agreement(pairs, left_out)
    said = tuple({v.item_id: v.label for v in keyed.measurement.verdicts} for keyed in other)
    judge = other[0].measurement.identity.judge
    return Second(judge, said, frozenset(pair.id for pair in found.disagreements), found)


def told(first: str, with_other: Second) -> dict[str, Any]:
    """The agreement as the page shows it: a sentence, kappa by language, and the table of labels."""
    found = with_other.found
    kappa = found.kappa
    counted = int(found.table.sum())
    same = int(sum(found.table[at][at] for at in range(len(found.categories))))
    if kappa.value is None:
        line = f"{first} and {with_other.judge}: agreement undefined ({kappa.reason})."
    else:
        word = next((word for least, word in ENOUGH if kappa.value >= least), "worse than chance")
        line = (
            f"{first} and {with_other.judge} agree on {same} of {counted} answers: Cohen's kappa {figure(kappa.value)} "
            f"{interval(kappa.low, kappa.high)}, {word}."
        )
    left = ", ".join(f"{count} {why}" for why, count in found.left_out.items())
    spoken = languages(kappa.by_language)
    return {
        "line": line,
        "left": f"Not counted: {left}." if left else "",
        "judges": [first, with_other.judge],
        "languages": [{"name": LANGUAGES.get(code, code), "kappa": _kappa(kappa.by_language[code])} for code in spoken],
        "categories": list(found.categories),
        "table": [[int(cell) for cell in row] for row in found.table],
        "differ": len(with_other.differ),
    }


def _kappa(found: Any) -> str:
    return "–" if found.value is None else f"{figure(found.value)} {interval(found.low, found.high)}"


def held_out(judge: str) -> list[dict[str, str]]:
    """The judge's macro-F1 on rows held out from its writing, by language; empty where nobody measured it."""
    path = quality.QUALITY
    found = _quality(path, path.stat().st_mtime_ns) if path.is_file() else {}
    if found.get("judge") != judge:
        return []
    rows = []
    for code in languages(found["languages"]):
        one = found["languages"][code]["macro_f1"]
        text = f"{figure(one['value'])} {interval(one['low'], one['high'])}"
        rows.append({"name": LANGUAGES.get(code, code), "f1": text, "n": str(one["n"])})
    return rows


@lru_cache(maxsize=2)
def _quality(path: Path, changed: int) -> dict[str, Any]:
    return quality.read(path)
