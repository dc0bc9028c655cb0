"""mergekit's configuration language as a whole: forms of a name, levels of parameters, lines of errors, round trips."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from merging import Recipe, merge_to_folder
from merging.errors import RecipeError
from merging.recipe_places import line_of
from tests.merging import tiny

SLERP = """\
merge_method: slerp
base_model: a
models:
- model: a
- model: b
parameters:
  t: 0.5
"""
TIES = """\
merge_method: ties
base_model: base
models:
- model: base
- model: a
  parameters:
    weight: 0.5
- model: b
  parameters:
    weight: 0.5
    density:
    - filter: mlp
      value: 0.5
    - value: [0.1, 1]
dtype: bfloat16
"""
MODULES = """\
merge_method: linear
modules:
  text_decoder:
    slices:
    - sources:
      - {model: a, layer_range: [0, 1]}
  vision_tower:
    models:
    - model: a
    parameters: {weight: 1}
parameters: {weight: 1}
"""
TOKENS = """\
merge_method: linear
models: [{model: a}, {model: b}]
parameters: {weight: 1}
tokenizer:
  source: union
  tokens:
    <|im.start|>:
      source: {kind: model_token, model: b, token_id: 3}
    "[x]":
      source: {kind: zero}
      force: true
  pad_to_multiple_of: 8
chat_template: chatml
"""
LINES = [
    pytest.param(SLERP, "merge_method: slerp", "merge_method: slurp", 1, id="method"),
    pytest.param(SLERP, "base_model: a\n", "base_modell: a\n", 2, id="top key"),
    pytest.param(SLERP, "- model: b", "- modle: b", 5, id="key of a model"),
    pytest.param(SLERP, "- model: b", "- parameters: {}", 5, id="no model"),
    pytest.param(SLERP, "t: 0.5", "t: half", 7, id="value"),
    pytest.param(SLERP, "t: 0.5", "t: true", 7, id="switch for a number"),
    pytest.param(SLERP, "t: 0.5", "tt: 0.5", 7, id="unknown parameter"),
    pytest.param(SLERP, "t: 0.5", "t: [0,\n   x]", 8, id="item of a gradient"),
    pytest.param(SLERP, "t: 0.5", "normalize: 1", 6, id="missing parameter"),
    pytest.param(SLERP, "parameters:\n  t: 0.5", "", 1, id="missing parameter, no parameters"),
    pytest.param(SLERP, "base_model: a\n", "", 1, id="no base"),
    pytest.param(SLERP, "- model: b\n", "", 3, id="too few models"),
    pytest.param(SLERP, "merge_method: slerp", "dtype: auto\nmerge_method: slerp", 1, id="dtype"),
    pytest.param(SLERP, "t: 0.5", "t: 0.5\n  seed: -1", 8, id="seed"),
    pytest.param(SLERP, "merge_method: slerp", "name: x\nmerge_method: slerp", 1, id="a key that does nothing"),
    pytest.param(SLERP, "base_model: a\n", "base_model: a\nbase_model: b\n", 3, id="key twice"),
    pytest.param(SLERP, "t: 0.5", "t: {", 8, id="broken YAML"),
    pytest.param(SLERP, "t: 0.5", "t: 0.5\nchat_template: '{% if %}'", 8, id="Jinja that does not parse"),
    pytest.param(TIES, "value: 0.5", "vale: 0.5", 13, id="key of a filter"),
    pytest.param(TIES, "[0.1, 1]", "[]", 14, id="empty gradient under a filter"),
    pytest.param(TIES, "    weight: 0.5\n- model: b", "    density: 0.5\n- model: b", 5, id="missing of one model"),
    pytest.param(TIES, "dtype: bfloat16", "dtype: bfloat", 15, id="dtype at the end"),
    pytest.param(MODULES, "- {model: a, layer_range: [0, 1]}", "- {model: a, layer_range: [1, 1]}", 6, id="range"),
    pytest.param(MODULES, "    models:\n    - model: a\n", "", 7, id="module without models"),
    pytest.param(MODULES, "parameters: {weight: 1}\nparameters", "parameters: {wait: 1}\nparameters", 10, id="module"),
    pytest.param(TOKENS, "token_id: 3", "token_id: -3", 8, id="token_id"),
    pytest.param(TOKENS, "force: true", "force: 1", 11, id="force"),
    pytest.param(TOKENS, "kind: zero", "kind: one", 10, id="kind"),
    pytest.param(TOKENS, "pad_to_multiple_of: 8", "pad_to_multiple_of: 0", 12, id="padding"),
    pytest.param(TOKENS, "  pad_to_multiple_of: 8", "pad_to_multiple_of: 8", 12, id="padding at the top"),
    pytest.param(TOKENS, "chatml", "chatm", 13, id="name of a template"),
]


@pytest.mark.parametrize(("text", "old", "new", "line"), LINES)
def test_errors_tell_their_line(text: str, old: str, new: str, line: int) -> None:
    assert old in text
    with pytest.raises(RecipeError, match=rf"\(line {line}[,)]") as caught:
        Recipe.from_yaml(text.replace(old, new))
    assert caught.value.line == line and str(caught.value).count("(line") == 1


def test_no_line_without_text() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.build("slerp", models=["a", "b"], base_model="a", parameters={"t": "half"})
    assert caught.value.line is None and "line" not in str(caught.value)


def test_places_in_a_node_that_holds_itself() -> None:
    root = yaml.compose("&a {'': *a, b: *a, c: [*a]}")
    assert line_of(root, "b.b.c[0].b.nothing") == 1 and line_of(root, ".c") is None and line_of(root, "[0]") is None


NAMES = [
    pytest.param({"model": {"path": "org/b"}}, "org/b", id="path"),
    pytest.param({"model": {"path": "org/b", "revision": "v1"}}, "org/b@v1", id="revision"),
    pytest.param({"path": "org/b", "revision": "v1"}, "org/b@v1", id="path alone"),
    pytest.param({"model": "org/b", "lora": "org/l"}, "org/b+org/l", id="lora"),
    pytest.param(
        {"model": {"model": {"path": "org/b", "revision": "v1"}}, "lora": {"path": "org/l", "revision": "x"}},
        "org/b@v1+org/l@x", id="nested",
    ),
    pytest.param({"model": " org/b ", "lora": None}, "org/b", id="no lora"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "name"), NAMES)
def test_a_model_as_a_mapping(given: Any, name: str) -> None:
    models = yaml.safe_dump(
        {"merge_method": "slerp", "base_model": given, "models": [{"model": "a"}, {"model": given}],
         "parameters": {"t": 1}, "tokenizer_source": given}
    )  # fmt: skip
    recipe = Recipe.from_yaml(models)
    assert recipe.base_model == recipe.tokenizer == name and recipe.models_used() == ("a", name)
    sources = [{"model": given, "layer_range": [0, 1]}]
    slices = {"merge_method": "linear", "slices": [{"sources": sources}], "parameters": {"weight": 1}}
    assert Recipe.from_yaml(yaml.safe_dump(slices)).models_used() == (name,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"model": {"path": "b", "revison": "x"}}, "'revison'.*Did you mean 'revision'", id="key"),
        pytest.param({"lora": "l"}, "has no model", id="lora alone"),
        pytest.param({"model": "b", "override_architecture": "x"}, "config.json says: take it out", id="architecture"),
        pytest.param({"path": "b", "revision": 3}, "revision is 3: it must be text", id="revision no text"),
        pytest.param({"model": {"model": {"model": {"model": {"model": {"model": "b"}}}}}}, "too often", id="deep"),
    ],
)
def test_a_model_that_is_none(given: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recipe.from_yaml(
            yaml.safe_dump({"merge_method": "linear", "models": [{"model": given}], "parameters": {"weight": 1}})
        )


def test_dtypes() -> None:
    for word in ("float32", "bfloat16", "float16"):
        recipe = Recipe.from_yaml(f"{SLERP}dtype: {word}\nout_dtype: torch.{word}\n")
        assert recipe.dtype == recipe.out_dtype == word
    with pytest.raises(RecipeError, match=r"dtype is 'auto'. Leave the key out"):
        Recipe.from_yaml(f"{SLERP}out_dtype: auto\n")
    with pytest.raises(RecipeError, match="dtype is 'int64'"):
        Recipe.from_yaml(f"{SLERP}dtype: int64\n")


@pytest.mark.parametrize("name", ["int8_mask", "rescale", "normalize", "lambda", "epsilon", "gamma"])
def test_parameters_of_other_methods_are_accepted_at_every_level(name: str) -> None:
    value = 0.5 if name in ("lambda", "epsilon", "gamma") else True
    tree = yaml.safe_load(SLERP) | {"parameters": {"t": 0.5, name: value}}
    tree["models"][1]["parameters"] = {name: [{"filter": "mlp", "value": value}, {"value": value}]}
    assert Recipe.from_yaml(yaml.safe_dump(tree)).digest() == Recipe.from_yaml(SLERP).digest()
    piece = {"sources": [{"model": m, "layer_range": [0, 1]} for m in "ab"], "parameters": {name: value}}
    tree = yaml.safe_load(SLERP) | {"slices": [piece]}
    del tree["models"]
    assert Recipe.from_yaml(yaml.safe_dump(tree)).slices[0].parameters


ROUND = [
    pytest.param(MODULES, id="modules"),
    pytest.param(TOKENS, id="tokens"),
    pytest.param(MODULES.replace("parameters: {weight: 1}\n", "parameters: {weight: [{filter: x, value: 2}]}\n", 1),
                 id="filters of a module joined to the recipe's"),
    pytest.param(f"{SLERP}chat_template: |\n  {{% for m in messages %}}\n  {{{{ m.content }}}}\n  {{% endfor %}}\n",
                 id="Jinja"),
    pytest.param(f"{SLERP}tokenizer: {{tokens: {{a: {{source: b}}, c: {{force: true}}, d: null}}}}\n", id="short"),
    pytest.param(f"{SLERP}tokenizer: {{source: base, pad_to_multiple_of: 64}}\n", id="padding alone"),
]  # fmt: skip


@pytest.mark.parametrize("text", ROUND)
def test_round_trip(text: str) -> None:
    recipe = Recipe.from_yaml(text)
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe and again.digest() == recipe.digest() and again.to_yaml() == recipe.to_yaml()


CHANGES = [
    pytest.param(TOKENS, "force: true", "force: false", id="force"),
    pytest.param(TOKENS, "token_id: 3", "token_id: 4", id="row"),
    pytest.param(TOKENS, "pad_to_multiple_of: 8", "pad_to_multiple_of: 16", id="padding"),
    pytest.param(TOKENS, "chat_template: chatml", "chat_template: auto", id="template"),
    pytest.param(TOKENS, "chat_template: chatml", "", id="no template"),
    pytest.param(MODULES, "vision_tower", "audio_tower", id="module"),
    pytest.param(MODULES, "    parameters: {weight: 1}", "    parameters: {weight: 2}", id="parameters of a module"),
]


@pytest.mark.parametrize(("text", "old", "new"), CHANGES)
def test_other_meaning_other_digest(text: str, old: str, new: str) -> None:
    assert old in text
    assert Recipe.from_yaml(text).digest() != Recipe.from_yaml(text.replace(old, new)).digest()


def test_what_says_nothing_leaves_the_digest() -> None:
    plain = f"{SLERP}tokenizer_source: union\n"
    for same in ("tokenizer: {pad_to_multiple_of: 1}", "tokenizer: {tokens: {}}", "tokenizer: {}"):
        assert Recipe.from_yaml(f"{SLERP}{same}\n").digest() == Recipe.from_yaml(plain).digest()


def test_models_that_lend_a_row_are_used() -> None:
    """Whoever may not read a checkpoint must not get at its rows either."""
    assert Recipe.from_yaml(TOKENS.replace("model: b, token_id", "model: c, token_id")).models_used() == ("a", "b", "c")


LEVELS = """
merge_method: linear
slices:
- sources:
  - model: {x}
    layer_range: [0, 4]
    parameters:
      weight:
      - {{filter: q_proj, value: [1, 5]}}
      - {{filter: k_proj, value: 2}}
  - model: {y}
    layer_range: [0, 4]
  parameters:
    weight: {{filter: k_proj, value: [3, 3, 6]}}
parameters:
  weight:
  - {{filter: up_proj, value: [1, 2, 4]}}
  - {{value: [1, 3]}}
  normalize: [true, false]
"""


def expected_weights(name: str) -> tuple[float, float]:
    """The two models' weights in LEVELS, read by hand: source, then slice, then recipe; 4 layers; the rest at 0."""
    layer = int(name.split(".")[2]) if ".layers." in name else 0
    line = {0: 1 + 0 / 3, 1: 1 + 2 / 3, 2: 1 + 4 / 3, 3: 3.0}[layer]
    if "q_proj" in name:
        return 1 + 4 * layer / 3, line
    if "k_proj" in name:
        return 2, {0: 3, 1: 3, 2: 4, 3: 6}[layer]
    if "up_proj" in name:
        both = {0: 1, 1: 1 + 2 / 3, 2: 2 + 2 / 3, 3: 4}[layer]
        return both, both
    return line, line


def test_levels_filters_and_gradients(tmp_path: Path) -> None:
    ends = [tiny.weights(seed, layers=4, tied=False) for seed in (0, 1)]
    paths = [tiny.write_model(tmp_path / str(i), t, num_hidden_layers=4) for i, t in enumerate(ends)]
    text = LEVELS.format(x=paths[0], y=paths[1])
    got = load_file(merge_to_folder(Recipe.from_yaml(text), tmp_path / "out") / "model.safetensors")
    assert got.keys() == ends[0].keys()
    for name, tensor in got.items():
        one, two = expected_weights(name)
        total = one + two if ".layers.3." not in name else 1  # normalize is picked, not interpolated: off at the end
        truth = (one * ends[0][name].double() + two * ends[1][name].double()) / total
        torch.testing.assert_close(tensor.double(), truth, atol=1e-6, rtol=1e-6)


def test_the_classic_gradient_of_slerp_leaves_norms_embeddings_and_head_alone(tmp_path: Path) -> None:
    ends = [tiny.weights(seed, layers=3, tied=False) for seed in (0, 1)]
    paths = [str(tiny.write_model(tmp_path / str(i), t, num_hidden_layers=3)) for i, t in enumerate(ends)]
    recipe = Recipe.build("slerp", models=paths, base_model=paths[0], parameters={"t": [0, 0.5, 1]})
    got = load_file(merge_to_folder(recipe, tmp_path / "out") / "model.safetensors")
    for name, tensor in got.items():
        if ".layers." not in name or ".layers.0." in name:
            assert torch.equal(tensor, ends[0][name]), name
        if ".layers.2." in name:
            assert torch.equal(tensor, ends[1][name]), name
