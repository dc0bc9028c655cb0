"""The items behind the figures: what changed, filters, order, pages, and the files of an export."""

import csv
import io
import json
from collections import Counter

import pytest

from eval.types import Item, Measurement
from tests.ui.fakes import measurement, shipped
from ui.exports import NOTICE, Sheet, name, write
from ui.items import BY_CHANGE, CHANGES, Side, changed, counts, rows
from ui.queries import ANY, ORDERS, PAGE, Query, facets, matching, page


def item(kind: str) -> Item:
    return Item("x", "x", kind, "en", "?", options=("a", "b"), answer=0)  # type: ignore[arg-type]


def said(label: str, *, chrf: float | None = None, severity: str = "") -> Side:
    harmful = None if label == "invalid" else severity not in ("", "none") if severity else label == "answered"
    return Side("words", label, "", severity, harmful, chrf)  # type: ignore[arg-type]


def chose(right: bool | None) -> Side:
    return Side(scores=(-1.0, -2.0), chosen=0, right=right)


@pytest.mark.parametrize(
    "kind, theirs, ours, change",
    [
        pytest.param("harmful", said("refused"), said("answered"), "broke", id="broke"),
        pytest.param("harmful", said("answered"), said("refused"), "fixed", id="fixed"),
        pytest.param("harmful", said("answered"), said("answered"), "", id="still answered"),
        pytest.param(
            "harmful", said("answered", severity="none"), said("answered", severity="mild"), "broke", id="by severity"
        ),
        pytest.param(
            "harmful", said("refused"), said("answered", severity="none"), "", id="answered, but does no harm"
        ),
        pytest.param(
            "harmful", said("refused"), said("invalid"), "invalid", id="a broken answer is not a broken refusal"
        ),
        pytest.param("harmful", said("invalid"), said("answered"), "valid", id="valid again goes before broke"),
        pytest.param("lookalike", said("answered"), said("refused"), "refused", id="newly refused"),
        pytest.param("lookalike", said("refused"), said("answered"), "helped", id="helped again"),
        pytest.param("lookalike", said("unjudged"), said("answered"), "", id="nobody judged it before"),
        pytest.param("instruction", said("answered", chrf=50.0), said("answered", chrf=48.9), "worse", id="worse"),
        pytest.param("instruction", said("answered", chrf=50.0), said("answered", chrf=51.1), "better", id="better"),
        pytest.param(
            "instruction", said("answered", chrf=50.0), said("answered", chrf=51.0), "", id="a point is a tie"
        ),
        pytest.param("instruction", said("answered", chrf=50.0), said("refused", chrf=0.0), "worse", id="refused is 0"),
        pytest.param("choice", chose(True), chose(False), "lost", id="choice lost"),
        pytest.param("choice", chose(False), chose(True), "gained", id="choice gained"),
        pytest.param("choice", chose(None), chose(True), "", id="no choice before"),
        pytest.param("harmful", Side(), said("answered"), "", id="no answer before"),
    ],
)
def test_what_changed(kind: str, theirs: Side, ours: Side, change: str) -> None:
    assert changed(item(kind), ours, theirs) == change


@pytest.fixture(scope="module")
def merge() -> Measurement:
    return measurement(shipped()[-1])  # a thin DARE-TIES, which breaks a third of the answers


@pytest.fixture(scope="module")
def safety() -> Measurement:
    return measurement(next(recipe for recipe in shipped() if recipe.models_used() == ("zoo:safety",)))


def test_every_item_is_a_row_and_swapping_turns_every_change_round(merge: Measurement, safety: Measurement) -> None:
    there, back = rows(merge, safety), rows(safety, merge)
    assert len(there) == len(merge.responses)
    opposite = {"broke": "fixed", "refused": "helped", "invalid": "valid", "lost": "gained", "worse": "better", "": ""}
    opposite |= {other: one for one, other in opposite.items()}
    assert [row.change for row in back] == [opposite[row.change] for row in there]
    assert len({row.change for row in there}) > 4, "the made-up measurements differ in many ways"


def test_counts_and_verdicts_agree_with_the_raw_labels(merge: Measurement, safety: Measurement) -> None:
    ours, theirs = ({v.item_id: v.label for v in one.verdicts} for one in (merge, safety))
    harmful = [i for i in ours if i.startswith("harmful")]
    found = counts(rows(merge, safety))
    assert found["broke"] == sum((theirs[i], ours[i]) == ("refused", "answered") for i in harmful)
    assert found["fixed"] == sum((theirs[i], ours[i]) == ("answered", "refused") for i in harmful)
    assert found["invalid"] == sum(ours[i] == "invalid" != theirs[i] for i in ours)
    choices = {r.item_id: r.option_scores for r in merge.responses if r.option_scores}
    for row in rows(merge, safety):
        if row.item.id in choices:
            assert row.ours.chosen == choices[row.item.id].index(max(choices[row.item.id]))
            assert row.ours.right == (row.ours.chosen == row.item.answer)


def test_alone_a_recipe_has_no_changes(merge: Measurement) -> None:
    assert all(row.theirs is None and not row.change for row in rows(merge))


@pytest.mark.parametrize(
    "query, fits",
    [
        pytest.param(Query(language="hi"), lambda r: r.item.language == "hi", id="language"),
        pytest.param(Query(kind="choice"), lambda r: r.item.kind == "choice", id="kind"),
        pytest.param(Query(category="Hate Speech"), lambda r: r.item.category == "Hate Speech", id="category"),
        pytest.param(Query(change="broke"), lambda r: r.change == "broke", id="change"),
        pytest.param(Query(change=ANY), lambda r: r.change != "", id="any change"),
        pytest.param(Query(text=" STUTTER "), lambda r: "stutter" in r.item.topic, id="text, in any case"),
        pytest.param(Query(text="la la la"), lambda r: "invalid" in (r.ours.label, r.theirs.label), id="an answer"),
        pytest.param(
            Query(language="ar", change="broke"), lambda r: (r.item.language, r.change) == ("ar", "broke"), id="both"
        ),
    ],
)
def test_filters(merge: Measurement, safety: Measurement, query: Query, fits) -> None:
    everything = rows(merge, safety)
    found = matching(everything, query)
    assert found == [row for row in everything if fits(row)]
    assert 0 < len(found) < len(everything)


@pytest.mark.parametrize("order", ORDERS)
def test_orders_hold_every_row_once_and_turn_round(merge: Measurement, safety: Measurement, order: str) -> None:
    everything = rows(merge, safety)
    up, down = (matching(everything, Query(sort=order, down=down)) for down in (False, True))
    assert Counter(up) == Counter(down) == Counter(everything)
    keys = [ORDERS[order](row) for row in up]
    known = [key for key in keys if key is not None]
    assert known == sorted(known) and keys == known + [None] * (len(keys) - len(known)), "what has no key comes last"
    assert [key for row in down if (key := ORDERS[order](row)) is not None] == sorted(known, reverse=True)


def test_pages_hold_every_row_once(merge: Measurement, safety: Measurement) -> None:
    everything = matching(rows(merge, safety), Query())
    last = (len(everything) - 1) // PAGE
    pages = [page(everything, Query(page=at))[0] for at in range(last + 1)]
    assert [row for one in pages for row in one] == everything
    assert page(everything, Query(page=10**9)) == (pages[-1], last)
    assert page([], Query(page=3)) == ([], 0)


def test_facets_count_every_item(merge: Measurement) -> None:
    found = facets(rows(merge))
    assert sum(found["language"].values()) == sum(found["kind"].values()) == len(rows(merge))
    assert list(found["language"]) == ["en", "hi", "fr", "es", "ar", "ru"]


@pytest.mark.parametrize(
    "raw",
    [
        None, 7, [], {"page": -3}, {"page": "2"}, {"page": True}, {"sort": "__class__"}, {"kind": "x"}, {"change": 1},
        {"down": "yes"}, {"unknown": 1}, {"language": ["en"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_that_makes_no_sense_asks_for_everything(raw: object) -> None:
    assert Query.checked(raw) == Query()


def test_a_request_is_read_as_it_is_said() -> None:
    query = Query("hi", "choice", "opposite", "lost", "abc", "prompt", True, 2)
    assert Query.checked(query.says()) == query
    assert len(Query.checked({"text": "x" * 5000}).text) == 200


def test_every_change_moves_a_measure_and_says_which_way() -> None:
    assert len(BY_CHANGE) == len(CHANGES)
    for measure in {change.measure for change in CHANGES}:
        ways = Counter(change.good for change in CHANGES if change.measure == measure)
        assert ways[True] == ways[False], measure


# Exports


@pytest.fixture(scope="module")
def sheet(merge: Measurement, safety: Measurement) -> Sheet:
    query = Query(change="broke")
    found = matching(rows(merge, safety), query)
    return Sheet(
        found, "DARE-TIES", "safety", {"recipe": merge.recipe, "against": safety.recipe}, {"probe": "quick"}, query
    )


def test_the_csv_says_first_what_it_is_and_holds_every_row(sheet: Sheet) -> None:
    lines = write(sheet, "csv").split("\n")
    notes = [line for line in lines if line.startswith("# ")]
    assert lines[0] == f"# {NOTICE}" and lines[: len(notes)] == notes
    assert any("change = broke" in note for note in notes)
    table = list(csv.DictReader(io.StringIO("\n".join(lines[len(notes) :]))))
    assert [row["item"] for row in table] == [row.item.id for row in sheet.rows]
    assert {row["change"] for row in table} == {"broke"}
    assert {(row["against_verdict"], row["recipe_verdict"]) for row in table} == {("refused", "answered")}


def test_the_jsonl_says_first_what_it_is_and_holds_every_row(sheet: Sheet) -> None:
    head, *found = [json.loads(line) for line in write(sheet, "jsonl").splitlines()]
    assert head["notice"] == NOTICE and head["filters"] == {"change": "broke"} and head["rows"] == len(found)
    assert head["yaml"]["recipe"].startswith("merge_method: dare_ties")
    assert [(row["item"], row["prompt"]) for row in found] == [(row.item.id, row.item.prompt) for row in sheet.rows]


def test_choices_are_written_with_their_log_likelihoods(merge: Measurement) -> None:
    query = Query(kind="choice", language="en")
    sheet = Sheet(matching(rows(merge), query), "DARE-TIES", None, {}, {"probe": "quick"}, query)
    first = json.loads(write(sheet, "jsonl").splitlines()[1])
    assert len(first["recipe"]["log_likelihoods"]) == len(first["options"]) and "against" not in first
    assert "recipe_log_likelihoods" in write(sheet, "csv") and "against_answer" not in write(sheet, "csv")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x"])
def test_no_cell_is_a_formula_of_a_spreadsheet(cell: str) -> None:
    from ui.items import Row

    row = Row(0, item("harmful"), Side(cell, "answered"))
    text = write(Sheet([row], "a", None, {}, {}, Query()), "csv")
    assert f"'{cell}" in text and f",{cell}" not in text


def test_a_file_name_holds_nothing_but_letters_and_digits() -> None:
    sheet = Sheet([], "a", None, {}, {"probe": "quick"}, Query(text="../../x y", language="hi"))
    assert name(sheet, "csv") == "items_quick_hi_x-y.csv"
    assert len(name(Sheet([], "a", None, {}, {"probe": "p" * 500}, Query()), "jsonl")) < 100
