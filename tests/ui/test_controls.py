"""The pool of widgets: which sliders a method gets, what moving them means, and what a session looks like in them."""

import pytest

from merging import Recipe, registry
from ui.components.controls import DIALS, SHARED, Dial, dials
from ui.components.dress import below, chosen, most_models, moved, share
from ui.paths import curve, stops, task_slerp
from ui.session import Session

FAMILY = ["zoo:general", "zoo:safety", "zoo:mix-15", "zoo:base"]
EVERY = [method.name for method in registry.methods()]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_at_most_five_sliders_whatever_the_method(name: str, count: int) -> None:
    assert 1 <= len(dials(registry.get(name), count)) <= DIALS


@pytest.mark.parametrize(
    "name, count, wanted",
    [
        pytest.param("slerp", 2, [Dial("t")], id="slerp has one"),
        pytest.param("linear", 3, [Dial("weight", at) for at in range(3)], id="linear has a weight for each model"),
        pytest.param(
            "ties",
            2,
            [Dial("weight", 0), Dial("weight", 1), Dial("density", 0), Dial("density", 1), Dial("lambda")],
            id="two models fit",
        ),
        pytest.param(
            "ties",
            3,
            [Dial("weight", 0), Dial("weight", 1), Dial("weight", 2), Dial("density", SHARED), Dial("lambda")],
            id="of three models, density is shared",
        ),
    ],
)
def test_sliders_of_a_method(name: str, count: int, wanted: list[Dial]) -> None:
    assert dials(registry.get(name), count) == wanted


@pytest.mark.parametrize("name", EVERY)
def test_moving_nothing_changes_nothing(name: str) -> None:
    session = Session().with_method(name, FAMILY)
    method = registry.get(name)
    shown = dials(method, len(session.models))
    numbers = [float(session.value(d.knob, 0 if d.model == SHARED else d.model)) for d in shown]
    values = [*numbers, *[None] * (DIALS - len(shown)), session.seed]
    assert moved(session, method, values).recipe().digest() == session.recipe().digest()


def test_a_shared_slider_moves_every_model() -> None:
    session = Session(models=tuple(FAMILY[:3])).with_method("ties", FAMILY)
    method = registry.get("ties")
    result = moved(session, method, [0.5, 0.5, 0.5, 0.3, 1.0, 0])
    assert [result.value("density", at) for at in range(3)] == [0.3, 0.3, 0.3]


def test_an_emptied_number_box_keeps_the_value() -> None:
    session = Session().with_value("t", 0.3)
    assert moved(session, registry.get("slerp"), [None] * (DIALS + 1)).value("t") == 0.3


def test_a_model_keeps_its_weight_when_another_is_taken_out() -> None:
    session = Session(models=tuple(FAMILY[:3])).with_method("linear", FAMILY)
    session = session.with_value("weight", 0.9, 2)
    result = chosen(session, registry.get("linear"), [None, FAMILY[0], "", FAMILY[2], ""])
    assert result.models == (FAMILY[0], FAMILY[2])
    assert result.value("weight", 1) == 0.9


def test_linear_takes_no_base_even_when_one_is_sent() -> None:
    session = Session().with_method("linear", FAMILY)
    assert chosen(session, registry.get("linear"), ["zoo:base", *FAMILY[:2], "", ""]).base is None


@pytest.mark.parametrize("name", EVERY)
def test_models_stay_within_the_pickers(name: str) -> None:
    method = registry.get(name)
    session = chosen(Session().with_method(name, FAMILY), method, ["zoo:base", *FAMILY, "zoo:general"])
    assert len(session.models) <= most_models(method)


@pytest.mark.parametrize(
    "name, switch, wanted",
    [
        pytest.param("linear", True, 0.75, id="normalised weights are shares"),
        pytest.param("linear", False, None, id="others are not"),
    ],
)
def test_the_effective_share(name: str, switch: bool, wanted: float | None) -> None:
    session = Session().with_method(name, FAMILY).with_value("normalize", switch).with_value("weight", 0.75, 0)
    session = session.with_value("weight", 0.25, 1)
    assert share(session, registry.get(name), Dial("weight", 0)) == wanted


def test_weights_that_cancel_have_no_share() -> None:
    session = Session().with_method("linear", FAMILY).with_value("weight", 0.5, 0).with_value("weight", -0.5, 1)
    assert share(session, registry.get("linear"), Dial("weight", 0)) is None


def test_a_recipe_by_layer_says_so_below_the_sliders() -> None:
    session = curve(Session(), FAMILY)
    assert session.written is not None
    assert "by layer" in below(session, registry.get("slerp"))


@pytest.mark.parametrize("name", EVERY)
def test_a_trace_has_five_different_recipes(name: str) -> None:
    found = stops(Session().with_method(name, FAMILY))
    assert len({stop.recipe().digest() for _, stop in found}) == 5


def test_a_linear_trace_runs_from_one_model_to_the_other() -> None:
    found = [stop for _, stop in stops(Session().with_method("linear", FAMILY))]
    assert [(s.value("weight", 0), s.value("weight", 1)) for s in found[::4]] == [(0.0, 1.0), (1.0, 0.0)]


@pytest.mark.parametrize("t, ends", [(0.5, [0.0, 1.0]), (0.25, [0.0, 0.5]), (0.8, [0.6, 1.0]), (1.4, [1.0, 1.0])])
def test_the_curve_keeps_the_mean(t: float, ends: list[float]) -> None:
    recipe = curve(Session().with_value("t", t), FAMILY).recipe()
    same = Recipe.build("slerp", models=list(FAMILY[:2]), base_model=FAMILY[0], parameters={"t": ends})
    assert recipe.digest() == same.digest()


def test_task_slerp_keeps_the_share_and_adds_the_base() -> None:
    session = task_slerp(Session().with_value("t", 0.3), FAMILY)
    assert (session.method, session.base, session.value("weight", 1)) == ("nuslerp", "zoo:base", 0.3)
