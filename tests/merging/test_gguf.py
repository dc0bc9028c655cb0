"""GGUF files, written here by the format's own library, against the weights they were made of."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quantize
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from merging import LiveModel, Recipe, merge_to_folder
from merging.checkpoint import open_checkpoint
from merging.compatibility import compatibility
from merging.errors import CheckpointError

SIZE: dict[str, Any] = {
    "vocab_size": 32, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
GEMMA = LAYER | {
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip
MIXTURE = LAYER | {
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate": "ffn_gate_inp",
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "llama": ("llama", LAYER, {"tie_word_embeddings": False}),
    "gemma3_text": ("gemma3", GEMMA, {"sliding_window": 16, "query_pre_attn_scalar": 16}),
    "qwen3_moe": ("qwen3moe", MIXTURE, {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}),
}
WORDS = ["<unk>", "<s>", "</s>", *(f"▁w{number}" for number in range(29))]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MERGE_FRONTIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def model_of(family: str, folder: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random model, saved as an ordinary folder too."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **(SIZE | FAMILIES[family][2])))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.5)
    model.half().float().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def packed_name(name: str, names: dict[str, str]) -> str:
    outside = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem = name.removesuffix(".weight")
    if stem in outside:
        return f"{outside[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{names[rest]}.weight"


def packed(family: str, tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The tensors as llama.cpp stores them: rows of llama's q and k in another order, Gemma's norms plus one."""
    found = {}
    for name, tensor in tensors.items():
        values = tensor.float().numpy()
        if family == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = SIZE["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            values = np.concatenate(
                [np.stack(np.split(head, 2), 1).reshape(head.shape) for head in np.split(values, heads)]
            )
        if family == "gemma3_text" and name.endswith("norm.weight"):
            values = values + 1
        if ".experts." not in name:
            found[packed_name(name, FAMILIES[family][1])] = values
    for layer in range(SIZE["num_hidden_layers"]) if family == "qwen3_moe" else ():
        for part in ("gate", "up", "down"):
            one = [tensors[f"model.layers.{layer}.mlp.experts.{i}.{part}_proj.weight"].numpy() for i in range(4)]
            found[f"blk.{layer}.ffn_{part}_exps.weight"] = np.stack(one)
    return found


def write(file: Path, family: str, tensors: dict[str, torch.Tensor], kind: Kind) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(file), FAMILIES[family][0])
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(32)
    writer.add_sliding_window(16)
    if family == "qwen3_moe":
        writer.add_expert_count(4)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([-float(number) for number in range(32)])
    writer.add_token_types([2, 3, 3, *[1] * 29])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, values in packed(family, tensors).items():
        one = Kind.F32 if values.ndim == 1 else kind
        writer.add_tensor(name, quantize(values, one), raw_dtype=one)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def single(name: str, out: Path, **more: Any) -> dict[str, torch.Tensor]:
    recipe = Recipe.build("linear", models=[name], parameters={"weight": 1}, **more)
    return load_file(merge_to_folder(recipe, out) / "model.safetensors")


@pytest.mark.parametrize("family", FAMILIES)
def test_halves_are_read_exactly(family: str, tmp_path: Path) -> None:
    tensors = model_of(family, tmp_path / "model")
    file = write(tmp_path / "packed" / "tiny.gguf", family, tensors, Kind.F16)
    got = single(str(file), tmp_path / "out", out_dtype="float32")
    assert got.keys() == tensors.keys()
    for name, tensor in got.items():
        atol = 1e-6 if "norm" in name else 0  # Gemma's are stored as 1 + w
        torch.testing.assert_close(tensor, tensors[name], atol=atol, rtol=0, msg=name)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    live = LiveModel()
    live.apply(Recipe.build("linear", models=[str(file), str(tmp_path / "model")], parameters={"weight": 1}))
    for name, tensor in live.model.state_dict().items():
        torch.testing.assert_close(tensor.float(), loaded.state_dict()[name], atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_quantised_values_are_taken_as_they_are_and_told(family: str, tmp_path: Path) -> None:
    tensors = model_of(family, tmp_path / "model")
    file = write(tmp_path / "packed" / "tiny.gguf", family, tensors, Kind.Q8_0)
    got = single(str(file.parent), tmp_path / "out")  # the folder, which holds this one file
    for name, tensor in got.items():
        # Half a step of the block, and the block's step itself is rounded to 11 bits.
        step = tensors[name].abs().amax(-1, keepdim=True) / 127 if tensor.dim() > 1 else torch.tensor(1e-6)
        assert tensor.dtype == torch.float32 and bool(((tensor - tensors[name]).abs() <= 0.6 * step + 1e-6).all()), name
    ends = [open_checkpoint(name) for name in (str(tmp_path / "model"), str(file))]
    report = compatibility(ends)
    assert not report.problems and "comes from a quantised file (Q8_0)" in report.warnings[0]
    live = LiveModel()
    applied = live.apply(Recipe.single(str(file)))
    assert any("quantised" in note for note in applied.notes) and live.tokenizer is not None


def test_is_converted_once_and_again_when_the_file_changes(tmp_path: Path, home: Path) -> None:
    tensors = model_of("llama", tmp_path / "model")
    file = write(tmp_path / "packed" / "tiny.gguf", "llama", tensors, Kind.F16)
    first = open_checkpoint(str(file))
    assert first.is_current() and open_checkpoint(str(file)).version == first.version
    write(file, "llama", model_of("llama", tmp_path / "other", seed=1), Kind.BF16)
    assert not first.is_current()
    second = open_checkpoint(str(file))
    assert second.folder == first.folder and second.dtype("model.embed_tokens.weight") == "bfloat16"
    assert [path.name for path in (home / "gguf").iterdir() if path.is_dir()] == [first.folder.name]


def cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


BAD = [
    pytest.param(lambda f: f.write_bytes(b"GGML" + bytes(100)), "is no GGUF file", id="other bytes"),
    pytest.param(cut, "cannot be read as a GGUF model", id="truncated"),
    pytest.param(lambda f: write(f.parent / "more.gguf", "llama", {}, Kind.F16), "name one of the files", id="several"),
    pytest.param(lambda f: write(f, "llama", {}, Kind.F16), "lacks model.embed_tokens.weight", id="no tensors"),
]


@pytest.mark.parametrize(("damage", "words"), BAD)
def test_refused(tmp_path: Path, home: Path, damage: Any, words: str) -> None:
    file = write(tmp_path / "packed" / "tiny.gguf", "llama", model_of("llama", tmp_path / "model"), Kind.F16)
    damage(file)
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(str(file.parent))
    assert not [path for path in home.glob("gguf/*") if path.is_dir()]
