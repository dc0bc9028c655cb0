"""Lines from leanings to figures: the textbook's least squares, an honest error, and silence about other models."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_instant import HASHES, MERGE, FakeScorer

from eval import calibration, instant
from eval.errors import EvalError
from eval.types import Identity, Measure, Measurement

HINT = instant.measure(MERGE, FakeScorer(), hashes=HASHES)
Pair = tuple[Measurement, Measurement]


def pair(leaning: float, harm: float | None, *, general: float = 0.4, decoding: str = "greedy") -> Pair:
    hint = replace(HINT, measures={"refusing": _of(leaning), "wary": _of(0.0), "choosing": _of(0.5)})
    identity = Identity(MERGE.digest(), {"a": "g", "b": "s"}, "quick", "hash", "quick", "made/1", decoding)
    quick = replace(HINT, identity=identity, measures={"harm": _of(harm), "general": _of(general)}, provisional=False)
    return hint, quick


def _of(value: float | None) -> Measure:
    return Measure(value, value, value, 1)


def made(x: Sequence[float], y: Sequence[float]) -> list[Pair]:
    return [pair(a, b) for a, b in zip(x, y, strict=True)]


X = np.linspace(-1, 1, 12)
NOISE = np.array([0.05, -0.02, 0.01, -0.06, 0.03, 0.0, 0.02, -0.04, 0.06, -0.01, -0.05, 0.01])


def test_a_line_is_found_again_with_its_leave_one_out_error() -> None:
    y = 0.5 - 0.3 * X + NOISE
    line = calibration.fit(made(X, y)).lines["harm"]
    left_out = []
    for i in range(len(X)):
        kept = np.arange(len(X)) != i
        slope, intercept = np.linalg.lstsq(np.c_[X[kept], np.ones(kept.sum())], y[kept], rcond=None)[0]
        left_out.append(y[i] - slope * X[i] - intercept)
    assert line.error == pytest.approx(float(np.sqrt(np.mean(np.square(left_out)))))
    assert line.slope == pytest.approx(-0.3, abs=0.03) and line.intercept == pytest.approx(0.5, abs=0.02)
    assert line.correlation == pytest.approx(float(np.corrcoef(X, y)[0, 1]))


@pytest.mark.parametrize(
    ("leaning", "value"),
    [pytest.param(0.0, 0.5, id="inside"), pytest.param(9.0, 0.0, id="below 0"), pytest.param(-9.0, 1.0, id="above 1")],
)
def test_an_estimate_is_a_rate_with_an_interval(leaning: float, value: float) -> None:
    got = calibration.fit(made(X, 0.5 - 0.3 * X + NOISE)).lines["harm"].estimate(leaning)
    assert got.value == pytest.approx(value, abs=0.02)
    assert got.low is not None and got.high is not None and 0 <= got.low < got.high <= 1


def test_nothing_is_claimed_where_nothing_correlates() -> None:
    luck = np.array([0.2, 0.8, 0.3, 0.7, 0.1, 0.9, 0.2, 0.8, 0.1, 0.7, 0.3, 0.8])
    assert calibration.fit(made(X, luck)).lines == {}


def test_undefined_figures_are_left_out() -> None:
    y: list[float | None] = [*(0.5 - 0.3 * X[:-1]), None]
    found = calibration.fit([pair(a, b) for a, b in zip(X, y, strict=True)])
    assert found.recipes == 12 and found.lines["harm"].error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        pytest.param(made(X[:4], X[:4]), "needs 8 recipes .* there are 4", id="too few"),
        pytest.param([*made(X, X), pair(0, 0, decoding="other")], "not all measured in one way", id="two ways"),
    ],
)
def test_a_poor_set_is_refused(pairs: list[Pair], text: str) -> None:
    with pytest.raises(EvalError, match=text):
        calibration.fit(pairs)


@pytest.mark.parametrize(
    ("change", "speaks"),
    [
        pytest.param({}, True, id="the same"),
        pytest.param({"checkpoints": {"other name": "g"}}, True, id="one of the checkpoints, whatever its name"),
        pytest.param({"checkpoints": {"zoo:general": "retrained"}}, False, id="another checkpoint"),
        pytest.param({"decoding": "likelihood/float64"}, False, id="another dtype"),
        pytest.param({"probe_hash": "x"}, False, id="other openings"),
    ],
)
def test_it_speaks_of_what_it_was_fitted_on(change: dict, speaks: bool) -> None:
    found = calibration.fit(made(X, 0.5 - 0.3 * X + NOISE))
    assert found.speaks_of(replace(HINT.identity, **change)) is speaks


def test_what_is_kept_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    assert calibration.shipped() == () and calibration.calibration_of(HINT) is None
    first = calibration.fit(made(X, 0.5 - 0.3 * X))
    calibration.keep(first)
    calibration.keep(replace(first, scoring="other"))
    calibration.keep(replace(first, recipes=99))
    assert [(one.scoring, one.recipes) for one in calibration.shipped()] == [("fake-12", 99), ("other", 12)]
    known = calibration.calibration_of(HINT)
    assert known is not None and known.lines["harm"].slope == pytest.approx(-0.3)
    assert known.estimates(pair(0.5, None)[0])["harm"].value == pytest.approx(0.35)
