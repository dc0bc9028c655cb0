"""`python -m eval` with sets beyond the shipped ones, from end to end on a tiny model."""

import json
from pathlib import Path

import pytest
from standins import FILES

from eval.__main__ import main
from eval.sets import fetch, hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests.eval import tiny

    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny.model().save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(autouse=True)
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins from a folder in place of the hub (test_hub_sets.py goes through a server)."""

    def from_folder(repo: str, revision: str | None, patterns: object) -> fetch.Fetched:
        place = tmp_path / "hub" / repo / (revision or "f" * 40)
        for path, data in FILES[repo].items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
        return fetch.Fetched(place, place.name)

    monkeypatch.setattr(hub, "fetch", from_folder)
    monkeypatch.setenv("MERGE_FRONTIER_HOME", str(tmp_path / "home"))


def measured(folder: str, tmp_path: Path, *arguments: str) -> dict:
    common = ["--store", str(tmp_path / "store.sqlite"), "--json", str(tmp_path / "out.json")]
    assert main([folder, *arguments, *common]) == 0
    return json.loads((tmp_path / "out.json").read_text("utf-8"))


def test_a_set_of_choices_alone_has_its_half(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = measured(folder, tmp_path, "--probe", "hub:belebele@v1", "--languages", "en,hi", "--sample", "4")
    reasons = {name: one["reason"] for name, one in found["measures"].items()}
    assert set(reasons) == set(found["measures"]), "every measure is undefined, with its reason"
    assert all(one["value"] is None for one in found["measures"].values())
    assert "choice and instruction items" in reasons["general"] and "lacks items" in reasons["harm"]
    assert list(found["halves"]) == ["choices"]
    choices = found["halves"]["choices"]
    assert (
        choices["n"] == 8 and choices["low"] <= choices["value"] <= choices["high"] and choices["low"] < choices["high"]
    )
    assert found["probe"]["id"] == "hub:belebele@v1?languages=en,hi&sample=4&seed=0"
    assert found["probe"]["licence"] == "CC-BY-SA-4.0" and found["probe"]["revision"] == "v1"
    said = capsys.readouterr().out
    assert said.index("licence: CC-BY-SA-4.0") < said.index("95 % interval at worst") < said.index("harm_vs_base")


def test_a_set_of_harmful_requests_alone(folder: str, tmp_path: Path) -> None:
    found = measured(folder, tmp_path, "--probe", "hub:multijail", "--languages", "ar", "--category", "bullying")
    assert found["measures"]["invalid"]["n"] == 4
    assert "lacks items that over_refusal needs" in found["measures"]["over_refusal"]["reason"]
    assert found["measures"]["general"]["value"] is None and "reason" in found["measures"]["general"]
    assert "halves" not in found


def test_instructions_without_references_are_not_scored_by_chrf(folder: str, tmp_path: Path) -> None:
    found = measured(folder, tmp_path, "--probe", "hub:m_arenahard", "--languages", "fr", "--sample", "2")
    half = found["halves"]["instructions"]
    assert half["value"] is None and "no references, so chrF cannot score them" in half["reason"]
    assert found["measures"]["invalid"]["n"] == 2


def test_two_models_are_compared_on_an_own_file(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("prompt,language,kind,options,answer\nWhich?,en,choice,a|b,a\nWhat?,en,choice,c|d,d\n", "utf-8")
    assert main(["compare", folder, folder, "--probe", str(mine), "--store", str(tmp_path / "store.sqlite")]) == 0
    said = capsys.readouterr().out
    assert "choices       all     +0.00" in said and "cannot tell" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["--probe", "hub:multijail", "--languages", "ru"], "MultiJail has no language 'ru'", id="not there"
        ),
        pytest.param(["--probe", "hub:m_arenahard@v1", "--languages", "it"], "no file", id="files lack it"),
        pytest.param(["--probe", "quick", "--sample", "0"], "sample must be 1 or more", id="no sample"),
        pytest.param(["--probe", "mine.csv"], "mine.csv:2: column 'kind'", id="own file"),
        pytest.param(["--probe", "german.csv"], "The rule judge does not read de", id="not the judge's language"),
    ],
)
def test_bad_input_is_refused_before_the_model_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: list, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("prompt,language,kind\na,en,evil\n", "utf-8")
    (tmp_path / "german.csv").write_text("prompt,language,kind\nHallo?,de,harmful\n", "utf-8")
    assert main(["no/such/model", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_check_probe_lists_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("prompt,language,kind\na,en,evil\nb,english,harmful\nc,en,harmful\n", "utf-8")
    assert main(["check-probe", str(mine)]) == 2
    assert capsys.readouterr().err.count("mine.csv:") == 2


def test_check_probe_counts_and_says_how_precise(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mine = tmp_path / "mine.csv"
    rows = [f"p{i},{code},harmful,c{i}" for i in range(16) for code in ("en", "fr")]
    mine.write_text("\n".join(["prompt,language,kind,cluster", *rows]), "utf-8")
    assert main(["check-probe", str(mine)]) == 0
    said = capsys.readouterr().out
    assert "32 items in en, fr" in said and "+-0.220 overall, +-0.220 in one language" in said
    assert "undefined: general, because" in said


def test_sets_lists_licence_languages_measures_and_intervals(capsys: pytest.CaptureFixture) -> None:
    assert main(["sets", "--sample", "100"]) == 0
    said = capsys.readouterr().out
    assert said.count("hub:") >= 7 and "Global-MMLU-Lite, Apache-2.0" in said
    assert "harmful: 100 a language, +-0.040 overall, +-0.096 in one language -> harm" in said
    assert "pairwise judge" in said
