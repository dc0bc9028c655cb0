"""Choices made quickly: late answers, sessions read too early, and what Gradio hands to a wrapped handler."""

import copy
import inspect
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from ui.order import Order, choosing, reporting, showing
from ui.session import Session

KEY = "session"


def seeded(session: Session, seed: int) -> Iterator[dict[str, Any]]:
    """A choice of another seed; says twice what it did, as a drag does."""
    session = replace(session, seed=seed)
    yield {KEY: session, "said": "merging"}
    yield {KEY: session, "said": f"merged {seed}"}


choose = choosing(seeded, KEY)


def test_a_choice_answers_twice_and_writes_the_session_once() -> None:
    first, second = choose(Order(), Session(), 3)
    assert first[KEY].seed == 3
    assert second == {"said": "merged 3"}


def test_an_older_choice_says_nothing_more_once_there_is_a_newer() -> None:
    order, start = Order(), Session()
    older = choose(order, start, 1)
    seen = next(older)
    newer = choose(order, seen[KEY], 2)
    next(newer)
    assert list(older) == []
    assert [answer["said"] for answer in newer] == ["merged 2"]


def test_an_answer_that_was_being_made_when_a_newer_choice_came_is_left_out() -> None:
    order = Order()

    def slow(session: Session) -> Iterator[dict[str, Any]]:
        yield {KEY: replace(session, seed=1)}
        next(choose(order, session, 2))
        yield {"said": "too late"}

    assert len(list(choosing(slow, KEY)(order, Session()))) == 1


def test_a_choice_read_too_early_still_builds_on_the_one_before() -> None:
    order, start = Order(), Session()
    next(choose(order, start, 7))
    moved = choosing(lambda session: {KEY: replace(session, method="ties")}, KEY)
    (answer,) = moved(order, start)
    assert (answer[KEY].seed, answer[KEY].method) == (7, "ties")


def test_a_session_of_another_tab_is_taken_even_if_it_equals_an_old_one() -> None:
    order, start = Order(), Session()
    next(choose(order, start, 7))
    (answer,) = choosing(lambda session: {KEY: replace(session, method="ties")}, KEY)(order, replace(start))
    assert answer[KEY].seed == 0


@pytest.mark.parametrize("none", [{}, []], ids=["no update", "no answer"])
def test_no_answer_is_no_choice(none: Any) -> None:
    order = Order()
    older = choose(order, Session(), 1)
    next(older)
    assert list(choosing(lambda session: none, KEY)(order, Session())) == []
    assert [answer["said"] for answer in older] == ["merged 1"]


def test_showing_is_in_order_and_stops_no_merge() -> None:
    order, start = Order(), Session()
    older = choose(order, start, 7)
    next(older)
    typed = showing(lambda session, text: {KEY: replace(session, draft=text)}, KEY)(order, start, "t: 1")
    assert (typed[KEY].seed, typed[KEY].draft) == (7, "t: 1")
    assert [answer["said"] for answer in older] == ["merged 7"]


def test_a_report_is_left_out_once_there_is_a_newer_choice() -> None:
    order = Order()

    def settle(session: Session, again: bool) -> dict[str, Any]:
        if again:
            next(choose(order, session, 9))
        return {"said": session.seed}

    next(choose(order, start := Session(), 5))
    assert reporting(settle, {"said": None})(order, start, False) == {"said": 5}
    assert reporting(settle, {"said": None})(order, start, True) == {"said": None}


def test_choices_wait_for_each_other() -> None:
    order, start, inside, go = Order(), Session(), threading.Event(), threading.Event()

    def slow(session: Session) -> dict[str, Any]:
        inside.set()
        assert go.wait(10)
        return {KEY: replace(session, seed=1)}

    made: list[Session] = []
    first = threading.Thread(target=lambda: list(choosing(slow, KEY)(order, start)))
    ties = choosing(lambda session: {KEY: replace(session, method="ties")}, KEY)
    second = threading.Thread(target=lambda: made.extend(answer[KEY] for answer in ties(order, start)))
    first.start()
    assert inside.wait(10)
    second.start()
    go.set()
    for thread in (first, second):
        thread.join(10)
    assert [(session.seed, session.method) for session in made] == [(1, "ties")]


def test_a_failure_lets_the_next_choice_in() -> None:
    order = Order()
    with pytest.raises(ZeroDivisionError):
        next(choosing(lambda session: {KEY: 1 / 0}, KEY)(order, Session()))
    assert next(choose(order, Session(), 1))[KEY].seed == 1


def test_gradio_hands_the_event_where_the_handler_wants_it() -> None:
    def handler(session: Session, event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield {KEY: session}

    run = choosing(handler, KEY)
    given, *_ = gr.helpers.special_args(run, ["order", "session"], event_data=gr.EventData(None, {"x": 1}))
    assert given[:2] == ["order", "session"] and isinstance(given[2], gr.EventData)
    assert inspect.isgeneratorfunction(run)


def test_every_page_has_an_order_of_its_own() -> None:
    order = Order()
    next(choose(order, Session(), 1))
    assert copy.deepcopy(order).last == 0
