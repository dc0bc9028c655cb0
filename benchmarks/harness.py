"""The probe's choices through lm-evaluation-harness, on the same model object and the same tokens."""

import importlib.metadata
from collections.abc import Callable, Sequence

from eval.engine import Engine
from eval.types import Item

BATCHES = (16, 32)
"""Rows of a batch that are tried; the fastest counts."""


def version() -> str | None:
    """The installed version, or None."""
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        return None


def score(engine: Engine, items: Sequence[Item], now: Callable[[], float]) -> tuple[list[tuple[float, ...]], float]:
    """(log-probability of every option of every item, in nats; seconds of the fastest batch size).

    The harness gets token ids, since its own cutting moves the line break at the end of a chat turn into the
    continuation. Its softmax runs in float32, as ours does.
    """
    from lm_eval.models.huggingface import HFLM

    rows = [
        (("", ""), engine.chat.encode(item.prompt), engine.chat.continuation(text))
        for item in items
        for text in item.options
    ]
    best, found = float("inf"), []
    for batch in BATCHES:
        harness = HFLM(
            pretrained=engine.model, tokenizer=engine.chat.tokenizer, batch_size=batch, softmax_dtype="float32"
        )
        start = now()
        found = harness._loglikelihood_tokens(rows, disable_tqdm=True)
        best = min(best, now() - start)
    totals = iter(total for total, _ in found)
    return [tuple(next(totals) for _ in item.options) for item in items], best
