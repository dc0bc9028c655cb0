"""Sets on the hub: what their files become, and what is said where they are closed, gone, changed or out of reach."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from standins import FILES

from eval.errors import ProbeError
from eval.probes import ProbeSet
from eval.sets import hub
from eval.sets.describe import described, listing, read
from eval.sets.narrow import narrowed
from eval.sets.request import Request
from eval.types import KINDS
from tests.merging.hub_server import COMMIT, Repository, serve

ROOT = Path(__file__).resolve().parents[3]
LANGUAGES = {
    "aya_redteaming": "en fr ru",
    "belebele": "en hi",
    "dolly_200": "en hi fr",
    "global_mmlu_lite": "en fr",
    "m_arenahard": "en fr hi",
    "multijail": "en ar",
    "xstest": "en",
}


def loaded(name: str, folder: Path, languages: str = "") -> ProbeSet:
    """A stand-in read from a folder, without a hub."""
    what = described(name)
    for path, data in FILES[what.hub].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    codes = tuple((languages or LANGUAGES[name]).split())
    return hub.read(what, codes, {code: sorted(folder.glob(what.languages[code].file)) for code in codes}, COMMIT)


def test_every_described_set_has_a_stand_in() -> None:
    assert set(listing()) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("name", "counts", "clusters"),
    [
        pytest.param(
            "aya_redteaming", {("harmful", "en"): 16, ("harmful", "fr"): 12, ("harmful", "ru"): 8}, 36, id="aya"
        ),
        pytest.param("belebele", {("choice", "en"): 8, ("choice", "hi"): 8}, 4, id="belebele: an article is a cluster"),
        pytest.param("dolly_200", {("instruction", code): 4 for code in ("en", "hi", "fr")}, 4, id="dolly"),
        pytest.param("global_mmlu_lite", {("choice", "en"): 3, ("choice", "fr"): 3}, 3, id="mmlu: equal options go"),
        pytest.param("m_arenahard", {("instruction", code): 4 for code in ("en", "fr", "hi")}, 4, id="arena"),
        pytest.param(
            "multijail", {("harmful", "en"): 4, ("harmful", "ar"): 4}, 4, id="multijail: languages are columns"
        ),
        pytest.param("xstest", {("lookalike", "en"): 4, ("harmful", "en"): 4}, 8, id="xstest: two kinds"),
    ],
)
def test_what_the_files_become(tmp_path: Path, name: str, counts: dict, clusters: int) -> None:
    probe = loaded(name, tmp_path)
    assert Counter((item.kind, item.language) for item in probe.items) == counts
    assert len({item.cluster for item in probe.items}) == clusters
    assert len(probe.by_id) == len(probe.items)
    assert probe.header["licence"] == described(name).licence and probe.header["revision"] == COMMIT
    assert probe.id == f"hub:{name}@{COMMIT}"


def test_fields_are_mapped(tmp_path: Path) -> None:
    belebele = loaded("belebele", tmp_path / "b").items
    assert belebele[1].prompt == "tea. \u2028.\n\nSay something about tea."
    assert (belebele[0].options, belebele[0].answer, belebele[1].answer) == (("a", "b", "c", "d"), 0, 1)
    mmlu = loaded("global_mmlu_lite", tmp_path / "g")
    assert [item.answer for item in mmlu.items[:3]] == [0, 1, 2]
    assert mmlu.header["left_out"] == {"equal options": 2}
    dolly = loaded("dolly_200", tmp_path / "d").items
    assert dolly[0].references == ("tea",) and dolly[0].parallel
    xstest = loaded("xstest", tmp_path / "x").items
    assert xstest[0].prompt == "How do I kill tea, line\nbreak?" and xstest[1].kind == "harmful"
    aya = loaded("aya_redteaming", tmp_path / "a")
    assert [aya.items[0].category, aya.items[4].category] == [
        "Bullying & Harassment",
        "Profanity; Violence, Threats & Incitement",
    ]
    assert aya.header["left_out"] == {"no prompt": 1}


def test_a_category_in_a_list_is_found_by_its_name(tmp_path: Path) -> None:
    probe = loaded("aya_redteaming", tmp_path)
    part = narrowed(probe, Request("x", categories=("violence, threats & incitement",)))
    assert Counter(item.language for item in part.items) == {"en": 8, "fr": 4, "ru": 4}
    with pytest.raises(ProbeError, match=r"no category 'Profanities'\. Did you mean 'Profanity'\?"):
        narrowed(probe, Request("x", categories=("Profanities",)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "hub:global_mmlu_lite?languages=en,ru", "Global-MMLU-Lite has no language 'ru'; it has ar, bn", id="ru"
        ),
        pytest.param("hub:aya_redteeming", "Did you mean 'aya_redteaming'?", id="misspelt"),
        pytest.param("hub:aya redteaming", "names no set", id="no name"),
    ],
)
def test_what_is_refused_before_the_hub_is_asked(name: str, text: str) -> None:
    with pytest.raises(ProbeError) as refused:
        hub.load(Request.parse(name))
    assert text in str(refused.value)


def test_a_set_that_has_changed_is_said_to_have(tmp_path: Path) -> None:
    what = described("xstest")
    (tmp_path / "new.csv").write_text("id,question\n1,How?\n", encoding="utf-8")
    with pytest.raises(ProbeError, match=r"new\.csv:2: no column 'prompt'; Paul/XSTest has changed since"):
        hub.read(what, ("en",), {"en": [tmp_path / "new.csv"]}, COMMIT)
    (tmp_path / "new.csv").write_text("id,prompt,type,label\n1,How?,x,maybe\n", encoding="utf-8")
    with pytest.raises(ProbeError, match="label 'maybe' is none of safe, unsafe"):
        hub.read(what, ("en",), {"en": [tmp_path / "new.csv"]}, COMMIT)


def test_translations_that_cannot_be_told_are_refused(tmp_path: Path) -> None:
    what = described("multijail")
    lost = replace(what, fields=replace(what.fields, cluster="{id}{en}{ar}"))
    rows = 'id,en,ar,tags\n1,Hello,,"[]"\n2,,سلام,"[]"\n'
    (tmp_path / "MultiJail.csv").write_text(rows, encoding="utf-8")
    files = {code: [tmp_path / "MultiJail.csv"] for code in ("en", "ar")}
    with pytest.raises(ProbeError, match="translations cannot be told; ask for one language at a time"):
        hub.read(lost, ("en", "ar"), files, COMMIT)


def test_nothing_but_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "set.pkl").write_bytes(b"")
    what = described("xstest")
    with pytest.raises(ProbeError, match=r"set\.pkl is none of \.jsonl, \.csv, \.parquet"):
        hub.read(what, ("en",), {"en": [tmp_path / "set.pkl"]}, COMMIT)


@pytest.mark.parametrize("name", listing())
def test_descriptions_are_whole(name: str) -> None:
    what = described(name)
    assert what.paper.startswith("https://") and what.licence and what.about and what.languages
    assert set(what.fields.kinds) <= set(KINDS)
    assert what.revision is None or len(what.revision) == 40
    for part in what.languages.values():
        assert set(part.counts(what.fields.kinds)) == set(what.fields.kinds)


def test_a_misspelt_description_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("hub: a/b\nlanguages: {en: {fiel: x.csv, count: 1}}\nfields: {kind: harmful}\n")
    with pytest.raises(ProbeError, match=r"mine\.yaml does not describe a set: unknown key 'fiel' Did you mean 'file'"):
        read(tmp_path / "mine.yaml")


SCRIPT = """
import json, sys
from eval import probes
from eval.errors import ProbeError
for name in json.loads(sys.argv[1]):
    try:
        probe = probes.load(name)
        print(json.dumps([probe.id, len(probe.items), probe.hash]))
    except ProbeError as error:
        print(json.dumps(str(error)))
"""


def fetched(names: list[str], home: Path, url: str, **environment: str) -> list:
    """What loading each name gives in one fresh process: [id, items, hash] or the sentence."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(home), "HF_ENDPOINT": url}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **environment}
    command = [sys.executable, "-c", SCRIPT, json.dumps(names)]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=True, timeout=200)
    return [json.loads(line) for line in done.stdout.strip().splitlines()]


def test_fetched_from_the_hub_and_again_from_its_cache(tmp_path: Path) -> None:
    repositories = {f"datasets/{name}": Repository(files) for name, files in FILES.items()}
    repositories["datasets/DAMO-NLP-SG/MultiJail"].is_gated = True
    del repositories["datasets/Paul/XSTest"]
    names = [f"hub:{name}@v1?languages={codes.replace(' ', ',')}" for name, codes in LANGUAGES.items()]
    names += ["hub:aya_redteaming?languages=en,fr&sample=5&seed=2", "hub:belebele@v9", "hub:belebele?languages=en,de"]
    with serve(repositories) as server:
        *whole, sampled, no_revision, no_file = fetched(names, tmp_path, server.url)
        sent = server.sent("")
    by_name = dict(zip(LANGUAGES, whole, strict=True))
    assert [by_name[name][1] for name in ("aya_redteaming", "belebele", "dolly_200", "m_arenahard")] == [36, 16, 12, 12]
    assert by_name["aya_redteaming"][0] == f"hub:aya_redteaming@{COMMIT}?languages=en,fr,ru"
    assert "asks for its terms to be accepted" in by_name["multijail"]
    assert "There is no data set Paul/XSTest" in by_name["xstest"]
    assert sampled[:2] == [f"hub:aya_redteaming@{COMMIT}?languages=en,fr&sample=5&seed=2", 10]
    assert "no revision 'v9'" in no_revision and "no file data/deu_Latn.jsonl" in no_file
    assert not [path for path in sent if "README" in path or "/dev-" in path], "only what is asked for is fetched"
    offline = fetched(
        [f"hub:aya_redteaming@{COMMIT}?languages=en,fr&sample=5&seed=2", "hub:xstest"],
        tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert offline[0] == sampled
    assert "hub cannot be reached" in offline[1] and "give it as a .jsonl or .csv file" in offline[1]
