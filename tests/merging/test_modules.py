"""Checkpoints with several modules (a language model, a vision tower, a projector), each merged on its own."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from merging import Recipe, merge_to_folder, modules
from merging.errors import RecipeError
from tests.merging import tiny

TEXT = {
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 32, "head_dim": 4, "max_position_embeddings": 32,
}  # fmt: skip
VISION = {
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 8,
    "patch_size": 4,
}  # fmt: skip
PREFIX = {"text_decoder": "language_model.", "vision_tower": "vision_tower.", "multi_modal_projector": "multi_modal_"}


def build(kind: str, folder: Path, seed: int) -> str:
    """A random model of a real architecture, as transformers saves it."""
    import transformers as hf

    torch.manual_seed(seed)
    if kind == "gemma3":
        text = TEXT | {"layer_types": ["sliding_attention", "full_attention"]}
        config = hf.Gemma3Config(
            text_config=text, vision_config=VISION | {"model_type": "siglip_vision_model"}, mm_tokens_per_image=1,
            image_token_index=5,
        )  # fmt: skip
        model: Any = hf.Gemma3ForConditionalGeneration(config)
    else:
        vision = VISION | {"model_type": "clip_vision_model", "projection_dim": 8}
        config = hf.LlavaConfig(
            text_config=TEXT | {"model_type": "llama"}, vision_config=vision, image_token_index=5
        )  # fmt: skip
        model = hf.LlavaForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.5)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["gemma3", "llava"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp(request.param)
    return build(request.param, folder / "a", 1), build(request.param, folder / "b", 2)


def tensors(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(f"{folder}/model.safetensors")


def module_of(name: str) -> str:
    return next(module for module, prefix in PREFIX.items() if name.startswith(prefix))


def loads(out: Path) -> Any:
    """The merged folder in transformers, every tensor in its place."""
    from transformers import AutoModelForImageTextToText

    loaded: Any = AutoModelForImageTextToText.from_pretrained(out, output_loading_info=True)
    model, found = loaded
    assert not found["missing_keys"] and not found["unexpected_keys"] and not found["mismatched_keys"]
    return model


EACH = """
merge_method: linear
modules:
  text_decoder:
    models:
    - {{model: {a}, parameters: {{weight: 3}}}}
    - {{model: {b}, parameters: {{weight: 1}}}}
  vision_tower:
    models: [{{model: {a}}}, {{model: {b}}}]
    parameters:
      weight: {{filter: layer_norm, value: 2}}
      normalize: false
  multi_modal_projector:
    models: [{{model: {b}}}]
parameters: {{weight: 0.5}}
"""


def test_each_module_merges_its_own_part(pair: tuple[str, str], tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(EACH.format(a=pair[0], b=pair[1]))
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    out = merge_to_folder(recipe, tmp_path / "out")
    a, b, got = tensors(pair[0]), tensors(pair[1]), tensors(out)
    assert got.keys() == a.keys() and {module_of(name) for name in got} == set(PREFIX)
    for name, tensor in got.items():
        one, two = a[name].double(), b[name].double()
        module = module_of(name)
        truth = {"text_decoder": (3 * one + two) / 4, "multi_modal_projector": two}.get(module)
        if truth is None:
            truth = (2 if "layer_norm" in name else 0.5) * (one + two)
        torch.testing.assert_close(tensor.double(), truth, atol=1e-6, rtol=1e-6, msg=name)
    loads(out)


def test_models_merge_every_tensor(pair: tuple[str, str], tmp_path: Path) -> None:
    """Gradients run over the layers of each module: the text has two, the vision tower three."""
    recipe = Recipe.build("slerp", models=list(pair), base_model=pair[0], parameters={"t": [0, 1]})
    out = merge_to_folder(recipe, tmp_path / "out")
    a, b, got = tensors(pair[0]), tensors(pair[1]), tensors(out)
    assert got.keys() == a.keys()
    for name, tensor in got.items():
        last = ".layers.1." if module_of(name) == "text_decoder" else ".layers.2."
        if last in name:
            assert torch.equal(tensor, b[name]), name
        elif ".layers.1." in name:
            assert not torch.equal(tensor, a[name]) and not torch.equal(tensor, b[name]), name
        else:
            assert torch.equal(tensor, a[name]), name


SLICED = """
merge_method: linear
modules:
  text_decoder:
    slices:
    - sources: [{{model: {a}, layer_range: [0, 2]}}]
    - sources: [{{model: {b}, layer_range: [1, 2]}}]
  vision_tower:
    slices: [{{sources: [{{model: {b}, layer_range: [0, 2]}}]}}]
  multi_modal_projector:
    models: [{{model: {a}}}]
parameters: {{weight: 1}}
"""


def test_slices_of_a_module(pair: tuple[str, str], tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(SLICED.format(a=pair[0], b=pair[1]))
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe and not recipe.is_whole
    out = merge_to_folder(recipe, tmp_path / "out")
    a, b, got = tensors(pair[0]), tensors(pair[1]), tensors(out)
    config = json.loads((out / "config.json").read_text())
    assert config["text_config"]["num_hidden_layers"] == 3 and config["vision_config"]["num_hidden_layers"] == 2
    if "layer_types" in config["text_config"]:
        assert config["text_config"]["layer_types"] == ["sliding_attention", "full_attention", "full_attention"]
    text, vision = "language_model.model.layers.{}.mlp.up_proj.weight", "vision_tower.encoder.layers.{}.mlp.fc1.weight"
    assert torch.equal(got[text.format(1)], a[text.format(1)]) and torch.equal(got[text.format(2)], b[text.format(1)])
    assert torch.equal(got[vision.format(1)], b[vision.format(1)]) and vision.format(2) not in got
    norm = "language_model.model.norm.weight"  # what follows the layers comes from the last slice
    assert torch.equal(got[norm], b[norm])
    assert torch.equal(got["language_model.model.embed_tokens.weight"], a["language_model.model.embed_tokens.weight"])
    loads(out)


def edited(text: str, pair: tuple[str, str], **changes: Any) -> Recipe:
    import yaml

    tree = yaml.safe_load(text.format(a=pair[0], b=pair[1]))
    for name, change in changes.items():
        tree["modules"].pop(name, None)
        if change is not None:
            tree["modules"][name] = change
    return Recipe.from_yaml(yaml.safe_dump(tree))


def test_unknown_and_lacking_modules(pair: tuple[str, str], tmp_path: Path) -> None:
    extra = {"models": [{"model": pair[0]}]}
    cases = {
        r"has no module 'vision_towr'\. Did you mean 'vision_tower'\? "
        r"Its modules: multi_modal_projector, text_decoder, vision_tower\.": {"vision_towr": extra},
        "has no module 'default'": {"default": extra},
        "modules lacks vision_tower: list every module of": {"vision_tower": None},
        "modules lacks multi_modal_projector, text_decoder": {"multi_modal_projector": None, "text_decoder": None},
    }
    for words, changes in cases.items():
        with pytest.raises(RecipeError, match=words):
            merge_to_folder(edited(EACH, pair, **changes), tmp_path / "out")
    sliced = {"slices": [{"sources": [{"model": pair[0], "layer_range": [0, 9]}]}]}
    with pytest.raises(RecipeError, match="more layers than its 3"):
        merge_to_folder(edited(EACH, pair, vision_tower=sliced), tmp_path / "out")
    sliced["slices"][0]["sources"][0]["layer_range"] = [0, 1]
    with pytest.raises(RecipeError, match="more layers than its 0"):
        merge_to_folder(edited(EACH, pair, multi_modal_projector=sliced), tmp_path / "out")
    whole = f"merge_method: linear\nslices: [{{sources: [{{model: {pair[0]}, layer_range: [0, 2]}}]}}]\n"
    with pytest.raises(RecipeError, match=r"has the modules .*: put `slices` under each of them in `modules`"):
        merge_to_folder(Recipe.from_yaml(whole + "parameters: {weight: 1}"), tmp_path / "out")


def test_a_config_that_does_not_count_a_modules_layers(pair: tuple[str, str], tmp_path: Path) -> None:
    folder = shutil.copytree(pair[0], tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=r"does not say how many layers vision_tower has: give its `models`"):
        merge_to_folder(Recipe.from_yaml(SLICED.format(a=folder, b=folder)), tmp_path / "out")


@pytest.mark.parametrize("name", ["default", "text_decoder"])
def test_a_checkpoint_with_one_module(name: str, tmp_path: Path) -> None:
    paths = [str(tiny.write_model(tmp_path / str(i), tiny.weights(i))) for i in range(2)]
    models = [{"model": path} for path in paths]
    tree = {"merge_method": "linear", "modules": {name: {"models": models}}, "parameters": {"weight": 1}}
    got = tensors(merge_to_folder(Recipe.from_yaml(json.dumps(tree)), tmp_path / "out"))
    del tree["modules"]
    plain = tensors(merge_to_folder(Recipe.from_yaml(json.dumps(tree | {"models": models})), tmp_path / "plain"))
    assert got.keys() == plain.keys() and all(torch.equal(got[n], t) for n, t in plain.items())
    for wrong, words in (({"vision_tower": {"models": models}}, "has no module 'vision_tower'.*text_decoder"),
                         ({m: {"models": models} for m in modules.ONLY}, "has one module only")):  # fmt: skip
        with pytest.raises(RecipeError, match=words):
            merge_to_folder(Recipe.from_yaml(json.dumps(tree | {"modules": wrong})), tmp_path / "wrong")


NAMES = [
    pytest.param(["model.embed_tokens.weight", "model.layers.0.x.weight", "lm_head.weight", "model.norm.weight"],
                 ["text_decoder"] * 4, id="Llama"),
    pytest.param(["transformer.wte.weight", "transformer.h.0.x.weight", "score.weight"], ["text_decoder"] * 3,
                 id="GPT-2 with a head of its own"),
    pytest.param(["wte.weight", "h.0.attn.c_attn.weight", "ln_f.weight"], ["text_decoder"] * 3, id="bare GPT-2"),
    pytest.param(["model.embed_tokens.weight", "mtp.layers.0.x.weight"], ["text_decoder"] * 2, id="a second stack"),
    pytest.param(["model.decoder.embed_tokens.weight", "model.decoder.layers.0.x.weight", "model.encoder.x.weight"],
                 ["text_decoder"] * 3, id="encoder and decoder"),
    pytest.param(["model.embed_tokens.weight", "visual.blocks.0.x.weight", "lm_head.weight"],
                 ["text_decoder", "visual", "text_decoder"], id="Qwen2-VL"),
    pytest.param(["model.language_model.embed_tokens.weight", "model.vision_tower.x.weight", "lm_head.weight",
                  "model.multi_modal_projector.x.weight", "model.image_newline"],
                 ["text_decoder", "vision_tower", "text_decoder", "multi_modal_projector", "multi_modal_projector"],
                 id="as transformers 5 names them inside"),
    pytest.param(["model.text_model.embed_tokens.weight", "model.connector.x.weight", "model.vision_model.x.weight"],
                 ["text_decoder", "connector", "vision_model"], id="Idefics3"),
    pytest.param(["language_model.model.embed_tokens.weight", "vision_model.a.weight", "mlp1.0.weight"],
                 ["text_decoder", "vision_model", "mlp1"], id="InternVL"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), NAMES)
def test_modules_by_the_names_of_tensors(names: list[str], expected: list[str]) -> None:
    assert [modules.split(names)[name] for name in names] == expected
