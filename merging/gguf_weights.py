"""Read the weights of a Gemma 3 GGUF file under their Hugging Face names, for a chosen part of the vocabulary."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType
from gguf.quants import dequantize
from torch import Tensor

_EMBEDDING = "token_embd.weight"
_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class _ArraySkippingReader(GGUFReader):
    """GGUFReader that steps over array metadata.

    The tokenizer's token, score and merge lists are a million entries, which the parent wraps one by one in numpy
    views: ten seconds for values that nothing here looks at.
    """

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        if GGUFValueType(raw_type) != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        kind = GGUFValueType(int(self._get(orig_offs, np.uint32)[0]))
        count = int(self._get(orig_offs + 4, np.uint64)[0])
        end = orig_offs + 12
        if kind == GGUFValueType.STRING:
            view, length_at = self.data.data, struct.Struct("<Q").unpack_from
            for _ in range(count):
                end += 8 + length_at(view, end)[0]
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[kind]).itemsize
        return end - orig_offs, [], [], [GGUFValueType.ARRAY, kind]


def hub_name(gguf_name: str) -> str:
    """The Hugging Face name of a Gemma 3 tensor: `blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`.

    Raises:
        KeyError: The file holds a tensor that Gemma 3 has not.
    """
    if gguf_name == _EMBEDDING:
        return "model.embed_tokens.weight"
    if gguf_name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = gguf_name.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def read_gemma3(path: Path, keep: np.ndarray) -> Iterator[tuple[str, Tensor, float]]:
    """Yield (Hugging Face name, bf16 weight, fraction of the file read) for every tensor of a Gemma 3 GGUF.

    Args:
        path: The GGUF file.
        keep: Token ids, integers of shape (kept,), whose embedding rows are wanted, in that order; the other rows are
            never dequantised.
    """
    tensors = _ArraySkippingReader(path).tensors
    total, done = sum(t.n_bytes for t in tensors), 0
    for tensor in tensors:
        # Blocks of quantisation lie within a row, so rows can be picked while still quantised.
        data = tensor.data[keep] if tensor.name == _EMBEDDING else tensor.data
        values = dequantize(np.ascontiguousarray(data), tensor.tensor_type)
        if tensor.name.endswith("norm.weight"):
            values = values - np.float32(1)  # llama.cpp stores 1 + w, transformers stores w
        done += tensor.n_bytes
        yield hub_name(tensor.name), torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16), done / total
