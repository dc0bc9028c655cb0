"""The written folder: complete or not there, loads in transformers, and the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from merging import Recipe, merge_to_folder
from merging.__main__ import main
from merging.errors import MergeError, WriteError
from tests.merging import tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(family: dict[str, str]) -> Recipe:
    return Recipe.build("slerp", models=[family["b"]], base_model=family["a"], parameters={"t": 0.4})


def test_loads_in_transformers(recipe: Recipe, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    shares: list[float] = []
    out = merge_to_folder(recipe, tmp_path / "deep" / "out", progress=lambda share, _: shares.append(share))
    model, found = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert model.dtype == torch.bfloat16
    tensors = load_file(out / "model.safetensors")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    card = (out / "README.md").read_text()
    assert recipe.digest() in card and "merge_method: slerp" in card
    assert Recipe.from_yaml(card.split("```yaml\n")[1].split("```")[0]) == recipe


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype(recipe: Recipe, tmp_path: Path, dtype: str, family: dict[str, str]) -> None:
    recipe = Recipe.build("slerp", models=[family["b"]], base_model=family["a"], parameters={"t": 0.4}, out_dtype=dtype)
    out = merge_to_folder(recipe, tmp_path / "out")
    assert {str(t.dtype) for t in load_file(out / "model.safetensors").values()} == {f"torch.{dtype}"}
    assert json.loads((out / "config.json").read_text())["dtype"] == dtype


def test_shards_hold_the_same(recipe: Recipe, tmp_path: Path) -> None:
    whole = load_file(merge_to_folder(recipe, tmp_path / "whole") / "model.safetensors")
    out = merge_to_folder(recipe, tmp_path / "shards", shard_bytes=1000)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    files = sorted({*index["weight_map"].values()})
    assert len(files) > 2 and sorted(p.name for p in out.glob("*.safetensors")) == files
    joined = {name: tensor for file in files for name, tensor in load_file(out / file).items()}
    assert all(torch.equal(joined[name], tensor) for name, tensor in whole.items())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in whole.values())
    again = merge_to_folder(Recipe.single(str(out)), tmp_path / "again")
    assert all(torch.equal(load_file(again / "model.safetensors")[name], tensor) for name, tensor in whole.items())


def test_an_occupied_folder_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    merge_to_folder(recipe, tmp_path / "out")  # empty is fine
    before = sorted(p.name for p in tmp_path.iterdir())
    for name in ("out", "out/config.json"):
        with pytest.raises(WriteError, match="exists and is not an empty folder"):
            merge_to_folder(recipe, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_card_and_config_speak_of_no_private_path(recipe: Recipe, tmp_path: Path) -> None:
    out = merge_to_folder(recipe, tmp_path / "out")
    assert str(tmp_path) not in (out / "config.json").read_text()


def run(recipe: str, tmp_path: Path, *more: str) -> tuple[int, Path]:
    (tmp_path / "recipe.yaml").write_text(recipe)
    out = tmp_path / "out"
    return main([str(tmp_path / "recipe.yaml"), str(out), *more]), out


def test_command_line(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(Path(recipe.donor).parent)
    text = recipe.to_yaml().replace(str(Path(recipe.donor).parent) + "/", "")  # relative to the working directory
    code, out = run(text, tmp_path, "--threads", "1")
    assert code == 0 and capsys.readouterr().out.strip() == str(out) and (out / "model.safetensors").exists()


BAD = [
    pytest.param("merge_method: slurp\nmodels: [{model: a}]", [], "Did you mean 'slerp'", id="method"),
    pytest.param("merge_method: linear\nmodells: []", [], "Did you mean 'models'", id="key"),
    pytest.param(
        "merge_method: linear\nmodels: [{model: gone, parameters: {weight: 1}}]", [], "no folder 'gone'", id="missing"
    ),
    pytest.param("merge_method: linear\nmodels: [{model: A, parameters: {weight: .nan}}]", [], "finite", id="NaN knob"),
    pytest.param(
        "merge_method: linear\nmodels: [{model: A, parameters: {weight: -.inf}}]", [], "finite", id="inf knob"
    ),
    pytest.param("{", [], "not readable YAML", id="YAML"),
    pytest.param("SINGLE", ["--device", "warp"], "device 'warp'", id="device"),
    pytest.param("SINGLE", ["--device", "cuda:99"], "device 'cuda:99'", id="no such device"),
    pytest.param("SINGLE", ["--threads", "0"], "--threads is 0", id="threads"),
]


@pytest.mark.parametrize(("text", "more", "words"), BAD)
def test_command_line_refuses(
    text: str, more: list[str], words: str, family: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Recipe.single(family["a"]).to_yaml() if text == "SINGLE" else text
    code, _ = run(text, tmp_path, *more)
    said = capsys.readouterr()
    assert code == 2 and words in said.err and said.out == ""
    assert len(said.err.strip().splitlines()) == 1 and "Traceback" not in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.yaml"]


def test_missing_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone.yaml"), str(tmp_path / "out")]) == 2
    assert "Cannot read the recipe" in capsys.readouterr().err and not list(tmp_path.iterdir())


def damaged(folder: Path, kind: str) -> None:
    file = folder / "model.safetensors"
    if kind == "truncated":
        os.truncate(file, 2000)
    elif kind == "pickle":
        file.rename(folder / "pytorch_model.bin")
    elif kind == "NaN":
        tensors = {n: t.clone() for n, t in load_file(file).items()}
        tensors["model.norm.weight"][0] = float("nan")
        tiny.write_model(folder, tensors)
    elif kind == "shape":
        tiny.write_model(folder, tiny.weights(0) | {"model.norm.weight": torch.zeros(9)})
    elif kind == "vocabulary":
        tiny.write_model(folder, tiny.weights(0, vocab=17))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "is truncated"), ("pickle", "Convert"), ("NaN", "model.norm.weight"),
        ("shape", "only models of one size"),
        ("vocabulary", "tokenizer_source"),
    ],
)  # fmt: skip
def test_bad_checkpoints_through_the_command(
    kind: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(tiny.write_model(tmp_path / name, tiny.weights(0))) for name in ("good", "bad")]
    damaged(tmp_path / "bad", kind)
    recipe = Recipe.build("linear", models=names, parameters={"weight": 1}).to_yaml()
    code, out = run(recipe, tmp_path)
    error = capsys.readouterr().err
    assert code == 2 and words in error and "bad" in error and len(error.strip().splitlines()) == 1
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["bad", "good", "recipe.yaml"]


def test_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "merging", str(tmp_path / "gone.yaml"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Cannot read the recipe" in done.stderr


def test_merge_error_is_the_root() -> None:
    assert issubclass(WriteError, MergeError)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_element_anywhere_is_found(tmp_path: Path, dtype: torch.dtype, value: float) -> None:
    from merging.errors import CheckpointError

    for place in (0, 1, 7, 31, 64, 127):  # 16 x 8 elements: in vectors and in what is left after them
        tensors = tiny.weights(0, dtype)
        tensors["model.embed_tokens.weight"].view(-1)[place] = value
        name = str(tiny.write_model(tmp_path / f"bad{place}", tensors))
        with pytest.raises(CheckpointError, match=r"model\.embed_tokens\.weight .*NaN or infinity"):
            merge_to_folder(Recipe.single(name), tmp_path / "out")
    assert not (tmp_path / "out").exists()
