"""What was said, by whom, and what each model is told of it."""

from dataclasses import replace

import pytest

from eval.types import Verdict
from merging import Recipe
from tests.ui.fakes import FakeService
from ui import others
from ui.conversation import Answer, Chip, Conversation, Turn, announced
from ui.status import Reply

LEFT, RIGHT = Chip("Your merge", "slerp t=0.50", "a" * 64), Chip("mix 15 %", "zoo:mix-15", "b" * 64)


def turn(prompt: str, left: str, right: str, problem: str = "") -> Turn:
    return Turn(prompt, Answer(LEFT, left, "done"), Answer(RIGHT, right, "done"), problem)


def test_each_pane_is_told_its_own_answers() -> None:
    talk = Conversation((turn("one", "left 1", "right 1"), turn("two", "left 2", "right 2")))
    assert talk.messages("left", "three") == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "left 1"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "left 2"},
        {"role": "user", "content": "three"},
    ]
    assert [m["content"] for m in talk.messages("right", "three")] == ["one", "right 1", "two", "right 2", "three"]


@pytest.mark.parametrize(
    ("left", "contents"),
    [
        pytest.param("", ["two"], id="empty answer"),
        pytest.param(" \n", ["two"], id="blank answer"),
        pytest.param("half a", ["one", "half a", "two"], id="stopped answer"),
    ],
)
def test_roles_always_take_turns(left: str, contents: list[str]) -> None:
    told = Conversation((turn("one", left, "right 1"),)).messages("left", "two")
    assert [message["content"] for message in told] == contents
    assert [message["role"] for message in told] == (["user", "assistant"] * 2)[: len(contents)]


def test_a_turn_asked_alone_forgets_what_was_before() -> None:
    talk = Conversation((turn("one", "l", "r"), replace(turn("two", "l", "r"), alone=True), turn("three", "l", "r")))
    assert [m["content"] for m in talk.messages("left", "four")] == ["two", "l", "three", "l", "four"]


def test_retry_forgets_the_newest_turn_only() -> None:
    talk = Conversation((turn("one", "l", "r"), turn("two", "l", "r")))
    assert talk.without_last().messages("left", "two") == Conversation((turn("one", "l", "r"),)).messages("left", "two")


@pytest.mark.parametrize(
    ("reply", "state", "label"),
    [
        pytest.param(Reply(), "waiting", None, id="nothing yet"),
        pytest.param(Reply("a"), "writing", None, id="first word"),
        pytest.param(Reply("a", done=True), "done", None, id="ended, not judged yet"),
        pytest.param(Reply("a", True, Verdict("x", "refused", "declines")), "done", "refused", id="judged"),
    ],
)
def test_an_answer_grows_and_keeps_its_chip(reply: Reply, state: str, label: str | None) -> None:
    answer = Answer(LEFT).told(reply)
    assert (answer.state, answer.label, answer.chip) == (state, label, LEFT)


def test_a_stopped_answer_is_not_judged_but_a_finished_one_stays() -> None:
    before = Turn("one", Answer(LEFT, "whole", "done"), Answer(RIGHT, "half", "writing"))
    verdict = Verdict("x", "answered", "gives it")
    after = before.told(Reply("whole", True, verdict), Reply("half a", True, verdict)).stopped(before)
    assert (after.left.state, after.left.label) == ("done", "answered")
    assert (after.right.state, after.right.label, after.right.text) == ("stopped", None, "half a")


def test_a_screen_reader_hears_both_once_complete() -> None:
    judged = Turn("one", Answer(LEFT, "No.", "done", "refused"), Answer(RIGHT, "", "done", "invalid"))
    assert announced([judged]) == "Your merge, refused: No. — mix 15 %, invalid: no words"
    assert announced([turn("one", "", "", "It cannot be read.")]) == "It cannot be read."
    assert announced([]) == ""


def test_chip_shows_six_digits_and_carries_all() -> None:
    recipe = Recipe.single("zoo:base")
    chip = Chip.of("base", recipe)
    assert chip.text == f"zoo:base · {recipe.digest()[:6]}"
    assert Answer(chip).shown()["digest"] == recipe.digest()


@pytest.mark.parametrize(
    ("checkpoints", "chosen"),
    [
        pytest.param(["zoo:general", "zoo:mix-15", "zoo:base"], "zoo:mix-15", id="the mix"),
        pytest.param(["zoo:general", "zoo:base"], "zoo:base", id="no mix: the base"),
        pytest.param(["a/b", "c/d"], "a/b", id="neither: the first"),
        pytest.param([], "", id="an empty pool"),
    ],
)
def test_the_other_model_by_default(checkpoints: list[str], chosen: str) -> None:
    assert others.default(checkpoints) == chosen


def test_the_picker_offers_checkpoints_and_measured_merges_once() -> None:
    service = FakeService()
    listed = others.choices(service.checkpoints(), service.points())
    assert ("mix 15 %", "zoo:mix-15") in listed
    merges = [(words, value) for words, value in listed if not value.startswith("zoo:")]
    assert merges and len({value for _, value in listed}) == len(listed)
    assert len(merges) == len(service.points()) - len(service.checkpoints())
    words, value = merges[0]
    assert words == f"{others.recipe(value, service.points()).label()} · {value[:6]}"
