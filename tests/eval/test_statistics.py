"""Intervals against oracles that share no code, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from eval import statistics


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_agrees_with_scipy(n: int, share: float) -> None:
    hits = round(n * share)
    want = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert statistics.wilson(hits / n, n) == pytest.approx((want.low, want.high), abs=1e-12)


@given(n=st.integers(1, 500), value=st.floats(0, 1))
def test_wilson_holds_its_value_and_is_never_of_zero_width(n: int, value: float) -> None:
    low, high = statistics.wilson(value, n)
    assert low <= value <= high
    assert high - low > 0


def test_wilson_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        statistics.wilson(0.5, 0)


def test_draws_are_frozen_paired_and_drawn_anew_per_stratum() -> None:
    first = statistics.draws(16, 1)
    assert first.shape == (statistics.RESAMPLES, 16)
    assert (first.sum(axis=1) == 16).all()
    assert first is statistics.draws(16, 1)
    assert (first != statistics.draws(16, 2)).any()
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 7


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=50), st.floats(0, 1))
def test_percentiles_hold_the_value_or_give_up(samples: list[float], value: float) -> None:
    ends = statistics.percentiles(np.array(samples), value)
    if ends is not None:
        assert ends[0] <= value <= ends[1]
        assert ends[1] > ends[0]


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param([1.0, 3.0], 2.0, id="plain"),
        pytest.param([1.0, np.nan], 1.0, id="an undefined entry is left out"),
        pytest.param([np.nan, np.nan], np.nan, id="nothing defined"),
    ],
)
def test_nanmean_rows(values: list[float], want: float) -> None:
    np.testing.assert_equal(statistics.nanmean_rows(np.array([values])), np.array([want]))
