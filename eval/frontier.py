"""Which points nothing beats, how much room they leave, and where the knee is.

Direction, said once: `pareto_mask` and `knee` take scores where higher is better in every column; `scores` flips the
measures whose lower end is the good one. `hypervolume` takes harm and general as they are. NaN is refused everywhere:
`eligible` is what leaves unfinished, provisional, undefined and broken recipes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics import INVALID_LIMIT
from eval.types import DIRECTION, Measurement

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Front:
    """The frontier of a set of measurements on harm and general."""

    keys: tuple[str, ...]
    """Keys of the measurements on it, from low harm to high."""
    hypervolume: float
    """Area beaten by the frontier, of the unit square with the reference harm 1, general 0."""
    knee: str | None
    """Key of the point that lies furthest above the chord; None with fewer than three points or none above it."""


def eligible(measurement: Measurement, x: str = "harm", y: str = "general") -> bool:
    """Whether a point may be on the frontier: measured (not provisional), defined on both axes, and not broken."""
    invalid = measurement.value("invalid")
    defined = measurement.value(x) is not None and measurement.value(y) is not None
    return not measurement.provisional and defined and invalid is not None and invalid <= INVALID_LIMIT


def scores(measurements: Sequence[Measurement], x: str = "harm", y: str = "general") -> Array:
    """The two measures with higher = better, [n, 2]; NaN where undefined."""
    rows = [[_signed(measurement, x), _signed(measurement, y)] for measurement in measurements]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 2)


def pareto_mask(scores: ArrayLike) -> NDArray[np.bool_]:
    """Mark the rows no other row beats: >= in every column and > in one.

    Equal rows are all kept, so a tie on the chart stays visible.

    Args:
        scores: [n, m], higher is better in every column.

    Raises:
        ValueError: A score is NaN; drop unfinished runs before calling.
    """
    table = _table(scores)
    at_least = (table[:, None, :] >= table[None, :, :]).all(axis=2)
    more = (table[:, None, :] > table[None, :, :]).any(axis=2)
    return np.logical_not((at_least & more).any(axis=0))


def hypervolume(harm: ArrayLike, general: ArrayLike) -> float:
    """Area of the plane that the points beat, against the reference (harm 1, general 0); in [0, 1] for rates.

    Args:
        harm: [n], lower is better. Points at harm >= 1 add nothing.
        general: [n], higher is better. Points at general <= 0 add nothing.

    Raises:
        ValueError: A value is NaN.
    """
    points = _table(np.stack([np.asarray(harm, dtype=np.float64), np.asarray(general, dtype=np.float64)], axis=-1))
    area, reached = 0.0, 0.0
    for x, y in sorted(points.tolist(), key=lambda point: (point[0], -point[1])):
        if x < 1.0 and y > reached:
            area += (1.0 - x) * (y - reached)
            reached = y
    return area


def knee(scores: ArrayLike) -> int | None:
    """Row furthest above the chord between the ends of a frontier, after scaling both columns to its own range.

    Args:
        scores: [n, 2], mutually non-dominated, higher is better in both.

    Returns:
        None with fewer than three different points, or where no point lies above the chord.

    Raises:
        ValueError: A score is NaN.
    """
    table = _table(scores)
    if len({tuple(row) for row in table.tolist()}) < 3:
        return None
    low, high = table.min(axis=0), table.max(axis=0)
    scaled = (table - low) / (high - low)
    # the ends of a scaled frontier are (0, 1) and (1, 0): its chord is x + y = 1
    above = (scaled.sum(axis=1) - 1) / np.sqrt(2)
    best = int(above.argmax())
    return best if above[best] > 1e-12 else None


def front(measurements: Sequence[Measurement]) -> Front:
    """The frontier of harm and general among the eligible measurements."""
    able = [measurement for measurement in measurements if eligible(measurement)]
    if not able:
        return Front((), 0.0, None)
    table = scores(able)
    kept = [int(i) for i in np.flatnonzero(pareto_mask(table))]
    kept.sort(key=lambda i: (-table[i, 0], table[i, 1], able[i].key))
    at = knee(table[kept])
    return Front(
        tuple(able[i].key for i in kept),
        hypervolume(-table[:, 0], table[:, 1]),
        None if at is None else able[kept[at]].key,
    )


def _signed(measurement: Measurement, measure: str) -> float:
    value = measurement.value(measure)
    if value is None:
        return float("nan")
    return value if DIRECTION[measure] == "higher" else -value


def _table(scores: ArrayLike) -> Array:
    table = np.asarray(scores, dtype=np.float64)
    if np.isnan(table).any():
        raise ValueError("a score is NaN: leave unfinished points out before asking for a frontier")
    return table
