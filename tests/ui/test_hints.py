"""Hints: taken once, kept, worded with what they are worth, and none for models nobody knows."""

from dataclasses import replace
from pathlib import Path

import pytest

from eval import calibration, instant
from eval.calibration import Calibration, Line
from eval.store import Store
from tests.eval.test_instant import HASHES, MERGE, FakeScorer
from ui.hints import Hints


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibration:
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    lines = {"harm": Line("refusing", -0.5, 0.6, 0.05, -0.93), "general": Line("choosing", 0.5, 0.2, 0.03, 0.7)}
    identity = instant.identify(MERGE, FakeScorer(), HASHES)
    found = Calibration(
        identity.probe_hash, identity.decoding, ("h", "quick", "rules/1", "greedy"), ("g", "s"), 23, lines
    )
    calibration.keep(found)
    return found


def test_a_hint_is_an_estimate_with_its_error_and_its_worth(known: Calibration, tmp_path: Path) -> None:
    hints = Hints(Store(tmp_path / "store.sqlite"))
    assert hints.of(MERGE) is None
    got = hints.take(MERGE, FakeScorer(0.4), HASHES, None)
    assert got is not None and hints.of(MERGE) == got
    assert got.values["harm"].value == pytest.approx(0.4)
    assert got.values["harm"].half_width == pytest.approx(1.96 * 0.05, rel=1e-3)
    assert got.said == "from likelihoods alone (r with the quick probe over 23 recipes: −.93 for harm, .70 for general)"


def test_other_checkpoints_are_not_even_scored(known: Calibration, tmp_path: Path) -> None:
    hints, engine = Hints(Store(tmp_path / "store.sqlite")), FakeScorer()
    assert hints.take(MERGE, engine, {**HASHES, "zoo:safety": "retrained"}, None) is None
    assert engine.asked == 0


def test_only_the_newest_are_remembered(known: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.hints.KEPT", 2)
    hints = Hints(Store(tmp_path / "store.sqlite"))
    recipes = [replace(MERGE, dtype=dtype) for dtype in ("float32", "float16", "bfloat16")]
    for recipe in recipes:
        hints.take(recipe, FakeScorer(), HASHES, None)
    assert [hints.of(recipe) is not None for recipe in recipes] == [False, True, True]
