"""Parts of the drawer: what the geometry means, the heatmap's numbers, the check list, the card."""

import math
from types import SimpleNamespace

import pytest

from merging import registry
from merging.geometry import Geometry, Total
from tests.ui.fakes import made_up
from ui.components.card import card, formula
from ui.components.checklist import checklist
from ui.components.heat import Row, heat, number, rows
from ui.components.yaml_note import note
from ui.findings import findings
from ui.status import Finding
from ui.survey import meaning

EVIL = "<script>alert(1)</script>"


def of(cosine: float, *, norms: tuple[float, float] = (0.02, 0.02), conflict: float = 0.5) -> Geometry:
    """A geometry of one group."""
    one = ((norms[0],), (norms[1],))
    total = Total(norms, (cosine,), (conflict,))
    return Geometry("zoo:base", ("zoo:a", "zoo:b"), ("layer 0",), one, ((0, 1),), ((cosine,),), ((conflict,),), total)


@pytest.mark.parametrize(
    "cosine, said",
    [
        pytest.param(-0.6, "pull apart (cos −0.60): what one learned undoes the other. Averaging keeps about 20 %"),
        pytest.param(-0.1, "pull apart", id="the threshold itself pulls apart"),
        pytest.param(-0.09, "nearly orthogonal (cos −0.09)"),
        pytest.param(0.03, "nearly orthogonal (cos +0.03): averaging halves both changes"),
        pytest.param(0.1, "agree in part", id="the threshold itself agrees in part"),
        pytest.param(0.3, "agree in part (cos +0.30): averaging keeps about 65 %"),
        pytest.param(0.5, "point the same way"),
        pytest.param(1.0, "point the same way (cos +1.00)"),
    ],
)
def test_the_sentence_follows_the_cosine(cosine: float, said: str) -> None:
    assert said in meaning(of(cosine))[0]


def test_the_sentence_for_models_that_did_not_move_or_moved_further() -> None:
    still = of(math.nan, norms=(0.0, 0.02), conflict=math.nan)
    assert meaning(still) == ["a equals the base, so there is nothing of it to merge."]
    assert meaning(of(0.3, norms=(0.01, 0.05)))[1].startswith("b moved 5.0 times as far as a")
    assert len(meaning(of(0.3, norms=(0.03, 0.05)))) == 1


def test_three_models_have_three_pairs() -> None:
    found = made_up("zoo:base", ("zoo:a", "zoo:b", "zoo:c"))
    assert [row.kind for row in rows(found)] == ["cosine"] * 3 + ["conflict"] * 3 + ["norm"] * 3
    assert heat(found).count('class="mf-heat-row"') == 9
    assert len([said for said in meaning(found) if "task vectors" in said]) == 3


@pytest.mark.parametrize(
    "kind, value, strength, words",
    [
        ("cosine", -1.0, -1.0, "−1.000"),
        ("cosine", 0.25, 0.5, "+0.250"),
        ("conflict", 0.5, 0.0, "50.0 %"),
        ("conflict", 1.0, -1.0, "100.0 %"),
        ("norm", 0.02, 1.0, "2.00 %"),
        ("norm", 0.0, 0.0, "0.00 %"),
    ],
)
def test_numbers_and_their_colours(kind: str, value: float, strength: float, words: str) -> None:
    row = Row("x", (value, 0.02, math.nan), kind)
    assert row.strength(value) == pytest.approx(strength)
    assert number(row, value) == words and number(row, math.nan) == "undefined"


def test_an_infinite_norm_and_no_norm_at_all_are_drawn() -> None:
    assert "mf-heat-none" in heat(of(0.1, norms=(math.inf, 0.0)))


def outline(name: str, **changes: object) -> SimpleNamespace:
    facts = {"config": {"model_type": "llama"}, "headers": {"x": 1}, "layers": 3, "licences": ("mit",), "hash": "abc"}
    found = facts | changes
    return SimpleNamespace(name=name, tokenizer_hash=lambda: found["hash"], **found)


def test_findings_carry_the_reports_own_sentences() -> None:
    models = [outline("a"), outline("b", hash="def", licences=("gemma",))]
    problem = "'a' and 'b' have 3 and 4 layers: merge slices of equal length instead."
    warning = "'a' and 'b' have different tokenizer files: check that the same token has the same number in both."
    found = {one.topic: one for one in findings(models, [problem], [warning])}
    assert found["layers"] == Finding("layers", "problem", problem)
    assert found["tokenizer"] == Finding("tokenizer", "warning", warning)
    assert "shapes" not in found, "what was not compared is not said to be fine"
    assert found["licence"].text == "mit, gemma."
    assert {one.verdict for one in findings([outline("a")], [], [])} == {"fine"}


@pytest.mark.parametrize(
    "verdicts, said",
    [
        (["fine"], "can be merged.<"),
        (["fine", "warning"], "look at the marked lines"),
        (["fine", "warning", "problem"], "cannot be merged"),
    ],
)
def test_the_check_list_says_the_worst_first(verdicts: list[str], said: str) -> None:
    markup = checklist([Finding("layers", verdict, EVIL) for verdict in verdicts])  # type: ignore[arg-type]
    assert said in markup and "<script" not in markup
    assert markup.index(f"mf-check-{verdicts[-1]}") < markup.index("mf-check-fine") or verdicts == ["fine"]


@pytest.mark.parametrize("method", registry.methods(), ids=lambda method: method.name)
def test_a_card_says_when_what_and_where_from(method: registry.Method) -> None:
    markup = card(method)
    assert "base_model" in markup and "https://" in markup and 'class="mf-formula"' in markup
    assert all(f"<code>{name}</code>" in markup for name in method.knobs)


def test_symbols_of_a_formula_are_in_italics_and_words_are_not() -> None:
    assert formula("Σ wᵢ·xᵢ / sign(tθ)") == "Σ <i>w</i>ᵢ·<i>x</i>ᵢ / sign(<i>t</i><i>θ</i>)"
    assert "<script" not in formula(EVIL)


def test_the_line_of_a_fault_is_quoted_and_marked() -> None:
    markup = note("no", f"a: 1\n  {EVIL}\n", 2)
    assert "line 2" in markup and "--mf-line: 2" in markup and "<script" not in markup
    for line in (None, 0, 99):
        assert "--mf-line" not in note("no", "a", line)
