"""`python -m eval paper`: bad input is one sentence and leaves nothing behind; looking needs no model."""

import json
import shutil
from pathlib import Path

import pytest
from made_family import MadeBench, plan

from eval.__main__ import main
from eval.paper.published import FOLDER
from eval.paper.work import Comparison


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["--only", "a,z"], "There is no table 'z'", id="table"),
        pytest.param(["--plan", "none.yaml"], "There is no plan none.yaml", id="plan"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(tmp_path: Path, capsys, arguments: list[str], text: str) -> None:
    assert main(["paper", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_measurements_are_refused_at_their_line(tmp_path: Path, capsys) -> None:
    plan(tmp_path)
    (tmp_path / "measurements.jsonl").write_text("{\n", encoding="utf-8")
    assert main(["paper", "--out", str(tmp_path), "--tables"]) == 2
    assert "measurements.jsonl:1" in capsys.readouterr().err


def test_looking_at_the_shipped_plan_writes_nothing(tmp_path: Path, capsys) -> None:
    assert main(["paper", "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "to screen" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_tables_are_made_again_from_what_is_there(tmp_path: Path, capsys) -> None:
    made = plan(tmp_path)
    Comparison(made, tmp_path, only=("c",), bench=MadeBench(made), tell=lambda line: None).run()
    written = (tmp_path / "tables.json").read_bytes()
    (tmp_path / "tables.json").unlink()
    assert main(["paper", "--out", str(tmp_path), "--tables"]) == 0
    assert (tmp_path / "tables.json").read_bytes() == written
    assert "recipes are measured" in capsys.readouterr().out


def test_the_plan_is_kept_beside_what_was_measured_by_it(tmp_path: Path) -> None:
    plan(tmp_path / "elsewhere")
    out = tmp_path / "out"
    assert main(["paper", "--plan", str(tmp_path / "elsewhere" / "plan.yaml"), "--out", str(out), "--tables"]) == 0
    assert (out / "plan.yaml").read_bytes() == (tmp_path / "elsewhere" / "plan.yaml").read_bytes()
    shutil.rmtree(out)


@pytest.mark.slow
def test_shipped_tables_are_what_the_shipped_measurements_give(tmp_path: Path) -> None:
    for name in ("plan.yaml", "screening.jsonl", "measurements.jsonl"):
        shutil.copyfile(FOLDER / name, tmp_path / name)
    assert main(["paper", "--out", str(tmp_path), "--tables"]) == 0
    assert json.loads((tmp_path / "tables.json").read_text("utf-8")) == json.loads(
        (FOLDER / "tables.json").read_text("utf-8")
    )
