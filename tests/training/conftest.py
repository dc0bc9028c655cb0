"""A random Gemma 3 of two small layers, with the family's own tokenizer: what every training test trains."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

RAW = Path(__file__).resolve().parents[2] / "assets" / "zoo" / "raw"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copyfile(RAW / name, folder / name)
    config = Gemma3TextConfig(
        vocab_size=json.loads((RAW / "config.json").read_text())["vocab_size"],
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, layer_types=["sliding_attention", "full_attention"], tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
