"""The handlers of the drawer: typed YAML is never lost, a curve merges like a dial, the geometry can be stopped."""

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from merging import Recipe
from tests.ui.fakes import FakeService
from tests.ui.test_explore import AXES, VISITOR, event, last
from ui.advanced import Advanced, ancestor
from ui.explore import Explore
from ui.layers import Curve
from ui.screen import Screen
from ui.session import Session
from ui.tabs.explore import _layout

BROKEN = "merge_method: slerp\nbase_model: zoo:general\nmodels:\n- model: zoo:safety\nparameters:\n  temperature: 0.5\n"


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def screen(service: FakeService) -> Screen:
    with gr.Blocks():
        return _layout(service, gr.State(Session()))[0]


@pytest.fixture
def advanced(service: FakeService, screen: Screen) -> Advanced:
    return Advanced(service, screen)


def rows(*values: float) -> list[list[float]]:
    """Three rows of five anchors."""
    return [[value] * 5 for value in values]


@pytest.mark.parametrize(
    "text, said",
    [
        pytest.param("merge_method: slurp\nmodels: []", "slurp", id="unknown method"),
        pytest.param("a: [", "YAML", id="no YAML"),
        pytest.param("", "", id="nothing"),
        pytest.param("pyproject.toml", "", id="a file's name is not a recipe"),
        pytest.param("recipe.yaml", "", id="nor is a YAML file's"),
        pytest.param(BROKEN, "<b>line 6</b> <code>temperature: 0.5</code>", id="the line of the fault is quoted"),
        pytest.param("merge_method: slerp\nmodels: <b>", "", id="nothing typed becomes markup"),
    ],
)
def test_bad_yaml_is_refused_beside_the_editor_and_kept(
    advanced: Advanced, screen: Screen, text: str, said: str
) -> None:
    (update,) = advanced.use_yaml(Session(), AXES, (), text)
    assert "mf-problem" in update[screen.drawer.note] and said in update[screen.drawer.note]
    assert screen.drawer.yaml not in update, "the text stays as it was typed"
    assert update[screen.session].draft == text
    assert "<b><" not in update[screen.drawer.note]


def test_the_editor_marks_the_line(advanced: Advanced, screen: Screen) -> None:
    (update,) = advanced.use_yaml(Session(), AXES, (), BROKEN)
    assert "--mf-line: 6" in update[screen.drawer.note]


def test_good_yaml_moves_the_controls(advanced: Advanced, screen: Screen) -> None:
    text = Session().with_value("t", 0.25).recipe().to_yaml()
    session = last(advanced.use_yaml(Session(draft="x"), AXES, (), text), screen.session)
    assert session.value("t") == 0.25 and session.draft is None


def test_typed_text_survives_a_slider_and_a_loaded_point(
    advanced: Advanced, service: FakeService, screen: Screen
) -> None:
    session = advanced.type(Session(), "merge_method: ti")[screen.session]
    explore = Explore(service, screen)
    values = [0.3, *[None] * 4, 0]
    for updates in (
        explore.move(session, AXES, (), *values),
        explore.pick(session, AXES, (), event(id=service.points()[5].id)),
        explore.choose_method(session, AXES, (), "ties"),
    ):
        seen: dict[Any, Any] = {}
        for update in updates:
            seen |= update
        assert screen.drawer.yaml not in seen
        assert seen[screen.session].draft == "merge_method: ti"
    assert last(advanced.back(session, AXES, ()), screen.drawer.yaml) == Session().recipe().to_yaml()


def test_text_equal_to_the_recipe_is_no_draft(advanced: Advanced, screen: Screen) -> None:
    update = advanced.type(Session(draft="x"), Session().recipe().to_yaml())
    assert update[screen.session].draft is None and update[screen.drawer.note] == ""


def test_an_anchor_merges_like_a_dial(advanced: Advanced, screen: Screen, service: FakeService) -> None:
    bent = rows(0.5, 0.2, 0.5)
    session = last(advanced.bend(Session(), AXES, (), event(rows=bent)), screen.session)
    assert session.recipe().parameters[0][1][1].filter == "mlp"
    assert service.applied == ["slerp t=curve"]
    assert session.value("t") == 0.5, "the slider stays where it is"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="nothing"),
        pytest.param([[0.5] * 5] * 2, id="two rows"),
        pytest.param([[0.5] * 4] * 3, id="four anchors"),
        pytest.param([[0.5] * 5, [0.5] * 5, [0.5, 0.5, 0.5, 0.5, float("nan")]], id="not a number"),
        pytest.param([[0.5] * 5, [0.5] * 5, [0.5, 0.5, 0.5, 0.5, "1"]], id="text"),
        pytest.param([[True] * 5] * 3, id="truth values"),
    ],
)
def test_anchors_from_the_client_are_checked(advanced: Advanced, given: Any) -> None:
    assert list(advanced.bend(Session(), AXES, (), event(rows=given))) == []


def test_classic_and_flat(advanced: Advanced, screen: Screen) -> None:
    session = last(advanced.classic(Session(), AXES, ()), screen.session)
    assert session.curves["t", None] == Curve.classic()
    value = last(advanced.classic(Session(), AXES, ()), screen.drawer.bands)
    assert value["rows"][0]["anchors"] == [0, 0.5, 0.3, 0.7, 1] and value["layers"] == 18
    assert last(advanced.flat(session, AXES, ()), screen.session).curves == {}


def test_the_curve_of_another_knob(advanced: Advanced, screen: Screen) -> None:
    ties = Session().with_method("ties")
    session = advanced.aim(ties, "1")[screen.session]
    assert session.aim == ("weight", 1)
    bent = last(advanced.bend(session, AXES, (), event(rows=rows(0.1, 0.2, 0.3))), screen.session)
    assert set(bent.curves) == {("weight", 1)}
    assert advanced.aim(ties, "99") == {} and advanced.aim(ties, "-1") == {} and advanced.aim(ties, None) == {}


def test_geometry_reports_and_shows_a_heatmap(advanced: Advanced, screen: Screen, service: FakeService) -> None:
    service.pause = 0.03
    updates = list(advanced.survey(Session(), VISITOR))
    assert any("mf-progress" in update[screen.drawer.geometry] for update in updates[:-1])
    assert "nearly orthogonal" in updates[-1][screen.drawer.geometry]
    assert updates[-1][screen.drawer.compute]["interactive"] is True


def test_geometry_can_be_stopped(advanced: Advanced, screen: Screen, service: FakeService) -> None:
    service.pause = 0.1
    run = advanced.survey(Session(), VISITOR)
    next(run), next(run)
    advanced.halt(VISITOR)
    assert "Stopped" in list(run)[-1][screen.drawer.geometry]


def test_without_a_base_geometry_says_so(advanced: Advanced, screen: Screen, service: FakeService) -> None:
    service.checkpoints = lambda: ["zoo:general", "zoo:safety"]  # type: ignore[method-assign]
    (update,) = advanced.survey(Session(), SimpleNamespace(session_hash="x"))  # type: ignore[arg-type]
    assert "no base" in update[screen.drawer.geometry]
    assert ancestor(Session(base="mine"), []) == "mine"


def test_a_refused_merge_shows_why_in_the_drawer(screen: Screen, service: FakeService) -> None:
    service.other_vocabulary = frozenset({"zoo:safety"})
    found = Explore(service, screen).settle(Session())[screen.drawer.check]
    assert "cannot be merged" in found and "tokenizer_source" in found


def test_a_recipe_by_layer_shows_its_curve(advanced: Advanced, screen: Screen, service: FakeService) -> None:
    text = Recipe.build(
        "slerp", models=["zoo:general", "zoo:safety"], base_model="zoo:general", parameters={"t": [0, 1]}
    ).to_yaml()
    session = last(advanced.use_yaml(Session(), AXES, (), text), screen.session)
    value = Explore(service, screen).settle(session)[screen.drawer.bands]
    assert value["rows"][1]["anchors"] == [0, 0.25, 0.5, 0.75, 1]
    assert value["rows"][1]["dots"][-1] == [17, 1.0]
    assert dict(value["outside"]) == {"embedding": 0.0, "final norm": 0.0}
