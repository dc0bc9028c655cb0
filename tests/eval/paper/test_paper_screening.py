"""The rule that chooses settings, against cases worked by hand."""

from pathlib import Path

import pytest
from made_family import plan

from eval.paper.entries import Entry, entries
from eval.paper.screening import SAME_AS_LINEAR, Screened, choose, identical
from merging.methods import slerp


def scores(rows: list[Entry], given: dict[str, tuple[float, float]]) -> dict[str, Screened]:
    """Every row has weights of its own and middling scores unless told otherwise."""
    return {
        row.id: Screened(row.recipe.digest(), (), "made", *given.get(row.id, (0.5, 0.5)), weights=row.id, notes=())
        for row in rows
    }


@pytest.fixture
def rows(tmp_path: Path) -> list[Entry]:
    return list(entries(plan(tmp_path)))


TIES = [f"SFT/ties/weight={weight} density=0.50" for weight in ("0.30", "0.50", "0.70")]
ENDS = {"SFT/mix-0": (0.0, 1.0), "SFT/mix-100": (1.0, 0.0)}  # both scores of the stage range from 0 to 1


@pytest.mark.parametrize(
    ("given", "order"),
    [
        pytest.param([(0.1, 0.9), (0.5, 0.6), (0.9, 0.05)], [1, 0, 2], id="by the mean of both"),
        pytest.param([(0.6, 0.6), (0.7, 0.7), (0.9, 0.0)], [1, 2, 0], id="what nothing beats comes first"),
        pytest.param([(0.5, 0.5), (0.5, 0.5), (0.4, 0.4)], [0, 1, 2], id="a tie keeps its order"),
    ],
)
def test_ranks(tmp_path: Path, rows: list[Entry], given: list[tuple[float, float]], order: list[int]) -> None:
    screened = scores(rows, ENDS | dict(zip(TIES, given, strict=True)))
    found = choose(plan(tmp_path), rows, screened, ())
    assert sorted(TIES, key=lambda one: found.ranks[one]) == [TIES[i] for i in order]
    assert found.stands_for["SFT", "ties"] == TIES[order[0]]
    assert TIES[order[0]] in found.chosen and TIES[order[1]] not in found.chosen, "one is kept"


def test_both_scores_count_alike_whatever_their_ranges(tmp_path: Path, rows: list[Entry]) -> None:
    # safety ranges over 100, general over 1: unscaled, the safest would win by far
    given = {"SFT/mix-0": (0.0, 1.0), "SFT/mix-100": (100.0, 0.0)}
    given |= dict(zip(TIES, [(60.0, 0.1), (50.0, 0.5), (0.0, 0.6)], strict=True))
    screened = {
        name: one if "DPO" not in name else Screened(one.recipe_digest, (), "made", 50.0, 0.5, one.weights, ())
        for name, one in scores(rows, {row.id: (50.0, 0.5) for row in rows} | given).items()
    }
    assert choose(plan(tmp_path), rows, screened, ()).stands_for["SFT", "ties"] == TIES[1]


def test_weights_that_came_before_are_no_result_of_their_own(rows: list[Entry]) -> None:
    screened = scores(rows, {})
    one = screened["SFT/mix-0"]
    for name in ("SFT/linear/weight=0.00", "SFT/slerp/t=0.00"):
        screened[name] = Screened(screened[name].recipe_digest, (), "made", 0.5, 0.5, one.weights, ())
    same = identical(rows, screened)
    assert same == {"SFT/linear/weight=0.00": "SFT/mix-0", "SFT/slerp/t=0.00": "SFT/mix-0"}


def test_slerp_that_says_it_is_linear_is_so_even_where_a_rounding_differs(rows: list[Entry]) -> None:
    screened = scores(rows, {})
    for name, one in list(screened.items()):
        if name.startswith("DPO/slerp/"):
            screened[name] = Screened(one.recipe_digest, (), "made", 0.5, 0.5, one.weights, (slerp.note(0, 236),))
    linear = {name: name.replace("slerp/t", "linear/weight") for name in screened if name.startswith("DPO/slerp/")}
    assert identical(rows, screened) == linear
    assert SAME_AS_LINEAR in slerp.note(0, 236) and SAME_AS_LINEAR not in slerp.note(1, 236)


def test_a_slerp_that_is_linear_still_stands_for_slerp_beside_the_paper(tmp_path: Path, rows: list[Entry]) -> None:
    screened = scores(rows, ENDS | {"SFT/linear/weight=0.50": (0.6, 0.6)})
    twins = {"0.00": "SFT/mix-0", "1.00": "SFT/mix-100"} | {
        t: f"SFT/linear/weight={t}" for t in ("0.30", "0.50", "0.70")
    }
    for end, mix in twins.items():
        name = f"SFT/slerp/t={end}"
        one = screened[mix]
        screened[name] = Screened(screened[name].recipe_digest, (), "made", one.safety, one.general, one.weights, ())
    found = choose(plan(tmp_path), rows, screened, ())
    assert found.stands_for["SFT", "slerp"] == "SFT/slerp/t=0.50", "an end is a mix, no merge"
    assert "SFT/slerp/t=0.50" not in found.ranks
    assert "SFT/linear/weight=0.50" in found.chosen and "SFT/slerp/t=0.50" not in found.chosen


def test_a_method_waits_until_all_of_its_settings_are_screened(tmp_path: Path, rows: list[Entry]) -> None:
    screened = scores(rows, {})
    del screened[TIES[2]]
    assert ("SFT", "ties") not in choose(plan(tmp_path), rows, screened, ()).stands_for
    assert choose(plan(tmp_path), rows, screened, [TIES[2]]).stands_for["SFT", "ties"] == TIES[0]


def test_models_come_before_merges(tmp_path: Path, rows: list[Entry]) -> None:
    chosen = choose(plan(tmp_path), rows, scores(rows, {}), ()).chosen
    assert chosen[0] == "base" and set(chosen[1:7]) == {f"{s}/mix-{n}" for s in ("SFT", "DPO") for n in (0, 15, 100)}


def test_what_gives_one_expert_no_weight_is_no_merge(tmp_path: Path, rows: list[Entry]) -> None:
    alone = "SFT/ties/weight=1.00 density=0.50"
    found = choose(plan(tmp_path), rows, scores(rows, ENDS | {alone: (1.0, 1.0)}), ())
    assert alone not in found.ranks and alone not in found.chosen
    assert found.stands_for["SFT", "ties"] in TIES
