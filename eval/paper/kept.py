"""Measurements kept small: what counts of every item, without its text, one line of JSON a recipe. Needs no torch.

A full measurement holds a third of a megabyte of answers; they stay in the local store, where another judge can read
them. What is committed is, in the order of the probe's items, the label of every answer, the chrF of every instruction
and how far the right choice is ahead: enough for every measure and every paired comparison, and nothing to read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.errors import PaperError
from eval.probes import ProbeSet
from eval.scores import Outcomes
from eval.types import LABELS, SEVERITIES, Identity, Item, Label, Measurement, Severity, Verdict

_LABELS: Mapping[str, Label] = {label[0]: label for label in (*LABELS, "unjudged")}
_SEVERITIES: Mapping[str, Severity | None] = {"-": None, **{severity[0]: severity for severity in SEVERITIES}}
_FIGURES = 6


@dataclass(frozen=True)
class Kept:
    """One measured recipe, item by item."""

    identity: Identity
    recipe: str
    labels: str
    """One letter for each item that is not a choice: r(efused), a(nswered), i(nvalid), u(njudged)."""
    chrf: tuple[float, ...]
    """Sentence chrF of each instruction, 0 where it was refused or invalid."""
    ahead: tuple[float, ...]
    """Of each choice: the right option's log-probability per byte above the best other one (nats / byte)."""
    severities: str = ""
    """One letter for each label where the judge tells severity, n(one), m(ild), s(erious) or -; else empty."""
    seconds: float = 0.0
    created: str = ""
    environment: Mapping[str, str] | None = None

    @property
    def key(self) -> str:
        """The identity's key."""
        return self.identity.key()

    @classmethod
    def of(cls, measurement: Measurement, probe: ProbeSet) -> "Kept":
        """The counted part of a full measurement of this probe."""
        full = Outcomes.of(measurement, probe)
        verdicts = [full.verdicts[item.id] for item in probe.items if item.kind != "choice"]
        severities = "".join("-" if verdict.severity is None else verdict.severity[0] for verdict in verdicts)
        return cls(
            identity=measurement.identity,
            recipe=measurement.recipe,
            labels="".join(verdict.label[0] for verdict in verdicts),
            chrf=tuple(_short(full.quality(item) or 0.0) for item in probe.items if item.kind == "instruction"),
            ahead=tuple(_short(_ahead(full, item)) for item in probe.items if item.kind == "choice"),
            severities=severities if severities.strip("-") else "",
            seconds=measurement.seconds,
            created=measurement.created,
            environment=dict(measurement.environment),
        )

    def outcomes(self, probe: ProbeSet) -> "Counted":
        """What it says of every item.

        Raises:
            PaperError: The probe is another one, or has changed since.
        """
        if probe.hash != self.identity.probe_hash:
            raise PaperError(
                f"Probe {probe.id!r} has changed since the paper's recipes were measured: measure them again."
            )
        asked = [item for item in probe.items if item.kind != "choice"]
        told = [item for item in asked if item.kind == "instruction"]
        choices = [item for item in probe.items if item.kind == "choice"]
        reason = f"not judged by {self.identity.judge}"  # read only where that is so
        verdicts = {
            item.id: Verdict(item.id, _LABELS[letter], reason, _SEVERITIES[severity])
            for item, letter, severity in zip(asked, self.labels, self.severities or "-" * len(asked), strict=True)
        }
        chrf = {item.id: value for item, value in zip(told, self.chrf, strict=True)}
        ahead = {item.id: value for item, value in zip(choices, self.ahead, strict=True)}
        return Counted(probe, {}, verdicts, chrf, ahead)


@dataclass(frozen=True)
class Counted(Outcomes):
    """Outcomes without their texts."""

    chrf: Mapping[str, float]
    ahead: Mapping[str, float]

    def quality(self, item: Item) -> float | None:
        """The kept chrF, where there is a label."""
        return None if self.label(item) is None else self.chrf.get(item.id)

    def right(self, item: Item) -> float | None:
        """1 if the right option is ahead of all others."""
        ahead = self.ahead.get(item.id)
        return None if ahead is None else float(ahead > 0)


def _ahead(full: Outcomes, item: Item) -> float:
    scores = full.responses[item.id].option_scores
    if scores is None or item.answer is None:
        raise PaperError(f"The choice {item.id!r} was measured without its options.")
    return scores[item.answer] - max(s for i, s in enumerate(scores) if i != item.answer)


def _short(value: float) -> float:
    return float(f"{value:.{_FIGURES}g}")  # significant digits: what is ahead by very little stays ahead


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, none where there is no file; an unfinished last line is left out.

    Raises:
        PaperError: Another line is no JSON object.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end was cut off by a kill
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise PaperError(f"{path.name}:{number}: no measurement of this version ({error}).") from error
    return found


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add one object to a JSONL file; a line that a kill left unfinished is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and (held := path.read_bytes()) and not held.endswith(b"\n"):
        path.write_bytes(held[: held.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the whole file anew, or leave it as it is."""
    draft = path.with_name(f".{path.name}.partial")
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def to_row(kept: Kept) -> dict[str, Any]:
    """Plain JSON types."""
    return asdict(kept)


def from_row(row: Mapping[str, Any]) -> Kept:
    """The inverse of `to_row`.

    Raises:
        PaperError: A field is missing or unknown.
    """
    try:
        built = {"identity": Identity(**row["identity"]), "chrf": tuple(row["chrf"]), "ahead": tuple(row["ahead"])}
        return Kept(**{**row, **built})
    except (KeyError, TypeError) as error:
        raise PaperError(f"measurements.jsonl holds a row of another version ({error}).") from error
