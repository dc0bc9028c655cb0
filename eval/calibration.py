"""What an instant measurement is worth: lines from its leanings to the quick probe's figures, with their error.

The lines are fitted on the shipped measurements and hold for merges of the very checkpoints these were made of; for any
other model nothing is claimed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eval.errors import EvalError
from eval.instant import TIER
from eval.shipped import FOLDER
from eval.statistics import Z95
from eval.types import Estimate, Identity, Measurement

SOURCES: Mapping[str, str] = {"harm": "refusing", "over_refusal": "wary", "general": "choosing"}
"""Measure of the quick probe -> the leaning that estimates it."""
FEWEST = 8
"""Recipes that a line is fitted on at least."""
WEAKEST = 0.5
"""Correlation below which nothing is claimed."""


@dataclass(frozen=True)
class Line:
    """A least-squares line from a leaning to a measure, and how far it is off on recipes it has not seen."""

    leaning: str
    slope: float
    intercept: float
    error: float
    """Root mean square of the leave-one-out residuals, in the measure's own unit."""
    correlation: float
    """Pearson's, between leaning and measure, over the recipes fitted."""

    def estimate(self, leaning: float) -> Estimate:
        """The measure within [0, 1], with a 95 % interval for one more recipe."""
        value = min(1.0, max(0.0, self.slope * leaning + self.intercept))
        return Estimate(value, max(0.0, value - Z95 * self.error), min(1.0, value + Z95 * self.error), 0)


@dataclass(frozen=True)
class Calibration:
    """Lines for one way of taking likelihoods, and for merges of these checkpoints only."""

    probe_hash: str
    """Of the instant declaration."""
    scoring: str
    quick: tuple[str, str, str, str]
    """Group of the measurements fitted: probe hash, tier, judge, decoding."""
    checkpoints: tuple[str, ...]
    """Contents, sorted."""
    recipes: int
    lines: Mapping[str, Line]

    def speaks_of(self, identity: Identity) -> bool:
        """Whether anything is claimed of this instant measurement."""
        same = (identity.probe_hash, identity.decoding) == (self.probe_hash, self.scoring)
        return same and set(identity.checkpoints.values()) <= set(self.checkpoints)

    def estimates(self, instant: Measurement) -> dict[str, Estimate]:
        """What the quick probe would probably say."""
        found = {name: instant.value(line.leaning) for name, line in self.lines.items()}
        return {name: self.lines[name].estimate(value) for name, value in found.items() if value is not None}


def fit(pairs: Sequence[tuple[Measurement, Measurement]]) -> Calibration:
    """Fit on (instant, quick) measurements of the same recipes.

    Raises:
        EvalError: There are too few, or they were not all taken in one way.
    """
    if len(pairs) < FEWEST:
        raise EvalError(f"A calibration needs {FEWEST} recipes with both measurements, and there are {len(pairs)}.")
    ways = {(one.identity.probe_hash, one.identity.decoding, quick.identity.group()) for one, quick in pairs}
    if len(ways) > 1:
        raise EvalError("The recipes were not all measured in one way: measure them again.")
    probe_hash, scoring, group = ways.pop()
    used = {content for one, _ in pairs for content in one.identity.checkpoints.values()}
    lines: dict[str, Line] = {}
    for name, leaning in SOURCES.items():
        values = [(one.value(leaning), quick.value(name)) for one, quick in pairs]
        known = np.array([pair for pair in values if None not in pair], dtype=np.float64)
        if len(known) >= FEWEST and (known.std(axis=0) > 0).all():
            line = _line(leaning, known[:, 0], known[:, 1])
            lines |= {name: line} if abs(line.correlation) >= WEAKEST else {}
    return Calibration(probe_hash, scoring, group, tuple(sorted(used)), len(pairs), lines)


def _line(leaning: str, x: np.ndarray, y: np.ndarray) -> Line:
    slope, intercept = np.polyfit(x, y, 1)
    # leaving a point out moves its residual to residual / (1 - leverage)
    leverage = 1 / len(x) + (x - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    left_out = (y - slope * x - intercept) / (1 - leverage)
    error = float(np.sqrt((left_out**2).mean()))
    return Line(leaning, float(slope), float(intercept), error, float(np.corrcoef(x, y)[0, 1]))


def path() -> Path:
    """Where the calibrations are shipped."""
    return FOLDER / f"{TIER}.json"


def shipped() -> tuple[Calibration, ...]:
    """The calibrations that come with the app, one for each way of taking likelihoods; none where there is no file."""
    return _read(path(), path().stat().st_mtime_ns) if path().is_file() else ()


def calibration_of(instant: Measurement) -> Calibration | None:
    """The shipped calibration that speaks for this measurement, if one does."""
    return next((one for one in shipped() if one.speaks_of(instant.identity)), None)


def keep(calibration: Calibration) -> None:
    """Ship it, in place of the one for the same way of taking likelihoods."""
    others = [one for one in shipped() if one.scoring != calibration.scoring]
    rows = [_json(one) for one in sorted([*others, calibration], key=lambda one: one.scoring)]
    draft = path().with_name(f".{path().name}.partial")
    draft.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draft.replace(path())


def _json(calibration: Calibration) -> dict[str, Any]:
    rounded = {
        name: {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(line).items()}
        for name, line in calibration.lines.items()
    }
    return asdict(calibration) | {"lines": rounded}


@lru_cache(maxsize=2)
def _read(file: Path, _changed: int) -> tuple[Calibration, ...]:
    return tuple(
        Calibration(
            row["probe_hash"],
            row["scoring"],
            tuple(row["quick"]),
            tuple(row["checkpoints"]),
            row["recipes"],
            {name: Line(**line) for name, line in row["lines"].items()},
        )
        for row in json.loads(file.read_text(encoding="utf-8"))
    )
