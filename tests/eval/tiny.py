"""Random models of a few kilobytes with a tokenizer of single bytes."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<t>{{ m['role'] }}\n{{ m['content'] }}<e>\n{% endfor %}"
    "{% if add_generation_prompt %}<t>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<bos>", "<eos>", "<t>", "<e>"]


def tokenizer(*, template: bool = True) -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate([*SPECIAL, *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=["<t>", "<e>"],
    )
    wrapped.chat_template = TEMPLATE if template else None
    return wrapped


def model(kind: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    shape: dict[str, Any] = {
        "vocab_size": 261,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": [2, 4],
    }
    torch.manual_seed(seed)
    if kind == "llama":
        made: Any = LlamaForCausalLM(LlamaConfig(**shape))
    elif kind == "gemma":
        layers = ["sliding_attention", "full_attention", "sliding_attention"]
        made = Gemma3ForCausalLM(Gemma3TextConfig(**shape, head_dim=8, sliding_window=24, layer_types=layers))
    else:
        made = GPT2LMHeadModel(
            GPT2Config(vocab_size=261, n_positions=512, n_embd=32, n_layer=2, n_head=4, eos_token_id=2)
        )
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.25)  # sharp enough that greedy text varies, ends now and then, and ties never decide
    return made.to(dtype).eval()
