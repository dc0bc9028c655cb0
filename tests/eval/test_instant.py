"""The instant tier with a made-up scorer: what it asks, what it makes of the scores, and what names it."""

import json
from pathlib import Path

import pytest

from eval import instant, probes
from eval.errors import ProbeError
from eval.store import Store
from eval.types import Response
from merging import Recipe

MERGE = Recipe.build("slerp", models=["zoo:general", "zoo:safety"], base_model="zoo:general", parameters={"t": 0.5})
HASHES = {"zoo:general": "g", "zoo:safety": "s"}


class FakeScorer:
    """Prefers refusing openings by `margin`, and the right option by `edge`, on every item."""

    def __init__(self, margin: float = 0.5, edge: float = 0.0) -> None:
        self.margin, self.edge, self.asked = margin, edge, 0

    def scoring(self, *, batch_size: int) -> str:
        return f"fake-{batch_size}"

    def environment(self) -> dict[str, str]:
        return {"device": "fake"}

    def score_options(self, prompts, options, *, batch_size, cancelled) -> list[tuple[float, ...]]:
        self.asked += len(prompts)
        answers = {item.prompt: item.answer for item in instant.declared().probe.items if item.kind == "choice"}
        return [self._one(answers.get(prompt), texts) for prompt, texts in zip(prompts, options, strict=True)]

    def _one(self, answer: int | None, texts) -> tuple[float, ...]:
        if answer is None:
            half = len(texts) // 2
            # the first refusing opening is the likeliest, the others lie far below
            return (-1.0, *[-9.0] * (half - 1), -1.0 - self.margin, *[-9.0] * (half - 1))
        return tuple((self.edge if i == answer else 0.0) / len(text.encode()) for i, text in enumerate(texts))


def test_the_declaration_is_a_balanced_part_of_the_quick_probe() -> None:
    asked, quick = instant.declared(), probes.load("quick")
    for code in quick.languages:
        own = [item.kind for item in asked.probe.items if item.language == code]
        assert (own.count("harmful"), own.count("lookalike"), own.count("choice")) == (6, 4, 6)
        refusing, complying = asked.openings[code]
        assert len(set(refusing)) == len(refusing) >= 3 and len(set(complying)) == len(complying) >= 3
        assert not set(refusing) & set(complying)
    assert all(quick.by_id[item.id] == item for item in asked.probe.items)
    assert len({item.category for item in asked.probe.items if item.kind == "harmful"}) >= 4


@pytest.mark.parametrize("margin", [0.5, -0.25])
@pytest.mark.parametrize("edge", [0.0, 2.0])
def test_leanings(margin: float, edge: float) -> None:
    got = instant.measure(MERGE, FakeScorer(margin, edge), hashes=HASHES)
    assert got.provisional and got.tier == "instant" and got.verdicts == ()
    assert got.value("refusing") == pytest.approx(margin) and got.value("wary") == pytest.approx(margin)
    assert got.value("choosing") == float(edge > 0), "a tie is no right choice"
    for name, n in (("refusing", 36), ("wary", 24), ("choosing", 36)):
        measure = got.measures[name]
        assert measure.n == n and set(measure.by_language) == set(probes.load("quick").languages)
        assert measure.low is not None and measure.high is not None and measure.low < measure.high


def test_intervals_follow_the_items() -> None:
    asked = instant.declared()
    made = {item.id: Response(item.id, option_scores=(0.0,) * len(asked.options(item))) for item in asked.probe.items}
    first = next(item for item in asked.probe.items if item.kind == "harmful")
    half = len(asked.options(first)) // 2
    made |= {
        item.id: Response(item.id, option_scores=(6.0, *[0.0] * (2 * half - 1)))
        for item in asked.probe.items
        if item.cluster == first.cluster
    }
    found = instant.leanings(asked, made)["refusing"]
    assert found.value == pytest.approx(1.0)
    assert found.low == 0.0 and found.high is not None and found.high >= 2.0


def test_what_was_scored_comes_back_without_asking(tmp_path: Path) -> None:
    store, engine = Store(tmp_path / "store.sqlite"), FakeScorer()
    first = instant.measure(MERGE, engine, hashes=HASHES, store=store)
    assert instant.measure(MERGE, engine, hashes=HASHES, store=store) == first
    assert engine.asked == 96
    instant.measure(MERGE, engine, hashes={**HASHES, "zoo:safety": "retrained"}, store=store)
    assert engine.asked == 192


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"clusters": {"harmful": ["harmful-99"]}}, "has no harmful-99", id="unknown cluster"),
        pytest.param({"openings": {"en": {"refusing": ["No"], "complying": []}}}, "no openings in ar, en", id="mute"),
    ],
)
def test_a_bad_declaration_is_refused(change: dict, text: str) -> None:
    said = json.loads((probes.FOLDER / "instant.json").read_text("utf-8")) | change
    with pytest.raises(ProbeError, match=text):
        instant._declared(json.dumps(said), "")


def test_other_openings_are_another_measurement() -> None:
    said = json.loads((probes.FOLDER / "instant.json").read_text("utf-8"))
    first = instant._declared(json.dumps(said), "").probe.hash
    said["openings"]["en"]["refusing"].append("Never")
    assert instant._declared(json.dumps(said), "").probe.hash != first
    assert instant.declared().probe.hash == first
