"""The manifest names every file with its sha256, and `--verify` finds what is no longer so."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from merging import Recipe, merge_to_folder
from merging.__main__ import byte_count, main
from merging.errors import CheckpointError, MergeError
from merging.manifest import TOOL, verify
from tests.merging import tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    base = tiny.weights(0, torch.bfloat16)
    for name, tensors in {"base": base, "a": tiny.moved(base, 1)}.items():
        tiny.write_model(tmp_path / name, tensors, words=[f"w{i}" for i in range(tiny.VOCAB)])
    recipe = Recipe.build(
        "slerp", models=[str(tmp_path / "a")], base_model=str(tmp_path / "base"), parameters={"t": 0.4}
    )
    return merge_to_folder(recipe, tmp_path / "out", shard_bytes=1500)


def test_every_file_stands_in_the_manifest(out: Path) -> None:
    tree = json.loads((out / "manifest.json").read_text())
    expected = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in out.iterdir()
        if path.name != "manifest.json"
    }
    assert tree["files"] == expected
    assert {"config.json", "README.md", "mergekit_config.yml", "tokenizer.json", "model.safetensors.index.json"} <= set(
        expected
    )
    assert verify(out) == []


def test_the_manifest_names_recipe_and_parents(out: Path) -> None:
    tree = json.loads((out / "manifest.json").read_text())
    recipe = Recipe.from_yaml(out / "mergekit_config.yml")
    assert tree["recipe"] == recipe.digest() and tree["dtype"] == "bfloat16" and tree["tool"] == TOOL
    assert [(p["role"], Path(p["name"]).name, len(p["content"])) for p in tree["parents"]] == [
        ("base", "base", 64),
        ("model", "a", 64),
    ]


def test_a_recipe_merged_again_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    again = merge_to_folder(Recipe.from_yaml(out / "mergekit_config.yml"), tmp_path / "again", shard_bytes=1500)
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in out.iterdir()}


def flip(out: Path) -> None:
    path = out / "model-00001-of-00002.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rename(out: Path) -> None:
    (out / "config.json").rename(out / "config.bak")


HARM = [
    pytest.param(flip, ["model-00001-of-00002.safetensors has another content"], id="one bit"),
    pytest.param(lambda out: os.truncate(out / "README.md", 5), ["README.md has 5 bytes, not "], id="shorter"),
    pytest.param(rename, ["config.json is missing", "config.bak is not in the manifest"], id="renamed"),
    pytest.param(lambda out: (out / ".cache").mkdir(), [], id="what tools leave is no matter"),
]


@pytest.mark.parametrize(("harm", "words"), HARM)
def test_verify(out: Path, harm: Callable[[Path], None], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    harm(out)
    code = main(["--verify", str(out)])
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == len(words) and all(line.startswith(word) for line, word in zip(lines, words, strict=True))
    assert code == (1 if words else 0) and bool(said.out) == (not words)


BROKEN = [
    pytest.param(None, "no readable manifest.json", id="none"),
    pytest.param("{", "is not JSON", id="not JSON"),
    pytest.param('{"files": {}}', "lists no files", id="empty"),
    pytest.param('{"files": {"../x": {"bytes": 1, "sha256": ""}}}', "only files of that very folder", id="path"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_manifest_that_cannot_be_used(out: Path, text: str | None, words: str) -> None:
    path = out / "manifest.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(CheckpointError, match=words):
        verify(out)


def test_an_entry_without_hash_is_a_problem(out: Path) -> None:
    (out / "manifest.json").write_text('{"files": {"config.json": 1}}')
    assert verify(out)[0] == "config.json has no size and sha256 in the manifest."


def test_the_version_is_the_projects() -> None:
    assert f'version = "{TOOL["version"]}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


SIZES = [("5GB", 5 * 10**9), ("500MB", 5 * 10**8), ("2GiB", 2**31), (" 1.5 kb ", 1500), ("1000", 1000), ("7B", 7)]


@pytest.mark.parametrize(("text", "count"), SIZES)
def test_byte_count(text: str, count: int) -> None:
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "GB", "0", "0.1B", "-5GB", "5 parsecs", "1e9", "inf"])
def test_no_byte_count(text: str) -> None:
    with pytest.raises(MergeError, match="--shard-size is"):
        byte_count(text)


def test_shard_size_on_the_command_line(out: Path, tmp_path: Path) -> None:
    assert main([str(out / "mergekit_config.yml"), str(tmp_path / "small"), "--shard-size", "1KB"]) == 0
    assert len(list((tmp_path / "small").glob("*.safetensors"))) > 2


def test_recipe_and_folder_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["only.yaml"])
    assert "--verify" in capsys.readouterr().err
