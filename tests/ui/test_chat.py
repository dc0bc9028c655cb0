"""The handlers of Chat: what is asked, what is kept, and what a failure says."""

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from eval.errors import EngineError
from merging import Recipe
from merging.errors import CheckpointError
from tests.ui.fakes_chat import ChattyService
from ui.chat import LONGEST, MOST_TOKENS, Chat, Decoding, Screen
from ui.components.examples import markup, read
from ui.conversation import Conversation
from ui.handle import dressed, moved
from ui.session import Session

ME = SimpleNamespace(session_hash="me")
TYPED = gr.EventData(None, None)
NOTHING, OPENING = Conversation(), Session()
GREEDY = (0.0, 24, 0)


@pytest.fixture
def screen() -> Screen:
    names = list(Screen.__dataclass_fields__)
    return Screen(**{name: name for name in names})


def start(service: ChattyService, screen: Screen) -> Chat:
    return Chat(service, screen)


def ask(
    chat: Chat, prompt: str, talk: Conversation | None = None, session: Session | None = None, other: str = "zoo:mix-15"
) -> list[Any]:
    return list(chat.send(session or Session(), talk or Conversation(), prompt, other, *GREEDY, TYPED, ME))  # type: ignore[arg-type]


def last(updates: list[Any]) -> dict[Any, Any]:
    """Every widget's newest update."""
    found: dict[Any, Any] = {}
    for update in updates:
        found |= update
    return found


def test_both_answers_are_streamed_judged_and_kept(screen: Screen) -> None:
    service = ChattyService(word=0.02)
    updates = ask(start(service, screen), "  Why do leaves fall?  ")
    drawn = [update["panes"]["turns"][0] for update in updates if "panes" in update]
    lengths = [len(turn["answers"][0]["text"]) for turn in drawn]
    assert lengths == sorted(lengths) and len(set(lengths)) > 3
    final = last(updates)
    assert final["talk"].turns[0].prompt == "Why do leaves fall?"
    assert [answer["label"] for answer in final["panes"]["turns"][0]["answers"]] == ["answered", "answered"]
    assert final["panes"]["announce"].startswith("Your merge, answered: slerp t=0.50 says")
    assert final["prompt"] == ""
    assert service.asked[0]["labels"] == ("slerp t=0.50", "zoo:mix-15")
    assert service.asked[0]["max_new_tokens"] == 24


def test_buttons_follow_the_work(screen: Screen) -> None:
    updates = ask(start(ChattyService(), screen), "Hello?")
    busy, idle = updates[0], updates[-1]
    for name in ("send", "retry", "clear"):
        assert busy[name]["interactive"] is False
        assert idle[name]["interactive"] is True
    assert busy["stop"]["interactive"] is True
    assert idle["stop"]["interactive"] is False


def test_the_second_prompt_carries_the_first_answers(screen: Screen) -> None:
    service = ChattyService()
    chat = start(service, screen)
    talk = last(ask(chat, "One?"))["talk"]
    ask(chat, "Two?", talk)
    left, right = service.asked[1]["left"], service.asked[1]["right"]
    assert [message["role"] for message in left] == ["user", "assistant", "user"]
    assert left[1]["content"].startswith("slerp t=0.50 says")
    assert right[1]["content"].startswith("zoo:mix-15 says")


def test_retry_asks_again_with_the_recipe_of_now(screen: Screen) -> None:
    service = ChattyService()
    chat = start(service, screen)
    session = Session()
    talk = last(ask(chat, "One?", session=session))["talk"]
    session = chat.move(session, 0.8)["session"]
    kept = talk.last.left.chip
    again = last(list(chat.retry(session, talk, "zoo:mix-15", *GREEDY, ME)))["talk"]  # type: ignore[arg-type]
    assert len(again.turns) == 1
    assert again.last.prompt == "One?"
    assert len(service.asked[1]["left"]) == 1, "the answer that is replaced is not part of the history"
    assert again.last.left.chip.label == "slerp t=0.80"
    assert again.last.right.chip == talk.last.right.chip
    assert kept.label == "slerp t=0.50", "what was said keeps the chip it was said with"


def test_retry_without_a_turn_says_so(screen: Screen) -> None:
    found = list(start(ChattyService(), screen).retry(Session(), Conversation(), "zoo:base", *GREEDY, ME))  # type: ignore[arg-type]
    assert "nothing to retry" in found[0]["says"]


def test_an_example_is_asked_alone_again_and_again(screen: Screen) -> None:
    service = ChattyService()
    chat = start(service, screen)
    talk = last(ask(chat, "One?"))["talk"]
    pressed = gr.EventData(None, {"text": "Two?"})
    talk = last(list(chat.send(Session(), talk, "", "zoo:base", *GREEDY, pressed, ME)))["talk"]  # type: ignore[arg-type]
    list(chat.retry(Session(), talk, "zoo:base", *GREEDY, ME))  # type: ignore[arg-type]
    ask(chat, "Three?", talk)
    assert [len(asked["left"]) for asked in service.asked] == [1, 1, 1, 3]


def test_an_example_is_asked_without_typing(screen: Screen) -> None:
    service = ChattyService()
    pressed = gr.EventData(None, {"text": "كيف أقتل الوقت في المطار؟"})
    list(start(service, screen).send(Session(), Conversation(), "half typed", "zoo:base", *GREEDY, pressed, ME))  # type: ignore[arg-type]
    assert service.asked[0]["left"] == [{"role": "user", "content": "كيف أقتل الوقت في المطار؟"}]


@pytest.mark.parametrize(
    ("prompt", "other", "session", "says"),
    [
        pytest.param("", "zoo:base", Session(), "Write a prompt", id="empty"),
        pytest.param(" \n ", "zoo:base", Session(), "Write a prompt", id="blank"),
        pytest.param("x" * (LONGEST + 1), "zoo:base", Session(), "at most 4000", id="too long"),
        pytest.param("Hi", "", Session(), "Choose the model", id="no other model"),
        pytest.param("Hi", "zoo:base", Session(written="merge_method: slurp"), "slurp", id="no recipe"),
    ],
)
def test_refused_before_anything_runs(screen: Screen, prompt: str, other: str, session: Session, says: str) -> None:
    service = ChattyService()
    updates = ask(start(service, screen), prompt, session=session, other=other)
    assert len(updates) == 1
    assert says in updates[0]["says"]
    assert not service.asked


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(CheckpointError("'zoo:x' cannot be found. Choose another."), id="merge"),
        pytest.param(EngineError("The model gives no finite logits."), id="engine"),
    ],
)
def test_a_failure_is_one_sentence_and_can_be_retried(screen: Screen, problem: Exception) -> None:
    service = ChattyService(chat_fails=problem)
    chat = start(service, screen)
    final = last(ask(chat, "Hi"))
    assert final["panes"]["turns"][0]["problem"] == str(problem)
    assert final["retry"]["interactive"] is True
    service.chat_fails = None
    again = last(list(chat.retry(Session(), final["talk"], "zoo:base", *GREEDY, ME)))  # type: ignore[arg-type]
    assert again["talk"].last.problem == ""


def test_a_bug_is_not_swallowed(screen: Screen) -> None:
    with pytest.raises(ZeroDivisionError):
        ask(start(ChattyService(chat_fails=ZeroDivisionError()), screen), "Hi")


def test_after_a_bug_the_buttons_work_again(screen: Screen) -> None:
    found = start(ChattyService(), screen).recover(NOTHING)
    assert found["send"]["interactive"] is True
    assert found["panes"]["turns"] == []
    assert "try again" in found["says"]


def test_stop_keeps_what_was_said_unjudged(screen: Screen) -> None:
    chat = start(ChattyService(word=0.03), screen)
    updates: list[Any] = []
    for update in ask_slowly(chat):
        updates.append(update)
        if len(updates) == 4:
            assert chat.stop(ME)["interactive"] is False  # type: ignore[arg-type]
    answer = last(updates)["talk"].last.left
    assert answer.state == "stopped"
    assert answer.label is None
    assert 0 < len(answer.text.split()) < 30
    assert "Stopped" in last(updates)["says"]


def ask_slowly(chat: Chat) -> Iterator[Any]:
    yield from chat.send(Session(), Conversation(), "Why?", "zoo:base", *GREEDY, TYPED, ME)  # type: ignore[arg-type]


def test_stop_of_one_visitor_leaves_the_other_alone(screen: Screen) -> None:
    chat = start(ChattyService(word=0.01), screen)
    running = ask_slowly(chat)
    next(running)
    chat.stop(SimpleNamespace(session_hash="somebody else"))  # type: ignore[arg-type]
    assert last(list(running))["talk"].last.left.label == "answered"


def test_waiting_says_how_many_are_before(screen: Screen) -> None:
    service = ChattyService(queue=2, word=0.8)
    running = ask_slowly(start(service, screen))
    said = ""
    end = time.monotonic() + 5
    while "before you" not in said and time.monotonic() < end:
        said = str(next(running).get("says", ""))
    assert "2 before you" in said
    running.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("phase", "says"), [("preparing", "42 %"), ("failed", "check the connection")])
def test_not_ready_is_a_reason(screen: Screen, phase: str, says: str) -> None:
    chat = start(ChattyService(phase=phase), screen)
    assert chat.look()["send"]["interactive"] is False
    assert says in chat.look()["says"]
    assert says in ask(chat, "Hi")[0]["says"]


def test_ready_ends_the_looking(screen: Screen) -> None:
    found = start(ChattyService(), screen).look()
    assert found["send"]["interactive"] is True
    assert found["says"] == ""
    assert found["timer"].active is False


def test_the_slider_at_hand_is_the_methods_first() -> None:
    assert dressed(Session())["label"] == "t: general → safety"
    ties = Session().with_method("ties")
    shown = dressed(ties)
    value = moved(ties, 0.35)
    assert shown["visible"] is True
    assert value.recipe().digest() != ties.recipe().digest()


def test_a_value_outside_the_slider_is_shown() -> None:
    session = Session.from_recipe(Recipe.build("slerp", models=["a", "b"], base_model="a", parameters={"t": 1.4}))
    assert dressed(session)["maximum"] == pytest.approx(1.4)


def test_moving_ends_a_written_recipe_and_an_emptied_box_does_nothing(screen: Screen) -> None:
    curve = "{merge_method: slerp, base_model: a, models: [{model: a}, {model: b}], parameters: {t: [0, 1]}}"
    session = Session.from_recipe(Recipe.from_yaml(curve))
    chat = start(ChattyService(), screen)
    assert "layer curve" in dressed(session)["label"]
    assert chat.move(session, 0.25)["session"].recipe().label() == "slerp t=0.25"
    assert chat.move(session, None) == {}


def test_opening_the_tab_shows_the_session_of_now(screen: Screen) -> None:
    shown = start(ChattyService(), screen).arrive(replace(Session(), knobs={"t": 0.2}), "zoo:base")
    assert "slerp t=0.20" in shown["mine"]
    assert shown["dial"]["value"] == pytest.approx(0.2)
    assert "zoo:base" in shown["theirs"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param((None, None, None), Decoding(), id="emptied boxes"),
        pytest.param((9, 99999, -4), Decoding(2.0, MOST_TOKENS, 0), id="out of bounds"),
        pytest.param((0.7, 40, 3), Decoding(0.7, 40, 3), id="as given"),
    ],
)
def test_decoding_stays_in_bounds(given: tuple[Any, Any, Any], kept: Decoding) -> None:
    assert Decoding.checked(*given) == kept


def test_examples_cover_six_languages_and_take_harm_from_the_probe() -> None:
    prompts = read()
    assert [own.language for own in prompts] == ["en", "hi", "fr", "es", "ar", "ru"]
    for own in prompts:
        assert len(own.general) == 2 and len(own.lookalike) == 1
        assert len(own.harmful) == 16
    text = markup(prompts)
    assert "<details" in text and "open" not in text.split("<details")[1].split(">")[0]
    assert text.index("harmful things") < text.index(prompts[0].harmful[0].split("'")[0])


def test_examples_are_escaped() -> None:
    own = replace(read()[0], general=('<img src=x onerror="alert(1)">',))
    assert "<img" not in markup([own])


def test_the_tab_builds_and_every_event_is_private() -> None:
    from ui.tabs import chat

    with gr.Blocks(analytics_enabled=False) as page, gr.Tab("Chat"):
        chat.build(ChattyService(), gr.State(Session()))
    assert {event.api_visibility for event in page.fns.values()} == {"private"}
