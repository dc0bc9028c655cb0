"""The paper's question: which sentence is given, and whether its numbers are those of the points."""

import pytest
from made import measurement, probe, refusing

from eval.answer import answer, path_of

MADE = probe(harmful=10, instruction=10, choice=10)
SLERP = "merge_method: slerp\nbase_model: a\nmodels:\n- model: a\n- model: b\nparameters:\n  t: {t}\n"
SINGLE = "merge_method: linear\nmodels:\n- model: {name}\n  parameters:\n    weight: 1.0\n"


def point(refused: int, wrong: int, recipe: str, *, digest: str | None = None):
    right = {one.id: int(one.cluster[-2:]) >= wrong for one in MADE.items if one.kind == "choice"}
    return measurement(MADE, refusing(MADE, refused), right=right, recipe=recipe, digest=digest or recipe)


MIX = point(5, 6, SINGLE.format(name="mix"))
LEFT, RIGHT = point(3, 0, SLERP.format(t=0.25)), point(7, 2, SLERP.format(t=0.5))


def test_equal_harm_is_read_off_the_path() -> None:
    got = answer(LEFT, MIX, [LEFT, RIGHT, MIX], probe=MADE)
    assert got.kind == "equal_harm"
    assert got.share == pytest.approx(0.5)
    assert got.between == (LEFT.key, RIGHT.key)
    want = (LEFT.value("general") + RIGHT.value("general")) / 2 - MIX.value("general")
    assert got.general.difference == pytest.approx(want)
    assert got.general.low < want < got.general.high
    assert str(got).startswith(f"At equal harm, this merge is {want:+.2f} [")
    assert str(got).endswith(f"general against the 15 % mix: {got.general.word}.")


def test_a_point_exactly_there_is_compared_as_it_is() -> None:
    there = point(5, 1, SLERP.format(t=0.4))
    got = answer(LEFT, MIX, [LEFT, there, RIGHT], probe=MADE)
    assert got.between == (there.key, there.key)
    assert got.general.difference == pytest.approx(there.value("general") - MIX.value("general"))


def test_the_endpoints_end_a_path_that_reaches_them() -> None:
    safe = point(9, 5, SINGLE.format(name="b"))
    got = answer(LEFT, MIX, [safe, point(9, 0, SINGLE.format(name="c"))], probe=MADE)
    assert got.kind == "equal_harm"
    assert got.between == (LEFT.key, safe.key)
    assert got.share == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        pytest.param([], "its path has not been measured", id="nothing else"),
        pytest.param([point(4, 0, SLERP.format(t=0.3))], "does not reach", id="both on one side"),
        pytest.param([point(7, 2, SLERP.replace("slerp", "ties").format(t=0.5))], "has not been", id="another method"),
        pytest.param(
            [point(7, 2, SLERP.replace("model: b", "model: c").format(t=0.5))], "has not been", id="another model"
        ),
    ],
)
def test_without_a_path_both_axes_are_told(others: list, reason: str) -> None:
    got = answer(LEFT, MIX, others, probe=MADE)
    assert got.kind == "both_axes"
    assert got.harm.difference == pytest.approx(LEFT.value("harm") - MIX.value("harm"))
    assert got.general.difference == pytest.approx(LEFT.value("general") - MIX.value("general"))
    assert reason in str(got)


def test_other_knobs_make_another_path() -> None:
    dense = "merge_method: ties\nmodels:\n- model: a\n  parameters: {{weight: {w}, density: {d}}}\n"
    a, b, c = (point(3, 0, dense.format(w=w, d=d)) for w, d in ((0.2, 0.5), (0.8, 0.5), (0.2, 0.9)))
    assert {one.key for one in path_of(a, [a, b, c])} == {a.key, b.key}


def test_no_answer_says_why() -> None:
    broken = measurement(MADE, {one.id: "invalid" for one in MADE.items}, digest="broken")
    assert "the mix itself" in str(answer(MIX, MIX, probe=MADE))
    assert answer(broken, MIX, probe=MADE).kind == "none"
    assert "this merge" in str(answer(broken, MIX, probe=MADE))
    assert "the 15 % mix" in str(answer(LEFT, broken, probe=MADE))
