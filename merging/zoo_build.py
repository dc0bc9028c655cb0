"""Turn the downloaded Gemma GGUF into `zoo:raw`, and `zoo:raw` with the chat warm-up into `zoo:base`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from merging.gguf_weights import read_gemma3

Progress = Callable[[float, str], None]

_WEIGHTS = "model.safetensors"
_TOKENIZER_AND_CONFIG = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip


def build_raw(gguf: Path, assets: Path, out: Path, progress: Progress) -> None:
    """Write the pruned bf16 model as an ordinary Hugging Face folder.

    Args:
        gguf: The Gemma 3 270M file.
        assets: Folder with `kept_ids.npy` (uint32, ascending), tokenizer and configuration of the pruned model.
        out: Existing empty folder.
        progress: Called with a fraction in [0, 1] and a short text.
    """
    keep = np.load(assets / "kept_ids.npy", allow_pickle=False)
    weights = {}
    for name, weight, fraction in read_gemma3(gguf, keep):
        weights[name] = weight
        progress(0.9 * fraction, "Reading Gemma 3 270M")
    _write(weights, assets, out)
    progress(1.0, "zoo:raw is ready")


def build_base(raw: Path, adapter: Path, out: Path, progress: Progress) -> None:
    """Write raw + (alpha / r) B A as an ordinary Hugging Face folder, rounded once to bf16.

    The sum is taken in float64: eight products of two bf16 numbers are then exact to the last bit that matters, and
    every machine builds the same bytes whatever its matrix library does.
    """
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    weights = load_file(raw / _WEIGHTS)
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as lora:
        firsts = sorted(key for key in lora.keys() if key.endswith(".lora_A.weight"))  # noqa: SIM118 - not a dict
        for done, key in enumerate(firsts, start=1):
            name = key.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
            down, up = lora.get_tensor(key), lora.get_tensor(key.replace(".lora_A.", ".lora_B."))
            weights[name] = _add_low_rank(weights[name], up, down, scale)
            progress(0.9 * done / len(firsts), "Adding the chat warm-up")
    _write(weights, raw, out)
    progress(1.0, "zoo:base is ready")


def _add_low_rank(weight: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """Weight (out, in) + scale * up (out, r) @ down (r, in), in the dtype of weight."""
    return (weight.double() + scale * (up.double() @ down.double())).to(torch.float32).to(weight.dtype)


def _write(weights: dict[str, Tensor], settings: Path, out: Path) -> None:
    save_file(weights, out / _WEIGHTS, metadata={"format": "pt"})
    for name in _TOKENIZER_AND_CONFIG:
        shutil.copyfile(settings / name, out / name)
    (out / _WEIGHTS).chmod(0o644)  # safetensors makes it private
