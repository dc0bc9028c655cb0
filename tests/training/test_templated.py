"""Rows made from sources: the committed file is what the command writes, and every answer is sure."""

from collections import Counter

import pytest

from training import templated


def test_the_command_writes_the_committed_file() -> None:
    assert (templated.DATA / "templated.jsonl").read_text(encoding="utf-8") == templated.text()


@pytest.mark.parametrize("language", templated.LANGUAGES)
def test_every_kind_in_every_language(language: str) -> None:
    found = [row for row in templated.rows() if row["language"] == language]
    assert set(Counter(row["category"] for row in found)) == set(templated.ASK)
    assert len(found) >= 180
    assert len({row["prompt"] for row in found}) == len(found)
    assert all(row["answer"] and "{}" not in row["prompt"] for row in found)


@pytest.mark.parametrize(
    ("topic", "language", "answer"),
    [
        ("templated-currency-JP", "fr", "Yen japonais"),
        ("templated-currency-IN", "hi", "भारतीय रुपया"),
        ("templated-month-after-12", "en", "January"),
        ("templated-weekday-before-0", "es", "Domingo"),
        ("templated-unit-length-kilometer", "ru", "5 километров"),
    ],
)
def test_known_answers(topic: str, language: str, answer: str) -> None:
    (row,) = [r for r in templated.rows() if r["cluster"] == topic and r["language"] == language]
    assert row["answer"] == answer


def test_sums_are_right() -> None:
    for row in templated.rows():
        if row["category"] == "sum":
            asked = row["cluster"].removeprefix("templated-sum-")
            one, two = (int(part) for part in asked.replace("-", "+").split("+"))
            assert int(row["answer"]) == (one + two if "+" in asked else one - two)


def test_no_probe_article_is_used() -> None:
    articles = {row["cluster"].split("udhr-")[1].split("-")[0] for row in templated.rows() if "udhr" in row["cluster"]}
    assert articles and max(map(int, articles)) <= 20
