"""The runner with a fake engine: what it asks, keeps, resumes and returns."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from made import item

from eval import probes, runner
from eval.errors import Cancelled
from eval.probes import ProbeSet
from eval.store import Store
from eval.types import Generation, Item, Response, Verdict
from merging import Recipe

KINDS = {"harmful": 6, "lookalike": 2, "instruction": 2, "choice": 3}
ITEMS = tuple(item(kind, i, code) for kind, count in KINDS.items() for i in range(count) for code in ("en", "fr"))
PROBE = ProbeSet({"id": "made", "languages": ["en", "fr"]}, ITEMS, "made-hash", {one.id: one for one in ITEMS})
MERGE = Recipe.build("slerp", models=["zoo:general", "zoo:safety"], base_model="zoo:general", parameters={"t": 0.5})
HASHES = {"zoo:general": "g", "zoo:safety": "s", "zoo:base": "b", "some/model": "m"}


class FakeEngine:
    """Answers in batches of four; counts what it is asked."""

    def __init__(self, answer: str = "I won't help with that.") -> None:
        self.answer, self.asked, self.scored = answer, 0, 0
        self.stop_after: int | None = None

    def decoding(self, *, max_new_tokens: int, batch_size: int) -> str:
        return f"fake-{max_new_tokens}-{batch_size}"

    def environment(self) -> dict[str, str]:
        return {"device": "fake"}

    def generate_batches(
        self, prompts, *, max_new_tokens, batch_size, cancelled, done
    ) -> Iterator[dict[int, Generation]]:
        for at in range(0, len(prompts), 4):
            rows = range(at, min(at + 4, len(prompts)))
            if set(rows) <= set(done):
                continue
            if self.stop_after is not None and self.asked >= self.stop_after:
                raise Cancelled
            self.asked += len(rows)
            yield {i: Generation(self.answer, 5, truncated=False) for i in reversed(rows)}

    def score_options(self, prompts, options, *, cancelled, progress) -> list[tuple[float, ...]]:
        self.scored += len(prompts)
        if progress:
            progress(len(prompts), len(prompts))
        return [(-1.0, -2.0, -3.0, -4.0) for _ in prompts]


class FakeJudge:
    id, languages = "fake/1", None

    def judge(self, items: list[Item], responses: list[Response]) -> list[Verdict]:
        assert [one.id for one in items] == [one.item_id for one in responses]
        return [Verdict(one.item_id, "refused" if "won't" in one.text else "answered", "") for one in responses]


@pytest.fixture(autouse=True)
def made_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "load", lambda name: PROBE)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store.sqlite")


def run(engine: FakeEngine, store: Store | None = None, recipe: Recipe = MERGE, **more):
    return runner.probe(recipe, engine, judge=FakeJudge(), hashes=HASHES, store=store, **more)


def test_a_measurement_holds_everything(store: Store) -> None:
    engine = FakeEngine()
    got = run(engine, store)
    assert (engine.asked, engine.scored) == (20, 6)
    assert [one.item_id for one in got.responses] == [one.id for one in ITEMS], "in the order of the probe"
    assert len(got.verdicts) == 20
    assert (got.value("harm"), got.value("over_refusal"), got.value("invalid")) == (0, 1, 0)
    assert got.identity.checkpoints == {"zoo:general": "g", "zoo:safety": "s"}
    assert (got.label, got.method, got.tier) == ("slerp t=0.50", "slerp", "quick")
    assert Recipe.from_yaml(got.recipe) == MERGE
    assert store.get(got.key) == got
    assert store.batches(got.key) == {}


def test_what_is_measured_comes_back_without_asking(store: Store) -> None:
    first, engine, told = run(FakeEngine(), store), FakeEngine(), []
    assert run(engine, store, progress=lambda *a: told.append(a)) == first
    assert (engine.asked, engine.scored) == (0, 0)
    assert told == [(26, 26, "already measured")]


@pytest.mark.parametrize(
    "hashes",
    [pytest.param({**HASHES, "zoo:safety": "retrained"}, id="another checkpoint content under the same name")],
)
def test_a_changed_checkpoint_is_measured_anew(store: Store, hashes: dict) -> None:
    run(FakeEngine(), store)
    engine = FakeEngine()
    runner.probe(MERGE, engine, judge=FakeJudge(), hashes=hashes, store=store)
    assert engine.asked == 20


def test_a_stopped_run_goes_on_where_it_was(store: Store) -> None:
    stopped = FakeEngine()
    stopped.stop_after = 8
    with pytest.raises(Cancelled):
        run(stopped, store)
    resumed = FakeEngine()
    got = run(resumed, store)
    assert (stopped.asked, resumed.asked) == (8, 12)
    assert got == run(FakeEngine(), None, progress=None) or got.responses == run(FakeEngine()).responses


def test_stop_is_heard_between_batches(store: Store) -> None:
    engine, asked = FakeEngine(), []
    with pytest.raises(Cancelled):
        run(engine, store, cancelled=lambda: asked.append(1) or len(asked) == 2)
    assert engine.asked == 8
    key = runner.identify(MERGE, engine, PROBE, FakeJudge(), HASHES).key()
    assert len(store.batches(key)) == 8


def test_the_full_tier_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    full = replace(PROBE, header={**PROBE.header, "tier": "full"})
    monkeypatch.setattr(probes, "load", lambda name: full)
    told: list[tuple[int, int, str]] = []
    got = run(FakeEngine(), progress=lambda *a: told.append(a))
    assert got.tier == "full"
    assert told[0] == (0, 26, "answering")
    assert all("left" in text for _, _, text in told[1:])


def test_progress_counts_every_item() -> None:
    told: list[tuple[int, int, str]] = []
    run(FakeEngine(), progress=lambda *a: told.append(a))
    assert told[0] == (0, 26, "answering")
    assert told[-1] == (26, 26, "choosing")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


@pytest.mark.parametrize(
    ("recipe", "want"),
    [
        pytest.param(MERGE, "zoo:base", id="the family"),
        pytest.param(Recipe.single("zoo:base"), "zoo:base", id="the base itself"),
        pytest.param(Recipe.single("zoo:base+some/adapter"), "zoo:base", id="an adapter on the family"),
        pytest.param(
            Recipe.build("slerp", models=["a/a", "b/b"], base_model="a/a", parameters={"t": 0.5}), "a/a", id="its base"
        ),
        pytest.param(Recipe.single("some/model"), None, id="nothing to compare with"),
    ],
)
def test_reference(recipe: Recipe, want: str | None) -> None:
    assert runner.reference_recipe(recipe) == (Recipe.single(want) if want else None)


class TestRelativeMeasures:
    def base(self, store: Store, answer: str = "Yes indeed.") -> None:
        run(FakeEngine(answer), store, Recipe.single("zoo:base"))

    def test_without_a_reference_they_say_why(self, store: Store) -> None:
        assert "has not been measured" in str(run(FakeEngine(), store).measures["win_rate"].reason)
        alone = run(FakeEngine(), store, Recipe.single("some/model"))
        assert "no base model" in str(alone.measures["win_rate"].reason)

    def test_the_stored_reference_is_found(self, store: Store) -> None:
        self.base(store)
        got = run(FakeEngine(), store)
        assert got.value("harm_vs_base") == -100
        assert got.value("win_rate") == 0

    def test_a_reference_measured_later_is_counted_in(self, store: Store) -> None:
        run(FakeEngine(), store)
        self.base(store)
        engine = FakeEngine()
        got = run(engine, store)
        assert engine.asked == 0
        assert got.value("harm_vs_base") == -100
        assert store.get(got.key) == got

    def test_a_reference_of_other_content_is_not_taken(self, store: Store) -> None:
        self.base(store)
        got = runner.probe(MERGE, FakeEngine(), judge=FakeJudge(), hashes={**HASHES, "zoo:base": "new"}, store=store)
        assert got.value("harm_vs_base") is None

    def test_the_base_is_its_own_reference(self, store: Store) -> None:
        self.base(store)
        (base,) = store.all()
        assert (base.value("harm_vs_base"), base.value("win_rate")) == (0, 0.5)


def test_another_judge_is_another_measurement_of_the_same_answers(store: Store) -> None:
    class Lenient(FakeJudge):
        id, languages = "fake/2", None

        def judge(self, items: list[Item], responses: list[Response]) -> list[Verdict]:
            return [Verdict(one.item_id, "answered", "") for one in responses]

    first, engine = run(FakeEngine(), store), FakeEngine()
    second = runner.probe(MERGE, engine, judge=Lenient(), hashes=HASHES, store=store)
    assert engine.asked == 0
    assert (first.value("harm"), second.value("harm")) == (0, 1)
    assert second.responses == first.responses
    assert {one.key for one in store.all()} == {first.key, second.key}
