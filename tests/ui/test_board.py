"""The chart holds one way of making text: this machine's where anything was measured so, else the largest other."""

from dataclasses import replace
from pathlib import Path

import pytest

from eval.store import Store
from eval.types import Measurement
from merging import Recipe
from tests.ui.fakes import measurement
from ui.board import Board

MODELS = ("zoo:general", "zoo:safety", "zoo:base")


def made(name: str, decoding: str, **more: object) -> Measurement:
    one = measurement(Recipe.single(name), "shipped")
    return replace(one, identity=replace(one.identity, decoding=decoding, checkpoints={name: "x"}), **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    kept = Store(tmp_path / "store.sqlite")
    for name in MODELS:
        kept.put(made(name, "float32"))
    for name in MODELS[:2]:
        kept.put(made(name, "bfloat16"))
    return kept


@pytest.mark.parametrize(
    ("ours", "decoding", "points"),
    [
        pytest.param({}, "float32", 3, id="the models are not loaded yet: the largest"),
        pytest.param({"quick": "bfloat16", "full": "float32"}, "bfloat16", 2, id="this machine's own"),
        pytest.param({"quick": "float32"}, "float32", 3, id="this machine's own is the largest"),
        pytest.param({"quick": "float16"}, "float32", 3, id="nothing was measured so"),
    ],
)
def test_points_are_of_the_group_that_fits(store: Store, ours: dict, decoding: str, points: int) -> None:
    board = Board(store, MODELS, "rules/1")
    assert len(board.points("quick")) == 3
    board.decode(ours)
    found = board.points("quick")
    assert len(found) == points
    assert {one.measurement.identity.decoding for one in found} == {decoding}


def test_the_first_measurement_of_this_machine_replaces_the_others(store: Store) -> None:
    board = Board(store, MODELS, "rules/1")
    board.decode({"quick": "float16"})
    assert len(board.points("quick")) == 3
    store.put(made("zoo:base", "float16"))
    assert [one.measurement.identity.decoding for one in board.points("quick")] == ["float16"]


def test_other_judges_of_the_very_same_responses_are_found(store: Store) -> None:
    board = Board(store, MODELS, "rules/1")
    assert set(board.judged("quick")) == {"rules/1"}
    for name, decoding in (("zoo:safety", "float32"), ("zoo:general", "bfloat16")):
        one = made(name, decoding)
        store.put(replace(one, identity=replace(one.identity, judge="guard/1")))
    found = board.judged("quick")
    assert list(found) == ["rules/1", "guard/1"]
    assert set(found["rules/1"]) == {point.id for point in board.points("quick")}
    # the bfloat16 responses are not those of the chart, whoever judged them
    assert set(found["guard/1"]) == {Recipe.single("zoo:safety").digest()}
    assert found["guard/1"][Recipe.single("zoo:safety").digest()].identity.judge == "guard/1"
