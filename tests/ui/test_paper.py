"""The Paper view of Study: both figures on the same axes, verdicts, tables, who pays, and what a click loads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from eval.errors import PaperError
from eval.paper import exchange
from eval.paper.schema import Tables
from merging import registry
from tests.ui.fakes import EXAMPLE, FakeService
from ui.against_paper import AgainstPaper, PaperScreen
from ui.components.paper import limits, paying
from ui.paper import SAYS, held, payers, stored, view
from ui.session import Session
from ui.tabs.study import _paper

BEST = "SFT/slerp_gradient/t=0.50"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return exchange.read(EXAMPLE)


@pytest.fixture(scope="module")
def value(tables: Tables) -> dict[str, Any]:
    return view(tables, registry.methods())


@pytest.fixture
def screen() -> PaperScreen:
    with gr.Blocks(), gr.Tabs() as tabs:
        with gr.Tab("Explore", id="Explore"):
            pass
        with gr.Tab("Study", id="Study"):
            return _paper(gr.State(Session()), tabs)


def mark(value: dict[str, Any], row: str) -> dict[str, Any]:
    return next(one for one in value["chart"]["marks"] if one["id"] == row)


def test_both_figures_stand_on_the_same_axes_in_percent(tables: Tables, value: dict[str, Any]) -> None:
    found, row = mark(value, BEST), tables.rows[BEST]
    assert row.paper is not None and found["paper"] == {"x": row.paper.harm_rel_pct, "y": row.paper.win_rate_pct}
    harm, wins = row.measures["harm_vs_base"], row.measures["win_rate"]
    assert wins.value is not None and wins.low is not None
    assert (found["ours"]["x"], found["ours"]["xlo"]) == (harm.value, harm.low)
    assert (found["ours"]["y"], found["ours"]["ylo"]) == pytest.approx((100 * wins.value, 100 * wins.low))


def test_every_point_and_interval_is_within_the_axes(value: dict[str, Any]) -> None:
    for axis, parity in (("x", 0), ("y", 50)):
        low, high = value["chart"][axis]["range"]
        ends = [
            side[k]
            for m in value["chart"]["marks"]
            for side in (m["ours"], m["paper"])
            if side
            for k in side
            if k[0] == axis
        ]
        assert low < min(*ends, parity) and high > max(*ends, parity)
    assert "lower is better" in value["chart"]["x"]["title"] and "higher is better" in value["chart"]["y"]["title"]


def test_the_papers_own_figure_is_drawn_where_ours_is_missing(value: dict[str, Any]) -> None:
    found = mark(value, "DPO/linear/w=0.50")
    assert found["ours"] is None and found["paper"]["x"] == -48.6
    assert [stage["key"] for stage in value["chart"]["stages"]] == ["SFT", "DPO"]


def test_no_two_families_look_alike(value: dict[str, Any]) -> None:
    looks = [(one["symbol"], one["colour"]) for one in value["chart"]["methods"]]
    assert len(set(looks)) == len(looks)


def test_every_verdict_is_listed_with_its_test_and_its_reason(tables: Tables, value: dict[str, Any]) -> None:
    verdicts = [row.verdict for row in tables.rows.values() if row.verdict]
    assert len(value["claims"]) == len(tables.claims) + len(verdicts) == sum(value["counts"].values())
    first = value["claims"][0]
    assert first["why"] == tables.claims[0].why and first["row"] == BEST and first["says"] in SAYS
    assert "these items tell 30 points and more" in first["tests"][0], "the smallest difference that can be told"
    assert "[−52, −11]" in first["tests"][0]


def test_a_table_shows_value_interval_paper_and_difference(tables: Tables, value: dict[str, Any]) -> None:
    table = value["tables"][0]
    row = next(one for one in table["rows"] if one["id"] == BEST)
    wins = row["cells"]["win_rate"]
    assert "%" in wins["text"] and "[" in wins["text"] and wins["paper"] == "72.6 %"
    gap = held(tables.rows[BEST], "SFT/mix-15")["harm"]
    assert row["cells"]["d_harm"]["sort"] == gap.difference and row["cells"]["d_harm"]["word"] == gap.word
    heads = {head["key"] for head in table["heads"]}
    assert all(set(one["cells"]) == heads for one in table["rows"]), "every column has a cell in every row"


def test_what_was_not_measured_has_no_figures_and_says_why(value: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in value["tables"][0]["rows"]}
    missing, twin = rows["DPO/linear/w=0.50"], rows["SFT/slerp/t=0.50"]
    assert missing["state"] == "not measured" and missing["cells"]["harm"] == {"text": "–", "sort": None}
    assert "python -m training" in missing["note"]
    assert twin["note"].startswith("Same weights as Linear, half and half.")
    assert twin["cells"]["harm"]["sort"] == rows["SFT/linear/w=0.50"]["cells"]["harm"]["sort"]
    assert value["tables"][0]["screened"] == 1


def test_who_pays_by_language_and_in_words(tables: Tables) -> None:
    ((name, rows, words),) = payers(tables)
    assert name == "SLERP, classic gradient (SFT) in place of 15 % safety rows (SFT)"
    assert set(rows) == {"harm", "general", "win_rate"} and set(rows["harm"]) == set(tables.languages)
    assert words.startswith("English pays")
    markup = paying(payers(tables))
    assert "The paper found that English pays" in markup and markup.count('class="mf-language"') == len(
        tables.languages
    )


def test_words_are_escaped() -> None:
    assert "<script" not in paying([("<script>", {}, "<script>")]) + limits(["<script>"])
    assert limits([]) == ""


def test_the_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    with pytest.raises(PaperError, match="python -m eval paper"):
        stored(path)
    path.write_bytes(EXAMPLE.read_bytes())
    first = stored(path)
    assert stored(path) is first
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("a made-up family", "another family"), encoding="utf-8")
    assert stored(path).family == "another family"


# What a click does


def test_opening_shows_the_comparison(screen: PaperScreen) -> None:
    found = AgainstPaper(FakeService(), screen).arrive()  # type: ignore[arg-type]
    assert found[screen.paper]["answer"]["says"] == "yes" and "Who pays" in found[screen.pays]


def test_a_comparison_that_was_not_made_says_how_to_make_it(screen: PaperScreen) -> None:
    found = AgainstPaper(FakeService(compared=False), screen).arrive()  # type: ignore[arg-type]
    assert "python -m eval paper" in found[screen.paper]["message"] and "chart" not in found[screen.paper]
    assert found[screen.pays] == ""


def test_a_click_loads_the_recipe_in_explore(screen: PaperScreen, tables: Tables) -> None:
    against = AgainstPaper(FakeService(), screen)  # type: ignore[arg-type]
    found = against.pick(Session(), SimpleNamespace(row="SFT/linear/w=0.50"))  # type: ignore[arg-type]
    assert found[screen.session].recipe().method == "linear"
    assert screen.tabs is not None and found[screen.tabs].selected == "Explore"


@pytest.mark.parametrize("row", ["", "no such row", "../../etc/passwd", None, {}])
def test_an_unknown_row_changes_nothing(screen: PaperScreen, row: Any) -> None:
    against = AgainstPaper(FakeService(), screen)  # type: ignore[arg-type]
    found = against.pick(Session(), SimpleNamespace(row=row))  # type: ignore[arg-type]
    assert set(found) == {screen.session} and found[screen.session]["__type__"] == "update"
