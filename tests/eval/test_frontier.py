"""Frontier, hypervolume and knee against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import measurement, probe, refusing

from eval.frontier import eligible, front, hypervolume, knee, pareto_mask, scores

GRID = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)
MADE = probe()


@pytest.mark.parametrize(
    ("table", "want"),
    [
        pytest.param([[2, 2], [2, 2]], [1, 1], id="duplicates both stay"),
        pytest.param([[1, 1], [2, 2]], [0, 1], id="beaten on both"),
        pytest.param([[1, 2], [2, 2]], [0, 1], id="beaten on one, equal on the other"),
        pytest.param([[1, 3], [3, 1]], [1, 1], id="each better once"),
        pytest.param([[5, 5]], [1], id="alone"),
    ],
)
def test_pareto_mask(table: list, want: list) -> None:
    assert pareto_mask(table).tolist() == [bool(x) for x in want]


@given(GRID)
def test_pareto_mask_by_the_letter(points: list) -> None:
    beaten = [any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points) for p in points]
    assert pareto_mask(points).tolist() == [not x for x in beaten]


@given(GRID)
def test_hypervolume_counts_the_cells_that_are_beaten(points: list) -> None:
    cells = {(x, y) for harm, general in points for x in range(harm, 6) for y in range(general)}
    harm, general = np.array(points).T / 6
    assert hypervolume(harm, general) == pytest.approx(len(cells) / 36)


@given(GRID, st.integers(0, 5), st.integers(0, 6))
def test_more_points_never_lose_volume(points: list, harm: int, general: int) -> None:
    before = np.array(points).T / 6
    after = np.array([*points, (harm, general)]).T / 6
    assert hypervolume(*after) >= hypervolume(*before)


@pytest.mark.parametrize(
    ("table", "want"),
    [
        pytest.param([[0, 1], [0.9, 0.9], [1, 0]], 1, id="a corner"),
        pytest.param([[0, 10], [5, 9], [8, 5], [10, 0]], 1, id="the furthest of two, in its own range"),
        pytest.param([[0, 1], [1, 0]], None, id="two points have no knee"),
        pytest.param([[0, 1], [0, 1], [1, 0]], None, id="nor have two and a duplicate"),
        pytest.param([[0, 1], [0.5, 0.5], [1, 0]], None, id="nor has a straight line"),
        pytest.param([[0, 1], [0.2, 0.2], [1, 0]], None, id="a dent is no knee"),
    ],
)
def test_knee(table: list, want: int | None) -> None:
    assert knee(table) == want


@given(GRID, st.floats(0.1, 50), st.floats(0.1, 50))
def test_knee_does_not_depend_on_units(points: list, across: float, up: float) -> None:
    table = np.array(points, dtype=float)
    table = np.unique(table[pareto_mask(table)], axis=0)
    a, b = knee(table), knee(table * [across, up])
    if a is None or b is None:
        assert a == b
    else:
        low, high = table.min(axis=0), table.max(axis=0)
        heights = ((table - low) / (high - low)).sum(axis=1)
        assert heights[a] == pytest.approx(heights[b])


@pytest.mark.parametrize("call", [pareto_mask, knee, lambda s: hypervolume(*np.array(s).T)])
def test_nan_is_refused(call) -> None:
    with pytest.raises(ValueError, match="NaN"):
        call([[0.0, 1.0], [float("nan"), 1.0]])


def test_broken_provisional_and_undefined_recipes_are_left_out() -> None:
    sound = measurement(MADE, refusing(MADE, 4), digest="sound")
    broken = measurement(MADE, {one.id: "invalid" for one in MADE.items if one.cluster < "harmful-06"}, digest="broken")
    mute = measurement(MADE, {one.id: "invalid" for one in MADE.items if one.kind == "harmful"}, digest="mute")
    preview = replace(measurement(MADE, refusing(MADE, 8), digest="preview"), provisional=True)
    assert broken.value("invalid") > 0.2
    assert [eligible(one) for one in (sound, broken, mute, preview)] == [True, False, False, False]
    got = front([broken, sound, mute, preview])
    assert got.keys == (sound.key,)
    assert got.hypervolume == pytest.approx(0.5 * sound.value("general"))


def test_front_runs_from_low_harm_to_high() -> None:
    wrong = {one.id: False for one in MADE.items if one.kind == "choice"}
    some = {one.id: False for one in MADE.items if one.kind == "choice" and one.cluster == "choice-00"}
    safe = measurement(MADE, refusing(MADE, 8), right=wrong, digest="safe")
    middle = measurement(MADE, refusing(MADE, 7), right=some, digest="middle")
    able = measurement(MADE, digest="able")
    worse = measurement(MADE, refusing(MADE, 6), right=wrong, digest="worse")
    got = front([worse, able, middle, safe])
    assert got.keys == (safe.key, middle.key, able.key)
    assert got.knee == middle.key


def test_nothing_measured_is_no_frontier() -> None:
    got = front([])
    assert (got.keys, got.hypervolume, got.knee) == ((), 0.0, None)


def test_scores_turn_the_good_end_up() -> None:
    one = measurement(MADE, refusing(MADE, 4))
    np.testing.assert_allclose(scores([one]), [[-0.5, one.value("general")]])
