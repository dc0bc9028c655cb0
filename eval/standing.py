"""How surely a point is on the frontier: the share of bootstrap resamples in which nothing beats it.

The best of many measured points is partly the luckiest. So the whole choice is made again in every resample of the
items (the same draws for all points, translations of one item together): a point that is broken, undefined or beaten
there is not on that resample's frontier.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from eval.errors import EvalError
from eval.metrics import INVALID_LIMIT, Undefined, probe_of, statistic
from eval.probes import ProbeSet
from eval.scores import Outcomes
from eval.statistics import Array
from eval.types import DIRECTION, Measurement

KEPT = 512
"""Samples of so many measures are kept: what was drawn once is not drawn again when a point is added."""
_samples: OrderedDict[tuple[str, ...], Array | None] = OrderedDict()
_shares: OrderedDict[tuple[object, ...], dict[str, float]] = OrderedDict()
_lock = Lock()


def standing(
    measurements: Sequence[Measurement], x: str = "harm", y: str = "general", *, probe: ProbeSet | None = None
) -> dict[str, float]:
    """Key of every measurement that may stand on a chart -> share of resamples in which it is on the frontier.

    Args:
        measurements: Of one chart: one probe, tier, judge and decoding. Provisional ones and those without a value on
            an axis are left out.
        x: One measure, with its own direction. For those that are relative to a reference model there is nothing to
            resample here, and the answer is empty.
        y: The other.
        probe: What they answered; by default the shipped probe they name. Empty where that has changed since.
    """
    shown = [m for m in measurements if not m.provisional and m.value(x) is not None and m.value(y) is not None]
    if not shown:
        return {}
    asked = (x, y, tuple((m.key, m.created) for m in shown))
    with _lock:
        if asked in _shares:
            return dict(_shares[asked])
    try:
        probe = probe or probe_of(shown[0])
    except EvalError:
        return {}
    tables = [[_drawn(m, name, probe) for m in shown] for name in (x, y, "invalid")]
    if any(one is None for one in (*tables[0], *tables[1])):
        return {}
    across, up = (_stack(table) for table in tables[:2])
    broken = np.stack([np.zeros(across.shape[1]) if one is None else one for one in tables[2]]) > INVALID_LIMIT
    able = np.isfinite(across) & np.isfinite(up) & ~broken
    sign = [1.0 if DIRECTION[name] == "higher" else -1.0 for name in (x, y)]
    on = unbeaten(np.where(able, sign[0] * across, -np.inf), np.where(able, sign[1] * up, -np.inf)) & able
    found = {m.key: float(share) for m, share in zip(shown, on.mean(axis=1), strict=True)}
    with _lock:
        _shares[asked] = found
        while len(_shares) > 8:
            _shares.popitem(last=False)
    return dict(found)


def unbeaten(x: Array, y: Array) -> NDArray[np.bool_]:
    """Which points nothing beats, column by column; equal points all stay.

    Args:
        x: [points, resamples], higher is better; no NaN.
        y: The same for the other measure.

    Returns:
        [points, resamples].
    """
    order = np.lexsort((-y, -x), axis=0)  # from high x to low, among equal x from high y to low
    across, up = np.take_along_axis(x, order, axis=0), np.take_along_axis(y, order, axis=0)
    sorted_on = np.zeros(x.shape, dtype=bool)
    best, at = np.full(x.shape[1], -np.inf), np.full(x.shape[1], np.nan)
    for i in range(x.shape[0]):
        higher = up[i] > best
        sorted_on[i] = higher | ((up[i] == best) & (across[i] == at))
        best, at = np.where(higher, up[i], best), np.where(higher, across[i], at)
    on = np.zeros_like(sorted_on)
    np.put_along_axis(on, order, sorted_on, axis=0)
    return on


def _drawn(measurement: Measurement, name: str, probe: ProbeSet) -> Array | None:
    """The measure in every resample, [resamples]; None where it needs a reference model or cannot be counted."""
    key = (measurement.key, measurement.created, probe.hash, name)
    with _lock:
        if key in _samples:
            _samples.move_to_end(key)
            return _samples[key]
    try:
        found = statistic(name, Outcomes.of(measurement, probe)).samples()
    except Undefined:
        found = None
    with _lock:
        _samples[key] = found
        while len(_samples) > KEPT:
            _samples.popitem(last=False)
    return found


def _stack(samples: Sequence[Array | None]) -> Array:
    return np.stack([one for one in samples if one is not None])
