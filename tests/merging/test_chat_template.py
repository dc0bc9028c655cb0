"""The merged model's chat template: the vote, the formats by name against what they must print, Jinja, the files."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from merging import LiveModel, Recipe, merge_to_folder
from merging.chat_template import BUILT_IN
from merging.errors import CheckpointError, CompatibilityError, RecipeError
from tests.merging import tiny

WORDS = ["<unk>", "a", "b", "<s>", "</s>"]
SYSTEM, USER, ANSWER, AGAIN = ("Be brief.", "Hello", "Hi there", "Bye")
TALK = [
    {"role": "system", "content": SYSTEM}, {"role": "user", "content": USER},
    {"role": "assistant", "content": ANSWER}, {"role": "user", "content": AGAIN},
]  # fmt: skip
# What each format's own description prints for TALK and an open answer, and for the first question alone.
PRINTED = {
    "alpaca": (
        "<s>Be brief.\n\n### Instruction:\nHello\n\n### Response:\nHi there</s>\n\n### Instruction:\nBye\n\n"
        "### Response:\n",
        "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nHello\n\n### Response:\n",
    ),
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
        "Hi there<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    ),
    "exaone": (
        "[|system|]Be brief.[|endofturn|]\n[|user|]Hello\n[|assistant|]Hi there[|endofturn|]\n[|user|]Bye\n"
        "[|assistant|]",
        "[|system|][|endofturn|]\n[|user|]Hello\n[|assistant|]",
    ),
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<s><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "mistral": (
        "<s>[INST] Be brief.\n\nHello [/INST] Hi there</s>[INST] Bye [/INST]",
        "<s>[INST] Hello [/INST]",
    ),
}


def write(folder: Path, seed: int, **config: Any) -> str:
    """A model with a tokenizer whose tokenizer_config.json has `config`."""
    tiny.write_model(folder, tiny.weights(seed, vocab=len(WORDS)), WORDS)
    tree = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"} | config
    (folder / "tokenizer_config.json").write_text(json.dumps(tree))
    return str(folder)


def recipe_of(paths: list[str], template: str | None, base: str | None = None) -> Recipe:
    recipe = Recipe.build("linear", models=paths, parameters={"weight": 1}, base_model=base)
    return Recipe(**{**vars_of(recipe), "chat_template": template})


def vars_of(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in ("method", "slices", "base_model", "parameters")}


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_formats(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0)
    tokenizer = AutoTokenizer.from_pretrained(merge_to_folder(recipe_of([path], name), tmp_path / "out"))
    for talk, printed in zip((TALK, TALK[1:2]), PRINTED[name], strict=True):
        assert tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False) == printed
    closed = tokenizer.apply_chat_template(TALK[:3], tokenize=False)
    assert ANSWER in closed and closed.count(ANSWER) == 1 and closed != printed


def test_every_format_is_tested() -> None:
    assert set(PRINTED) == set(BUILT_IN)


A, B = "A{{ messages[0]['content'] }}", "B{{ messages[0]['content'] }}"
VOTES = [
    pytest.param([A, B, B], B, id="the most common"),
    pytest.param([B, A, A, B], B, id="a tie: listed first"),
    pytest.param([None, B, A], B, id="none does not vote"),
    pytest.param([None, None], None, id="none has one"),
    pytest.param([[{"name": "tool", "template": A}, {"name": "default", "template": B}]], B, id="several by name"),
]


@pytest.mark.parametrize(("templates", "winner"), VOTES)
def test_auto(templates: list[Any], winner: str | None, tmp_path: Path) -> None:
    given = [{} if template is None else {"chat_template": template} for template in templates]
    paths = [write(tmp_path / str(i), i, **config) for i, config in enumerate(given)]
    out = merge_to_folder(recipe_of(paths, "auto"), tmp_path / "out")
    assert AutoTokenizer.from_pretrained(out).chat_template == winner
    assert (out / "chat_template.jinja").exists() == (winner is not None)
    assert "chat_template" not in json.loads((out / "tokenizer_config.json").read_text())


def test_auto_reads_every_layout_and_the_base(tmp_path: Path) -> None:
    files = {"jinja": ("chat_template.jinja", A), "json": ("chat_template.json", json.dumps({"chat_template": A}))}
    paths = {name: write(tmp_path / name, i, chat_template=B) for i, name in enumerate((*files, "base", "plain"))}
    for name, (file, text) in files.items():
        (Path(paths[name]) / file).write_text(text)
    recipe = recipe_of([paths["jinja"], paths["json"]], "auto", base=paths["base"])
    out = merge_to_folder(recipe, tmp_path / "two")
    assert (out / "chat_template.jinja").read_text() == A
    recipe = recipe_of([paths["plain"], paths["jinja"]], "auto", base=paths["base"])
    assert (merge_to_folder(recipe, tmp_path / "one") / "chat_template.jinja").read_text() == B


def test_one_template_is_left_in_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0, chat_template=B)
    (tmp_path / "m" / "chat_template.json").write_text(json.dumps({"chat_template": B}))
    (tmp_path / "m" / "chat_template.jinja").write_text(B)
    out = merge_to_folder(recipe_of([path], A), tmp_path / "out")
    assert (out / "chat_template.jinja").read_text() == A and not (out / "chat_template.json").exists()
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert "chat_template" not in config and config["eos_token"] == "</s>"
    untouched = merge_to_folder(recipe_of([path], None), tmp_path / "plain")
    assert (untouched / "chat_template.jinja").read_text() == B


def test_the_live_models_tokenizer_follows(tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0, chat_template=B)
    live = LiveModel([path])
    found = []
    for template in (None, A, "chatml", None):
        live.apply(recipe_of([path], template))
        assert live.tokenizer is not None
        found.append(live.tokenizer.apply_chat_template(TALK[1:2], tokenize=False))
    assert found == ["BHello", "AHello", "<|im_start|>user\nHello<|im_end|>\n", "BHello"]


def test_marks_that_are_not_tokens_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0)
    live = LiveModel([path])
    notes = live.apply(recipe_of([path], "chatml")).notes
    assert any("writes <|im_start|>, <|im_end|>, which the vocabulary does not have" in note for note in notes)
    tokens = "tokens: {<|im_start|>: {source: {kind: zero}}, <|im_end|>: {source: {kind: zero}}}"
    recipe = Recipe.from_yaml(
        f"merge_method: linear\nmodels: [{{model: {path}}}]\nparameters: {{weight: 1}}\n"
        f"tokenizer: {{{tokens}}}\nchat_template: chatml"
    )
    assert not any("im_start" in note for note in live.apply(recipe).notes)
    assert live.tokenizer is not None
    ids: Any = live.tokenizer.apply_chat_template(TALK[1:2], return_dict=False)
    assert ids[0] == 5 and 6 in ids


REFUSED = [
    pytest.param("chatm", r"no Jinja template\. Did you mean 'chatml'\? Known names: auto, alpaca", id="name"),
    pytest.param("{% for m in messages %}", "in its line 1: Unexpected end of template", id="no end"),
    pytest.param("{{ 1 }}\n{{ a b }}", "in its line 2", id="line inside"),
    pytest.param("{% load x %}", "unknown tag", id="unknown tag"),
    pytest.param("{{ 1 }}" + "x" * 70_000, "characters", id="too long"),
    pytest.param("{{ " + "(" * 5000 + ")" * 5000 + " }}", "chat_template", id="too deep"),
    pytest.param(3, "must be a name or a Jinja template", id="no text"),
    pytest.param("", "must be a name or a Jinja template", id="empty"),
]


@pytest.mark.parametrize(("template", "words"), REFUSED)
def test_refused_before_any_work(template: Any, words: str) -> None:
    from merging.recipe_yaml import parse_mapping

    tree = {"merge_method": "linear", "models": [{"model": "a"}], "parameters": {"weight": 1}}
    with pytest.raises(RecipeError, match=words):
        parse_mapping(tree | {"chat_template": template})


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ raise_exception('rendered') }}", id="would raise"),
        pytest.param("{% for m in messages %}{% break %}{% endfor %}{{ 1 }}", id="break"),
        pytest.param("{% generation %}{{ messages[0].content }}{% endgeneration %}", id="generation"),
        pytest.param("{{ messages | tojson }}{{ strftime_now('%d') }}", id="functions of transformers"),
        pytest.param("{{ ''.__class__.__mro__ }}", id="only the sandbox may judge it"),
    ],
)
def test_jinja_is_read_not_rendered(template: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0)
    out = merge_to_folder(recipe_of([path], template), tmp_path / "out")
    assert (out / "chat_template.jinja").read_text() == template


def test_the_sandbox_renders(tmp_path: Path) -> None:
    from jinja2.exceptions import SecurityError

    live = LiveModel()
    live.apply(recipe_of([write(tmp_path / "m", 0)], "{{ ''.__class__.__mro__[1].__subclasses__() }}"))
    assert live.tokenizer is not None
    with pytest.raises(SecurityError):
        live.tokenizer.apply_chat_template(TALK, tokenize=False)


def test_without_a_tokenizer(tmp_path: Path) -> None:
    bare = str(tiny.write_model(tmp_path / "bare", tiny.weights(0)))
    with pytest.raises(CompatibilityError, match="has no tokenizer to set a chat_template in"):
        merge_to_folder(recipe_of([bare], "chatml"), tmp_path / "out")
    merge_to_folder(recipe_of([bare], "auto"), tmp_path / "out")


def test_a_damaged_template_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m", 0)
    (tmp_path / "m" / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"chat template of .* cannot be read"):
        merge_to_folder(recipe_of([path], "auto"), tmp_path / "out")
