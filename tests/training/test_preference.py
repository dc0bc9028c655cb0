"""What a DPO row is preferred to: somebody's weak answer, or a fault by rule, and never the answer itself."""

from dataclasses import replace

import pytest

from training import design, dpo, mixture, preference

KINDS = ("general", "templated", "harmful", "lookalike")


@pytest.fixture(scope="module")
def plan() -> design.Plan:
    return design.load("mix-15-dpo", steps=60)


@pytest.fixture(scope="module")
def pool(plan: design.Plan) -> list[mixture.Row]:
    return [row for kind in KINDS for row in mixture.read(kind, plan.data[kind])]


@pytest.fixture(scope="module")
def paired(plan: design.Plan, pool: list[mixture.Row]) -> list[mixture.Row]:
    return preference.paired(mixture.draw(plan), pool, plan)


def test_every_row_has_a_rejected_answer_of_its_own(paired: list[mixture.Row], plan: design.Plan) -> None:
    assert len(paired) == plan.rows
    assert all(row.rejected and row.rejected != row.answer for row in paired)


def test_the_same_plan_gives_the_same_pairs(
    paired: list[mixture.Row], pool: list[mixture.Row], plan: design.Plan
) -> None:
    assert preference.paired(mixture.draw(plan), pool, plan) == paired
    other = replace(plan, seed=1)
    assert preference.paired(mixture.draw(other), pool, other) != paired


def test_harmful_requests_keep_the_weak_answer_that_was_written_for_them(
    paired: list[mixture.Row], pool: list[mixture.Row]
) -> None:
    written = {row.id: row.rejected for row in pool if row.kind == "harmful"}
    assert all(written.values())
    assert all(row.rejected == written[row.id] for row in paired if row.kind == "harmful")


def test_a_look_alike_is_preferred_to_a_refusal_in_its_language(
    paired: list[mixture.Row], pool: list[mixture.Row]
) -> None:
    found = [row for row in paired if row.kind == "lookalike"]
    refusals = {(row.language, row.answer) for row in pool if row.kind == "harmful"}
    assert found and all((row.language, row.rejected) in refusals for row in found)


def test_a_short_sure_answer_is_preferred_to_another_of_its_sort(
    paired: list[mixture.Row], pool: list[mixture.Row]
) -> None:
    found = [row for row in paired if row.category in preference.SHORT]
    answers = {(row.language, row.category, row.answer) for row in pool}
    assert found and all((row.language, row.category, row.rejected) in answers for row in found)


def test_plain_text_cannot_be_preferred(plan: design.Plan, pool: list[mixture.Row]) -> None:
    text = mixture.Row("udhr-01-en", "en", None, "All human beings", "replay")
    with pytest.raises(design.DesignError, match="replay must be 0"):
        preference.paired([text], pool, plan)
    with pytest.raises(design.DesignError, match="no rejected answer"):
        dpo.pair(text)
