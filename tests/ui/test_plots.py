"""What the chart is told: frontier, fading, hollow points, directions, and a star that never invents a number."""

import json

import pytest

from merging import Recipe, registry
from tests.ui.fakes import FakeService, shipped
from ui.measures import AXES, BY_KEY, figure, interval, short, signed, signed_short
from ui.plots import EMPTY, Axes, chart, placing, star
from ui.preview import Guess, Spread
from ui.status import Point

POINTS = FakeService().points()
PLANE = Axes()


def drawn(axes: Axes = PLANE, points: list[Point] | None = None) -> dict:
    return chart(POINTS if points is None else points, methods=registry.methods(), axes=axes)


def test_the_chart_is_json_and_holds_every_point() -> None:
    value = json.loads(json.dumps(drawn(), allow_nan=False))
    assert len(value["points"]) == len(shipped())
    assert {row["landmark"] for row in value["points"]} == {"", "base", "general 0 %", "mix 15 %", "safety 100 %"}


@pytest.mark.parametrize(
    "axes", [Axes(x.key, y.key) for x in AXES for y in AXES if x != y], ids=lambda a: f"{a.x}-{a.y}"
)
def test_nothing_beats_the_frontier_on_any_axes(axes: Axes) -> None:
    value = drawn(axes)
    front = {row["id"] for row in value["points"] if [row["x"], row["y"]] in [list(p) for p in value["frontier"]]}
    sign = [1 if BY_KEY[key].better == "higher" else -1 for key in (axes.x, axes.y)]
    able = [row for row in value["points"] if not row["hollow"]]
    for row in able:
        mine = [sign[0] * row["x"], sign[1] * row["y"]]
        beaten = any(
            sign[0] * other["x"] >= mine[0]
            and sign[1] * other["y"] >= mine[1]
            and [other["x"], other["y"]] != [row["x"], row["y"]]
            for other in able
        )
        assert beaten != (row["id"] in front), row["name"]
        assert row["faded"] == (beaten and not row["landmark"])


def test_every_frontier_point_says_how_surely_it_is_one() -> None:
    value = drawn()
    front = {row["id"] for row in value["points"] if [row["x"], row["y"]] in [list(p) for p in value["frontier"]]}
    for row in value["points"]:
        assert ("% of resamples" in row["hover"]) == ("% of resamples" in row["summary"]) == (row["id"] in front)


def test_a_broken_model_is_hollow_and_never_on_the_frontier() -> None:
    broken = [row for row in drawn()["points"] if row["hollow"]]
    assert [row["name"] for row in broken] == ["dare_ties weight=0.50/0.50 density=0.10/0.10"]
    assert all([row["x"], row["y"]] not in [list(p) for p in drawn()["frontier"]] for row in broken)


def test_every_interval_fits_the_fixed_ranges() -> None:
    value = drawn()
    for row in value["points"]:
        for axis in "xy":
            low, high = value["axes"][axis]["range"]
            assert low < row[f"{axis}lo"] <= row[axis] <= row[f"{axis}hi"] < high


@pytest.mark.parametrize(
    "key, words",
    [("harm", "← lower is better"), ("general", "→ higher is better")],
    ids=["harm is better low", "general is better high"],
)
def test_axes_say_which_way_is_better(key: str, words: str) -> None:
    assert BY_KEY[key].axis.endswith(words)


def test_an_empty_chart_says_what_to_do() -> None:
    value = drawn(points=[])
    assert (value["points"], value["frontier"], value["empty"]) == ([], [], EMPTY)


def test_a_path_is_drawn_in_the_order_of_the_slider() -> None:
    ids = [point.id for point in POINTS[4:8]]
    value = chart(POINTS, methods=registry.methods(), axes=Axes(), path=[*ids, "gone"])
    at = {row["id"]: (row["x"], row["y"]) for row in value["points"]}
    assert value["path"] == [at[name] for name in ids]


def test_every_method_has_a_colour_and_a_shape_of_its_own() -> None:
    places = placing(registry.methods())
    assert len({places[m.name] for m in registry.methods()}) == len(registry.methods())


def test_unknown_axes_from_a_request_fall_back() -> None:
    assert Axes.checked("harm'; drop", None) == Axes()


def test_a_measured_star_lies_on_its_point() -> None:
    point = POINTS[5]
    found = star(None, point, Axes(), label="x")
    assert found is not None
    assert found["measured"] and found["x"] == point.measurement.value("harm") and "rx" not in found


def test_a_guessed_star_is_called_a_preview_and_has_an_ellipse() -> None:
    guess = Guess({"harm": Spread(0.3, 0.1), "general": Spread(0.5, 0.05)}, "t = 0.40 and 0.60")
    found = star(guess, None, Axes(), label="<b>x")
    assert found is not None
    assert (found["rx"], found["ry"], found["label"]) == (0.1, 0.05, "your merge (preview)")
    assert "<b>&lt;b&gt;x</b>" in found["hover"]


def test_an_unknown_merge_has_no_star() -> None:
    assert star(None, None, Axes(), label="x") is None
    assert star(Guess({"harm": Spread(0.3, 0.1)}, ""), None, Axes(), label="x") is None


def test_names_are_escaped_in_hovers() -> None:
    recipe = Recipe.single("<img src=x>")
    point = Point("id", recipe, POINTS[0].measurement, "local")
    (row,) = drawn(points=[point])["points"]
    assert "<img" not in row["hover"]


@pytest.mark.parametrize(
    "written, wanted",
    [
        pytest.param(figure(0.305), "0.30", id="two decimals"),
        pytest.param(figure(-0.001), "0.00", id="no negative zero"),
        pytest.param(figure(-25.4, "%"), "−25 %", id="percentage with a real minus"),
        pytest.param(short(0.22), ".22", id="bound without the zero"),
        pytest.param(short(-0.14), "−.14", id="negative bound"),
        pytest.param(short(1.0), "1.00", id="one"),
        pytest.param(interval(0.22, 0.41), "[.22, .41]", id="interval"),
        pytest.param(interval(None, 0.4), "", id="no interval"),
        pytest.param(signed(0.05), "+0.05", id="plus"),
        pytest.param(signed(0.004), "0.00", id="no sign at zero"),
        pytest.param(signed_short(-0.1), "−.10", id="signed bound"),
    ],
)
def test_figures_are_written_one_way(written: str, wanted: str) -> None:
    assert written == wanted
