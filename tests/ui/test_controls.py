"""The pool of widgets: which sliders a method gets, what moving them means, and what a session looks like in them."""

import pytest

from merging import Recipe, registry
from ui.components.controls import DIALS, EXTRAS, SHARED, SWITCHES, Dial, dials, extras, sliding
from ui.components.dress import below, chosen, most_models, moved, share
from ui.layers import Curve
from ui.paths import curve, stops, task_slerp
from ui.session import Session

FAMILY = ["zoo:general", "zoo:safety", "zoo:mix-15", "zoo:base"]
EVERY = [method.name for method in registry.methods()]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_at_most_five_sliders_in_sight_and_every_number_in_reach(name: str, count: int) -> None:
    method = registry.get(name)
    seen, spare = dials(method, count), extras(method, count)
    assert len(seen) <= DIALS and len(spare) <= EXTRAS
    reached = {(dial.knob, dial.model) for dial in (*seen, *spare) if dial.model != SHARED}
    owners = {knob: range(count) if sliding(method)[knob].per_model else (None,) for knob in sliding(method)}
    assert reached == {(knob, at) for knob, models in owners.items() for at in models}


@pytest.mark.parametrize("name", EVERY)
def test_three_models_keep_a_weight_each(name: str) -> None:
    method = registry.get(name)
    first = next((knob for knob in sliding(method).values()), None)
    if first is not None and first.per_model and most_models(method) >= 3:
        assert [dial.model for dial in dials(method, 3)[:3]] == [0, 1, 2]


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
        pytest.param(
            "ties",
            4,
            [*(Dial("weight", at) for at in range(4)), Dial("density", SHARED)],
            id="of four models, lambda goes into the drawer",
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


def test_a_slider_in_the_drawer_moves_one_model_and_another_slider_leaves_it() -> None:
    session = Session(models=tuple(FAMILY[:3])).with_method("ties", FAMILY)
    method = registry.get("ties")
    seen = [0.5, 0.5, 0.5, 0.5, 1.0, 0, *[False] * SWITCHES]
    own = moved(session, method, [*seen[:6], True, *seen[7:], 0.5, 0.2, 0.5])
    assert [own.value("density", at) for at in range(3)] == [0.5, 0.2, 0.5]
    weighed = moved(own, method, [0.9, *seen[1:6], True, *seen[7:], 0.5, 0.2, 0.5])
    assert [weighed.value("density", at) for at in range(3)] == [0.5, 0.2, 0.5]
    assert weighed.value("weight", 0) == 0.9


def test_moving_another_slider_keeps_a_curve() -> None:
    session = Session().with_method("ties", FAMILY).with_curve(("weight", 0), Curve.classic())
    moved_on = moved(session, registry.get("ties"), [0.5, 0.5, 0.3, 0.5, 1.0, 0])
    assert moved_on.curves == session.curves and moved_on.value("density", 0) == 0.3
    assert moved(session, registry.get("ties"), [0.6, 0.5, 0.5, 0.5, 1.0, 0]).curves == {}


def test_a_curve_goes_with_its_model() -> None:
    session = Session(models=tuple(FAMILY[:3])).with_method("linear", FAMILY)
    session = session.with_curve(("weight", 2), Curve.classic())
    result = chosen(session, registry.get("linear"), [None, FAMILY[0], "", FAMILY[2], ""])
    assert set(result.curves) == {("weight", 1)}
    assert set(result.with_method("ties", FAMILY).curves) == {("weight", 1)}
    assert result.with_method("slerp", FAMILY).curves == {}


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
    wanted = 5 if sliding(registry.get(name)) else 0
    assert len({stop.recipe().digest() for _, stop in found}) == wanted


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
