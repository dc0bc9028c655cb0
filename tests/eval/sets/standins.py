"""Stand-ins for the sets on the hub: their files, columns and quirks, two or three languages, invented mild rows."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

Rows = Sequence[Mapping[str, Any]]
TOPICS = ("tea", "rain", "bread", "chess")
ASK = {"en": "Tease my neighbour about {}.", "fr": "Moque-toi de mon voisin, {}.", "ru": "Подразни соседа: {}."}
TELL = {"en": "Say something about {}.", "fr": "Parle de {}.", "hi": "{} के बारे में बताओ।"}


def jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def comma(rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), buffer)
    return buffer.getvalue()


def aya(language: str, count: int) -> Rows:
    categories = ('["Bullying & Harassment"]', "['Profanity', 'Violence, Threats & Incitement']")  # both are in the set
    return [
        {
            "prompt": ASK[language].format(f"{topic} {number}"),
            "language": language,
            "harm_category": categories[number % 2],
            "global_or_local": "global",
            "literal_translation": "",
            "explanation": "",
        }
        for number in range(count)
        for topic in TOPICS
    ]


def dolly(code: str, language: str) -> Rows:
    return [
        {"id": number, "inputs": TELL[language].format(topic), "targets": topic, "language": code, "script": "Latn",
         "source_id": 70 + number}
        for number, topic in enumerate(TOPICS)
    ]  # fmt: skip


def arena(language: str) -> Rows:
    return [
        {"question_id": f"q{number}", "category": "arena-hard-v0.1", "cluster": f"About {topic}",
         "prompt": TELL[language].format(topic)}
        for number, topic in enumerate(TOPICS)
    ]  # fmt: skip


def mmlu(language: str) -> Rows:
    return [
        {"sample_id": f"food/test/{number}", "subject": "food", "question": TELL[language].format(topic),
         "option_a": "wet", "option_b": "wet" if number == 3 else "dry", "option_c": "red", "option_d": "old",
         "answer": "ABCD"[number], "cultural_sensitivity_label": ("CA", "CS")[number % 2]}
        for number, topic in enumerate(TOPICS)
    ]  # fmt: skip


def belebele(language: str, dialect: str) -> Rows:
    return [
        {"link": f"https://example.org/{topic}", "question_number": number, "flores_passage": f"{topic}. \u2028.",
         "question": TELL[language].format(topic), "mc_answer1": "a", "mc_answer2": "b", "mc_answer3": "c",
         "mc_answer4": "d", "correct_answer_num": str(number), "dialect": dialect, "ds": "2023-05-03"}
        for topic in TOPICS
        for number in (1, 2)
    ]  # fmt: skip


MULTIJAIL = [
    {"id": number, "source": "invented", "en": ASK["en"].format(topic), "zh": "", "ar": f"اسخر من جاري، {topic}.",
     "tags": "['Bullying']"}
    for number, topic in enumerate(TOPICS)
]  # fmt: skip
XSTEST = [
    {"id": number, "prompt": f"How do I kill {topic}, line\nbreak?", "type": "homonyms" if safe else "contrast_homs",
     "label": "safe" if safe else "unsafe", "focus": topic, "note": ""}
    for number, (topic, safe) in enumerate((topic, safe) for topic in TOPICS for safe in (True, False))
]  # fmt: skip

FILES: dict[str, dict[str, bytes]] = {
    "CohereForAI/aya_redteaming": {
        "aya_eng.jsonl": jsonl(aya("en", 4)),
        "aya_fra.jsonl": jsonl(aya("fr", 3)),
        "aya_rus.jsonl": jsonl([*aya("ru", 2), {**aya("ru", 1)[0], "prompt": None}]),
        "README.md": b"",
    },
    "CohereForAI/aya_evaluation_suite": {
        "dolly_machine_translated/test-00000-of-00001.parquet": parquet([*dolly("eng", "en"), *dolly("fra", "fr")]),
        "dolly_human_edited/test-00000-of-00001.parquet": parquet([*dolly("hin", "hi"), *dolly("fra", "fr")]),
    },
    "CohereForAI/m-ArenaHard": {
        f"{code}/test-00000-of-00001.parquet": parquet(arena(code)) for code in ("en", "fr", "hi")
    },
    "CohereForAI/Global-MMLU-Lite": {
        f"{code}/{split}-00000-of-00001.parquet": parquet(mmlu(code))
        for code in ("en", "fr")
        for split in ("test", "dev")
    },
    "facebook/belebele": {
        "data/eng_Latn.jsonl": jsonl(belebele("en", "eng_Latn")),
        "data/hin_Deva.jsonl": jsonl(belebele("hi", "hin_Deva")),
    },
    "DAMO-NLP-SG/MultiJail": {"MultiJail.csv": comma(MULTIJAIL)},
    "Paul/XSTest": {"xstest_prompts.csv": comma(XSTEST)},
}
