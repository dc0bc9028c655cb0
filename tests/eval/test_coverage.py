"""Intervals and comparisons do what they promise, by simulation: fixed seeds, and bounds of several standard errors."""

import numpy as np
import pytest

from eval.metrics import Statistic, paired
from eval.scores import Tally, rates
from eval.statistics import nanmean_rows, percentiles, unseen, wilson

LANGUAGES = ("en", "fr", "hi")
RUNS = 300


def outcomes(rng: np.random.Generator, rate: float, clusters: int, languages: int, alike: float) -> np.ndarray:
    """Yes or no by cluster and language; a share `alike` of the clusters answers the same in every language."""
    own = rng.random((clusters, languages)) < rate
    shared = np.repeat(rng.random((clusters, 1)) < rate, languages, axis=1)
    return np.where(rng.random((clusters, 1)) < alike, shared, own).astype(np.float64)


def statistic(table: np.ndarray) -> Statistic:
    """The mean over languages of a rate, as the harm measure counts it."""
    names = LANGUAGES[: table.shape[1]]
    tally = Tally("harmful", names, table, np.ones_like(table))
    return Statistic(names, (tally,), lambda w: rates([tally], w), lambda w: nanmean_rows(rates([tally], w)), rate=True)


def interval(found: Statistic) -> tuple[float, float]:
    value, clusters = found.point(), found.count()[1]
    return percentiles(found.samples(), value) or wilson(value, clusters)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [16, 60, 200])
def test_wilson_covers(rate: float, n: int) -> None:
    """Exactly, by summing the binomial: Wilson's coverage swings about 95 %, and on average keeps it."""
    from scipy.stats import binom

    hits = np.arange(n + 1)
    ends = np.array([wilson(k / n, n) for k in hits])
    around = np.clip(rate + np.linspace(-0.03, 0.03, 25), 0.01, 0.99)
    covers = [binom.pmf(hits, n, p)[(ends[:, 0] <= p) & (p <= ends[:, 1])].sum() for p in around]
    assert 0.93 <= np.mean(covers) <= 0.98
    assert min(covers) >= 0.82


@pytest.mark.parametrize(
    ("rate", "clusters", "languages", "alike"),
    [
        pytest.param(0.5, 40, 1, 0.0, id="one language"),
        pytest.param(0.5, 40, 3, 0.0, id="languages that differ"),
        pytest.param(0.5, 40, 3, 1.0, id="translations that answer alike"),
        pytest.param(0.2, 60, 3, 0.5, id="half alike, rarer"),
        pytest.param(0.8, 100, 3, 0.7, id="many clusters"),
    ],
)
def test_the_cluster_bootstrap_covers(rate: float, clusters: int, languages: int, alike: float) -> None:
    rng = np.random.default_rng([7, clusters, languages, round(10 * alike)])
    held = 0
    for _ in range(RUNS):
        low, high = interval(statistic(outcomes(rng, rate, clusters, languages, alike)))
        held += low <= rate <= high
    # a percentile bootstrap of few clusters falls short by a point or two; four standard errors of 300 runs are 5
    assert 0.88 <= held / RUNS <= 0.995


def test_items_that_are_no_clusters_would_not_cover() -> None:
    """Why translations are resampled together: one by one, the interval is too narrow by far."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(RUNS):
        table = outcomes(rng, 0.5, 40, 3, 1.0)
        low, high = interval(statistic(table.reshape(-1, 1)))
        held += low <= 0.5 <= high
    assert held / RUNS < 0.85


def test_two_equal_recipes_are_told_apart_about_once_in_twenty() -> None:
    rng = np.random.default_rng(13)
    words = []
    for _ in range(RUNS):
        pair = [statistic(outcomes(rng, 0.5, 60, 3, 0.5)) for _ in range(2)]
        words.append(paired("harm", *pair).word)
    wrong = sum(word != "cannot tell" for word in words) / RUNS
    assert wrong <= 0.11
    assert {"better", "worse"} <= set(words)


def test_the_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(17)
    sizes = [
        paired("harm", *[statistic(outcomes(rng, 0.5, 60, 3, 0.5)) for _ in range(2)]).detectable or 0.0
        for _ in range(40)
    ]
    gap = float(np.mean(sizes))
    told = []
    for _ in range(RUNS):
        ours, theirs = (statistic(outcomes(rng, 0.5 + sign * gap / 2, 60, 3, 0.5)) for sign in (-1, 1))
        got = paired("harm", ours, theirs)
        told.append(got.word == "better")
        assert got.word != "worse"
    assert 0.70 <= np.mean(told) <= 0.92


def test_the_items_needed_would_tell() -> None:
    """A difference that sixteen clusters cannot tell: with as many as they ask for it is told most of the time."""
    rng = np.random.default_rng(19)
    low, high = 0.4, 0.6
    asked = []
    while len(asked) < 20:
        got = paired("harm", *[statistic(outcomes(rng, rate, 16, 3, 0.5)) for rate in (low, high)])
        if got.items_needed and got.difference and abs(got.difference - (low - high)) < 0.05:
            assert got.word == "cannot tell"
            assert got.items_needed > got.clusters == 16
            asked.append(got.items_needed)
    clusters = round(float(np.median(asked)))
    told = [
        paired("harm", *[statistic(outcomes(rng, rate, clusters, 3, 0.5)) for rate in (low, high)]).word == "better"
        for _ in range(100)
    ]
    assert np.mean(told) >= 0.6


def test_unseen_outcomes_stay_possible() -> None:
    """Where nothing varies the interval still allows for what n draws may have missed."""
    assert unseen(16) == pytest.approx(wilson(0.0, 16)[1])
    assert 0 < unseen(200) < unseen(16) < unseen(2) < 1
