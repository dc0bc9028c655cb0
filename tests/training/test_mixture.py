"""Drawing rows: exact shares, even over languages; and the shipped design is a fair contest."""

from collections import Counter
from dataclasses import replace

import pytest

from training import design, mixture

EXPERTS = ["general", "safety", "mix-15"]


@pytest.mark.parametrize("name", ["base", *EXPERTS])
def test_shares_and_languages(name: str) -> None:
    plan = design.load(name)
    drawn = mixture.draw(plan)
    counts = Counter(row.kind for row in drawn)
    assert len(drawn) == plan.rows == plan.steps * plan.batch_size
    assert counts.pop("replay") == round(plan.rows * plan.replay)
    for kind, share in plan.mixture.items():
        assert abs(counts.pop(kind) - share * (plan.rows - round(plan.rows * plan.replay))) <= 1
    assert not counts
    per_language = Counter(row.language for row in drawn)
    assert max(per_language.values()) - min(per_language.values()) <= 1


def test_experts_differ_in_their_rows_alone() -> None:
    """Same steps, batch, rate, replay and seed: what separates the experts on the chart is what they were shown."""
    plans = [replace(design.load(name), name="", mixture={}) for name in EXPERTS]
    assert plans[0] == plans[1] == plans[2]
    assert all(plan.start == "zoo:base" for plan in plans)


def test_the_mix_is_15_percent_safety_one_to_one() -> None:
    mix, safety = design.load("mix-15").mixture, design.load("safety").mixture
    assert mix["harmful"] + mix["lookalike"] == pytest.approx(0.15)
    for shares in (mix, safety):
        assert shares["harmful"] == shares["lookalike"]
    general = design.load("general").mixture
    assert set(general) == {"general", "templated"}
    assert {kind: 0.85 * share for kind, share in general.items()} == pytest.approx(
        {kind: mix[kind] for kind in general}
    ), "the mix's other rows are the general expert's"


def test_same_seed_same_rows() -> None:
    plan = design.load("mix-15")
    assert mixture.draw(plan) == mixture.draw(plan)
    assert mixture.draw(plan) != mixture.draw(replace(plan, seed=1))


def test_every_row_is_used_before_any_comes_again() -> None:
    plan = replace(design.load("safety"), replay=0.0, mixture={"harmful": 1.0}, steps=130)  # 1040 rows of 912
    seen = Counter(row.id for row in mixture.draw(plan))
    assert len(seen) == 912 and set(seen.values()) == {1, 2}


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
    with pytest.raises(design.DesignError, match="Known: base, general, mix-15, safety"):
        design.load("safty")


def test_six_monolingual_models_see_the_rows_of_the_multilingual_one() -> None:
    together = Counter(row.id for row in mixture.draw(design.load("mix-15")))
    apart: Counter[str] = Counter()
    for language in ("en", "hi", "fr", "es", "ar", "ru"):
        rows = mixture.draw(design.load(f"mix-15-{language}"))
        assert {row.language for row in rows} == {language}
        apart.update(row.id for row in rows)
    assert apart == together


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_smaller_budget_is_part_of_the_larger(share: float) -> None:
    whole = design.load("safety", steps=600)  # enough to go through every pool
    rows = {one: {row.id for row in mixture.draw(replace(whole, share=one))} for one in (share, 2 * share, 1.0)}
    assert rows[share] < rows[2 * share] <= rows[1.0]
    assert len(rows[share]) == pytest.approx(share * len(rows[1.0]), abs=18)  # rounded a kind and language


def test_variants_are_named_by_what_they_change() -> None:
    assert design.load("mix-15@seed=1") == replace(design.load("mix-15"), name="mix-15@seed=1", seed=1)
    assert design.load("mix-15@share=0.25").share == 0.25
    with pytest.raises(design.DesignError, match=r"mix-15@share=0\.25"):
        design.load("mix-15@share=0.3")
