"""Tokens in rectangles: batches of like length, padding, and log-probabilities of target tokens."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def batches(encoded: Sequence[list[int]], size: int) -> Iterator[list[int]]:
    """Positions in groups of like length, shortest first; equal lengths keep their order."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    for at in range(0, len(order), size):
        yield order[at : at + size]


def common_start(rows: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with, leaving each at least one of its own."""
    shortest = min(map(len, rows))
    for at in range(shortest - 1):
        if len({row[at] for row in rows}) > 1:
            return at
    return max(shortest - 1, 0)


def pad(rows: Sequence[list[int]], filler: int, *, left: bool) -> tuple[Tensor, Tensor]:
    """(ids, mask), both [rows, longest] on the CPU; an empty row is all padding."""
    width = max(len(row) for row in rows)
    fill = [[filler] * (width - len(row)) for row in rows]
    none = [[0] * (width - len(row)) for row in rows]
    one = [[1] * len(row) for row in rows]
    if left:
        ids = [f + row for f, row in zip(fill, rows, strict=True)]
        mask = [n + o for n, o in zip(none, one, strict=True)]
    else:
        ids = [row + f for f, row in zip(fill, rows, strict=True)]
        mask = [o + n for n, o in zip(none, one, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


def log_probabilities(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probability of each target token, [rows, positions], fp32 on the CPU.

    logsumexp runs row by row: the fp32 copy of all logits at once would be the largest tensor of the probe.
    """
    target = target.to(logits.device)
    chosen = logits.gather(-1, target[..., None])[..., 0].float()
    norm = torch.stack([row.float().logsumexp(dim=-1) for row in logits])
    return (chosen - norm).cpu()


def sample(logits: Tensor, temperature: float, noise: torch.Generator) -> int:
    """One token from logits [1, vocabulary]; the likeliest at temperature 0."""
    if temperature <= 0:
        return int(logits[0].argmax())
    chances = (logits[0].float() / temperature).softmax(dim=-1).cpu()
    return int(torch.multinomial(chances, 1, generator=noise))
