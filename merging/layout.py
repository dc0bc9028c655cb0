"""What a tensor's name says: which layer it belongs to, whether it comes before or after the layers. Needs no torch."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_LAYER = re.compile(r"^(?P<stack>(?:.*\.)?(?:layers|h|blocks|block|layer))\.(?P<number>\d+)\.(?P<rest>.+)$")
_TOWER = re.compile(r"(?:^|\.)(?:vision|visual|audio)\w*\.")  # its layers are not the language model's
_WORDS = r"embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|backbone\.embeddings?"
_BEFORE = re.compile(rf"(?:^|\.)(?:{_WORDS}|wpe|word_embeddings_layernorm|embed_positions|embed_tokens_per_layer)\.")
_INPUT = re.compile(rf"(?:^|\.)(?:{_WORDS})\.weight$")
_PER_LAYER = re.compile(r"(?:^|\.)embed_tokens_per_layer\.weight$")  # Gemma 3n and 4: a second embedding
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output_layer)\.(?:weight|bias)$")
COUNT_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
# Buffers some old files carry; a model computes them again, so they are neither merged nor written.
_BUFFER = re.compile(r"(?:^|\.)(?:rotary_emb\.inv_freq|position_ids|(?:attn|attention)\.(?:masked_)?bias)$")


@dataclass(frozen=True)
class Place:
    """A layer's tensor: the stack's name, the layer's number in it, the rest of the name."""

    stack: str
    number: int
    rest: str

    def at(self, number: int) -> str:
        """The name of the same tensor in another layer."""
        return f"{self.stack}.{number}.{self.rest}"


def place(name: str, *, towers: bool = False) -> Place | None:
    """Where a tensor's name puts it, None outside the language model's layers (or, with `towers`, those of others)."""
    found = None if _TOWER.search(name) and not towers else _LAYER.match(name)
    return Place(found["stack"], int(found["number"]), found["rest"]) if found else None


def is_buffer(name: str) -> bool:
    """Whether the name is that of a buffer that models compute by themselves."""
    return bool(_BUFFER.search(name))


def is_before_layers(name: str) -> bool:
    """Whether a tensor outside the layers belongs to the embeddings; final norm and head come after the layers."""
    return bool(_BEFORE.search(name))


def is_vocabulary(name: str) -> bool:
    """Whether the rows of the tensor are the tokens of the vocabulary."""
    return bool(_INPUT.search(name) or _HEAD.search(name) or _PER_LAYER.search(name))


def is_head(name: str) -> bool:
    """Whether it is the weight of the output head."""
    return bool(_HEAD.search(name)) and name.endswith(".weight")


def input_embedding(names: Iterable[str]) -> str | None:
    """The name of the input embedding among `names`."""
    return next((name for name in names if _INPUT.search(name)), None)


def layer_count(names: Iterable[str], *, towers: bool = False) -> int:
    """Layers of the longest stack, with `towers` those of any."""
    return max((found.number + 1 for name in names if (found := place(name, towers=towers))), default=0)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that speaks of the language model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config
