"""Judges small enough to make in a test: a causal model that can say one word, and a classifier with known biases."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tiny import tokenizer
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM


def parrot(folder: Path, word: str, *, template: bool = True) -> Path:
    """A real Llama that answers every conversation with one word of letters that all differ.

    Attention and MLP are silenced and embeddings are one-hot, so the next token follows from the last one alone: from
    the line break that ends the template to the first letter, from letter to letter, and from the last to the end.
    """
    coder = tokenizer(template=template)
    size = 264
    config = LlamaConfig(
        vocab_size=261, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=4096, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    chain = [*coder("\n", add_special_tokens=False).input_ids, *coder(word, add_special_tokens=False).input_ids, 2]
    assert len(set(chain)) == len(chain), "a letter that comes twice would not know what follows it"
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight", "embed_tokens.weight")):
                tensor.zero_()
        model.model.embed_tokens.weight[:, :261] = torch.eye(261)
        for now, following in pairwise(chain):
            model.lm_head.weight[following, now] = 1.0
    model.save_pretrained(folder)
    coder.save_pretrained(folder)
    return folder


def classifier(
    folder: Path | None = None, *, labels: dict[int, str], biases: list[float] | None = None, limit: int = 128
) -> tuple[Any, Any]:
    """(model, tokenizer) of a random Bert; with biases its answer is that of the largest bias."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=261, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=limit, num_labels=len(labels), id2label=labels,
        label2id={label: i for i, label in labels.items()},
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    if biases is not None:
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor(biases))
    coder = tokenizer(template=False)
    coder.model_max_length = limit
    if folder is not None:
        model.save_pretrained(folder)
        coder.save_pretrained(folder)
    return model, coder
