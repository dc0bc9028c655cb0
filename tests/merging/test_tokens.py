"""Rules for single tokens (`tokenizer: tokens:`) and padding, against loops over tokens by the letter of the rules."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Recipe, merge_to_folder
from merging.errors import CompatibilityError, RecipeError
from tests.merging import tiny

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
WORDS = {"x": ["u", "a", "b", "c"], "y": ["u", "c", "d"], "z": ["u", "d", "e", "a", "b"], "far": ["q", "u", "e"]}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Untied models with vocabularies that overlap."""
    return {
        name: str(
            tiny.write_model(tmp_path / name, tiny.weights(i, vocab=len(words), tied=False), words)
        )
        for i, (name, words) in enumerate(WORDS.items())
    }  # fmt: skip


def rows(models: dict[str, str], name: str, tensor: str) -> dict[str, torch.Tensor]:
    matrix = load_file(f"{models[name]}/model.safetensors")[tensor].double()
    return {word: matrix[i] for i, word in enumerate(WORDS[name])}


def recipe_of(models: dict[str, str], names: str, tokenizer: dict[str, Any], base: str | None = None) -> Recipe:
    from merging.recipe_yaml import parse_mapping

    tree: dict[str, Any] = {
        "merge_method": "linear", "models": [{"model": models[n], "parameters": {"weight": i + 1}} for i, n in
                                             enumerate(names)], "tokenizer": tokenizer,
    }  # fmt: skip
    return parse_mapping(tree | ({"base_model": models[base]} if base else {}))


def merge(recipe: Recipe, out: Path) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """The tensors and the vocabulary."""
    got = load_file(merge_to_folder(recipe, out) / "model.safetensors")
    tree = json.loads((out / "tokenizer.json").read_text())
    vocab = tree["model"]["vocab"] | {e["content"]: e["id"] for e in tree["added_tokens"]}
    assert json.loads((out / "config.json").read_text())["vocab_size"] == got[EMBED].shape[0] == got[HEAD].shape[0]
    return got, vocab


def usual(models: dict[str, str], names: str, tensor: str, token: str) -> torch.Tensor:
    """The row of a token for a model that lacks it, where there is no base: the mean of the owners' rows."""
    owners = [rows(models, n, tensor)[token] for n in names if token in WORDS[n]]
    return sum(owners, torch.zeros(tiny.HIDDEN).double()) / len(owners)


RULES = [
    pytest.param("d", {"source": "y"}, ("y", "d"), False, id="a model's row for who lacks it"),
    pytest.param("d", {"source": "y", "force": True}, ("y", "d"), True, id="forced upon all"),
    pytest.param("a", {"source": "far", "force": True}, None, None, id="a model that is not merged and lacks it"),
    pytest.param("e", {"source": "far"}, ("far", "e"), False, id="a model that is not merged"),
    pytest.param("a", {"source": {"kind": "model_token", "model": "y", "token": "c"}}, ("y", "c"), False, id="token"),
    pytest.param("a", {"source": {"kind": "model_token", "model": "z", "token_id": 1}, "force": True}, ("z", "d"),
                 True, id="row by number"),
    pytest.param("e", {"source": {"kind": "zero"}}, ("zero", ""), False, id="zero"),
    pytest.param("b", {"source": {"kind": "zero"}, "force": True}, ("zero", ""), True, id="zero for all"),
    pytest.param("b", {"force": True}, ("usual", ""), True, id="the usual row for all"),
    pytest.param("b", {}, ("usual", ""), False, id="an empty rule"),
    pytest.param("new", {"source": {"kind": "model_token", "model": "x", "token": "b"}}, ("x", "b"), False, id="new"),
    pytest.param("new", {"source": {"kind": "zero"}}, ("zero", ""), False, id="new and zero"),
]  # fmt: skip


def named(models: dict[str, str], rule: dict[str, Any]) -> dict[str, Any]:
    """The rule with folders for names."""
    source = rule.get("source")
    if isinstance(source, str):
        return rule | {"source": models[source]}
    if source and "model" in source:
        return rule | {"source": source | {"model": models[source["model"]]}}
    return rule


@pytest.mark.parametrize(("token", "rule", "origin", "force"), RULES)
def test_rules(
    models: dict[str, str], tmp_path: Path, token: str, rule: dict[str, Any], origin: Any, force: Any
) -> None:
    names = "xyz"
    recipe = recipe_of(models, names, {"source": "union", "tokens": {token: named(models, rule)}})
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    if origin is None:
        with pytest.raises(CompatibilityError, match=rf"takes '{token}' from .*far', whose tokenizer has no '{token}'"):
            merge_to_folder(recipe, tmp_path / "out")
        return
    got, vocab = merge(recipe, tmp_path / "out")
    assert set(vocab) == {word for name in names for word in WORDS[name]} | {token}
    for tensor in (EMBED, HEAD):
        for word, place in vocab.items():
            total = torch.zeros(tiny.HIDDEN).double()
            for weight, name in enumerate(names, 1):
                has = word in WORDS[name]
                if word == token and origin[0] != "usual" and (force or not has):
                    row = torch.zeros(tiny.HIDDEN).double() if origin[0] == "zero" else (
                        rows(models, origin[0], tensor)[origin[1]])  # fmt: skip
                elif has and not (word == token and force):
                    row = rows(models, name, tensor)[word]
                else:
                    row = usual(models, names, tensor, word)
                total += weight * row / 6
            torch.testing.assert_close(got[tensor][place].double(), total, atol=1e-6, rtol=1e-6, msg=f"{word} {tensor}")


def test_live_is_the_same(models: dict[str, str], tmp_path: Path) -> None:
    live = LiveModel()
    plain = {"source": "union"}
    forced = plain | {"tokens": {"a": {"source": models["z"], "force": True}}, "pad_to_multiple_of": 4}
    for number, tokenizer in enumerate((forced, plain, forced)):
        recipe = recipe_of(models, "xyz", tokenizer)
        live.apply(recipe)
        got, vocab = merge(recipe, tmp_path / str(number))
        assert all(torch.equal(live.model.state_dict()[n], t) for n, t in got.items())
        assert live.tokenizer is not None and live.tokenizer.get_vocab() == vocab


def test_a_rule_goes_before_the_bases_row(models: dict[str, str], tmp_path: Path) -> None:
    tokens = {"a": {"source": models["z"]}}
    recipe = Recipe.from_yaml(
        f"merge_method: task_arithmetic\nbase_model: {models['x']}\nmodels:\n- model: {models['y']}\n"
        f"tokenizer: {json.dumps({'source': 'base', 'tokens': tokens})}\nparameters: {{weight: 1}}"
        .replace("task_arithmetic", "ties")
    )  # fmt: skip
    got, vocab = merge(recipe, tmp_path / "out")
    # y lacks "a": with the rule it brings z's row, so that the merge is z's; "b" has no rule, so it stays the base's.
    expected = rows(models, "z", EMBED)["a"], rows(models, "x", EMBED)["b"]
    for word, row in zip("ab", expected, strict=True):
        torch.testing.assert_close(got[EMBED][vocab[word]].double(), row, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("multiple", "size"), [(1, 6), (4, 8), (7, 7)])
@pytest.mark.parametrize("method", ["linear", "ties"])
def test_padding_is_the_mean_of_each_models_rows(
    models: dict[str, str], tmp_path: Path, multiple: int, size: int, method: str
) -> None:
    tokenizer = {"source": "union", "pad_to_multiple_of": multiple}
    recipe = recipe_of(models, "xyz", tokenizer, "x" if method == "ties" else None)
    if method == "ties":
        text = recipe.to_yaml().replace("merge_method: linear", "merge_method: ties")
        recipe = Recipe.from_yaml(text.replace("tokenizer:", "out_dtype: float32\ntokenizer:"))
    got, vocab = merge(recipe, tmp_path / "out")
    assert got[EMBED].shape == (size, tiny.HIDDEN) and len(vocab) == 6
    if method == "linear":  # a linear merge of the means is the mean of the merge
        for row in range(6, size):
            mean = got[EMBED][:6].double().mean(0)
            torch.testing.assert_close(got[EMBED][row].double(), mean, atol=1e-6, rtol=1e-6)
    else:
        assert all(torch.equal(got[HEAD][row], got[HEAD][size - 1]) for row in range(6, size))


def test_padding_of_equal_vocabularies(tmp_path: Path) -> None:
    words = ["u", "a", "b"]
    paths = [str(tiny.write_model(tmp_path / str(i), tiny.weights(i, vocab=3, tied=False), words)) for i in range(2)]
    recipe = Recipe.from_yaml(
        f"merge_method: slerp\nbase_model: {paths[0]}\nmodels: [{{model: {paths[0]}}}, {{model: {paths[1]}}}]\n"
        "parameters: {t: 0}\ntokenizer: {source: base, pad_to_multiple_of: 2}"
    )
    got, _ = merge(recipe, tmp_path / "out")
    end = load_file(f"{paths[0]}/model.safetensors")[EMBED]
    torch.testing.assert_close(got[EMBED], torch.cat([end, end.double().mean(0, keepdim=True).float()]))


def test_flags_of_a_new_token_are_those_of_the_one_it_is_taken_from(models: dict[str, str], tmp_path: Path) -> None:
    file = Path(models["y"]) / "tokenizer.json"
    tree = json.loads(file.read_text())
    entry = {"id": 2, "content": "d", "special": True, "lstrip": False, "rstrip": False, "normalized": False,
             "single_word": False}  # fmt: skip
    file.write_text(json.dumps(tree | {"added_tokens": [entry]}))
    source = {"kind": "model_token", "model": models["y"], "token": "d"}
    tokens = {"<end>": {"source": source}, "<plain>": {"source": {"kind": "zero"}}}
    live = LiveModel()
    live.apply(recipe_of(models, "xy", {"source": models["x"], "tokens": tokens}))
    assert live.tokenizer is not None and live.tokenizer.get_vocab() == {
        "u": 0, "a": 1, "b": 2, "c": 3, "<end>": 4, "<plain>": 5
    }  # fmt: skip
    assert "<end>" in live.tokenizer.all_special_tokens or live.tokenizer.decode([4], skip_special_tokens=True) == ""
    assert live.tokenizer("a<end>b<plain>").input_ids == [1, 4, 2, 5]


REFUSED = [
    pytest.param({"d": {"source": {"kind": "model_token", "model": "y", "token": "dd"}}},
                 r"takes 'd' from .*y', whose tokenizer has no 'dd'\. Did you mean 'd'\?", id="no such token"),
    pytest.param({"d": {"source": {"kind": "model_token", "model": "y", "token_id": 3}}},
                 r"takes 'd' from row 3 of .*y', whose .* has 3 rows", id="no such row"),
    pytest.param({"zz": {}}, "lists 'zz', which no model of the merge knows: give it a `source`", id="known to none"),
]  # fmt: skip


@pytest.mark.parametrize(("tokens", "words"), REFUSED)
def test_refused_before_any_work(models: dict[str, str], tmp_path: Path, tokens: dict, words: str) -> None:
    tokens = {token: named(models, rule) for token, rule in tokens.items()}
    with pytest.raises(CompatibilityError, match=words):
        merge_to_folder(recipe_of(models, "xy", {"source": "union", "tokens": tokens}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


FORMS = [
    pytest.param({"tokens": {"a": {"sorce": "x"}}}, "'sorce' in tokenizer.tokens.a. Did you mean 'source'", id="key"),
    pytest.param({"tokens": {"a": "x"}}, "tokenizer.tokens.a is 'x'", id="no mapping"),
    pytest.param({"tokens": {"": {}}}, "without any character", id="no character"),
    pytest.param({"tokens": {"a": {"source": {"kind": "model_token", "token": "b"}}}}, "has no model", id="no model"),
    pytest.param({"tokens": {"a": {"source": {"kind": "model_token", "model": "x"}}}}, "exactly one of", id="no row"),
    pytest.param({"tokens": {"a": {"source": {"model": "x", "token": "b", "token_id": 1}}}}, "exactly one of",
                 id="two rows"),
    pytest.param({"pad_to_multiple_of": True}, "whole number from 1", id="padding no number"),
    pytest.param({"pad_to_multiple_of": 10**9}, "whole number from 1", id="padding too large"),
    pytest.param({"pad": 8}, "'pad' in tokenizer", id="unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("tokenizer", "words"), FORMS)
def test_what_is_no_rule(tokenizer: dict, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe_of({"x": "x", "y": "y"}, "xy", tokenizer)
