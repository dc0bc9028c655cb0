"""Markup: what is said, that it is escaped, and that a guess is never mistaken for a figure."""

from collections.abc import Callable

import pytest

from eval.metrics import Paired
from merging import Recipe, registry
from tests.ui.fakes import FakeService, measurement
from ui.components.card import card
from ui.components.controls import dial_label, ends
from ui.components.figures import answer, figures
from ui.components.header import header
from ui.components.loaded import loaded, progress
from ui.components.strip import strip, waiting
from ui.preview import Guess, Spread
from ui.reading import mix, pays, read, sentence
from ui.status import Status

EVIL = "<script>alert(1)</script>"
SLERP = Recipe.build("slerp", models=["zoo:general", "zoo:safety"], base_model="zoo:general", parameters={"t": 0.6})


@pytest.mark.parametrize(
    "markup",
    [
        pytest.param(
            lambda: loaded(EVIL, EVIL, EVIL, notes=[EVIL], alternatives=[(EVIL, EVIL)], problem=EVIL), id="chip"
        ),
        pytest.param(lambda: progress(0.5, EVIL), id="progress"),
        pytest.param(lambda: answer([(EVIL, "amount"), (EVIL, ""), (EVIL, "hint")]), id="answer"),
        pytest.param(lambda: ends(EVIL, EVIL), id="ends"),
        pytest.param(lambda: waiting(EVIL), id="strip"),
        pytest.param(lambda: strip({"harm": {EVIL: PAIRED}}, against=EVIL), id="languages"),
        pytest.param(lambda: header(Status("failed", text=EVIL)), id="failed status"),
        pytest.param(lambda: header(Status("ready", device=EVIL, family=EVIL)), id="status"),
    ],
)
def test_words_are_escaped(markup: Callable[[], str]) -> None:
    assert "<script" not in markup()


PAIRED = Paired("harm", "hi", -0.2, -0.3, -0.1, "better", 16, 16, None, 0.2)


@pytest.mark.parametrize(
    "word, kind, filled",
    [("better", "mf-better", True), ("worse", "mf-worse", True), ("cannot tell", "mf-same", False)],
    ids=["better", "worse", "cannot tell"],
)
def test_a_difference_is_told_by_colour_and_by_shape(word: str, kind: str, filled: bool) -> None:
    found = Paired("harm", "hi", -0.2, -0.3, -0.1, word, 16, 16, None, 0.2)  # type: ignore[arg-type]
    markup = strip({"harm": {"hi": found}}, against="mix 15 %")
    assert kind in markup
    assert ("mf-sure" in markup) == filled
    assert "−0.20" in markup and word in markup


def test_a_missing_difference_is_a_dash() -> None:
    found = Paired("harm", "hi", None, None, None, "cannot tell", 0, 0, None, None, "no valid answers")
    assert "–" in strip({"harm": {"hi": found}}, against="mix")


def test_measured_figures_have_intervals_and_guesses_say_that_they_are() -> None:
    measured = figures(measurement(SLERP), None)
    assert "mf-measured" in measured and "≈" not in measured and measured.count("[") == 5
    guessed = figures(None, Guess({"harm": Spread(0.05, 0.2)}, "t = 0 and 1"))
    assert "mf-preview" in guessed and "≈ 0.05" in guessed and "[.00, .25]" in guessed
    assert figures(None, None).count("not measured") == 5


def test_the_sentence_answers_the_question_or_says_what_to_do() -> None:
    points = FakeService().points()
    said = "".join(words for words, _ in sentence(read(SLERP, points), points))
    assert said.startswith(("At equal harm, this merge is", "Against the 15 % mix")) and "general" in said
    unknown = read(Recipe.build("slerp", models=["a", "b"], base_model="a", parameters={"t": 0.5}), points)
    assert "Press Probe" in sentence(unknown, points)[0][0]
    assert "Nothing is measured yet" in sentence(read(SLERP, []), [])[0][0]


def test_who_pays_compares_with_the_mix_in_every_language() -> None:
    points = FakeService().points()
    rows = pays(read(SLERP, points), points)
    assert set(rows) == {"harm", "general"}
    assert all(set(row) == {"en", "hi", "fr", "es", "ar", "ru"} for row in rows.values())
    held = mix(points)
    assert held is not None
    assert pays(read(held.recipe, points), points) == {}
    assert pays(read(SLERP, []), []) == {}


@pytest.mark.parametrize(
    "status, wanted",
    [
        pytest.param(Status("preparing", 0.42, "reading"), 'aria-valuenow="42"', id="preparing has a bar"),
        pytest.param(Status("ready", device="CPU", family="F"), "queue empty", id="ready"),
        pytest.param(Status("ready", device="CPU", family="F", queue=2), "2 waiting", id="busy says how many wait"),
        pytest.param(
            Status("failed", text="Check the connection."), "Check the connection.", id="failed says what to do"
        ),
    ],
)
def test_the_header_says_what_the_app_can_do(status: Status, wanted: str) -> None:
    assert wanted in header(status)


@pytest.mark.parametrize("method", registry.methods(), ids=lambda method: method.name)
def test_every_method_has_a_card(method: registry.Method) -> None:
    markup = card(method)
    assert all(name in markup for name in method.knobs) and "https://" in markup


def test_a_weight_says_its_share() -> None:
    from ui.components.controls import Dial

    assert dial_label(Dial("weight", 0), ["zoo:general"], 0.25) == "weight general · 25 %"
