"""A guess lies between measured neighbours along one knob, or there is none."""

import pytest

from merging import Recipe
from tests.ui.fakes import measurement
from ui.preview import Guess, guess

PAIR = ["zoo:general", "zoo:safety"]


def slerp(t: object, *, models: list[str] = PAIR) -> Recipe:
    return Recipe.build("slerp", models=models, base_model=models[0], parameters={"t": t})


def linear(a: float, b: float) -> Recipe:
    return Recipe.build("linear", models=PAIR, per_model=[{"weight": a}, {"weight": b}])


def ties(a: float, b: float, density: float) -> Recipe:
    own = [{"weight": w, "density": density} for w in (a, b)]
    return Recipe.build("ties", models=PAIR, base_model="zoo:base", per_model=own)


def asked(recipe: Recipe, *known: Recipe) -> Guess | None:
    return guess(recipe, [(one, measurement(one)) for one in known])


@pytest.mark.parametrize(
    "recipe, low, high, share",
    [
        pytest.param(slerp(0.5), slerp(0.4), slerp(0.6), 0.5, id="half way along t"),
        pytest.param(slerp(0.45), slerp(0.4), slerp(0.6), 0.25, id="a quarter of the way"),
        pytest.param(slerp(0.3), Recipe.single(PAIR[0]), slerp(0.6), 0.5, id="t = 0 is the first model alone"),
        pytest.param(slerp(0.8), slerp(0.6), Recipe.single(PAIR[1]), 0.5, id="t = 1 is the second model alone"),
        pytest.param(linear(0.5, 0.5), linear(0.6, 0.4), linear(0.2, 0.3), 0.5, id="only the ratio of weights counts"),
        pytest.param(linear(3, 1), Recipe.single(PAIR[0]), linear(1, 1), 0.5, id="a linear merge ends in its models"),
        pytest.param(ties(0.5, 0.5, 0.4), ties(0.6, 0.4, 0.4), ties(0.4, 0.6, 0.4), 0.5, id="ties at one density"),
    ],
)
def test_it_lies_on_the_straight_line(recipe: Recipe, low: Recipe, high: Recipe, share: float) -> None:
    found = asked(recipe, low, high)
    assert found is not None
    for key in ("harm", "general"):
        a, b = (measurement(one).measures[key] for one in (low, high))
        assert a.value is not None and b.value is not None
        spread = found.values[key]
        assert spread.value == pytest.approx((1 - share) * a.value + share * b.value)
        assert spread.half_width >= abs(b.value - a.value) * min(share, 1 - share)


def test_the_nearest_neighbours_are_taken() -> None:
    found = asked(slerp(0.5), *(slerp(t) for t in (0.0, 0.4, 0.6, 1.0)))
    assert found is not None
    assert found.said == "a guess between t = 0.40 and 0.60"


@pytest.mark.parametrize(
    "recipe, known",
    [
        pytest.param(slerp(0.5), [slerp(0.6), slerp(0.8)], id="neighbours on one side only"),
        pytest.param(slerp(1.4), [slerp(0.6), slerp(1.0)], id="never beyond what was measured"),
        pytest.param(slerp(0.5), [linear(0.6, 0.4), linear(0.4, 0.6)], id="another method"),
        pytest.param(slerp(0.5), [slerp(t, models=["zoo:mix-15", PAIR[1]]) for t in (0.4, 0.6)], id="other models"),
        pytest.param(slerp([0, 1]), [slerp(0.4), slerp(0.6)], id="a curve by layer has no place on the line"),
        pytest.param(ties(0.5, 0.5, 0.4), [ties(0.6, 0.4, 0.2), ties(0.4, 0.6, 0.8)], id="two knobs differ"),
        pytest.param(ties(0.5, 0.5, 0.4), [Recipe.single(name) for name in PAIR], id="ties does not end in its models"),
        pytest.param(slerp(0.5), [], id="nothing measured"),
    ],
)
def test_elsewhere_there_is_no_guess(recipe: Recipe, known: list[Recipe]) -> None:
    assert asked(recipe, *known) is None
