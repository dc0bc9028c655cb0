"""The whole comparison on a made-up family: nothing is done twice, and a run goes on after whatever stopped it."""

import shutil
from pathlib import Path

import pytest
from made_family import LANGUAGES, MadeBench, plan

from eval.errors import EngineError
from eval.paper.exchange import read
from eval.paper.work import Comparison, outlook
from merging import Recipe


def quiet(_: str) -> None:
    pass


def compare(folder: Path, bench: MadeBench | None, **changes) -> Comparison:
    made = plan(folder)
    return Comparison(made, folder, bench=bench, tell=changes.pop("tell", quiet), **changes)


@pytest.fixture
def bench(tmp_path: Path) -> MadeBench:
    return MadeBench(plan(tmp_path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MadeBench]:
    """A run from beginning to end: its folder, and the bench that did it."""
    folder = tmp_path_factory.mktemp("whole")
    bench = MadeBench(plan(folder))
    compare(folder, bench).run()
    return folder, bench


@pytest.fixture
def done(whole: tuple[Path, MadeBench], tmp_path: Path) -> Path:
    """A copy of its folder."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_everything_is_measured_once_and_identical_rows_never(whole: tuple[Path, MadeBench]) -> None:
    folder, bench = whole
    assert len(bench.measured) == len(set(bench.measured))
    tables = read(folder / "tables.json")
    same = {name: row.identical_to for name, row in tables.rows.items() if row.state == "identical"}
    assert same["SFT/slerp/t=0.50"] == "SFT/linear/weight=0.50"
    assert same["SFT/linear/weight=0.00"] == "SFT/mix-0" and same["SFT/slerp/t=0.00"] == "SFT/mix-0"
    assert same["DPO/linear/weight=1.00"] == "DPO/mix-100"
    assert not [one for one in bench.measured if "slerp" in one]
    measured = {name for name, row in tables.rows.items() if row.state == "measured"}
    assert measured >= {"base", "SFT/mix-15", "SFT/linear/weight=0.10", "SFT_then_merge_then_DPO/slerp"}
    assert len(measured) == len(bench.measured)


def test_states_of_rows(whole: tuple[Path, MadeBench]) -> None:
    rows = read(whole[0] / "tables.json").rows
    ties = {rows[f"SFT/ties/weight={w} density=0.50"].state for w in ("0.00", "0.30", "0.50", "0.70", "1.00")}
    assert ties == {"measured", "screened"}, "one of five is kept"
    one = rows["SFT/linear/weight=0.30"]
    assert one.state == "measured" and next(iter(one.differences)) == "SFT/mix-15", "the baseline first"
    assert one.measures["harm"].value == pytest.approx(14 / 20)
    assert one.differences["SFT/mix-0"]["harm"].overall.word == "better"
    assert Recipe.from_yaml(one.recipe).method == "linear"


def test_nothing_is_done_again(done: Path) -> None:
    written = (done / "tables.json").read_bytes()
    again = MadeBench(plan(done))
    compare(done, again).run()
    assert (again.screened, again.measured) == ([], [])
    assert (done / "tables.json").read_bytes() == written


def test_the_tables_are_made_again_without_a_model(done: Path) -> None:
    written = (done / "tables.json").read_bytes()
    (done / "tables.json").unlink()
    compare(done, None).run()
    assert (done / "tables.json").read_bytes() == written


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("- model: gd\n  parameters:\n    weight: 0.5", id="while screening"),
        pytest.param("- model: sm", id="while measuring"),
    ],
)
def test_a_killed_run_goes_on(tmp_path: Path, whole: tuple[Path, MadeBench], where: str) -> None:
    folder, reference = whole
    killed = MadeBench(plan(tmp_path))
    killed.stop = lambda recipe: where in recipe.to_yaml() and (where != "- model: sm" or bool(killed.measured))
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path, killed).run()
    with (tmp_path / "screening.jsonl").open("a") as file:
        file.write('{"recipe_digest": "cut o')  # a kill in the middle of a line
    rest = MadeBench(plan(tmp_path))
    compare(tmp_path, rest).run()
    assert killed.screened + rest.screened == reference.screened
    assert sorted(killed.measured + rest.measured) == sorted(reference.measured)
    assert (tmp_path / "tables.md").read_text() == (folder / "tables.md").read_text()


def test_another_judge_measures_again(done: Path, whole: tuple[Path, MadeBench]) -> None:
    other = MadeBench(plan(done))
    other.judge = "made/2"
    compare(done, other).run()
    assert sorted(other.measured) == sorted(whole[1].measured) and other.screened == []
    assert read(done / "tables.json").measured_as["judge"] == "made/2"
    lines = (done / "measurements.jsonl").read_text().splitlines()
    assert len(lines) == len(other.measured), "what was measured in the old way is gone"


def test_only_some_tables(tmp_path: Path, bench: MadeBench) -> None:
    compare(tmp_path, bench, only=("c",)).run()
    assert not [one for one in bench.screened if "ties" in one or "gd" in one]
    tables = read(tmp_path / "tables.json")
    assert tables.rows["SFT/mix-15"].state == "measured", "the mixes it is held against are measured too"
    assert tables.rows["DPO/linear/weight=0.50"].state == "not measured"
    assert {claim.id: claim.says for claim in tables.claims}["sweep-harm"] == "agrees"
    assert {claim.id: claim.says for claim in tables.claims}["slerp-dpo"] == "not measured"


def test_a_deadline_begins_nothing_new_and_says_so(tmp_path: Path, bench: MadeBench) -> None:
    told: list[str] = []
    compare(tmp_path, bench, deadline=0.0, tell=told.append).run()
    assert (bench.screened, bench.measured) == ([], [])
    assert any("the time is up" in line for line in told)
    assert all(row.state == "not measured" for row in read(tmp_path / "tables.json").rows.values())


def test_a_recipe_that_fails_is_passed_over(tmp_path: Path) -> None:
    class Broken(MadeBench):
        def screen(self, recipe: Recipe):
            if recipe.label() == "linear weight=0.50/0.50" and "gd" in recipe.models_used():
                raise EngineError("The model gives NaN.")
            return super().screen(recipe)

    told: list[str] = []
    compare(tmp_path, Broken(plan(tmp_path)), tell=told.append).run()
    rows = read(tmp_path / "tables.json").rows
    assert rows["DPO/linear/weight=0.50"].state == "not measured"
    assert rows["DPO/linear/weight=0.50"].note == "The model gives NaN."
    assert rows["DPO/ties/weight=0.50 density=0.50"].state in ("measured", "screened"), "the others go on"
    assert any("passed over" in line for line in told)


def test_missing_models_leave_rows_empty_and_say_how_to_make_them(tmp_path: Path) -> None:
    dpo = {"mix-0": "zoo:gd", "mix-15": "zoo:md", "mix-100": "zoo:sd"}
    made = plan(tmp_path, mixes={"SFT": {"mix-0": "g", "mix-15": "m", "mix-100": "s"}, "DPO": dpo})
    bench = MadeBench(made)
    Comparison(made, tmp_path, bench=bench, tell=quiet).run()
    row = read(tmp_path / "tables.json").rows["DPO/mix-15"]
    assert (row.state, row.note) == ("not measured", "zoo:md is missing: make it with `python -m training md`.")
    assert read(tmp_path / "tables.json").rows["SFT/mix-15"].state == "measured"


def test_languages_are_held_against_the_mix_of_all(tmp_path: Path) -> None:
    made = plan(tmp_path, languages=LANGUAGES)
    Comparison(made, tmp_path, only=("b",), bench=MadeBench(made), tell=quiet).run()
    tables = read(tmp_path / "tables.json")
    row = tables.rows["SFT/ties_all6/density=0.50"]
    assert list(row.differences) == ["SFT/mix-15-multi", "SFT/mix-15"]
    assert row.paper is not None and row.paper.harm_rel_pct == -63.2
    assert row.verdict is not None and row.verdict.rows == ("SFT/ties_all6/density=0.50", "SFT/mix-15-multi")


def test_where_the_mix_of_all_languages_is_the_usual_mix_it_is_one_row(tmp_path: Path) -> None:
    made = plan(tmp_path, languages={**LANGUAGES, "together": "m"})
    Comparison(made, tmp_path, only=("b",), bench=MadeBench(made), tell=quiet).run()
    tables = read(tmp_path / "tables.json")
    (table,) = (one for one in tables.tables if one.id == "b")
    assert table.baseline == "SFT/mix-15" and "SFT/mix-15" in table.rows and "SFT/mix-15-multi" not in tables.rows
    row = tables.rows["SFT/ties_all6/density=0.50"]
    assert list(row.differences) == ["SFT/mix-15"]
    assert row.verdict is not None and row.verdict.rows == (row.id, "SFT/mix-15")
    assert {one.against for one in tables.who_pays if one.row == row.id} == {"SFT/mix-15"}


def test_a_dry_run_says_what_is_left_and_writes_nothing(tmp_path: Path, whole: tuple[Path, MadeBench]) -> None:
    comparison = compare(tmp_path, None)
    lines = outlook(comparison)
    before = {path.name for path in tmp_path.iterdir()}
    assert before == {"made.jsonl", "plan.yaml"}
    assert f"screen   {comparison.entries[0].id}" in lines
    last = outlook(compare(whole[0], None))[-1]
    assert last.startswith("0 to screen, 0 to measure; ")


def test_the_text_holds_every_measured_row_and_its_figures(whole: tuple[Path, MadeBench]) -> None:
    text = (whole[0] / "tables.md").read_text("utf-8")
    tables = read(whole[0] / "tables.json")
    for row in tables.rows.values():
        if row.state == "measured" and row.kind != "base":
            assert f"| {row.stage} | {row.label} |" in text
    assert "0.70 [" in text and tables.search.words in text
