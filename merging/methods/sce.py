"""SCE: select the entries that vary, weigh models by their change, erase minority signs (https://arxiv.org/abs/2408.07990)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from merging.arithmetic import REDUCE, Scratch, spans, store, thread_count, weighted_sum
from merging.changes import Changes, changes
from merging.ranks import largest
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Group, Operand

LEAST = 1e-6  # a sum of mean squares below it weighs all models alike; agreeing weights are divided by at least it


@dataclass(frozen=True)
class Pulls:
    """The deltas, and how much they differ from each other in each entry."""

    changes: Changes

    @property
    def nbytes(self) -> int:
        """Bytes kept, the spread included: it is made when a recipe first selects by it."""
        return self.changes.nbytes + max((moved.nbytes for moved in self.changes.moved), default=0)

    @cached_property
    def spread(self) -> "Tensor":
        """The population standard deviation of each entry over the models, flat float32; one delta at least is kept."""
        import torch

        moved, count = self.changes.moved, len(self.changes.deltas)
        result = torch.empty_like(moved[0])
        for start, end in spans(result.numel(), REDUCE):
            pieces = [delta[start:end].double() for delta in moved]
            mean = sum(pieces[1:], pieces[0]) / count
            square = mean * mean * (count - len(pieces))  # models that changed nothing
            for piece in pieces:
                square += (piece - mean).square_()
            result[start:end] = square.div_(count).sqrt_()
        return result


@dataclass(frozen=True)
class Chosen:
    """The deltas, the mask of the entries selected (None: all of them) and the weight of each moved delta."""

    moved: "tuple[Tensor, ...]"
    mask: "Tensor | None"
    weights: tuple[float, ...]

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(delta.nbytes for delta in self.moved) + (0 if self.mask is None else self.mask.nbytes)


def prepare(group: "Group") -> Pulls:
    """The deltas."""
    return Pulls(changes(group))


def select(memo: Pulls, values: Mapping[str, Any]) -> Chosen:
    """The entries of the largest variance, and the models' weights on them."""
    moved, topk = memo.changes.moved, values["select_topk"]
    if not moved:
        return Chosen((), None, ())
    mask = None
    if topk < 1:
        keep = int(max(topk, 0.0) * int((memo.spread != 0).sum()))
        if keep == 0:
            return Chosen((), None, ())
        mask = largest(memo.spread, keep)
    return Chosen(moved, mask, _weights([_mean_square(delta, mask) for delta in moved], len(memo.changes.deltas)))


def _mean_square(delta: "Tensor", mask: "Tensor | None") -> float:
    """Σ δ² over the selected entries, divided by the number of all entries, in float64."""
    total = 0.0
    with thread_count(1):
        for start, end in spans(delta.numel(), REDUCE):
            piece = delta[start:end].double().square_()
            total += (piece if mask is None else piece.mul_(mask[start:end])).sum().item()
    return total / delta.numel()


def _weights(squares: Sequence[float], count: int) -> tuple[float, ...]:
    total = math.fsum(squares)
    return tuple(1 / count if total < LEAST else square / total for square in squares)


def combine(
    base: "Operand | Aligned", choices: Sequence[Chosen], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the base plus the weighted mean of the deltas that have the elected sign."""
    chosen = choices[0]
    if not chosen.moved:
        weighted_sum([(base.value(), 1.0)], out, scratch)
        return
    source, target = base.value().reshape(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        merged = _erase([delta[start:end] for delta in chosen.moved], chosen.weights, scratch)
        if chosen.mask is not None:
            merged.mul_(chosen.mask[start:end])
        store(scratch(0, end - start).copy_(source[start:end]).add_(merged), target[start:end], scratch)


def _erase(pieces: Sequence["Tensor"], weights: Sequence[float], scratch: Scratch) -> "Tensor":
    """The merged delta of one chunk, in scratch buffer 1; buffers 0 to 4 are used."""
    import torch

    part, total, sign, share, agree = (scratch(index, pieces[0].numel()) for index in range(5))
    part.copy_(pieces[0])
    for piece in pieces[1:]:
        part.add_(piece)
    torch.copysign(total.fill_(1.0), part.add_(0.0), out=sign)  # adding 0 turns -0 into +0, which elects plus
    total.zero_()
    share.zero_()
    for piece, weight in zip(pieces, weights, strict=True):
        torch.mul(piece, sign, out=part)
        part.clamp_min_(0.0)  # what agrees, as a magnitude
        torch.sign(part, out=agree)
        total.add_(part.mul_(weight))
        share.add_(agree.mul_(weight))
    return total.div_(share.clamp_min_(LEAST)).mul_(sign)


@method(
    "sce",
    title="SCE",
    paper="https://arxiv.org/abs/2408.07990",
    summary="Experts of unlike strength, no weights to set: in each tensor, the model that changed more counts more.",
    formula="b + Σ Mᵢ·wᵢ·δᵢ / Σ Mᵢ·wᵢ,  wᵢ ∝ mean δᵢ²,  Mᵢ: has the sign of Σ δᵢ;  only where the models differ most",
    inputs="base+models",
    steps=Steps(prepare, select, combine),
    select_topk=Knob(
        0.0, 1.0, 1.0, absent=1.0, stage="select",
        help="Share of the entries that are changed at all: those in which the models differ most; 1 takes every one.",
    ),
)  # fmt: skip
def sce(base: "Tensor", models: Sequence["Tensor"], *, select_topk: float = 1.0) -> "Tensor":
    """Merge `models` into `base`, weighing each by the size of its change of this tensor.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        select_topk: Fraction of the entries with different changes that is merged, the largest variance over the
            models first (at the cut the lowest index); the others stay the base's. 1 and above takes all entries.

    Returns:
        float32 weights. 0 and below give `base`.
    """
    deltas = tuple((model.float() - base.float()).contiguous() for model in models)
    chosen = select(Pulls(Changes(deltas)), {"select_topk": select_topk})
    if not chosen.moved:
        return base.float().clone()
    merged = _erase(chosen.moved, chosen.weights, Scratch(str(base.device), base.numel()))
    if chosen.mask is not None:
        merged = merged * chosen.mask
    return base.float() + merged.view(base.shape)
