"""Models small enough to make in a test: two-layer Llamas, LoRA adapters on them, and word-level tokenizers."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HIDDEN, INNER, VOCAB, LAYERS = 8, 12, 16, 2
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCAB,
    "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
}  # fmt: skip
PARTS = {
    "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (4, HIDDEN), "self_attn.v_proj": (4, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER), "input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,),
}  # fmt: skip


def shapes(layers: int = LAYERS, vocab: int = VOCAB, *, tied: bool = True) -> dict[str, tuple[int, ...]]:
    found = {"model.embed_tokens.weight": (vocab, HIDDEN), "model.norm.weight": (HIDDEN,)}
    found |= {f"model.layers.{i}.{name}.weight": shape for i in range(layers) for name, shape in PARTS.items()}
    return found if tied else found | {"lm_head.weight": (vocab, HIDDEN)}


def weights(seed: int, dtype: torch.dtype = torch.float32, **kind: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes(**kind).items()}


def moved(tensors: Mapping[str, torch.Tensor], seed: int, scale: float = 0.1) -> dict[str, torch.Tensor]:
    """A descendant: every tensor a little away from where it was."""
    generator = torch.Generator().manual_seed(seed)
    return {n: (t.float() + scale * torch.randn(t.shape, generator=generator)).to(t.dtype) for n, t in tensors.items()}


def write_model(folder: Path, tensors: Mapping[str, torch.Tensor], words: Iterable[str] = (), **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tied = "lm_head.weight" not in tensors
    vocab = tensors["model.embed_tokens.weight"].shape[0]
    tree = CONFIG | {"tie_word_embeddings": tied, "vocab_size": vocab} | config
    (folder / "config.json").write_text(json.dumps(tree))
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    if words:
        write_tokenizer(folder, words)
    return folder


def write_tokenizer(folder: Path, words: Iterable[str]) -> None:
    vocab = {word: index for index, word in enumerate(words)}
    tree = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": next(iter(vocab))},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def write_adapter(
    folder: Path,
    base: str,
    modules: Iterable[str] = ("self_attn.q_proj",),
    *,
    rank: int = 2,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A LoRA adapter on some modules of every layer."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    tree = {
        "peft_type": "LORA", "r": rank, "lora_alpha": 4, "base_model_name_or_path": base, "bias": "none",
        "fan_in_fan_out": False, "use_rslora": False, "use_dora": False, "target_modules": sorted({*modules}),
        "task_type": "CAUSAL_LM", "inference_mode": True,
    } | config  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(tree))
    found = {}
    for layer in range(LAYERS):
        for module in modules:
            rows, columns = PARTS[module]
            name = f"base_model.model.model.layers.{layer}.{module}"
            found[f"{name}.lora_A.weight"] = torch.randn((rank, columns), generator=generator)
            found[f"{name}.lora_B.weight"] = 0.1 * torch.randn((rows, rank), generator=generator)
    save_file(found, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
