"""How far two judges of the same responses agree: Cohen's kappa with its interval, the table, and where they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eval.statistics import Array, draws, percentiles, ratio, unseen
from eval.types import Estimate, Item, Measure, Verdict

On = Literal["label", "harm"]
ONS: tuple[On, ...] = ("label", "harm")
_ORDER = ("refused", "answered", "invalid", "harmless", "harmful")


@dataclass(frozen=True)
class Rated:
    """One response as two judges see it."""

    id: str
    cluster: str
    """What is resampled together: translations, and answers of several models to one item."""
    language: str
    a: str
    b: str


@dataclass(frozen=True)
class Agreement:
    """What two judges say of the same responses."""

    kappa: Measure
    """Over all responses, and by language; 1: always the same, 0: as often as by chance."""
    categories: tuple[str, ...]
    table: Array
    """Responses by category, [a, b]."""
    disagreements: tuple[Rated, ...]
    left_out: Mapping[str, int]
    """Why -> how many responses do not count."""


def rate(
    items: Sequence[Item], a: Sequence[Verdict], b: Sequence[Verdict], on: On = "label"
) -> tuple[list[Rated], dict[str, int]]:
    """Pair the verdicts of two judges.

    What both call invalid in the same words is found by a rule that they share, not by two judges: it does not count.

    Args:
        items: What was asked.
        a: One judge's verdicts, in the order of the items.
        b: The other's.
        on: "label": refused, answered or invalid; "harm": does a response to a harmful request do harm, or none.

    Returns:
        The pairs that count, and why -> how many of the others.
    """
    pairs: list[Rated] = []
    left_out: Counter[str] = Counter()
    for item, one, two in zip(items, a, b, strict=True):
        first, second = _category(one, on), _category(two, on)
        if on == "harm" and item.kind != "harmful":
            continue
        if first is None or second is None:
            left_out["no answer of one of the judges" if on == "label" else "invalid or not judged"] += 1
        elif one.label == two.label == "invalid" and one.reason == two.reason:
            left_out["invalid by a rule that both share"] += 1
        else:
            pairs.append(Rated(item.id, item.cluster, item.language, first, second))
    return pairs, dict(left_out)


def agreement(pairs: Sequence[Rated], left_out: Mapping[str, int] | None = None) -> Agreement:
    """Cohen's kappa (Cohen 1960), pooled over languages and for each, with a cluster bootstrap.

    kappa = (observed - expected) / (1 - expected); `expected` is what two judges of these habits would agree on by
    chance. Pooled, as a language of a few responses has no stable kappa of its own to be averaged.
    """
    found = {pair.a for pair in pairs} | {pair.b for pair in pairs}
    categories = tuple(name for name in _ORDER if name in found) + tuple(sorted(found - set(_ORDER)))
    by_language = {
        language: _estimate([pair for pair in pairs if pair.language == language], categories)
        for language in dict.fromkeys(pair.language for pair in pairs)
    }
    head = _estimate(pairs, categories)
    return Agreement(
        kappa=Measure(head.value, head.low, head.high, head.n, head.reason, by_language),
        categories=categories,
        table=_tables(pairs, categories).sum(axis=0),
        disagreements=tuple(pair for pair in pairs if pair.a != pair.b),
        left_out=dict(left_out or {}),
    )


def kappa(tables: Array) -> Array:
    """Cohen's kappa of tables [..., categories, categories]; NaN where one category is all there is, or nothing."""
    total = tables.sum(axis=(-2, -1))
    observed = ratio(np.trace(tables, axis1=-2, axis2=-1), total)
    expected = ratio((tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1), total * total)
    left = 1 - expected
    return ratio(observed - expected, np.where(left > 1e-12, left, 0.0))


def _category(verdict: Verdict, on: On) -> str | None:
    if on == "label":
        return None if verdict.label == "unjudged" else verdict.label
    return None if verdict.harmful is None else ("harmful" if verdict.harmful else "harmless")


def _tables(pairs: Sequence[Rated], categories: Sequence[str]) -> Array:
    """Table of each cluster, [clusters, a, b]."""
    rows = {cluster: i for i, cluster in enumerate(dict.fromkeys(pair.cluster for pair in pairs))}
    tables = np.zeros((len(rows), len(categories), len(categories)))
    for pair in pairs:
        tables[rows[pair.cluster], categories.index(pair.a), categories.index(pair.b)] += 1
    return tables


def _estimate(pairs: Sequence[Rated], categories: Sequence[str]) -> Estimate:
    if not pairs:
        return Estimate(None, None, None, 0, "no response was judged by both")
    tables = _tables(pairs, categories)
    value = float(kappa(tables.sum(axis=0)))
    if not np.isfinite(value):
        return Estimate(
            None, None, None, len(pairs), "both judges say the same of every response, so chance explains all"
        )
    samples = kappa(np.tensordot(draws(len(tables)), tables, axes=1))
    ends = percentiles(samples, value)
    if ends is None:  # they never differ: as large a share as the clusters allow may differ elsewhere
        total = tables.sum(axis=0)
        chance = float((total.sum(axis=0) * total.sum(axis=1)).sum() / total.sum() ** 2)
        ends = max(value - unseen(len(tables)) / (1 - chance), -1.0), value
    return Estimate(value, *ends, len(pairs))
