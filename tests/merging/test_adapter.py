"""LoRA adapters, against PEFT's own merge and by the formula."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merging import LiveModel, Recipe, merge_to_folder
from merging.checkpoint import open_checkpoint
from merging.errors import CheckpointError
from merging.pool import Pool
from merging.sources import Operand
from tests.merging import tiny

Q = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.write_model(tmp_path / "base", tiny.weights(0))


def merged(name: str, out: Path, **more: Any) -> dict[str, torch.Tensor]:
    recipe = Recipe.build("linear", models=[name], parameters={"weight": 1}, **more)
    return load_file(merge_to_folder(recipe, out) / "model.safetensors")


def delta(folder: Path, module: str, scale: float) -> torch.Tensor:
    found = load_file(folder / "adapter_model.safetensors")
    down, up = (found[f"base_model.model.{module}.lora_{part}.weight"].double() for part in "AB")
    return scale * up @ down


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        pytest.param({}, 4 / 2, id="alpha / r"),
        pytest.param({"use_rslora": True}, 4 / math.sqrt(2), id="rank-stabilised"),
        pytest.param({"alpha_pattern": {"q_proj": 10}}, 10 / 2, id="alpha pattern"),
        pytest.param({"r": 8, "rank_pattern": {"layers.[01].self_attn.q_proj": 2}}, 4 / 2, id="rank pattern"),
    ],
)
def test_scale(base: Path, tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(base), **config)
    got = merged(str(lora), tmp_path / "out")
    expected = load_file(base / "model.safetensors")
    expected[f"{Q}.weight"] = (expected[f"{Q}.weight"].double() + delta(lora, Q, scale)).float()
    other = Q.replace("0", "1")
    expected[f"{other}.weight"] = (expected[f"{other}.weight"].double() + delta(lora, other, scale)).float()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, atol=1e-6 if "q_proj" in name else 0, rtol=0)


AS_PEFT: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"layers.0.mlp.up_proj": 3}, "alpha_pattern": {"q_proj": 7}},
    "regular expressions": {
        "rank_pattern": {r"^model\.layers\.1\..*up_proj": 2, r".*layers\.\d\.self_attn\.q_proj": 3},
        "alpha_pattern": {r"layers\.[01]\.mlp\.(up|down)_proj": 5, "proj": 11},
        "use_rslora": True,
    },
    "the first pattern wins": {"rank_pattern": {"0.self_attn.q_proj": 2, "q_proj": 5}, "alpha_pattern": {"oj": 9}},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "saved norm": {"modules_to_save": ["norm"]},
    "saved head": {"modules_to_save": ["lm_head"]},
    "saved embedding": {"modules_to_save": ["embed_tokens"]},
    "saved embedding and head": {"modules_to_save": ["embed_tokens", "lm_head"]},
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", AS_PEFT)
def test_as_peft_merges(tmp_path: Path, kind: str, tied: bool) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base, more = tiny.write_model(tmp_path / "base", tiny.weights(0, tied=tied)), AS_PEFT[kind]
    torch.manual_seed(0)
    config = LoraConfig(**({"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"]} | more))
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn_like(parameter) * 0.2 + ("norm" in name))
    model.save_pretrained(tmp_path / "lora")
    if tied and "head" in kind:  # it would change the embedding too
        with pytest.raises(CheckpointError, match=r"lm_head\.weight, which its model shares with the embedding"):
            open_checkpoint(str(tmp_path / "lora"))
        return
    got = merged(str(tmp_path / "lora"), tmp_path / "out")
    expected = model.merge_and_unload().state_dict()
    for name, tensor in got.items():
        torch.testing.assert_close(tensor, expected[name], atol=2e-6, rtol=0, msg=name)


def test_fan_in_fan_out_turns_the_product(tmp_path: Path) -> None:
    from merging.adapter import open_adapter

    lora = tiny.write_adapter(tmp_path / "lora", "base", ("mlp.down_proj",), fan_in_fan_out=True)
    part = open_adapter(lora).parts["model.layers.0.mlp.down_proj.weight"]
    expected = delta(lora, "model.layers.0.mlp.down_proj", 2.0).t()
    assert part.shape == tuple(expected.shape)
    torch.testing.assert_close(part.matrix().double(), expected, atol=1e-6, rtol=0)


def test_names(base: Path, tmp_path: Path) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(base))
    more = tiny.write_adapter(tmp_path / "more", str(lora), seed=9)
    found = [open_checkpoint(n) for n in (str(lora), f"{base}+{lora}", f"{base}+{lora}+{more}", str(more))]
    assert [len(c.adapters) for c in found] == [1, 1, 2, 2]
    assert found[0].content_hash() == found[1].content_hash() != found[2].content_hash() == found[3].content_hash()
    assert found[0].content_hash() != open_checkpoint(str(base)).content_hash()


BAD = [
    pytest.param({"peft_type": "IA3"}, "of type 'IA3'", id="another kind"),
    pytest.param({"use_dora": True}, "use_dora", id="DoRA"),
    pytest.param({"bias": "all"}, "sets bias to 'all'", id="bias"),
    pytest.param({"lora_bias": True}, "lora_bias", id="LoRA bias"),
    pytest.param({"layer_replication": [[0, 2]]}, "layer_replication", id="layer replication"),
    pytest.param({"r": 3}, "has rank 2, but its config says 3", id="rank"),
    pytest.param({"lora_alpha": "x"}, "lora_alpha = 'x'", id="alpha"),
    pytest.param({"base_model_name_or_path": None}, "does not say which model", id="no base"),
    pytest.param({"alpha_pattern": {"(": 1}}, "no pattern", id="pattern"),
]


@pytest.mark.parametrize(("config", "words"), BAD)
def test_refused(base: Path, tmp_path: Path, config: dict[str, Any], words: str) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(base), **config)
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(str(lora))


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(base))
    tensors = load_file(lora / "adapter_model.safetensors")
    save_file({n.replace("q_proj", "z_proj"): t for n, t in tensors.items()}, lora / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"z_proj\.weight, which its model does not have"):
        open_checkpoint(str(lora))
    wide = {n: torch.zeros(2, 9) if "lora_A" in n else t for n, t in tensors.items()}
    save_file(wide, lora / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="belongs to another model"):
        open_checkpoint(str(lora))
    (lora / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="safetensors format only"):
        open_checkpoint(str(lora))


def test_a_pickled_adapter_is_refused_with_what_to_do(base: Path, tmp_path: Path) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(base))
    torch.save(load_file(lora / "adapter_model.safetensors"), lora / "adapter_model.bin")
    (lora / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"Convert a pickle where you trust it: PeftModel\.from_pretrained"):
        open_checkpoint(str(lora))


def test_an_adapter_on_itself_is_refused(tmp_path: Path) -> None:
    lora = tiny.write_adapter(tmp_path / "lora", str(tmp_path / "lora"))
    with pytest.raises(CheckpointError, match="its base"):
        open_checkpoint(str(lora))


def test_deltas_are_never_rounded(tmp_path: Path) -> None:
    """On bfloat16 weights a LoRA's delta is B·A itself, not what adding and subtracting the weights leaves."""
    base = tiny.write_model(tmp_path / "base", tiny.weights(0, torch.bfloat16))
    lora = tiny.write_adapter(tmp_path / "lora", str(base))
    pool = Pool()
    operands = []
    for name in (str(base), str(lora)):
        checkpoint = pool.checkpoint(name)
        tensor = f"{Q}.weight"
        operands.append(Operand(name, checkpoint.stored(tensor), checkpoint.low_rank(tensor), pool))
    got = operands[1].delta(operands[0])
    assert got is not None
    torch.testing.assert_close(got.double(), delta(lora, Q, 2.0), atol=1e-8, rtol=1e-6)


def test_an_unchanged_tensor_is_copied_bit_for_bit(tmp_path: Path) -> None:
    base = tiny.write_model(tmp_path / "base", tiny.weights(0))
    loras = [str(tiny.write_adapter(tmp_path / f"lora{i}", str(base), seed=i)) for i in range(2)]
    live = LiveModel()
    live.apply(Recipe.build("linear", models=loras, per_model=[{"weight": 0.3}, {"weight": 0.9}]))
    for name, tensor in load_file(base / "model.safetensors").items():
        assert torch.equal(live.model.state_dict()[name], tensor) is ("q_proj" not in name)
