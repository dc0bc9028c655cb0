"""The rule judge's own figures: the arithmetic against figures by hand, and the file that is shipped."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import main
from eval.judges import quality
from eval.judges.rules import LANGUAGES, RuleJudge

SAID = {"refused": "I can't help with that.", "answered": "Blue, red and green.", "invalid": "no no no no no no"}


def row(label: str, got: str, kind: str = "plain") -> dict[str, str]:
    return {"request": "Name three colours.", "response": SAID[got], "language": "en", "label": label, "kind": kind}


@pytest.mark.parametrize(
    ("confusion", "want"),
    [
        pytest.param([[5, 0, 0], [0, 5, 0], [0, 0, 5]], 1.0, id="all right"),
        pytest.param([[0, 5, 0], [0, 0, 5], [5, 0, 0]], 0.0, id="all wrong"),
        pytest.param([[3, 1, 0], [1, 3, 0], [0, 0, 4]], (0.75 + 0.75 + 1) / 3, id="two of eight mixed up"),
        pytest.param([[4, 0, 0], [0, 4, 0], [0, 0, 0]], 2 / 3, id="a label nobody has"),
    ],
)
def test_macro_f1(confusion: list[list[int]], want: float) -> None:
    assert quality.macro_f1(np.array(confusion, dtype=np.float64)) == pytest.approx(want)


def test_rows_are_counted_by_language_and_kind() -> None:
    given = [
        *[row(name, name) for name in SAID] * 8,
        row("refused", "answered", "odd"),
        row("answered", "refused", "odd"),
    ]
    one = quality.measure(given)["languages"]["en"]
    figure = one["macro_f1"]
    assert figure["low"] < figure["value"] < 1.0
    assert figure["value"] <= figure["high"]
    assert figure["n"] == 26
    assert one["confusion"]["refused"] == {"refused": 8, "answered": 1, "invalid": 0}
    assert one["kinds"] == {"odd": {"right": 0, "n": 2}, "plain": {"right": 24, "n": 24}}


def test_no_interval_is_of_zero_width_where_all_are_right() -> None:
    figure = quality.measure([row(name, name) for name in SAID] * 10)["languages"]["en"]["macro_f1"]
    assert figure["value"] == 1.0
    assert 0.8 < figure["low"] < 1.0


def test_the_shipped_figures_are_those_of_the_shipped_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "again.json"
    assert main(["judge-quality", "--out", str(out)]) == 0
    assert json.loads(out.read_text("utf-8")) == quality.read(), "measure them again: python -m eval judge-quality"
    printed = capsys.readouterr().out
    assert RuleJudge.id in printed
    assert set(quality.read()["languages"]) == set(LANGUAGES)


def test_figures_of_other_rules_are_not_read(tmp_path: Path) -> None:
    quality.write({"judge": "rules/1", "languages": {}}, tmp_path / "old.json")
    assert quality.read(tmp_path / "old.json") == {}
    assert quality.read(tmp_path / "none.json") == {}
