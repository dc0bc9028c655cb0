"""The door to the device: what is loaded is what was asked for, for every visitor, whoever else is there."""

import threading
from pathlib import Path

import pytest

from eval import probes
from eval.errors import Cancelled
from eval.types import Item
from merging import Recipe
from merging.errors import MergeError
from tests.eval import tiny
from ui.service import DeviceService
from ui.settings import Settings
from ui.status import Reply


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate("abc"):
        tiny.model(seed=seed).save_pretrained(folder / name)
        tiny.tokenizer().save_pretrained(folder / name)
    return tuple(str(folder / name) for name in "abc")  # type: ignore[return-value]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick probe, cut to a handful of items, so that a tiny model answers in a moment."""
    whole = probes.load("quick")
    kept = [item for item in whole.items if int(item.cluster.split("-")[1]) <= 2 and item.language in ("en", "ar")]
    small = probes.ProbeSet(whole.header, tuple(kept), "small", {item.id: item for item in kept})
    monkeypatch.setattr(probes, "load", lambda name: small)


@pytest.fixture
def service(models: tuple[str, ...], tmp_path: Path) -> DeviceService:
    settings = Settings(store=tmp_path / "store.sqlite", models=models, threads=1, folders=(Path(models[0]).parent,))
    made = DeviceService(settings, results=tmp_path / "none.jsonl")
    made.start()
    assert made._loaded.wait(60)
    assert made.status().phase == "ready", made.status()
    return made


def slerp(models: tuple[str, ...], t: float) -> Recipe:
    pair = models[:2]
    return Recipe.build("slerp", models=list(pair), base_model=pair[0], parameters={"t": t})


def last(service: DeviceService, left: Recipe, right: Recipe, asked: str = "Hello") -> tuple[Reply, Reply]:
    said = [{"role": "user", "content": asked}]
    *_, pair = service.chat_pair(left, right, said, said, max_new_tokens=12)
    return pair


def test_says_how_far_it_is(service: DeviceService) -> None:
    status = service.status()
    assert status.fraction == 1
    assert status.device == "CPU, 1 thread"
    assert status.queue == 0


def test_apply_merges_and_reuses(service: DeviceService, models: tuple[str, ...]) -> None:
    first = service.apply(slerp(models, 0.3))
    again = service.apply(slerp(models, 0.3))
    assert not first.reused
    assert again.reused


def test_panes_speak_for_their_own_recipe(service: DeviceService, models: tuple[str, ...]) -> None:
    alone = {t: last(service, slerp(models, t), slerp(models, t)) for t in (0.2, 0.8)}
    both = last(service, slerp(models, 0.2), slerp(models, 0.8))
    assert alone[0.2][0].text == alone[0.2][1].text
    assert alone[0.2][0].text != alone[0.8][0].text, "the fixture's models must differ for this test to mean something"
    assert [reply.text for reply in both] == [alone[0.2][0].text, alone[0.8][1].text]
    assert all(reply.done and reply.verdict for reply in both)


def test_visitors_never_meet_each_others_weights(service: DeviceService, models: tuple[str, ...]) -> None:
    """Four visitors chat and drag at once; every answer is the one its recipe gives alone."""
    points = [0.1, 0.35, 0.6, 0.9]
    expected = {t: last(service, slerp(models, t), slerp(models, 1 - t))[0].text for t in points}
    found: dict[float, str] = {}
    stop = threading.Event()

    def visit(t: float) -> None:
        found[t] = last(service, slerp(models, t), slerp(models, 1 - t))[0].text

    def drag() -> None:
        for step in range(200):
            if stop.is_set():
                return
            service.apply(slerp(models, step / 200))

    dragging = threading.Thread(target=drag)
    visitors = [threading.Thread(target=visit, args=(t,)) for t in points]
    for thread in (dragging, *visitors):
        thread.start()
    for thread in visitors:
        thread.join(60)
    stop.set()
    dragging.join(60)
    assert found == expected


def test_probe_lands_and_comes_back_at_once(service: DeviceService, models: tuple[str, ...], few: None) -> None:
    told: list[tuple[int, int, str]] = []
    recipe = slerp(models, 0.5)
    first = service.probe(recipe, progress=lambda *step: told.append(step))
    assert told
    assert told[-1][0] == told[-1][1]
    assert [point.id for point in service.points()] == [recipe.digest()]
    assert service.measured(recipe) == service.probe(recipe) == first
    assert service.measured(slerp(models, 0.4)) is None


def test_probe_of_one_is_not_disturbed_by_drags_of_another(
    service: DeviceService, models: tuple[str, ...], few: None
) -> None:
    alone = service.probe(slerp(models, 0.25))
    recipe = slerp(models, 0.250001)  # the same model but for rounding: another key, so it is measured again
    stop = threading.Event()

    def drag() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            service.apply(slerp(models, (step % 50) / 50))

    dragging = threading.Thread(target=drag)
    dragging.start()
    try:
        beside = service.probe(recipe)
    finally:
        stop.set()
        dragging.join(60)
    same = sum(a.text == b.text for a, b in zip(alone.responses, beside.responses, strict=True))
    assert same >= 0.9 * len(alone.responses)


def test_a_stopped_probe_leaves_no_point(service: DeviceService, models: tuple[str, ...], few: None) -> None:
    with pytest.raises(Cancelled):
        service.probe(slerp(models, 0.7), cancelled=lambda: True)
    assert service.points() == []


def test_landmarks_are_the_checkpoints_themselves(service: DeviceService, models: tuple[str, ...], few: None) -> None:
    service.probe(Recipe.single(models[2]))
    (point,) = service.points()
    assert point.landmark == models[2]


@pytest.mark.parametrize("name", ["/etc", "../outside", "no/such/place"])
def test_foreign_checkpoints_are_refused_before_anything_is_read(service: DeviceService, name: str) -> None:
    with pytest.raises(MergeError, match="outside the folders"):
        service.apply(Recipe.single(name))


def test_the_report_names_what_cannot_be_merged(service: DeviceService, models: tuple[str, ...]) -> None:
    found = {one.topic: one for one in service.report(slerp(models, 0.5))}
    assert set(found) == {"architecture", "layers", "shapes", "vocabulary", "tokenizer", "licence"}
    assert all(one.verdict == "fine" for topic, one in found.items() if topic != "licence")
    assert found["licence"].verdict == "warning", "these models state none"


def test_the_tensors_are_those_of_the_merged_model(service: DeviceService, models: tuple[str, ...]) -> None:
    names = service.tensors(slerp(models, 0.5))
    assert "model.embed_tokens.weight" in names and any("layers.2.mlp" in name for name in names)


def test_geometry_is_kept_and_reports_how_far_it_is(service: DeviceService, models: tuple[str, ...]) -> None:
    told: list[float] = []
    found = service.geometry(models[2], models[:2], progress=lambda done, text: told.append(done))
    assert found.models == models[:2] and told[0] == 0 and told[-1] == 1
    assert service.geometry(models[2], models[:2]) is found


def test_geometry_can_be_stopped_and_refuses_foreign_checkpoints(
    service: DeviceService, models: tuple[str, ...]
) -> None:
    with pytest.raises(Cancelled):
        service.geometry(models[1], models[:1], cancelled=lambda: True)
    with pytest.raises(MergeError, match="outside the folders"):
        service.geometry("/etc", models[:1])


def test_a_drag_does_not_wait_for_a_geometry(service: DeviceService, models: tuple[str, ...]) -> None:
    merged: list[float] = []

    def drag(done: float, text: str) -> None:
        if not merged:  # between two tensors nobody holds the device
            merged.append(service.apply(slerp(models, 0.4)).seconds)

    service.geometry(models[0], models[1:], progress=drag)
    assert merged


def test_before_the_models_are_there_it_says_so(models: tuple[str, ...], tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "s.sqlite", models=models, folders=(Path(models[0]).parent,))
    early = DeviceService(settings, results=tmp_path / "none.jsonl")
    assert early.status().phase == "preparing"
    assert early.points() == []
    with pytest.raises(MergeError, match="being prepared"):
        early.apply(slerp(models, 0.5))


def test_a_failed_start_is_told_and_ends(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "s.sqlite", models=(str(tmp_path / "missing"),), folders=(tmp_path,))
    broken = DeviceService(settings, results=tmp_path / "none.jsonl")
    broken.start()
    assert broken._loaded.wait(60)
    assert broken.status().phase == "failed"
    assert "missing" in broken.status().text


def test_items_of_the_small_probe_exist(few: None) -> None:
    items = probes.load("quick").items
    assert {item.kind for item in items} == {"harmful", "lookalike", "instruction", "choice"}
    assert all(isinstance(item, Item) for item in items)
