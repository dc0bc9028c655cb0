"""Aligning vocabularies: base, union, another model; tied and untied heads; padded rows; stacked layers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Recipe, merge_to_folder
from merging.errors import CompatibilityError
from tests.merging import tiny

EMBED = "model.embed_tokens.weight"
WORDS = {"x": ["u", "a", "b", "c"], "y": ["u", "c", "d"], "z": ["u", "d", "e", "a", "b"]}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Three models with vocabularies that overlap; y has a padding row behind its tokens."""
    sizes = {"x": 4, "y": 4, "z": 5}
    return {
        name: str(tiny.write_model(tmp_path / name, tiny.weights(i, vocab=sizes[name], tied=name != "z"), words))
        for i, (name, words) in enumerate(WORDS.items())
    }


def rows(models: dict[str, str], name: str) -> dict[str, torch.Tensor]:
    embedding = load_file(f"{models[name]}/model.safetensors")[EMBED]
    return {word: embedding[i] for i, word in enumerate(WORDS[name])}


def merge(models: dict[str, str], names: str, out: Path, **more: Any) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    recipe = Recipe.build("linear", models=[models[n] for n in names], parameters={"weight": 1}, **more)
    live = LiveModel()
    live.apply(recipe)
    got = load_file(merge_to_folder(recipe, out) / "model.safetensors")
    assert all(torch.equal(live.model.state_dict()[n], t) for n, t in got.items())
    tree = json.loads((out / "tokenizer.json").read_text())
    vocab = tree["model"]["vocab"] | {e["content"]: e["id"] for e in tree["added_tokens"]}
    assert live.tokenizer is not None and live.tokenizer.get_vocab() == vocab
    assert json.loads((out / "config.json").read_text())["vocab_size"] == len(vocab) == got[EMBED].shape[0]
    return got, vocab


def test_union(models: dict[str, str], tmp_path: Path) -> None:
    got, vocab = merge(models, "xy", tmp_path / "out", tokenizer_source="union")
    assert vocab == {"u": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    x, y = rows(models, "x"), rows(models, "y")
    expected = [(x["u"] + y["u"]) / 2, x["a"], x["b"], (x["c"] + y["c"]) / 2, y["d"]]
    torch.testing.assert_close(got[EMBED], torch.stack(expected), atol=1e-6, rtol=0)


def test_owners_mean_stands_for_a_missing_token(models: dict[str, str], tmp_path: Path) -> None:
    got, vocab = merge(models, "xyz", tmp_path / "out", tokenizer_source="union")
    x, y, z = (rows(models, n) for n in "xyz")
    torch.testing.assert_close(got[EMBED][vocab["a"]], (x["a"] + z["a"]) / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(got[EMBED][vocab["d"]], (y["d"] + z["d"]) / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(got[EMBED][vocab["e"]], z["e"], atol=1e-6, rtol=0)
    # The untied model makes the merged head its own: the tied ones give their embedding for it.
    assert "lm_head.weight" in got
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    head = load_file(f"{models['z']}/model.safetensors")["lm_head.weight"]
    torch.testing.assert_close(got["lm_head.weight"][vocab["e"]], head[2], atol=1e-6, rtol=0)


def test_the_bases_row_goes_first(models: dict[str, str], tmp_path: Path) -> None:
    recipe = Recipe.build(
        "ties",
        models=[models["y"], models["z"]],
        base_model=models["x"],
        parameters={"weight": 1},
        tokenizer_source="base",
    )
    got = load_file(merge_to_folder(recipe, tmp_path / "out") / "model.safetensors")
    x, z = rows(models, "x"), rows(models, "z")
    assert got[EMBED].shape[0] == 4
    # y lacks "a": it takes the base's row, so its delta is 0 there and z alone decides.
    torch.testing.assert_close(got[EMBED][1], z["a"], atol=1e-6, rtol=0)
    assert not torch.equal(x["a"], z["a"])


def test_another_models_tokenizer(models: dict[str, str], tmp_path: Path) -> None:
    got, vocab = merge(models, "xy", tmp_path / "out", tokenizer_source=models["y"])
    assert vocab == {"u": 0, "c": 1, "d": 2}
    torch.testing.assert_close(got[EMBED][2], rows(models, "y")["d"], atol=1e-6, rtol=0)


def test_equal_vocabularies_are_not_touched(models: dict[str, str], tmp_path: Path) -> None:
    plain = Recipe.build("linear", models=[models["x"]], parameters={"weight": 1})
    union = Recipe.build("linear", models=[models["x"]], parameters={"weight": 1}, tokenizer_source="union")
    found = [
        load_file(merge_to_folder(r, tmp_path / str(i)) / "model.safetensors") for i, r in enumerate((plain, union))
    ]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_without_a_tokenizer(models: dict[str, str], tmp_path: Path) -> None:
    bare = str(tiny.write_model(tmp_path / "bare", tiny.weights(5, vocab=4)))
    live = LiveModel()
    live.apply(Recipe.build("linear", models=[bare], parameters={"weight": 1}))
    assert live.tokenizer is None
    with pytest.raises(CompatibilityError, match=r"has no tokenizer\.json"):
        live.apply(
            Recipe.build("linear", models=[models["x"], bare], parameters={"weight": 1}, tokenizer_source="union")
        )


def test_a_live_model_changes_shape_and_back(models: dict[str, str], tmp_path: Path) -> None:
    live = LiveModel(list(models.values()))
    plain = Recipe.single(models["x"])
    union = Recipe.build(
        "linear", models=[models["x"], models["y"]], parameters={"weight": 1}, tokenizer_source="union"
    )
    shapes = []
    for recipe in (plain, union, plain):
        live.apply(recipe)
        shapes.append(live.model.get_input_embeddings().weight.shape[0])
    assert shapes == [4, 5, 4]
    expected = load_file(f"{models['x']}/model.safetensors")
    assert all(torch.equal(live.model.state_dict()[n], t) for n, t in expected.items())


STACK = """
merge_method: linear
slices:
- sources: [{{model: {0}, layer_range: [0, 2]}}]
- sources:
  - {{model: {0}, layer_range: [0, 1], parameters: {{weight: 3}}}}
  - {{model: {1}, layer_range: [1, 2], parameters: {{weight: 1}}}}
parameters: {{weight: 1}}
"""


def test_stacked_layers(tmp_path: Path) -> None:
    ends = [tiny.weights(i, tied=False) for i in (0, 1)]
    kinds = (["sliding_attention", "full_attention"], ["full_attention", "sliding_attention"])
    names = [
        str(tiny.write_model(tmp_path / f"m{i}", tensors, layer_types=kind))
        for i, (tensors, kind) in enumerate(zip(ends, kinds, strict=True))
    ]
    recipe = Recipe.from_yaml(STACK.format(*names))
    got = load_file(merge_to_folder(recipe, tmp_path / "out") / "model.safetensors")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == 3
    assert config["layer_types"] == ["sliding_attention", "full_attention", "sliding_attention"]
    part = "mlp.up_proj.weight"
    assert torch.equal(got[f"model.layers.1.{part}"], ends[0][f"model.layers.1.{part}"])
    mixed = (3 * ends[0][f"model.layers.0.{part}"] + ends[1][f"model.layers.1.{part}"]) / 4
    torch.testing.assert_close(got[f"model.layers.2.{part}"], mixed, atol=1e-6, rtol=0)
    assert torch.equal(got[EMBED], ends[0][EMBED])  # embeddings: the first slice
    head = (3 * ends[0]["lm_head.weight"] + ends[1]["lm_head.weight"]) / 4  # norm and head: the last
    torch.testing.assert_close(got["lm_head.weight"], head, atol=1e-6, rtol=0)
    live = LiveModel(names)
    live.apply(Recipe.single(names[0]))
    live.apply(recipe)
    assert all(torch.equal(live.model.state_dict()[n], t) for n, t in got.items())


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    name = str(tiny.write_model(tmp_path / "m", tiny.weights(0)))
    source = f"{{model: {name}, layer_range: [0, 3]}}"
    text = f"merge_method: linear\nslices: [{{sources: [{source}]}}]\nparameters: {{weight: 1}}"
    with pytest.raises(Exception, match=r"layer_range \[0, 3\] asks .* for more layers than its 2"):
        merge_to_folder(Recipe.from_yaml(text), tmp_path / "out")
