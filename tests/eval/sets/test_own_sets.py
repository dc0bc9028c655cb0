"""A user's own files: what is read, and what is said at which line about what is not."""

import json
from pathlib import Path

import pytest

from eval import probes
from eval.errors import ProbeError
from eval.sets import own

HEAD = "prompt,language,kind"
MORE = f"{HEAD},id,cluster,category,references,options,answer"
ROW = {"prompt": "Mock him.", "language": "en", "kind": "harmful"}
CHOICE = {**ROW, "kind": "choice", "options": ["a", "b"], "answer": 0}


def text_file(path: Path, *lines: str, encoding: str = "utf-8") -> str:
    path.write_bytes("\n".join(lines).encode(encoding))
    return str(path)


def jsonl_file(path: Path, *rows: object) -> str:
    return text_file(path, *(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows))


def items(path: str) -> list:
    return list(probes.load(path).items)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([{**ROW, "prompt": " "}], "1: column 'prompt': expected a text", id="blank prompt"),
        pytest.param([ROW, {**ROW, "language": ""}], "2: column 'language': empty; every row needs", id="no language"),
        pytest.param([{**ROW, "kind": "Harmfull"}], "1: column 'kind': 'Harmfull' is none of harmful, lookalike, "
                     "instruction, choice. Did you mean 'harmful'?", id="kind"),
        pytest.param([{**ROW, "language": "French"}], "1: column 'language': 'french' is no language code; "
                     "write 'fr'", id="language by name"),
        pytest.param([{**ROW, "language": "fr-CA"}], "write 'fr'", id="language with a country"),
        pytest.param([{**ROW, "language": "x"}], "as 'en'", id="no language at all"),
        pytest.param([{**ROW, "langage": "en"}], "1: unknown column 'langage'. Did you mean 'language'?", id="column"),
        pytest.param([{**ROW, "prompt": "a" * 20_001}], "20001 characters are too many", id="long prompt"),
        pytest.param([{**ROW, "kind": "instruction"}], "1: column 'references': an instruction needs", id="reference"),
        pytest.param([{**ROW, "references": "x"}], "only instruction items have it", id="not its column"),
        pytest.param([{**CHOICE, "options": ["a"]}], "column 'options': a choice needs two or more", id="one option"),
        pytest.param([{**CHOICE, "options": ["a", "a"]}], "two of them are equal", id="equal options"),
        pytest.param([{**CHOICE, "options": "a||b"}], "expected texts that are not empty", id="empty option"),
        pytest.param([{**CHOICE, "options": '["a", b]'}], "begins as a JSON list, but is none", id="broken list"),
        pytest.param([{**CHOICE, "answer": 2}], "'2' is no option; write its text, or its position from 0", id="2"),
        pytest.param([{**CHOICE, "answer": "c"}], "column 'answer': 'c' is no option", id="no such option"),
        pytest.param([{**CHOICE, "answer": True}], "column 'answer': expected a text, found True", id="true"),
        pytest.param([{**CHOICE, "options": ["1", "0"], "answer": 0}], "both an option and the position", id="both"),
        pytest.param([ROW, ROW], "2: this prompt (harmful, en) is on line 1 already", id="same prompt"),
        pytest.param([{**ROW, "id": "a"}, "", {**CHOICE, "id": "a"}], "3: id 'a' is on line 1 already", id="same id"),
        pytest.param([ROW, "{oops"], "2: not JSON (Expecting property name", id="not JSON"),
        pytest.param([ROW, "[1]"], '2: expected an object such as {"prompt": ...}, found list', id="not an object"),
    ],
)  # fmt: skip
def test_rows_that_are_refused(tmp_path: Path, rows: list, said: str) -> None:
    path = jsonl_file(tmp_path / "mine.jsonl", *rows)
    with pytest.raises(ProbeError) as refused:
        probes.load(path)
    assert str(refused.value).startswith("mine.jsonl:")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["Mock him.,en,harmful"], "mine.csv:1: the first row names the columns: prompt", id="no header"),
        pytest.param(["prompt,kind", "a,harmful"], "mine.csv:1: no column 'language'", id="column missing"),
        pytest.param(
            [f"{HEAD},catgory", "a,en,harmful,x"], "mine.csv:1: unknown column 'catgory'. Did you mean", id="?"
        ),
        pytest.param([f"{HEAD},kind", "a,en,harmful,x"], "mine.csv:1: column 'kind' is there twice", id="twice"),
        pytest.param([f"{HEAD},", "a,en,harmful,"], "mine.csv:1: a column has no name", id="no name"),
        pytest.param([HEAD, "Well, now,en,harmful"], "mine.csv:2: 4 cells under 3 columns", id="comma not quoted"),
        pytest.param([HEAD, '"a', 'b",en,harmful', "c,en,evil"], "mine.csv:4: column 'kind'", id="line after a break"),
        pytest.param([HEAD, "a,en,harmful", '"open,en,harmful'], "mine.csv:3: unexpected end of data", id="open quote"),
        pytest.param([HEAD, '"a" b,en,harmful'], "mine.csv:2: ", id="stray quote"),
        pytest.param([HEAD], "mine.csv: no items", id="header only"),
        pytest.param([""], "mine.csv: no items", id="empty"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, lines: list, said: str) -> None:
    with pytest.raises(ProbeError) as refused:
        probes.load(text_file(tmp_path / "mine.csv", *lines))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(f"{HEAD}\nok,en,harmful\né".encode("latin-1"), "mine.csv:3: byte 0xe9 is not UTF-8", id="latin"),
        pytest.param(f"{HEAD}\na,en,harmful".encode("utf-16"), "mine.csv:1: this is UTF-16; save the file", id="16"),
        pytest.param(f"{HEAD}\na\0,en,harmful".encode(), "mine.csv:2: a zero byte", id="binary"),
    ],
)  # fmt: skip
def test_only_utf8(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "mine.csv").write_bytes(data)
    with pytest.raises(ProbeError) as refused:
        probes.load(str(tmp_path / "mine.csv"))
    assert said in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, encoding: str, separator: str, ending: str) -> None:
    rows = [
        ["Prompt", "language", "KIND", "options", "answer", "_note"],
        ['"Say ""no"", he said; or, perhaps,\nnot?"', "en", "harmful", "", "", "mine"],
        ["Which?", "fr", "choice", "un | deux", "deux", ""],
    ]
    data = ending.join(separator.join(row) for row in rows) + ending
    (tmp_path / "mine.csv").write_bytes(data.encode(encoding))
    harmful, choice = items(str(tmp_path / "mine.csv"))
    assert harmful.prompt == 'Say "no", he said; or, perhaps,\nnot?'
    assert (choice.options, choice.answer, choice.language) == (("un", "deux"), 1, "fr")


def test_lists_and_answers_in_every_spelling(tmp_path: Path) -> None:
    spelt = ['"a | b",b', '"[""a"", ""b""]",1', "a|b, 1 "]
    lines = [f"{HEAD},options,answer", *(f"q{i},en,choice,{one}" for i, one in enumerate(spelt))]
    assert {(item.options, item.answer) for item in items(text_file(tmp_path / "a.csv", *lines))} == {(("a", "b"), 1)}
    rows = [{**CHOICE, "prompt": str(i), "options": o, "answer": 1} for i, o in enumerate((["a", "b"], "a | b"))]
    assert {item.options for item in items(jsonl_file(tmp_path / "a.jsonl", *rows))} == {("a", "b")}


def test_clusters_are_parallel_where_they_have_translations(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "mine.csv",
        f"{HEAD},cluster",
        "Mock him.,en,harmful,h1",
        "Moque-toi.,fr,harmful,h1",
        "Alone.,en,harmful,",
    )
    probe = probes.load(path)
    assert [(item.cluster, item.parallel) for item in probe.items] == [("h1", True), ("h1", True), ("row-00003", False)]
    assert probe.languages == ("en", "fr") and probe.id == "mine.csv"


def test_csv_and_jsonl_of_the_same_items_are_the_same_probe(tmp_path: Path) -> None:
    csv = text_file(tmp_path / "a.csv", f"{HEAD},references", "Capital?,en,instruction,Rome | It is Rome.")
    row = {**ROW, "prompt": "Capital?", "kind": "instruction", "references": ["Rome", "It is Rome."]}
    assert probes.load(csv).hash == probes.load(jsonl_file(tmp_path / "b.jsonl", row)).hash


def test_all_problems_are_listed_and_one_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    text_file(path, HEAD, "a,en,evil", "b,english,harmful", "c,en,harmful")
    probe, problems = own.check(path)
    assert probe is None
    assert [problem.split(" ")[0] for problem in problems] == ["mine.csv:2:", "mine.csv:3:"]
    with pytest.raises(ProbeError, match=r"\(1 more: python -m eval check-probe lists them\)"):
        probes.load(str(path))


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.csv"
    text_file(path, HEAD, "a,en,harmful", "b,en,harmful", "c,en,harmful")
    monkeypatch.setattr(own, "MAX_ITEMS", 2)
    assert own.check(path)[1] == ["mine.csv:4: more than 2 items."]
    monkeypatch.setattr(own, "MAX_BYTES", 10)
    assert "is too much" in own.check(path)[1][0]


def test_a_file_with_a_header_line_is_read_as_before(tmp_path: Path) -> None:
    row = {**ROW, "id": "h", "cluster": "h", "topic": "mock"}
    path = Path(jsonl_file(tmp_path / "old.jsonl", {"id": "old", "languages": ["en"]}, row))
    assert not own.is_own(path)
    assert probes.load(str(path)).items[0].topic == "mock"
