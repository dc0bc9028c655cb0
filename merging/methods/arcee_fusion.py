"""Arcee Fusion: take over only the changes that matter most, by their size and what they do to each row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, spans, store, thread_count, weighted_sum
from merging.lanes import softmax
from merging.ranks import at_ranks
from merging.registry import Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group, Source

ADDED = 1e-8  # to every probability, so that none is 0
PIECE = 1 << 18  # elements looked at together, in whole rows


@dataclass(frozen=True)
class Marked:
    """The other model, and the mask of the elements taken from it (flat); None where it is the base's own storage."""

    other: "Source"
    mask: "Tensor | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if self.mask is None else self.mask.nbytes


def importance(base: "Tensor", model: "Tensor") -> "Tensor":
    """|x − b| · KL(softmax x ‖ softmax b) of its row, flat float32.

    Between near models the divergence is mostly the rounding of float32, and may be negative: it is not computed more
    exactly, because mergekit does not, but in one order of steps on every machine (`merging.lanes`).

    Args:
        base: Weights to start from; a row runs along the last dimension.
        model: Weights of the other model, same shape.
    """
    import torch

    columns = base.shape[-1] if base.dim() else 1
    one, two = model.reshape(-1, columns), base.reshape(-1, columns)
    result = torch.empty(one.shape, dtype=torch.float32, device=base.device)
    with thread_count(1):
        for start, end in spans(one.shape[0], max(1, PIECE // columns)):
            x, b = one[start:end].float(), two[start:end].float()
            p, q = softmax(x).add_(ADDED), softmax(b).add_(ADDED)
            terms = (p / q).double().log_().float().mul_(p)
            divergence = terms.double().sum(-1, keepdim=True).float()
            result[start:end] = (x - b).abs_().mul_(divergence)
    return result.view(-1)


def threshold(found: "Tensor") -> float:
    """Median + 1.5 · interquartile range of the importances, over all of them."""
    last = found.numel() - 1
    low, median, high = at_ranks(found, [math.floor(q * last) for q in (0.25, 0.5, 0.75)])
    return median + 1.5 * (high - low)


def marked(base: "Tensor", model: "Tensor") -> "Tensor":
    """The mask of the elements that are taken from `model`, flat."""
    import torch

    found = importance(base, model)
    cut = threshold(found)
    mask = torch.empty(found.shape, dtype=torch.bool, device=found.device)
    for start, end in spans(found.numel(), 1 << 20):
        mask[start:end] = found[start:end].double() >= cut  # the cut is not rounded to float32
    return mask


def prepare(group: "Group") -> Marked:
    """The mask."""
    other = group.models[0]
    if group.base is None:
        raise TypeError("Arcee Fusion is planned with a base")
    same = other.key == group.base.key
    return Marked(other, None if same else marked(group.base.value(), other.value()))


def select(memo: Marked, values: Mapping[str, Any]) -> Marked:
    """No knob selects anything."""
    return memo


def combine(
    base: "Source", choices: Sequence[Marked], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the base with the marked elements of the other model."""
    import torch

    chosen = choices[0]
    if chosen.mask is None:
        weighted_sum([(base.value(), 1.0)], out, scratch)
        return
    one, two, target = chosen.other.value().reshape(-1), base.value().reshape(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        taken, kept = scratch(0, end - start).copy_(one[start:end]), scratch(1, end - start).copy_(two[start:end])
        store(torch.where(chosen.mask[start:end], taken, kept, out=scratch(2, end - start)), target[start:end], scratch)


@method(
    "arcee_fusion",
    title="Arcee Fusion",
    paper="https://arcee.ai/blog/meet-mergekit-v0-1-arcee-fusion-expanded-model-support-multi-gpu-acceleration",
    summary="A base and one expert, nothing to set: takes over the expert's outstanding changes and leaves the rest.",
    formula="x where s ≥ median + 1.5·(Q3 − Q1), else b,  s = |x − b| · KL(softmax x ‖ softmax b) by row",
    inputs="two",
    steps=Steps(prepare, select, combine),
)
def arcee_fusion(base: "Tensor", model: "Tensor") -> "Tensor":
    """Replace the elements of `base` whose change stands out by those of `model`.

    Args:
        base: Weights to start from; a row runs along the last dimension.
        model: Weights of the other model, same shape.

    Returns:
        float32 weights. Where all changes matter alike (equal models, columns of one element) they are `model`.

    Differs from mergekit: the quartiles are those of all elements, where mergekit draws a million at random from larger
    tensors; and the rounding of the softmax, which decides between near models, is that of CPUs with 16 lanes
    everywhere, where mergekit's follows the machine.
    """
    import torch

    return torch.where(marked(base, model).view(base.shape), model.float(), base.float())
