"""Drawing rows: exact shares, even over languages; and the shipped design is a fair contest."""

from collections import Counter
from dataclasses import replace

import pytest

from training import design, mixture

EXPERTS = ["general", "safety", "mix-15"]


def kind_of(row: mixture.Row) -> str:
    return {"harm": "harmful", "look": "lookalike", "gen": "general", "warm": "warmup", "udhr": "udhr"}[
        row.id.split("-")[0]
    ]


@pytest.mark.parametrize("name", ["base", *EXPERTS])
def test_shares_and_languages(name: str) -> None:
    plan = design.load(name)
    drawn = mixture.draw(plan)
    counts = Counter(kind_of(row) for row in drawn)
    assert len(drawn) == plan.rows == plan.steps * plan.batch_size
    assert counts.pop("udhr") == round(plan.rows * plan.replay)
    for kind, share in plan.mixture.items():
        assert abs(counts.pop(kind) - share * (plan.rows - round(plan.rows * plan.replay))) <= 1
    assert not counts
    per_language = Counter(row.language for row in drawn)
    assert max(per_language.values()) - min(per_language.values()) <= 4  # one each kind, at most


def test_experts_differ_in_their_rows_alone() -> None:
    """Same steps, batch, rate, replay and seed: what separates the experts on the chart is what they were shown."""
    plans = [replace(design.load(name), name="", mixture={}) for name in EXPERTS]
    assert plans[0] == plans[1] == plans[2]
    assert all(plan.start == "zoo:base" for plan in plans)


def test_the_mix_is_15_percent_safety_two_to_one() -> None:
    mix, safety = design.load("mix-15").mixture, design.load("safety").mixture
    assert mix["harmful"] + mix["lookalike"] == pytest.approx(0.15)
    for shares in (mix, safety):
        assert shares["harmful"] / shares["lookalike"] == pytest.approx(2, rel=0.01)
    assert set(design.load("general").mixture) == {"general"}


def test_same_seed_same_rows() -> None:
    plan = design.load("mix-15")
    assert mixture.draw(plan) == mixture.draw(plan)
    assert mixture.draw(plan) != mixture.draw(replace(plan, seed=1))


def test_every_row_is_used_before_any_comes_again() -> None:
    plan = replace(design.load("safety"), replay=0.0, mixture={"harmful": 1.0}, steps=60)  # 480 rows of 360
    seen = Counter(row.id for row in mixture.draw(plan))
    assert len(seen) == 360 and set(seen.values()) == {1, 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"mixture": {"general": 0.5}}, "sum to 0.5", id="shares that do not sum to 1"),
        pytest.param({"rang": 4}, "rang", id="an unknown setting"),
    ],
)
def test_a_bad_design_is_one_sentence(changes: dict, message: str) -> None:
    with pytest.raises(design.DesignError, match=message):
        design.load("general", **changes)


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(design.DesignError, match="Known: base, general, safety, mix-15"):
        design.load("safty")
