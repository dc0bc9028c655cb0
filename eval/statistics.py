"""Intervals: Wilson for one rate, a cluster bootstrap for means over languages; never one of zero width."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000
SEED = 20241014
Z95 = 1.959963984540054
Z80 = 0.8416212335729143
"""Normal quantiles: 95 % two-sided, and 80 % power one-sided."""


def wilson(value: float, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a rate (Wilson 1927).

    Args:
        value: The rate. Outcomes in [0, 1] that are not binary may be given by their mean: their variance is at most
            that of a coin, so the interval is then too wide rather than too narrow.
        n: Number of independent outcomes, at least 1.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError("an interval needs at least one outcome")
    p = min(max(value, 0.0), 1.0)
    z2 = Z95 * Z95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # at p = 0 and 1 the ends are p itself, but for rounding
    return min(max(middle - half, 0.0), value), max(min(middle + half, 1.0), value)


def unseen(n: int) -> float:
    """Largest share (95 %) of outcomes that may differ when all n seen are equal: Wilson's upper end of 0 in n."""
    return wilson(0.0, n)[1]


@lru_cache(maxsize=64)
def draws(clusters: int, stratum: int = 0) -> Array:
    """How often each cluster is drawn in each resample, [RESAMPLES, clusters].

    The same arguments give the same draws, so two recipes measured on the same clusters are resampled together:
    that is what makes a comparison paired. Another stratum gives independent draws.
    """
    rng = np.random.default_rng([SEED, stratum, clusters])
    counts = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).astype(np.float64)
    counts.flags.writeable = False
    return counts


def percentiles(samples: Array, value: float) -> tuple[float, float] | None:
    """The 2.5 and 97.5 % quantiles of a bootstrap, stretched to hold the value.

    Undefined resamples (NaN) are left out. None where nothing varies: the caller then falls back on a formula.
    """
    kept = samples[np.isfinite(samples)]
    if kept.size == 0:
        return None
    low, high = np.quantile(kept, [0.025, 0.975])
    low, high = min(float(low), value), max(float(high), value)
    return None if high - low <= 1e-12 else (low, high)


def spread(samples: Array) -> float:
    """Standard error: standard deviation of the defined resamples; 0 where nothing varies."""
    kept = samples[np.isfinite(samples)]
    return float(kept.std(ddof=1)) if kept.size > 1 else 0.0


def nanmean_rows(values: Array) -> Array:
    """Mean over the last axis of the defined entries, NaN where a row has none; no warnings."""
    defined = np.isfinite(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Element-wise numerator / denominator, NaN where the denominator is 0; no warnings."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator != 0)
