"""What is kept of a measurement gives the same measures and comparisons as all of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made import measurement, probe, refusing

from eval.errors import PaperError
from eval.metrics import compare, measure_all
from eval.paper.counting import Counting
from eval.paper.kept import Kept, append_line, from_row, read_lines, to_row
from eval.scores import Outcomes
from eval.types import MEASURES, Measurement, Verdict

MADE = probe(harmful=12, lookalike=6, instruction=8, choice=8)
BASE = measurement(MADE, refusing(MADE, 1), digest="base", texts={"instruction-00-en": "yes in"})


def answers(number: int) -> Measurement:
    labels = refusing(MADE, 3 * number) | refusing(MADE, number, kind="lookalike", languages="fr")
    labels |= {"harmful-11-en": "invalid", "instruction-07-fr": "invalid", "instruction-06-en": "refused"}
    texts = {f"instruction-{i:02}-{code}": "yes no" for i in range(number) for code in ("en", "fr")}
    right = {f"choice-{i:02}-fr": False for i in range(2 * number)}
    return measurement(MADE, labels, texts=texts, right=right, digest=f"d{number}", reference=BASE)


def kept(one: Measurement) -> Kept:
    return from_row(json.loads(json.dumps(to_row(Kept.of(one, MADE)))))


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_measures_are_those_of_the_whole(number: int) -> None:
    one = answers(number)
    whole = measure_all(Outcomes.of(one, MADE), Outcomes.of(BASE, MADE))
    ours = measure_all(kept(one).outcomes(MADE), kept(BASE).outcomes(MADE))
    for name in MEASURES:
        for attribute in ("value", "low", "high", "n"):
            found, wanted = getattr(ours[name], attribute), getattr(whole[name], attribute)
            assert found == pytest.approx(wanted, abs=1e-6), (name, attribute)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("language", [None, "fr"])
def test_the_paired_differences_are_those_of_the_whole(measure: str, language: str | None) -> None:
    a, b = answers(3), answers(1)
    counting = Counting(MADE, {"a": kept(a), "b": kept(b), "base": kept(BASE)}, "base")
    ours = counting.paired("a", "b", measure, language)
    whole = compare(a, b, measure, language, reference=BASE, probe=MADE)
    assert ours.word == whole.word and ours.n == whole.n and ours.clusters == whole.clusters
    assert (ours.difference, ours.low, ours.high) == pytest.approx((whole.difference, whole.low, whole.high), abs=1e-6)


def test_without_a_base_relative_measures_are_undefined_with_the_reason() -> None:
    counting = Counting(MADE, {"a": kept(answers(1)), "b": kept(answers(2))}, "base")
    assert counting.measures("a")["win_rate"].reason == "the base has not been measured"
    paired = counting.paired("a", "b", "harm_vs_base")
    assert paired.difference is None and paired.word == "cannot tell"


def test_it_is_small_and_holds_no_text() -> None:
    row = json.dumps(to_row(kept(answers(1))))
    assert "yes" not in row and len(row) < 3000


def test_severities_and_what_was_not_judged_are_kept() -> None:
    one = answers(1)
    first, second, *rest = one.verdicts
    told = (replace(first, severity="serious"), Verdict(second.item_id, "unjudged", "cannot read it"), *rest)
    found = kept(replace(one, verdicts=told)).outcomes(MADE)
    assert found.verdicts[first.item_id].severity == "serious"
    assert found.verdicts[second.item_id].label == "unjudged" and not found.verdicts[second.item_id].judged


def test_another_version_of_the_probe_is_refused() -> None:
    with pytest.raises(PaperError, match="has changed"):
        kept(answers(1)).outcomes(replace(MADE, hash="another"))


def test_an_unfinished_line_is_left_out_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"a": 2')
    assert read_lines(path) == [{"a": 1}]
    append_line(path, {"a": 3})
    assert read_lines(path) == [{"a": 1}, {"a": 3}]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(PaperError, match=r"lines\.jsonl:2"):
        read_lines(tmp_path / "lines.jsonl")


def test_a_row_of_another_version_is_refused() -> None:
    row = to_row(kept(answers(1)))
    with pytest.raises(PaperError, match="another version"):
        from_row({**row, "colour": "red"})
