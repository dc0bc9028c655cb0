"""The controls mean a recipe, and a recipe finds its way back into the controls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merging import Recipe
from merging.registry import methods
from ui.session import Session

NAMES = ("zoo:base", "zoo:general", "zoo:safety", "zoo:mix-15")


def test_opens_on_slerp_half_way() -> None:
    recipe = Session().recipe()
    assert recipe.method == "slerp"
    assert recipe.base_model == "zoo:general"
    assert recipe.models_used() == ("zoo:general", "zoo:safety")
    assert recipe.label() == "slerp t=0.50"


@pytest.mark.parametrize("name", [method.name for method in methods()])
def test_every_method_starts_with_a_recipe_that_can_run(name: str) -> None:
    session = Session().with_method(name, NAMES)
    assert session.recipe().method == name
    assert Session.from_recipe(session.recipe()).recipe().digest() == session.recipe().digest()


@given(st.data())
def test_controls_survive_the_way_through_yaml(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(methods()))
    session = Session().with_method(method.name, NAMES)
    for name, knob in method.knobs.items():
        for at in range(len(session.models)) if knob.per_model else [None]:
            drawn = st.booleans() if knob.kind == "switch" else st.floats(0.05, 1).map(lambda x: round(x, 3))
            session = session.with_value(name, data.draw(drawn), at)
    recipe = Recipe.from_yaml(session.recipe().to_yaml())
    back = Session.from_recipe(recipe)
    assert back.written is None
    assert back.models == session.models
    for name, knob in method.knobs.items():
        for at in range(len(session.models)) if knob.per_model else [None]:
            assert back.value(name, at) == session.value(name, at)


@pytest.mark.parametrize(
    "yaml",
    [
        pytest.param(
            "{merge_method: slerp, base_model: a, models: [{model: a}, {model: b}], parameters: {t: [0, 0.5, 1]}}",
            id="gradient",
        ),
        pytest.param(
            "{merge_method: slerp, base_model: a,"
            " models: [{model: a}, {model: b}],"
            " parameters: {t: [{filter: mlp, value: 0.2}, {value: 0.5}]}}",
            id="filter",
        ),
        pytest.param(
            "{merge_method: linear, slices: [{sources: [{model: a, layer_range: [0, 2], parameters: {weight: 1}}]}]}",
            id="slices",
        ),
        pytest.param(
            "{merge_method: slerp, base_model: a,"
            " models: [{model: a}, {model: b}], parameters: {t: 0.5}, dtype: float32}",
            id="dtype",
        ),
    ],
)
def test_what_sliders_cannot_say_is_carried_along(yaml: str) -> None:
    recipe = Recipe.from_yaml(yaml)
    session = Session.from_recipe(recipe)
    assert session.written is not None
    assert session.recipe().digest() == recipe.digest()


def test_a_moved_slider_ends_a_written_recipe() -> None:
    recipe = Recipe.from_yaml(
        "{merge_method: slerp, base_model: a, models: [{model: a}, {model: b}], parameters: {t: [0, 1]}}"
    )
    session = Session.from_recipe(recipe).with_value("t", 0.25)
    assert session.written is None
    assert session.recipe().label() == "slerp t=0.25"


def test_models_survive_a_change_of_method_and_back() -> None:
    there = Session().with_method("ties", NAMES)
    assert there.base == "zoo:base"
    assert there.models == ("zoo:general", "zoo:safety")
    back = there.with_method("slerp", NAMES)
    assert back.models == ("zoo:general", "zoo:safety")
    assert back.base is None
