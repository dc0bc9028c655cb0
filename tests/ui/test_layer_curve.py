"""The layer curve: what it says in YAML, and the value every layer is drawn at against merging's own plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merging import Recipe, registry
from tests.ui.fakes import FAMILY, FakeService
from ui.components.layers import aimed, keys, shown
from ui.layers import ANCHORS, ROWS, Curve, effect, setting_of
from ui.session import Session

NAMES = FakeService().tensors(Session().recipe())
PAIR = {"models": FAMILY[:2], "base_model": FAMILY[0]}
numbers = st.floats(-2, 3).map(lambda x: round(x, 3) + 0.0)
curves = st.lists(st.lists(numbers, min_size=ANCHORS, max_size=ANCHORS), min_size=len(ROWS), max_size=len(ROWS)).map(
    lambda rows: Curve(tuple(map(tuple, rows)))
)


@given(curves)
def test_a_curve_survives_the_way_through_yaml(curve: Curve) -> None:
    session = Session().with_curve(("t", None), curve)
    back = Session.from_recipe(Recipe.from_yaml(session.recipe().to_yaml()))
    assert back.written is None and back.recipe().digest() == session.recipe().digest()
    found = setting_of(back.recipe(), ("t", None))
    assert found is not None and Curve.sampled(found) == curve


@pytest.mark.parametrize("name", [method.name for method in registry.methods()])
def test_every_number_of_every_method_can_go_by_layer(name: str) -> None:
    session = Session().with_method(name, FAMILY)
    for _, key in keys(session):
        low = float(session.value(*key))
        bent = session.with_curve(key, Curve(((low,) * 5, (low,) * 4 + (low * 0.9 + 0.003,), (low,) * 5)))
        recipe = bent.recipe()
        assert bent.curves.keys() == {key} and Session.from_recipe(recipe).curves.keys() == {key}
        assert recipe.digest() != session.recipe().digest()


def test_a_flat_curve_is_a_plain_number() -> None:
    session = Session().with_curve(("t", None), Curve.classic()).with_curve(("t", None), Curve.flat(0.3))
    assert session.curves == {} and session.recipe().label() == "slerp t=0.30"


def test_a_moved_slider_makes_its_own_curve_flat_and_no_other() -> None:
    session = Session().with_method("ties", FAMILY)
    session = session.with_curve(("weight", 0), Curve.classic()).with_curve(("weight", 1), Curve.classic())
    assert set(session.with_value("weight", 0.3, 0).curves) == {("weight", 1)}
    assert set(session.with_value("density", 0.3, 0).curves) == {("weight", 0), ("weight", 1)}


def test_what_is_drawn_is_what_merging_does() -> None:
    """By hand, for the classic curve over 18 layers: layer 5 of attention lies between the second and third anchor."""
    recipe = Recipe.build("slerp", parameters={"t": Curve.classic().said()}, **PAIR)
    found = effect(recipe, ("t", None), NAMES)
    assert found is not None and found.layers == 18
    attention, mlp, rest = (dict(row) for row in found.rows)
    assert attention[5] == pytest.approx(0.5 + (5 / 17 * 4 - 1) * (0.3 - 0.5))
    assert (attention[0], attention[17], mlp[0], mlp[17]) == (0.0, 1.0, 1.0, 0.0)
    assert set(rest.values()) == {0.5}
    assert dict(found.outside) == {"embedding": 0.5, "final norm": 0.5}


def test_outside_the_layers_the_first_anchor_counts() -> None:
    recipe = Recipe.build("slerp", parameters={"t": [0.2, 0.8]}, **PAIR)
    found = effect(recipe, ("t", None), (*NAMES, "lm_head.weight"))
    assert found is not None and dict(found.outside) == {"embedding": 0.2, "final norm": 0.2, "head": 0.2}


def test_other_filters_show_every_value_a_layer_meets() -> None:
    setting = [{"filter": "o_proj", "value": 0.0}, {"value": 0.5}]
    found = effect(Recipe.build("slerp", parameters={"t": setting}, **PAIR), ("t", None), NAMES)
    assert found is not None and found.rows[0][:2] == ((0, 0.0), (0, 0.5))


def test_slices_have_no_curve_to_draw() -> None:
    yaml = "{merge_method: passthrough, slices: [{sources: [{model: a, layer_range: [0, 2]}]}]}"
    session = Session.from_recipe(Recipe.from_yaml(yaml))
    assert effect(session.recipe(), ("scale", 0), NAMES) is None
    assert "stacks slices" in shown(session, NAMES)["says"]


def test_the_first_slider_is_aimed_at_until_another_is_chosen() -> None:
    ties = Session().with_method("ties", FAMILY)
    assert aimed(ties) == ("weight", 0)
    assert aimed(ties.with_curve(("density", 1), Curve.classic())) == ("density", 1)
    assert aimed(Session(aim=("weight", 0))) == ("t", None), "a knob of another method"
