"""One forward pass a turn: what generation and scoring are made of.

Between two passes nothing here depends on the model's weights but the key-value cache of the running batch, so the
weights may be changed and changed back between turns.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from eval.batching import common_start, pad
from eval.chat import ChatFormat
from eval.errors import EngineError

Turn = Callable[[], AbstractContextManager[Any]]


class Passes:
    """A causal language model, its chat format, and the two ways to feed it: one pass, or the start of a batch."""

    def __init__(self, model: Any, tokenizer: Any, *, threads: int | None = None, turn: Turn = nullcontext) -> None:
        """Wrap a model.

        Args:
            model: Any Hugging Face causal language model; its weights may change between turns.
            tokenizer: Its tokenizer.
            threads: CPU threads torch may use, for the whole process; None leaves them alone.
            turn: Gives a context that is entered around every forward pass.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self.model = model
        self.chat = ChatFormat(tokenizer, _end_ids(model))
        self.turn = turn

    def _cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config)

    def _forward(self, ids: Tensor, cache: DynamicCache | None, mask: Tensor, *, keep: int = 1) -> Tensor:
        """One turn: logits of the last `keep` positions (0: of all), [rows, positions, vocabulary].

        Args:
            ids: New tokens, [rows, new].
            cache: Keys and values of what came before, extended in place; None for a pass on its own.
            mask: 1 for real tokens, over the cache and the new ones, [rows, old + new].
            keep: Positions whose logits are wanted.
        """
        mask = mask.to(device=self.model.device, dtype=torch.long)
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        # a list of one position: a slice keeps strides that make the head a product per row, eight times slower
        kept = torch.tensor([-1], device=self.model.device) if keep == 1 else keep
        with self.turn(), torch.inference_mode():
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=kept,
            ).logits
        if not torch.isfinite(logits[:, -1].amax(dim=-1)).all():
            raise EngineError("The model gives NaN or infinite logits: this merge cannot be measured.")
        return logits

    def _begin(self, encoded: Sequence[list[int]], *, room: int) -> tuple[DynamicCache, Tensor, Tensor]:
        """(cache, tokens to feed, mask over both) for a batch of prompts, the start they share read only once.

        Padding then lies between the shared start and the rest of each prompt. A sliding window counts it, so where the
        batch, with `room` more tokens, would fill the window, nothing is shared and padding stays on the left.
        """
        cache, start = self._cache(), common_start(encoded)
        longest = max(map(len, encoded)) + room
        if start < 2 or longest >= (getattr(self.model.config, "sliding_window", None) or longest + 1):
            start = 0
        ids, mask = pad([row[start:] for row in encoded], self.chat.pad_id, left=True)
        if start:
            shared = torch.tensor([encoded[0][:start]], device=self.model.device)
            self._forward(shared, cache, torch.ones(1, start))
            cache.batch_repeat_interleave(len(encoded))
        return cache, ids.to(self.model.device), torch.cat([mask.new_ones(len(encoded), start), mask], dim=1)


def _end_ids(model: Any) -> list[int]:
    found = [getattr(getattr(model, name, None), "eos_token_id", None) for name in ("generation_config", "config")]
    return [i for ids in found if ids is not None for i in (ids if isinstance(ids, list) else [ids])]
