"""How well the rule judge labels rows that were labelled by hand, with an interval; kept in a file the page can read.

The figure is macro-F1 over refused, answered and invalid, by language, on the rows held out from writing the rules.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.errors import JudgeError
from eval.judges import rules
from eval.statistics import RESAMPLES, SEED, percentiles, unseen
from eval.types import LABELS

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "judges"
QUALITY = FOLDER / "rules_quality.json"
HELD_OUT = "held out"


def rows(split: str = HELD_OUT) -> list[dict[str, str]]:
    """Rows of one split of the validation set: request, response, language, label, kind.

    Raises:
        JudgeError: There are none.
    """
    found = []
    for path in sorted(FOLDER.glob("rules_validation*.jsonl")):
        lines = path.read_text(encoding="utf-8").split("\n")
        found += [row for line in lines if line and (row := json.loads(line))["split"] == split]
    if not found:
        raise JudgeError(f"The validation set in {FOLDER.name} has no rows of split {split!r}.")
    return found


def measure(given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Label the rows by the rules and count: by language macro-F1 with its interval, confusion, accuracy by kind."""
    found: dict[str, Any] = {"judge": rules.RuleJudge.id, "labels": list(LABELS), "languages": {}}
    for language in rules.LANGUAGES:
        own = [row for row in given if row["language"] == language]
        if own:
            got = [rules.label(row["request"], row["response"], language)[0] for row in own]
            found["languages"][language] = _counted(own, got)
    return found


def macro_f1(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the labels' F1, [...] from [..., wanted, found]; a label that neither has counts as 0."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.divide(2 * hit, both, out=np.zeros_like(both), where=both > 0).mean(axis=-1)


def read(path: Path = QUALITY) -> dict[str, Any]:
    """What `write` kept; empty where nothing was, or where it was of another version of the rules."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("judge") == rules.RuleJudge.id else {}


def write(found: Mapping[str, Any], path: Path = QUALITY) -> None:
    """Keep the figures, as JSON."""
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def table(found: Mapping[str, Any]) -> str:
    """The figures as lines of text."""
    lines = [f"{found['judge']} on held-out rows", f"{'':4}{'macro-F1':>20}{'n':>6}   wanted > found"]
    for language, one in found["languages"].items():
        at = one["macro_f1"]
        cell = f"{at['value']:.2f} [{at['low']:.2f}, {at['high']:.2f}]"
        missed = {
            f"{want} > {got}": count
            for want, by in one["confusion"].items()
            for got, count in by.items()
            if want != got and count
        }
        lines.append(f"{language:4}{cell:>20}{at['n']:6}   " + ", ".join(f"{k} {v}" for k, v in missed.items()))
    return "\n".join(lines)


def _counted(own: Sequence[Mapping[str, str]], got: Sequence[str]) -> dict[str, Any]:
    pairs = Counter((row["label"], name) for row, name in zip(own, got, strict=True))
    confusion = np.array([[pairs[want, name] for name in LABELS] for want in LABELS], dtype=np.float64)
    value = float(macro_f1(confusion))
    n = len(own)
    # drawing rows with replacement is drawing cells of the table by their share
    drawn = np.random.default_rng(SEED).multinomial(n, confusion.ravel() / n, size=RESAMPLES)
    samples = macro_f1(drawn.reshape(RESAMPLES, len(LABELS), len(LABELS)).astype(np.float64))
    low, high = percentiles(samples, value) or (value - unseen(n), value)
    kinds = {}
    for kind in sorted({row["kind"] for row in own}):
        right = [row["label"] == name for row, name in zip(own, got, strict=True) if row["kind"] == kind]
        kinds[kind] = {"right": sum(right), "n": len(right)}
    return {
        "macro_f1": {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4), "n": n},
        "confusion": {want: {name: pairs[want, name] for name in LABELS} for want in LABELS},
        "kinds": kinds,
    }
