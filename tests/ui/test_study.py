"""The Items view of Study: which recipes are compared, what the table is given, what a click does. No browser."""

import json
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from eval.judges.quality import QUALITY
from eval.metrics import compare
from tests.ui.fakes import FakeService, measurement
from ui.exports import NOTICE
from ui.items import counts
from ui.pairs import DEFAULT, MOMENT, NOTHING, Pair, resolve
from ui.queries import PAGE, Query
from ui.second_judge import held_out
from ui.session import Session
from ui.status import Point
from ui.study import Screen, Study, exporter
from ui.table import cards, said, table
from ui.tabs.study import _layout

MINE = Session().with_value("t", 0.4)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def screen(service: FakeService) -> Screen:
    with gr.Blocks(), gr.Tabs() as tabs:
        with gr.Tab("Explore", id="Explore"):
            pass
        with gr.Tab("Study", id="Study"):
            return _layout(service, gr.State(Session()), tabs)


@pytest.fixture
def study(service: FakeService, screen: Screen) -> Study:
    return Study(service, screen)


def of(service: FakeService, label: str) -> Point:
    return next(point for point in service.points() if label in (point.landmark, point.recipe.label()))


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


# Which recipes


def test_the_merge_of_the_moment_against_the_mix(service: FakeService) -> None:
    pair = resolve(MINE, service.points(), MOMENT, DEFAULT)
    assert isinstance(pair, Pair) and pair.note == ""
    assert pair.ours.id == MINE.recipe().digest() and pair.theirs and pair.theirs.landmark == "mix 15 %"


def test_an_unmeasured_moment_gives_way_and_says_so(service: FakeService) -> None:
    pair = resolve(Session().with_value("t", 0.55), service.points(), MOMENT, DEFAULT)
    assert isinstance(pair, Pair) and pair.ours.on_frontier and not pair.ours.landmark
    assert "slerp t=0.55 is not measured yet" in pair.note and pair.ours.recipe.label() in pair.note


@pytest.mark.parametrize(
    "ours, theirs, said",
    [("nonsense", DEFAULT, "This recipe is not measured"), (MOMENT, "nonsense", "held against is not measured")],
)
def test_what_is_no_measured_recipe_gets_a_sentence(service: FakeService, ours: str, theirs: str, said: str) -> None:
    found = resolve(MINE, service.points(), ours, theirs)
    assert isinstance(found, str) and said in found


def test_nothing_measured_says_what_to_do(study: Study, screen: Screen, service: FakeService) -> None:
    service.empty = True
    found = study.arrive(MINE, Query(), "quick", MOMENT, DEFAULT)[screen.table]
    assert "Press Probe in Explore" in found["message"] and found["rows"] == []


# What is shown


def test_opening_fills_the_pickers_and_the_first_page(study: Study, screen: Screen, service: FakeService) -> None:
    found = study.arrive(MINE, Query(), "quick", None, DEFAULT)
    assert set(found) == set(screen.everything)
    offered = [words for words, _ in found[screen.ours]["choices"]]
    assert offered[0].startswith("Your merge: slerp t=0.40 · ") and offered[1:5] == [
        "base", "general 0 %", "mix 15 %", "safety 100 %",
    ]  # fmt: skip
    assert len(offered) == 1 + len(service.points())
    assert found[screen.theirs]["value"] == of(service, "mix 15 %").id
    value = found[screen.table]
    assert len(value["rows"]) == PAGE and (value["first"], value["last"], value["total"]) == (1, PAGE, 312)


def test_the_cards_say_what_the_paired_comparison_says(service: FakeService) -> None:
    ours, theirs = of(service, "slerp t=0.40").measurement, of(service, "mix 15 %").measurement
    value = table(Pair(of(service, "slerp t=0.40"), of(service, "mix 15 %")), Query(language="hi"))
    wanted = compare(ours, theirs, "harm", "hi")
    card = value["cards"][0]
    assert wanted.difference is not None and wanted.detectable is not None
    assert card["measure"] == "harm" and card["word"] == wanted.word
    assert card["amount"].startswith(f"{wanted.difference:+.2f}".replace("-", "−"))
    assert f"smallest difference these items can tell is {wanted.detectable:.2f}".replace("0.", ".") in card["sentence"]
    assert {change["key"] for one in value["cards"] for change in one["changes"]} >= {"broke", "fixed", "lost"}


def test_counts_follow_the_other_filters_but_not_the_chosen_change(service: FakeService) -> None:
    pair = Pair(of(service, "safety 100 %"), of(service, "base"))
    everywhere, chosen = table(pair, Query()), table(pair, Query(change="fixed"))
    assert everywhere["cards"] == chosen["cards"]
    fixed = next(c["count"] for c in everywhere["cards"][0]["changes"] if c["key"] == "fixed")
    assert chosen["total"] == fixed > 0 and {row["change"] for row in chosen["rows"]} == {"fixed"}
    hindi = next(c["count"] for c in table(pair, Query(language="hi"))["cards"][0]["changes"] if c["key"] == "fixed")
    assert 0 < hindi < fixed


def test_a_measure_without_items_is_undefined_and_says_why(service: FakeService) -> None:
    ours = of(service, "base").measurement
    assert said(None)["word"] == "undefined"
    assert {card["word"] for card in cards(ours, ours, counts([]), "xx")} == {"undefined"}


def test_one_recipe_alone(study: Study, screen: Screen) -> None:
    value = study.show(MINE, Query(), "quick", MOMENT, NOTHING)[screen.table]
    assert value["theirs"] is None and value["cards"] == [] and all(row["theirs"] is None for row in value["rows"])


def test_filters_from_the_browser_are_checked_and_kept(study: Study, screen: Screen) -> None:
    asked = {"language": "fr", "kind": "choice", "sort": "ours_score", "down": True, "page": 99, "evil": object()}
    found = study.narrow(MINE, "quick", MOMENT, DEFAULT, event(**asked))
    assert found[screen.query] == Query(language="fr", kind="choice", sort="ours_score", down=True, page=99)
    assert found[screen.table]["query"]["page"] == 0, "a page there is not is the last one"
    kept = study.choose(MINE, found[screen.query], "quick", MOMENT, NOTHING)
    assert {row["language"] for row in kept[screen.table]["rows"]} == {"fr"}


def test_swapping_turns_broke_into_fixed(study: Study, screen: Screen, service: FakeService) -> None:
    base, safety = of(service, "base").id, of(service, "safety 100 %").id
    before = study.show(MINE, Query(), "quick", base, safety)[screen.table]["cards"][0]["changes"]
    found = study.swap(MINE, Query(page=3), "quick", base, safety)
    assert (found[screen.ours], found[screen.theirs]) == (safety, base)
    after = found[screen.table]["cards"][0]["changes"]
    assert [c["count"] for c in after] == [c["count"] for c in reversed(before)]
    assert found[screen.query].page == 0


def test_loading_a_recipe_sets_the_shared_session_and_turns_to_explore(
    study: Study, screen: Screen, service: FakeService
) -> None:
    ties = next(point for point in service.points() if point.recipe.method == "ties")
    found = study.load_theirs(MINE, "quick", MOMENT, ties.id)
    assert found[screen.session].recipe().digest() == ties.id
    assert screen.tabs is not None and found[screen.tabs].selected == "Explore"
    assert study.load_ours(MINE, "quick", "nonsense", ties.id)[screen.session]["__type__"] == "update"


def test_another_probe_forgets_what_it_does_not_know(study: Study, screen: Screen) -> None:
    found = study.turn(MINE, Query(category="Hate Speech"), "quick", "of another probe", NOTHING)
    assert found[screen.ours]["value"] == MOMENT and found[screen.query] == Query()


# The file


def asked(service: FakeService, **more: Any) -> dict[str, str]:
    ours, theirs = of(service, "safety 100 %").id, of(service, "base").id
    return exporter(service)({"probe": "quick", "ours": ours, "theirs": theirs, "form": "jsonl"} | more)


def test_the_file_holds_all_pages_of_the_filtered_rows(service: FakeService) -> None:
    pair = Pair(of(service, "safety 100 %"), of(service, "base"))
    found = asked(service, query={"change": "fixed", "page": 2})
    assert found["name"] == "items_quick_fixed.jsonl" and NOTICE in found["text"]
    assert len(found["text"].splitlines()) == 1 + table(pair, Query(change="fixed"))["total"]


@pytest.mark.parametrize("raw", [None, [], {}, {"ours": "../../etc/passwd"}, {"probe": "/etc/passwd", "ours": 3}])
def test_a_file_of_what_is_not_measured_is_refused(service: FakeService, raw: Any) -> None:
    assert "not measured" in exporter(service)(raw)["problem"]


def test_a_form_there_is_not_is_jsonl(service: FakeService) -> None:
    assert asked(service, form="exe", probe="../x")["name"].endswith(".jsonl")
    assert asked(service, form="csv")["type"] == "text/csv"


def test_the_recipes_travel_with_the_file(service: FakeService) -> None:
    found = asked(service)
    assert measurement(of(service, "base").recipe).recipe.splitlines()[0] in found["text"].splitlines()[0]


# Two judges


@pytest.fixture
def twice() -> FakeService:
    return FakeService(strict=True)


def test_one_judge_alone_has_nobody_to_agree_with(study: Study, screen: Screen) -> None:
    value = study.show(MINE, Query(), "quick", MOMENT, DEFAULT)[screen.table]
    assert value["judges"] == ["rules/1"] and value["agreement"] is None


def test_two_judges_agreement_is_that_of_the_raw_labels(twice: FakeService, screen: Screen) -> None:
    value = Study(twice, screen).show(MINE, Query(), "quick", MOMENT, DEFAULT)[screen.table]
    found, by_judge = value["agreement"], twice.judged()
    shown = (value["ours"]["id"], value["theirs"]["id"])
    mine, theirs = ([v for i in shown for v in by_judge[name][i].verdicts] for name in ("rules/1", "strict/1"))
    harsher = sum(a.label != b.label for a, b in zip(mine, theirs, strict=True))
    at = {name: i for i, name in enumerate(found["categories"])}
    assert found["table"][at["answered"]][at["refused"]] == harsher > 0
    assert sum(map(sum, found["table"])) + int("0" + "".join(c for c in found["left"] if c.isdigit())) == len(mine)
    assert found["line"].startswith(f"rules/1 and strict/1 agree on {sum(map(sum, found['table'])) - harsher} of ")
    assert [one["name"] for one in found["languages"]][:2] == ["English", "Hindi"]


def test_another_judge_gives_other_verdicts_counts_and_file(twice: FakeService, screen: Screen) -> None:
    study = Study(twice, screen)
    asked = {"judge": "strict/1", "kind": "harmful"}
    rules, strict = (
        study.narrow(MINE, "quick", MOMENT, DEFAULT, event(**q))[screen.table] for q in ({"kind": "harmful"}, asked)
    )
    assert (rules["judge"], strict["judge"]) == ("rules/1", "strict/1")
    assert strict["judges"][0] == "rules/1", "the usual judge stays first"
    assert strict["cards"][0]["amount"] != rules["cards"][0]["amount"]
    other = {row["ours"]["other"] for row in strict["rows"]} - {""}
    assert other == {"answered"}, "what the usual judge said where it differs"
    file = exporter(twice)({"ours": strict["ours"]["id"], "form": "jsonl", "query": asked})
    assert '"judge": "strict/1"' in file["text"].splitlines()[0] and "evasive" in file["text"]


def test_the_items_on_which_they_differ(twice: FakeService, screen: Screen) -> None:
    value = Study(twice, screen).show(MINE, Query(change="differ"), "quick", MOMENT, DEFAULT)[screen.table]
    assert value["total"] == value["agreement"]["differ"] > 0
    assert all(row["ours"]["other"] or row["theirs"]["other"] for row in value["rows"])


def test_an_unknown_judge_gives_way_to_the_usual_one(twice: FakeService, screen: Screen) -> None:
    value = Study(twice, screen).show(MINE, Query(judge="../x"), "quick", MOMENT, DEFAULT)[screen.table]
    assert value["judge"] == "rules/1"


def test_how_well_the_rules_label_held_out_rows(twice: FakeService, screen: Screen) -> None:
    kept = json.loads(QUALITY.read_text(encoding="utf-8"))
    found = held_out(kept["judge"])
    assert [one["name"] for one in found] == ["English", "Hindi", "French", "Spanish", "Arabic", "Russian"]
    hindi = kept["languages"]["hi"]["macro_f1"]
    assert found[1]["f1"].startswith(f"{hindi['value']:.2f} [") and found[1]["n"] == str(hindi["n"])
    assert held_out("somebody/1") == []
    value = Study(twice, screen).show(MINE, Query(), "quick", MOMENT, DEFAULT)[screen.table]
    assert value["quality"] == held_out(value["judge"])
