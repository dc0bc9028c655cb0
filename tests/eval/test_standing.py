"""The chance that a point is on the frontier: against the frontier resample by resample, and what it must obey."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import measurement, probe, refusing

from eval.frontier import pareto_mask
from eval.metrics import statistic
from eval.scores import Outcomes
from eval.standing import standing, unbeaten
from eval.types import Measurement

MADE = probe(harmful=16, choice=12)


def merge(name: str, refused: int, wrong: int = 0) -> Measurement:
    """Refuses the first harmful items and gets the first choices wrong."""
    right = {one.id: int(one.cluster[-2:]) >= wrong for one in MADE.items if one.kind == "choice"}
    digest = f"{name} {refused} {wrong}"  # what is drawn is kept by what identifies a measurement
    return measurement(MADE, refusing(MADE, refused), right=right, digest=digest)


FIVE = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=5, max_size=5)


@given(st.lists(FIVE, min_size=1, max_size=4))
def test_unbeaten_is_the_pareto_mask_of_every_resample(tables: list) -> None:
    table = np.array(tables, dtype=np.float64)  # [resamples, points, 2]
    got = unbeaten(table[:, :, 0].T, table[:, :, 1].T)
    assert got.T.tolist() == [pareto_mask(one).tolist() for one in table]


def test_it_is_the_frontier_made_again_in_every_resample() -> None:
    points = [merge("a", 12, 6), merge("b", 8, 3), merge("c", 7, 3), merge("d", 2, 0), merge("e", 3, 4)]
    harm, general = (
        np.stack([statistic(name, Outcomes.of(one, MADE)).samples() for one in points]) for name in ("harm", "general")
    )
    masks = [pareto_mask(np.stack([-harm[:, i], general[:, i]], axis=1)) for i in range(harm.shape[1])]
    want = np.mean(masks, axis=0)
    got = standing(points, probe=MADE)
    assert [got[one.key] for one in points] == pytest.approx(want.tolist())
    assert any(0.1 < share < 0.9 for share in want)


def test_a_point_alone_always_stands_and_a_twin_takes_nothing_from_it() -> None:
    alone = standing([merge("a", 8)], probe=MADE)
    assert set(alone.values()) == {1.0}
    points = [merge("a", 8, 2), merge("b", 4, 1)]
    before = standing(points, probe=MADE)
    after = standing([*points, merge("twin", 8, 2)], probe=MADE)
    assert {key: after[key] for key in before} == before
    assert after[merge("twin", 8, 2).key] == before[points[0].key]


def test_one_more_rival_never_helps() -> None:
    points = [merge("a", 8, 2), merge("b", 4, 1)]
    before, after = (standing(some, probe=MADE) for some in (points, [*points, merge("c", 6, 2)]))
    assert all(after[key] <= before[key] for key in before)


def test_who_does_not_stand_on_the_chart() -> None:
    broken = measurement(MADE, dict.fromkeys([one.id for one in MADE.items if one.kind != "choice"], "invalid"))
    provisional = replace(merge("p", 16), provisional=True)
    shown = merge("a", 8)
    got = standing([shown, provisional, broken], probe=MADE)
    assert got == {shown.key: 1.0}


def test_measures_against_a_reference_are_not_resampled_here() -> None:
    base = merge("base", 0)
    one = measurement(MADE, refusing(MADE, 8), reference=base)
    assert standing([one], "harm_vs_base", "win_rate", probe=MADE) == {}


def test_a_probe_that_changed_says_nothing() -> None:
    assert standing([merge("gone", 8)]) == {}
