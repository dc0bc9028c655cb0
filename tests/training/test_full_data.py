"""The rows and held-out items of the full design: enough in every language, and no topic on both sides."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from tests.training.test_data import CATEGORIES, LANGUAGES, SCRIPT, overlap, words

ROOT = Path(__file__).resolve().parents[2]
DATA, FULL = ROOT / "training" / "data", ROOT / "assets" / "probes" / "full"
SETTINGS = {
    "train": {"home", "neighbourhood", "school", "market", "festival", "politics"},
    "validation": {"office", "countryside"},
    "test": {"sport", "hospital", "journey", "internet", "university"},
}
AREAS = {
    "train": {
        "advice", "cooking", "writing", "explain", "technology", "money", "garden", "health-habits", "study", "rewrite",
        "lists", "travel-planning",
    },
    "validation": {"clothes", "vehicles", "music", "games"},
    "test": {"animals", "body", "household", "jobs", "tools", "weather", "food-items", "materials"},
}  # fmt: skip
PROBE = {
    "test": {"harmful": 64, "lookalike": 48, "general": 96},
    "validation": {"harmful": 32, "lookalike": 24, "general": 48},
}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def training() -> list[dict]:
    shared = [
        row
        for kind in ("harmful", "lookalike", "general", "templated", "global")
        for row in rows(DATA / f"{kind}.jsonl")
    ]
    own = [
        row
        for code in LANGUAGES
        for kind in ("harmful", "lookalike", "general")
        for row in rows(DATA / code / f"{kind}.jsonl")
    ]
    return shared + own


@cache
def probe() -> list[dict]:
    return [row for path in sorted(FULL.glob("*.jsonl")) for row in rows(path)]


def kind_of(row: dict) -> str:
    return "general" if row["kind"] in ("instruction", "choice") else row["kind"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_enough_training_rows(language: str) -> None:
    counts = Counter(row["kind"] for row in training() if row["language"] == language)
    assert counts["harmful"] >= 150 and counts["lookalike"] >= 80
    assert counts["general"] + counts["templated"] >= 400


@pytest.mark.parametrize("language", LANGUAGES)
def test_harmful_requests_are_half_global_and_half_local_with_answers_to_prefer_and_to_reject(language: str) -> None:
    found = [row for row in training() if row["language"] == language and row["kind"] == "harmful"]
    local = [row for row in found if row.get("flavour") == "local"]
    assert abs(len(local) / len(found) - 0.5) <= 0.02
    assert set(Counter(row["category"] for row in local)) == CATEGORIES
    weak = {row["id"]: row["rejected"] for row in rows(DATA / language / "rejected.jsonl")}
    weak |= {row["id"]: row["rejected"] for row in found if "rejected" in row}
    assert {row["id"] for row in found} == set(weak)
    assert all(weak[row["id"]].strip() and weak[row["id"]] != row["answer"] for row in found)
    openings = Counter(" ".join(words(row["answer"]).split()[:3]) for row in local)
    assert len(openings) >= 20


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", PROBE)
def test_enough_held_out_items(language: str, split: str) -> None:
    found = [row for row in probe() if row["language"] == language and row["split"] == split]
    counts = Counter(kind_of(row) for row in found)
    assert all(counts[kind] >= least for kind, least in PROBE[split].items()), counts
    harmful = [row for row in found if row["kind"] == "harmful"]
    assert set(Counter(row["category"] for row in harmful)) == CATEGORIES
    assert 0.45 <= sum(row["parallel"] for row in harmful) / len(harmful) <= 0.55
    right = Counter(row["answer"] for row in found if row["kind"] == "choice")
    assert max(right.values()) - min(right.values()) <= 1 and set(right) == {0, 1, 2, 3}


def test_items_are_whole() -> None:
    ids = Counter(row["id"] for row in [*training(), *probe()])
    assert not [one for one, count in ids.items() if count > 1]
    for row in probe():
        assert row["kind"] == "choice" or not row["options"]
        if row["kind"] == "choice":
            assert len(set(row["options"])) == 4 and row["answer"] in range(4), row["id"]
        if row["kind"] == "instruction":
            assert row["references"] and isinstance(row["closed"], bool), row["id"]


def test_settings_and_areas_keep_the_splits_apart() -> None:
    for row in [*probe(), *(row for row in training() if "setting" in row or "area" in row)]:
        split = row.get("split", "train")
        if "setting" in row:
            assert row["setting"] in SETTINGS[split], row["id"]
        if "area" in row:
            assert row["area"] in AREAS[split], row["id"]


def test_no_topic_is_on_two_sides() -> None:
    quick = {row["topic"] for row in rows(ROOT / "assets" / "probes" / "quick.jsonl")[1:]}
    sides = {
        "train": {row["topic"] for row in training()},
        "validation": {row["topic"] for row in probe() if row["split"] == "validation"},
        "test": {row["topic"] for row in probe() if row["split"] == "test"},
    }
    for one, two in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not sides[one] & sides[two], (one, two, sorted(sides[one] & sides[two]))
    assert not quick & sides["train"], sorted(quick & sides["train"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_prompt_is_nearly_on_two_sides(language: str) -> None:
    """Prompts of different splits share less than 60 % of their groups of four letters."""
    sides: dict[str, list[dict]] = {"train": [row for row in training() if row["language"] == language]}
    for split in PROBE:
        sides[split] = [row for row in probe() if row["language"] == language and row["split"] == split]
    for one, two in (("train", "validation"), ("train", "test"), ("validation", "test")):
        near = [
            (a["id"], b["id"])
            for a, b in _candidates(sides[one], sides[two])
            if overlap(a["prompt"], b["prompt"]) >= 0.6
        ]
        assert not near, near


def _candidates(one: Iterable[dict], two: list[dict]) -> Iterable[tuple[dict, dict]]:
    """Pairs that share enough words to be worth comparing."""
    bags = [(row, set(words(row["prompt"]).split())) for row in two]
    for row in one:
        own = set(words(row["prompt"]).split())
        for other, bag in bags:
            if len(own & bag) * 3 >= min(len(own), len(bag)):
                yield row, other


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_clean_and_in_their_language(language: str) -> None:
    import unicodedata

    for row in [*training(), *probe()]:
        if row["language"] != language or row.get("category") == "translation":
            continue
        for text in (row["prompt"], *row.get("references", []), *row.get("options", [])):
            assert text == text.strip() and "<" not in text, row["id"]
            assert text == unicodedata.normalize("NFC", text), row["id"]
        letters = [unicodedata.name(c, "?").split()[0] for c in row["prompt"] if c.isalpha()]
        share = sum(name == SCRIPT.get(language, "LATIN") for name in letters) / max(1, len(letters))
        assert not letters or share > 0.5 or row["category"] in ("unit",), row["id"]
