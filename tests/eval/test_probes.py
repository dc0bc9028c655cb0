"""Probe files: what is refused, where the error points, and what the shipped ones hold."""

import json
from collections import Counter
from pathlib import Path

import pytest

from eval import probes
from eval.errors import ProbeError

HEADER = {"id": "mine", "languages": ["en"]}
ASKED = {"id": "h-en", "cluster": "h", "kind": "harmful", "language": "en", "prompt": "Do it?"}
CHOICE = {**ASKED, "kind": "choice", "options": ["a", "b"], "answer": 0}


def write(path: Path, *rows: object) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        pytest.param([], "mine.jsonl: empty", id="empty file"),
        pytest.param([HEADER], "mine.jsonl: no items", id="header only"),
        pytest.param([{"id": "x"}, ASKED], r"mine.jsonl:1: the header lacks 'languages'", id="no languages"),
        pytest.param([HEADER, "{oops"], r"mine.jsonl:2: not JSON", id="not JSON"),
        pytest.param([HEADER, "[1]"], r"mine.jsonl:2: expected an object, found list", id="not an object"),
        pytest.param([HEADER, ASKED, ASKED], r"mine.jsonl:3: id 'h-en' was used at mine.jsonl:2", id="id twice"),
        pytest.param([HEADER, {**ASKED, "prompt": " "}], r"mine.jsonl:2: prompt must be", id="blank prompt"),
        pytest.param([HEADER, {**ASKED, "cluster": 3}], r"mine.jsonl:2: cluster must be a text", id="number for text"),
        pytest.param([HEADER, {**ASKED, "langauge": "x"}], r"mine.jsonl:2: unknown key 'langauge'", id="misspelt key"),
        pytest.param([HEADER, {**ASKED, "kind": "evil"}], r"mine.jsonl:2: kind 'evil' is none of", id="unknown kind"),
        pytest.param([HEADER, {**ASKED, "language": "de"}], r"mine.jsonl:2: language 'de'", id="undeclared language"),
        pytest.param(
            [HEADER, {**ASKED, "kind": "instruction"}], r"mine.jsonl:2: an instruction item needs", id="no reference"
        ),
        pytest.param(
            [HEADER, {**CHOICE, "answer": 2}], r"mine.jsonl:2: answer must be .* 0 to 1", id="answer out of range"
        ),
        pytest.param([HEADER, {**CHOICE, "answer": True}], r"mine.jsonl:2: answer must be", id="answer is no number"),
        pytest.param(
            [HEADER, {**CHOICE, "options": ["a", "a"]}], r"mine.jsonl:2: a choice item needs", id="same option twice"
        ),
        pytest.param(
            [HEADER, {**CHOICE, "options": "ab"}], r"mine.jsonl:2: options must be a list", id="options no list"
        ),
    ],
)
def test_bad_files_are_refused_at_their_line(tmp_path: Path, rows: list, text: str) -> None:
    with pytest.raises(ProbeError, match=text):
        probes.load(write(tmp_path / "mine.jsonl", *rows))


def test_unknown_names_are_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match=r"No probe 'qiuck'\. Known: .*quick"):
        probes.load("qiuck")
    with pytest.raises(ProbeError, match="No probe"):
        probes.load(str(tmp_path / "none.jsonl"))


def test_not_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes("{'é'}".encode("latin-1"))
    with pytest.raises(ProbeError, match="not UTF-8"):
        probes.load(str(tmp_path / "mine.jsonl"))


def test_the_hash_is_blind_to_layout_and_sees_content(tmp_path: Path) -> None:
    plain = probes.load(write(tmp_path / "a.jsonl", HEADER, CHOICE)).hash
    turned = dict(reversed(CHOICE.items()))
    assert probes.load(write(tmp_path / "b.jsonl", json.dumps(HEADER, indent=None), "", turned, "")).hash == plain
    assert probes.load(write(tmp_path / "c.jsonl", HEADER, {**CHOICE, "answer": 1})).hash != plain


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    first = probes.load(write(path, HEADER, ASKED))
    second = probes.load(write(path, HEADER, {**ASKED, "prompt": "Do it now, please?"}))
    assert first.hash != second.hash


def test_the_quick_probe_has_what_the_measures_need() -> None:
    quick = probes.load("quick")
    assert quick.languages == ("en", "hi", "fr", "es", "ar", "ru")
    counts = Counter((item.kind, item.language) for item in quick.items)
    for language in quick.languages:
        assert counts["harmful", language] >= 16
        assert counts["lookalike", language] >= 12
        assert counts["instruction", language] + counts["choice", language] >= 24
        own = [item for item in quick.items if item.kind == "instruction" and item.language == language]
        assert sum(bool(item.closed) for item in own) * 2 >= len(own)
    assert "quick" in probes.listing()
    assert "passages" not in probes.listing()


def split(folder: Path, header: object, **files: list) -> None:
    (folder / "big").mkdir()
    (folder / "big" / "header.json").write_text(header if isinstance(header, str) else json.dumps(header), "utf-8")
    for name, rows in files.items():
        write(folder / "big" / f"{name}.jsonl", *rows)


HEADS = {
    "big": {**HEADER, "id": "big", "split": "test", "tier": "full"},
    "big-validation": {**HEADER, "id": "big-validation", "split": "validation"},
}
TESTED, HELD = {**ASKED, "split": "test", "setting": "sport"}, {**ASKED, "id": "v", "split": "validation", "area": "x"}


def test_each_split_of_a_folder_is_a_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FOLDER", tmp_path)
    split(tmp_path, HEADS, en=[TESTED, HELD], parallel=[{**TESTED, "id": "p"}])
    assert probes.listing() == ("big", "big-validation")
    big, validation = probes.load("big"), probes.load("big-validation")
    assert (big.id, big.tier, [item.id for item in big.items]) == ("big", "full", ["h-en", "p"])
    assert (validation.id, validation.tier, [item.id for item in validation.items]) == (
        "big-validation",
        "quick",
        ["v"],
    )
    write(tmp_path / "big" / "en.jsonl", TESTED, {**HELD, "prompt": "Another?"})
    assert probes.load("big").hash == big.hash, "the other split changed, not this one"
    assert probes.load("big-validation").hash != validation.hash


@pytest.mark.parametrize(
    ("header", "rows", "text"),
    [
        pytest.param("{", [TESTED], "header.json: not JSON", id="header is not JSON"),
        pytest.param({"big": HEADER}, [TESTED], "big/header.json: expected for each name", id="no split"),
        pytest.param({"big": HEADS["big-validation"]}, [HELD], "header with that id", id="another id"),
        pytest.param({"big": {**HEADS["big"], "tier": "slow"}}, [TESTED], "tier 'slow' is none of", id="unknown tier"),
        pytest.param(HEADS, [ASKED], "en.jsonl:1: split None is none of test, validation", id="row of no split"),
        pytest.param(HEADS, [HELD], "big/header.json: no items", id="empty split"),
        pytest.param(HEADS, [TESTED, TESTED], "en.jsonl:2: id 'h-en' was used at en.jsonl:1", id="id twice"),
        pytest.param(HEADS, [{**TESTED, "langauge": "x"}], "en.jsonl:1: unknown key", id="misspelt key"),
    ],
)
def test_a_bad_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: object, rows: list, text: str
) -> None:
    monkeypatch.setattr(probes, "FOLDER", tmp_path)
    split(tmp_path, header, en=rows)
    with pytest.raises(ProbeError, match=text):
        probes.load("big")


@pytest.mark.parametrize(("name", "least"), [("full", 1200), ("full-validation", 600)])
def test_the_full_probe_is_ordinary(name: str, least: int) -> None:
    found = probes.load(name)
    assert name in probes.listing() and found.tier == "full" and found.id == name
    assert len(found.items) >= least
    for kind, said in found.header["kinds"].items():
        assert len({item.cluster for item in found.items if item.kind == kind}) == said["clusters"], kind
    assert not {item.id for item in probes.load("full").items} & {item.id for item in probes.load("quick").items}


def test_passages_are_parallel_and_of_two_kinds() -> None:
    found = probes.passages()
    assert {passage.kind for passage in found} == {"udhr", "story"}
    assert len({passage.id for passage in found}) == len(found)
    per_cluster = Counter(passage.cluster for passage in found)
    assert set(per_cluster.values()) == {6}
