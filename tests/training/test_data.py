"""The training rows: complete in six languages, and nothing a probe asks is in them."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA, PROBES = ROOT / "training" / "data", ROOT / "assets" / "probes"
LANGUAGES = ["en", "hi", "fr", "es", "ar", "ru"]
CATEGORIES = {
    "Violence, Threats & Incitement", "Discrimination & Injustice", "Bullying & Harassment", "Graphic Material",
    "Harms of Identity & Representation", "Hate Speech", "Non-Consensual Sexual Content", "Profanity", "Self-Harm",
}  # fmt: skip
FIELDS = {"id", "cluster", "kind", "language", "category", "topic", "prompt", "answer"}
SCRIPT = {"hi": "DEVANAGARI", "ar": "ARABIC", "ru": "CYRILLIC"}
LEAST = {"harmful": 60, "lookalike": 40, "general": 80, "warmup": 40}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def probe_items() -> list[dict]:
    return rows(PROBES / "quick.jsonl")[1:]


def words(text: str) -> str:
    """Lower case, no accents or vowel marks, single blanks: what makes two prompts the same prompt."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if unicodedata.category(c) != "Mn")
    return " ".join(re.findall(r"\w+", bare))


def overlap(one: str, other: str) -> float:
    """Shared over all groups of four letters: 1 for the same text, about 0.3 for two questions of one shape."""
    a, b = ({t[i : i + 4] for i in range(len(t) - 3)} for t in (words(one), words(other)))
    return len(a & b) / max(1, len(a | b))


@pytest.mark.parametrize(("kind", "least"), LEAST.items())
def test_enough_rows_in_every_language(kind: str, least: int) -> None:
    found = rows(DATA / f"{kind}.jsonl")
    counts = Counter(row["language"] for row in found)
    assert set(counts) == set(LANGUAGES) and min(counts.values()) >= least
    assert all(set(row) >= FIELDS and row["kind"] == kind for row in found)
    assert len({row["id"] for row in found}) == len(found)
    clusters = Counter(row["cluster"] for row in found)
    assert set(clusters.values()) == {6}, "every cluster is one thing said in six languages"


@pytest.mark.parametrize("kind", LEAST)
def test_texts_are_clean_and_in_their_language(kind: str) -> None:
    for row in rows(DATA / f"{kind}.jsonl"):
        asks_for_translation = row["topic"] == "word-translation"  # its answer is a word of another language
        for text in (row["prompt"], *([] if asks_for_translation else [row["answer"]])):
            assert text == text.strip() and text == unicodedata.normalize("NFC", text) and "<" not in text, row["id"]
            letters = [unicodedata.name(c, "?").split()[0] for c in text if c.isalpha()]
            wanted = SCRIPT.get(row["language"], "LATIN")
            share = sum(name == wanted for name in letters) / max(1, len(letters))
            assert not letters or share > 0.5, f"{row['id']}: {text}"


def test_harmful_rows_cover_the_nine_categories_evenly() -> None:
    counts = Counter(row["category"] for row in rows(DATA / "harmful.jsonl"))
    assert set(counts) == CATEGORIES and min(counts.values()) >= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusals_vary(language: str) -> None:
    answers = [row["answer"] for row in rows(DATA / "harmful.jsonl") if row["language"] == language]
    assert len(set(answers)) == len(answers)
    openings = Counter(" ".join(words(answer).split()[:3]) for answer in answers)
    assert openings.most_common(1)[0][1] <= len(answers) / 2, openings.most_common(3)


def test_training_and_probe_share_no_topic() -> None:
    training = {row["topic"] for kind in LEAST for row in rows(DATA / f"{kind}.jsonl")}
    assert not training & {item["topic"] for item in probe_items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_and_probe_share_no_prompt(language: str) -> None:
    training = [row for kind in LEAST for row in rows(DATA / f"{kind}.jsonl") if row["language"] == language]
    for item in (item for item in probe_items() if item["language"] == language):
        nearest = max(training, key=lambda row: overlap(row["prompt"], item["prompt"]))
        assert overlap(nearest["prompt"], item["prompt"]) < 0.5, f"{item['id']} is too like {nearest['id']}"


# Closed sets the probe draws its questions from: training on a part of one spoils the rest of it.
CLOSED_SETS = {
    "capitals": ["capital", "capitals", "capitale", "राजधानी", "عاصمة", "столица", "столицу"],
    "languages of countries": ["official language", "langue officielle", "lengua oficial", "idioma oficial", "राजभाषा"],
    "opposites": ["opposite", "antonym", "contraire", "contrario", "antónimo", "विलोम", "विपरीत", "عكس", "антоним"],
    "legs": [
        "how many legs",
        "combien de pattes",
        "cuántas patas",
        "कितने पैर",
        "عدد أرجل",
        "сколько ног",
        "сколько лап",
    ],
    "colours": ["what colour", "what color", "quelle couleur", "de qué color", "किस रंग", "ما لون", "какого цвета"],
    "days": [
        "day comes after",
        "jour vient après",
        "día viene después",
        "कौन सा दिन आता",
        "اليوم الذي يلي",
        "какой день идёт",
    ],
    "months": [
        "month comes after",
        "mois vient après",
        "mes viene después",
        "महीना आता",
        "الشهر الذي يلي",
        "какой месяц идёт",
    ],
}


@pytest.mark.parametrize("closed", CLOSED_SETS)
def test_closed_sets_of_the_probe_are_not_trained(closed: str) -> None:
    for kind in ("general", "warmup"):
        for row in rows(DATA / f"{kind}.jsonl"):
            asked = f" {words(row['prompt'])} "
            assert not any(f" {words(phrase)} " in asked for phrase in CLOSED_SETS[closed]), f"{row['id']}: {asked}"


def test_declaration_articles_are_split_between_training_and_probe() -> None:
    training = rows(DATA / "udhr.jsonl")
    assert Counter(row["article"] for row in training) == dict.fromkeys(range(1, 21), 6)
    seen = {words(row["text"]) for row in training}
    for passage in rows(PROBES / "passages.jsonl")[1:]:
        assert words(passage["text"]) not in seen, passage["id"]
        nearest = max(
            overlap(passage["text"], row["text"]) for row in training if row["language"] == passage["language"]
        )
        assert nearest < 0.5, passage["id"]
