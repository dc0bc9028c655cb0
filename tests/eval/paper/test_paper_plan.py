"""The plan is data: the shipped one covers every row of the paper, and a broken one is one sentence."""

from pathlib import Path

import pytest
import yaml
from made_family import LANGUAGES, PLAN, plan

from eval.errors import PaperError
from eval.paper.entries import entries, merge_of
from eval.paper.plan import read_plan
from eval.paper.published import FOLDER, figures, findings
from merging import Recipe

SHIPPED = FOLDER / "plan.yaml"


def test_every_row_of_the_paper_has_rows_that_can_stand_for_it() -> None:
    rows = entries(read_plan(SHIPPED))
    fixed = {(row.stage, row.paper) for row in rows if row.paper} | {("SFT", "mix_15_multilingual")}
    methods = {(row.stage, row.method) for row in rows if row.group}
    assert set(figures()) <= fixed | methods


def test_every_finding_names_rows_of_the_paper_or_of_the_shipped_plan() -> None:
    ids = {row.id for row in entries(read_plan(SHIPPED))}
    for finding in findings():
        for name in (finding.row, finding.against):
            assert name in ids or tuple(name.split(" ", 1)) in figures(), f"{finding.id}: {name}"


def test_ids_are_unique_and_so_are_recipes() -> None:
    rows = entries(read_plan(SHIPPED))
    assert len({row.id for row in rows}) == len(rows)
    assert len({row.recipe.digest() for row in rows}) == len(rows)
    assert all(Recipe.from_yaml(row.recipe.to_yaml()) == row.recipe for row in rows)


def test_what_a_row_is_held_against_is_a_mix_of_its_stage() -> None:
    rows = {row.id: row for row in entries(read_plan(SHIPPED))}
    for row in rows.values():
        assert row.kind in ("base", "language_merge") or len(row.against) >= 2
        for mix in row.against:
            assert rows[mix].kind == "mix"
            assert rows[mix].stage == ("DPO" if row.kind == "continual" else row.stage)
            assert rows[mix].id.split("/")[0].partition("@")[2] == row.id.split("/")[0].partition("@")[2]


def test_one_row_stands_in_every_table_that_shows_it(tmp_path: Path) -> None:
    rows = {row.id: row for row in entries(plan(tmp_path))}
    both = rows["SFT/linear/weight=0.50"]
    assert set(both.tables) == {"a", "c"} and both.always and both.group == "SFT/linear"
    assert rows["SFT/linear/weight=0.10"].tables == ("c",) and not rows["SFT/linear/weight=0.10"].group


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("linear", {"g": 0.7, "s": 0.3}, id="linear"),
        pytest.param("nuslerp", {"g": 0.7, "s": 0.3}, id="nuslerp"),
        pytest.param("dare_ties", {"g": 0.7, "s": 0.3}, id="dare_ties"),
    ],
)
def test_the_weight_is_the_safety_models(method: str, expected: dict[str, float]) -> None:
    density = 0.5 if method == "dare_ties" else None
    tree = yaml.safe_load(merge_of("g", "s", "b", method=method, weight=0.3, density=density).to_yaml())
    own = {one["model"]: one.get("parameters", {}) for one in tree["models"]}
    assert {name: own[name]["weight"] for name in expected} == expected
    assert tree.get("base_model") == (None if method == "linear" else "b")
    assert ("density" in own["g"]) == (method == "dare_ties")


def test_t_runs_from_general_to_safety() -> None:
    tree = yaml.safe_load(merge_of("g", "s", "b", method="slerp", weight=0.3).to_yaml())
    assert (tree["base_model"], tree["parameters"]["t"]) == ("g", 0.3)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"colour": "red"}, "unknown key 'colour'", id="unknown section"),
        pytest.param({"base": None}, "lacks base", id="no base"),
        pytest.param({"mixes": {"SFT": {"mix-0": "g"}}}, "SFT must name mix-0, mix-15, mix-100", id="a mix missing"),
        pytest.param({"mixes": {"RLHF": PLAN["mixes"]["SFT"]}}, "stage 'RLHF' is none of", id="unknown stage"),
        pytest.param({"sweep": {"stage": "SFT"}}, "sweep lacks weights", id="section incomplete"),
        pytest.param({"sweep": {"stage": "SFT", "weights": [0, 2]}}, "numbers between 0 and 1", id="weight over 1"),
        pytest.param({"sweep": [1]}, "sweep must be a mapping", id="section is a list"),
        pytest.param(
            {"objective": {**PLAN["objective"], "methods": ["slrep"]}}, "unknown method 'slrep'", id="unknown method"
        ),
        pytest.param(
            {"languages": {**LANGUAGES, "merges": {"x": ["en", "de"]}}}, "names 'de', which has no model", id="language"
        ),
        pytest.param(
            {
                "repeats": {
                    "stage": "SFT",
                    "folder": "v",
                    "models": PLAN["mixes"]["SFT"],
                    "variants": {"seed": [1]},
                    "merges": [{"method": "linear", "wieght": 0.5}],
                }
            },
            "a merge has density, method, weight",
            id="setting misspelt",
        ),
    ],
)
def test_a_broken_plan_is_refused_in_one_sentence(tmp_path: Path, changes: dict, text: str) -> None:
    with pytest.raises(PaperError, match=text):
        plan(tmp_path, **changes)


def test_a_plan_without_some_sections_has_no_such_tables(tmp_path: Path) -> None:
    rows = entries(plan(tmp_path, sweep=None, order=None))
    assert {table for row in rows for table in row.tables} == {"a"}


def test_a_missing_plan_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match="copy assets/paper/plan"):
        read_plan(tmp_path / "plan.yaml")
