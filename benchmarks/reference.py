"""The merges of `benchmarks.offline` in plain float64, by the letter of their papers; shares no code with `merging`."""

import math

import torch
from torch import Tensor

T, WEIGHT, DENSITY = 0.4, 0.5, 0.5  # as in the recipes


def linear(_: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The mean."""
    return (first.double() + second.double()) / 2


def slerp(_: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Along the great circle; along the line where the cosine is above 0.9995."""
    one, two = first.double(), second.double()
    cosine = ((one * two).sum() / one.norm() / two.norm()).item()
    if abs(cosine) > 0.9995:
        return (1 - T) * one + T * two
    angle = math.acos(cosine)
    return (math.sin((1 - T) * angle) * one + math.sin(T * angle) * two) / math.sin(angle)


def ties(base: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Trim, elect, average those that agree; equal weights divide out of the average."""
    deltas = [trim(model.double() - base.double()) for model in (first, second)]
    elected = torch.where(sum(deltas) >= 0, 1.0, -1.0)
    agree = [(delta * elected > 0).double() for delta in deltas]
    total = sum(a * d for a, d in zip(agree, deltas, strict=True))
    return base.double() + total / sum(agree).clamp_min(1)


def trim(delta: Tensor) -> Tensor:
    """The largest magnitudes; of those equal to the least that stays, the first ones."""
    size = delta.abs().view(-1)
    keep = max(1, int(DENSITY * size.numel()))
    least = size.sort(descending=True).values[keep - 1]
    stays, equal = size > least, size == least
    stays |= equal & (equal.cumsum(0) <= keep - stays.sum())
    return delta * stays.view(delta.shape)


REFERENCES = {"linear": linear, "slerp": slerp, "ties": ties}
