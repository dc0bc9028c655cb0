"""Checkpoints by every kind of name, and the ways they can be bad."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merging import LiveModel, Recipe, merge_to_folder
from merging.checkpoint import open_checkpoint
from merging.compatibility import check_compatible, compatibility
from merging.errors import CheckpointError, CompatibilityError, MergeError
from tests.merging import tiny


def shard(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Rewrite a single-file model as two shards with an index."""
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, members in files.items():
        save_file({name: tensors[name] for name in members}, folder / file)
    places = {name: file for file, members in files.items() for name in members}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny.write_model(tmp_path / "model", tiny.weights(0))


def merged(name: str, out: Path, **more: Any) -> dict[str, torch.Tensor]:
    return load_file(
        merge_to_folder(Recipe.build("linear", models=[name], parameters={"weight": 1}, **more), out)
        / "model.safetensors"
    )


def test_sharded_is_single(model: Path, tmp_path: Path) -> None:
    before = open_checkpoint(str(model))
    tensors = load_file(model / "model.safetensors")
    shard(model, tensors)
    after = open_checkpoint(str(model))
    assert after.names == before.names and after.layers == 2
    got = merged(str(model), tmp_path / "out")
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())


def break_shard_name(folder: Path, name: str) -> None:
    shard(folder, load_file(folder / "model.safetensors"))
    index = folder / "model.safetensors.index.json"
    tree = json.loads(index.read_text())
    tree["weight_map"]["model.norm.weight"] = name
    index.write_text(json.dumps(tree))


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "model.safetensors").symlink_to(outside)


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_pickled_shards(folder: Path) -> None:
    as_pickle(folder)
    (folder / "pytorch_model.bin").rename(folder / "pytorch_model-00001-of-00001.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")


def truncate(folder: Path, size: int) -> None:
    os.truncate(folder / "model.safetensors", size)


def rewrite(folder: Path, dtype: torch.dtype) -> None:
    save_file(
        {n: t.to(dtype) for n, t in load_file(folder / "model.safetensors").items()}, folder / "model.safetensors"
    )


def scramble(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x08" + bytes(7) + b"not json")


WEIGHTS = tiny.weights(0)
INSIDE = "only files of that very folder"
THIRD = "model-00003-of-00002.safetensors"
BAD = [
    pytest.param(lambda f: truncate(f, 3000), r"is truncated: its header promises \d+ bytes", id="truncated"),
    pytest.param(lambda f: truncate(f, 100), "truncated", id="truncated header"),
    pytest.param(lambda f: truncate(f, 4), "truncated", id="four bytes"),
    pytest.param(lambda f: truncate(f, 0), "truncated", id="empty file"),
    pytest.param(scramble, "damaged", id="damaged header"),
    pytest.param(as_pickle, r"pickle.*Convert.*save_pretrained", id="pickle only"),
    pytest.param(as_pickled_shards, r"pickle.*Convert.*from_pretrained\(.*save_pretrained", id="pickled shards"),
    pytest.param(lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors", id="no weights"),
    pytest.param(lambda f: (f / "config.json").unlink(), "no readable config.json", id="no config"),
    pytest.param(lambda f: (f / "config.json").write_text("[1]"), "not a JSON object", id="config no object"),
    pytest.param(lambda f: (f / "config.json").write_text("{"), "not JSON", id="config no JSON"),
    pytest.param(lambda f: break_shard_name(f, THIRD), "lacks model-00003", id="missing shard"),
    pytest.param(lambda f: break_shard_name(f, "../outside.safetensors"), INSIDE, id="shard outside"),
    pytest.param(lambda f: break_shard_name(f, "/etc/passwd"), INSIDE, id="absolute shard"),
    pytest.param(link_out, "link out of that folder", id="link outside"),
    pytest.param(lambda f: rewrite(f, torch.int8), "stores .* as I8", id="integers"),
    pytest.param(lambda f: tiny.write_model(f, WEIGHTS, quantization_config={"a": 1}), "quantised", id="quantised"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), BAD)
def test_bad_folders_are_refused(model: Path, tmp_path: Path, damage: Any, words: str) -> None:
    damage(model)
    with pytest.raises(CheckpointError, match=words):
        merged(str(model), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("no/such/folder", "There is no folder 'no/such/folder'", id="path"),
        pytest.param("./nothing", "There is no folder", id="relative path"),
        pytest.param("model/config.json", "is a file", id="file"),
        pytest.param("model+nothing", "There is no folder 'nothing'", id="adapter"),
        pytest.param("model+model", "is no LoRA adapter", id="model for adapter"),
        pytest.param("zoo:nothing", "zoo:nothing", id="zoo name"),
    ],
)
def test_names_that_lead_nowhere(model: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.chdir(model.parent)
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["model", "adapter"])
def test_weights_that_are_not_finite(model: Path, tmp_path: Path, value: float, where: str) -> None:
    tiny.write_adapter(tmp_path / "lora", str(model))
    file = tmp_path / "lora" / "adapter_model.safetensors" if where == "adapter" else model / "model.safetensors"
    tensors = load_file(file)
    bad = sorted(tensors)[1]
    tensors[bad].view(-1)[-1] = value
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=f"{bad} in .* holds NaN or infinity"):
        merged(str(tmp_path / "lora"), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lora", "model"]


def test_a_rewritten_file_does_not_disturb_a_live_model(model: Path) -> None:
    live = LiveModel([str(model)])
    live.apply(Recipe.single(str(model)))
    before = {name: tensor.clone() for name, tensor in load_file(model / "model.safetensors").items()}
    os.truncate(model / "model.safetensors", 10)
    assert all(torch.equal(live.model.state_dict()[name], tensor) for name, tensor in before.items())
    with pytest.raises(CheckpointError, match="truncated"):
        live.apply(Recipe.single(str(model)))


def pair(tmp_path: Path, **other: Any) -> list[Any]:
    one = tiny.write_model(tmp_path / "one", tiny.weights(0))
    kind = {key: other.pop(key) for key in ("layers", "vocab", "tied") if key in other}
    two = tiny.write_model(tmp_path / "two", tiny.weights(1, **kind), **other)
    return [open_checkpoint(str(path)) for path in (one, two)]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        pytest.param({"model_type": "mistral"}, "different architecture", id="architecture"),
        pytest.param({"layers": 3}, "2 and 3 layers", id="layers"),
        pytest.param({"vocab": 20}, "vocabularies of 16 and 20 tokens.*tokenizer_source", id="vocabulary"),
    ],
)
def test_incompatible(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    with pytest.raises(CompatibilityError, match=words):
        check_compatible(pair(tmp_path, **other))


def test_other_shapes_are_told_by_tensor(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    tensors = load_file(two.folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(3, 3)
    tiny.write_model(two.folder, tensors)
    report = compatibility([one, open_checkpoint(two.name)])
    assert (
        "model.layers.1.mlp.up_proj.weight has shape (12, 8)" in report.problems[0] and not report.vocabularies_differ
    )


def test_other_tokenizers_are_a_warning(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    for checkpoint, words in ((one, "abc"), (two, "acb")):
        tiny.write_tokenizer(checkpoint.folder, words)
    assert "different tokenizer files" in compatibility([one, two]).warnings[0]


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    tensors = load_file(two.folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    tiny.write_model(two.folder, tensors)
    recipe = Recipe.build("linear", models=[one.name, two.name], parameters={"weight": 1})
    with pytest.raises(CompatibilityError, match=r"two.* has no tensor model.layers.0.mlp.up_proj.weight"):
        merge_to_folder(recipe, tmp_path / "out")


def test_float32_and_bfloat16_together(tmp_path: Path) -> None:
    one = tiny.write_model(tmp_path / "one", tiny.weights(0))
    two = tiny.write_model(tmp_path / "two", tiny.weights(1, torch.bfloat16))
    recipe = Recipe.build("linear", models=[str(one), str(two)], parameters={"weight": 0.5})
    got = load_file(merge_to_folder(recipe, tmp_path / "out") / "model.safetensors")
    ends = [load_file(p / "model.safetensors") for p in (one, two)]
    for name, tensor in got.items():
        assert torch.equal(tensor, 0.5 * ends[0][name] + 0.5 * ends[1][name].float())


def test_the_hub_cache_is_made_of_links(tmp_path: Path) -> None:
    repo = tmp_path / "models--org--name"
    (repo / "blobs").mkdir(parents=True)
    snapshot = tiny.write_model(repo / "snapshots" / "abc", tiny.weights(0))
    for file in list(snapshot.iterdir()):
        file.rename(repo / "blobs" / file.name)
        file.symlink_to(Path("../../blobs") / file.name)
    assert open_checkpoint(str(snapshot)).layers == 2


def test_errors_are_merge_errors() -> None:
    assert issubclass(CompatibilityError, CheckpointError) and issubclass(CheckpointError, MergeError)
