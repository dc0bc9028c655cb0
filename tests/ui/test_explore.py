"""The handlers of Explore: what each does to the page, without a browser and without models."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from tests.ui.fakes import FakeService
from ui.explore import Explore
from ui.plots import Axes
from ui.screen import Screen
from ui.session import Session
from ui.tabs.explore import _layout

AXES = Axes()
VISITOR: Any = SimpleNamespace(session_hash="one")


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def screen(service: FakeService) -> Screen:
    with gr.Blocks():
        return _layout(service, gr.State(Session()))[0]


@pytest.fixture
def explore(service: FakeService, screen: Screen) -> Explore:
    return Explore(service, screen)


def last(updates: Iterator[dict[Any, Any]], widget: Any) -> Any:
    """The newest value a handler gave a widget."""
    found = None
    for update in updates:
        found = update.get(widget, found)
    return found


def event(**data: Any) -> Any:
    return SimpleNamespace(**data)


def test_opening_shows_everything_and_merges_what_it_shows(
    explore: Explore, screen: Screen, service: FakeService
) -> None:
    seen: dict[Any, Any] = {}
    for update in explore.open(Session(), AXES, ()):
        seen |= update
    assert {screen.answer, screen.figures, screen.chart, screen.strip, screen.loaded} <= set(seen)
    assert "merging" in seen[screen.loaded] and service.applied == []
    seen |= explore.settle(Session())
    assert service.applied == ["slerp t=0.50"]
    assert "merged in 118 ms" in seen[screen.loaded]
    assert {getattr(screen.drawer, name) for name in ("yaml", "card", "aim", "bands", "check", "memory")} <= set(seen)
    assert seen[screen.controls.base]["visible"] is False


def test_a_moved_slider_first_moves_the_star_then_merges(
    explore: Explore, screen: Screen, service: FakeService
) -> None:
    steps = explore.move(Session(), AXES, (), 0.3, None, None, None, None, 0)
    first = next(steps)
    assert first[screen.session].value("t") == 0.3
    assert first[screen.chart]["star"]["measured"] is False
    assert "value" not in first[screen.chart], "the points are not sent again while a slider is dragged"
    assert service.applied == []
    second = next(steps)
    assert "slerp t=0.30" in second[screen.loaded]
    assert first.keys() <= second.keys(), "a busy browser may see the second answer only"


def test_a_measured_recipe_is_shown_as_measured(explore: Explore, screen: Screen) -> None:
    first = next(explore.move(Session(), AXES, (), 0.4, None, None, None, None, 0))
    assert first[screen.chart]["star"]["measured"] is True
    assert "mf-measured" in first[screen.figures]


def test_picking_a_point_loads_its_recipe(explore: Explore, screen: Screen, service: FakeService) -> None:
    point = next(point for point in service.points() if point.recipe.method == "ties")
    session = last(explore.pick(Session(), AXES, (), event(id=point.id)), screen.session)
    assert session.recipe().digest() == point.id


@pytest.mark.parametrize("wanted", ["", "no such id", "../../etc/passwd"])
def test_an_unknown_point_changes_nothing(explore: Explore, wanted: str) -> None:
    assert list(explore.pick(Session(), AXES, (), event(id=wanted))) == []


def test_only_known_alternatives_are_taken(explore: Explore, screen: Screen) -> None:
    assert last(explore.choose(Session(), AXES, (), event(choice="task")), screen.session).method == "nuslerp"
    assert last(explore.choose(Session(), AXES, (), event(choice="curve")), screen.session).written
    assert list(explore.choose(Session(), AXES, (), event(choice="__class__"))) == []


def test_other_axes(explore: Explore, screen: Screen) -> None:
    update = explore.turn(Session(), AXES, (), event(x="over_refusal", y="nonsense"))
    assert update[screen.axes] == Axes("over_refusal", "general")
    assert update[screen.chart]["value"]["axes"]["x"]["key"] == "over_refusal"


def test_a_probe_shows_progress_then_the_buttons_again(explore: Explore, screen: Screen, service: FakeService) -> None:
    service.pause = 0.03
    updates = list(explore.probe(Session(), AXES, (), VISITOR))
    assert updates[0][screen.stop]["interactive"] is True and updates[0][screen.probe]["interactive"] is False
    assert any("of 312 items" in update[screen.progress] for update in updates)
    assert updates[-1][screen.probe]["interactive"] is True and updates[-1][screen.progress] == ""
    assert service.measured(Session().recipe()) is not None


def test_stop_ends_only_this_visitors_work(explore: Explore, screen: Screen, service: FakeService) -> None:
    service.pause = 0.1
    mine, theirs = (
        explore.probe(Session(), AXES, (), VISITOR),
        explore.probe(Session().with_value("t", 0.7), AXES, (), event(session_hash="two")),
    )
    next(mine), next(theirs)
    explore.stop(VISITOR)
    assert "Stopped" in list(mine)[-1][screen.progress]
    assert list(theirs)[-1][screen.progress] == ""
    assert service.measured(Session().recipe()) is None


def test_a_visitor_who_leaves_stops_the_work(explore: Explore, service: FakeService) -> None:
    service.pause = 0.05
    run = explore.probe(Session(), AXES, (), VISITOR)
    next(run), next(run)
    explore.leave(VISITOR)
    list(run)
    assert service.measured(Session().recipe()) is None


def test_a_failed_probe_is_one_sentence(explore: Explore, screen: Screen, service: FakeService) -> None:
    service.fails = frozenset({"zoo:safety"})
    said = list(explore.probe(Session(), AXES, (), VISITOR))[-1]
    assert "mf-problem" in said[screen.progress] and "cannot be found" in said[screen.progress]
    assert said[screen.probe]["interactive"] is True


def test_a_bug_is_not_hidden(explore: Explore, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service, "probe", broken)
    with pytest.raises(ZeroDivisionError):
        list(explore.probe(Session(), AXES, (), VISITOR))


def test_a_trace_measures_five_stops_and_draws_them(explore: Explore, screen: Screen, service: FakeService) -> None:
    path = last(explore.trace(Session(), AXES, (), VISITOR), screen.path)
    assert len(path) == 5
    assert set(path) <= {point.id for point in service.points()}


def test_a_stopped_trace_keeps_what_was_finished(explore: Explore, screen: Screen, service: FakeService) -> None:
    service.pause = 0.02
    run = explore.trace(Session(), AXES, (), VISITOR)
    path: tuple[str, ...] = ()
    for update in run:
        path = update.get(screen.path, path)
        if len(path) == 2:
            explore.stop(VISITOR)
    assert len(path) == 2


def test_while_the_models_are_prepared_nothing_is_merged(
    explore: Explore, screen: Screen, service: FakeService
) -> None:
    service.phase = "preparing"
    updates = list(explore.open(Session(), AXES, ()))
    assert len(updates) == 1 and "as soon as the models are ready" in updates[0][screen.loaded]
    assert explore.settle(Session()).keys() == {screen.loaded} and service.applied == []
    service.phase = "ready"
    woken = explore.wake(Session(), AXES, ())
    assert "merged in" in woken[screen.loaded] and screen.chart in woken


def test_models_that_cannot_be_loaded_are_said_to_be_so(explore: Explore, screen: Screen, service: FakeService) -> None:
    service.phase = "failed"
    assert "not merged" in explore.wake(Session(), AXES, ())[screen.loaded]


def test_two_visitors_at_once_each_get_their_own_recipe(explore: Explore, screen: Screen) -> None:
    found: dict[float, str] = {}

    def drag(t: float) -> None:
        for _ in range(5):
            found[t] = last(explore.move(Session(), AXES, (), t, None, None, None, None, 0), screen.loaded)

    threads = [threading.Thread(target=drag, args=(t,)) for t in (0.1, 0.9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "t=0.10" in found[0.1] and "t=0.90" in found[0.9]


def test_a_hint_replaces_the_guess_once_the_controls_rest(
    explore: Explore, screen: Screen, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.explore.REST", 0.0)
    service.leaning = True
    session = Session().with_value("t", 0.55)
    before = explore._show.known(session, AXES, ())[screen.answer]
    assert "a guess between" in before
    updates = explore.hint(session, AXES, (), VISITOR)
    assert service.asked == ["slerp t=0.55"]
    assert "from likelihoods alone" in updates[screen.answer] and "general ≈" in updates[screen.answer]
    assert "from likelihoods alone" in updates[screen.chart]["star"]["hover"]
    assert updates[screen.answer] == explore._show.known(session, AXES, ())[screen.answer], "and is remembered"


@pytest.mark.parametrize("t", [pytest.param(0.6, id="measured already"), pytest.param(0.55, id="no hint is to be had")])
def test_without_a_hint_nothing_is_redrawn(
    explore: Explore, screen: Screen, service: FakeService, monkeypatch: pytest.MonkeyPatch, t: float
) -> None:
    monkeypatch.setattr("ui.explore.REST", 0.0)
    service.leaning = t == 0.6
    assert explore.hint(Session().with_value("t", t), AXES, (), VISITOR).keys() == {screen.loaded}
    assert service.asked == ([] if t == 0.6 else ["slerp t=0.55"])


@pytest.mark.parametrize("rest", [pytest.param(0.2, id="while it waits"), pytest.param(0.0, id="while it scores")])
def test_the_next_move_ends_a_hint(
    explore: Explore, screen: Screen, service: FakeService, monkeypatch: pytest.MonkeyPatch, rest: float
) -> None:
    monkeypatch.setattr("ui.explore.REST", rest)
    service.leaning, service.pause = True, 0.02
    seen: list[Any] = []
    first = threading.Thread(
        target=lambda: seen.append(explore.hint(Session().with_value("t", 0.55), AXES, (), VISITOR))
    )
    first.start()
    while rest == 0.0 and not service.asked:
        pass
    second = explore.hint(Session().with_value("t", 0.65), AXES, (), VISITOR)
    first.join()
    assert seen[0].keys() == {screen.loaded} and screen.answer in second
    assert service.asked == (["slerp t=0.65"] if rest else ["slerp t=0.55", "slerp t=0.65"])


def test_another_visitor_does_not_end_it(
    explore: Explore, screen: Screen, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.explore.REST", 0.05)
    service.leaning = True
    other: Any = SimpleNamespace(session_hash="two")
    seen: list[Any] = []
    first = threading.Thread(
        target=lambda: seen.append(explore.hint(Session().with_value("t", 0.55), AXES, (), VISITOR))
    )
    first.start()
    assert screen.answer in explore.hint(Session().with_value("t", 0.65), AXES, (), other)
    first.join()
    assert screen.answer in seen[0]


def test_a_merge_that_is_refused_gives_no_hint(
    explore: Explore, screen: Screen, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.explore.REST", 0.0)
    service.fails = frozenset({"zoo:safety"})
    assert explore.hint(Session().with_value("t", 0.55), AXES, (), VISITOR).keys() == {screen.loaded}
