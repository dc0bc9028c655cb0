"""`tables.json`: what is written is read back, one way of writing, and a broken file is one sentence."""

import json
from pathlib import Path

import pytest
from made_tables import tables as make_tables

from eval.errors import PaperError
from eval.paper.exchange import read, to_json, write
from eval.paper.schema import Tables

EXAMPLE = Path(__file__).with_name("example_tables.json")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return make_tables()


def test_the_example_is_what_the_code_writes(tables: Tables, tmp_path: Path) -> None:
    write(tmp_path / "tables.json", tables)
    assert (tmp_path / "tables.json").read_text("utf-8") == EXAMPLE.read_text("utf-8"), (
        "the schema changed: write made_tables.tables() to example_tables.json again"
    )


def test_what_is_read_is_written_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path / "again.json", read(EXAMPLE))
    assert (tmp_path / "again.json").read_bytes() == EXAMPLE.read_bytes()


def test_what_was_written_is_read_as_it_was(tables: Tables) -> None:
    made, found = tables, read(EXAMPLE)
    assert list(found.rows) == list(made.rows)
    assert [row.id for row in found.rows_of(found.tables[0])] == list(made.tables[0].rows)
    one, other = (t.rows["SFT/slerp_gradient/t=0.50"] for t in (made, found))
    assert other.differences["SFT/mix-15"]["harm"].by_language["en"].language == "en"
    assert other.measures["harm"].value == pytest.approx(one.measures["harm"].value, rel=1e-5)
    assert (other.paper, other.settings, other.screening) == (one.paper, one.settings, one.screening)
    assert found.claims[0].gaps["win_rate"].word == made.claims[0].gaps["win_rate"].word
    assert found.search.gaps["SFT/mix-0"]["harm"].measure == "harm"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(lambda raw: raw.update(version=99), "has version 99", id="another version"),
        pytest.param(lambda raw: raw.pop("family"), "does not follow the schema", id="field missing"),
        pytest.param(lambda raw: raw.update(colour="red"), "does not follow the schema", id="field unknown"),
        pytest.param(lambda raw: raw["rows"].pop("SFT/mix-0"), "'SFT/mix-0'", id="row named and not held"),
        pytest.param(
            lambda raw: raw["rows"]["SFT/mix-0"]["differences"]["SFT/mix-15"]["harm"].pop("word"),
            "does not follow the schema",
            id="a difference without its word",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(tables: Tables, tmp_path: Path, change, text: str) -> None:
    raw = to_json(tables)
    change(raw)
    (tmp_path / "tables.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(PaperError, match=text):
        read(tmp_path / "tables.json")


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match="python -m eval paper"):
        read(tmp_path / "tables.json")
