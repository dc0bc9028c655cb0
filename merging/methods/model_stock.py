"""Model Stock: how far to trust the average, by the angle between the models (https://arxiv.org/abs/2403.19522)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, spans, store, thread_count, weighted_sum
from merging.changes import changes, gram
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Group, Operand

LEAST = 1e-6  # a product of norms below it is divided by as if it were that; a divisor nearer to 0 keeps the base
PIECE = 1 << 18  # float64 elements of one delta looked at together


@dataclass(frozen=True)
class Trust:
    """The share of the average in the result: one for the tensor, or float32 ones that broadcast to its rows."""

    group: "Group"
    share: "float | Tensor"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if isinstance(self.share, int | float) else self.share.nbytes


def whole_share(products: Sequence[Sequence[float]]) -> float:
    """T = N·c / (1 + (N − 1)·c), c: the mean cosine between two deltas, from their dot products."""
    found = []
    for i, j in combinations(range(len(products)), 2):
        size = math.sqrt(max(products[i][i], 0.0)) * math.sqrt(max(products[j][j], 0.0))
        found.append(max(-1.0, min(1.0, products[i][j] / max(size, LEAST))))
    mean, count = math.fsum(found) / len(found), len(products)
    below = 1 + (count - 1) * mean
    return 0.0 if abs(below) < LEAST else count * mean / below


def row_shares(deltas: "Sequence[Tensor | None]") -> "Tensor":
    """As `whole_share`, one for each vector along the last dimension (kept, with size 1), float32."""
    import torch

    known = [None if delta is None else delta.reshape(-1, delta.shape[-1]) for delta in deltas]
    shape = next(delta.shape for delta in deltas if delta is not None)
    rows, count = next(delta.shape[0] for delta in known if delta is not None), len(known)
    result = torch.empty(rows, dtype=torch.float32, device=next(d.device for d in deltas if d is not None))
    with thread_count(1):
        for start, end in spans(rows, max(1, PIECE // shape[-1])):
            parts = [None if delta is None else delta[start:end].double() for delta in known]
            norms = [None if part is None else (part * part).sum(-1).sqrt_() for part in parts]
            total = torch.zeros(end - start, dtype=torch.float64, device=result.device)
            for i, j in combinations(range(count), 2):
                one, two, size, other = parts[i], parts[j], norms[i], norms[j]
                if one is not None and two is not None and size is not None and other is not None:
                    total += ((one * two).sum(-1) / (size * other).clamp_min_(LEAST)).clamp_(-1.0, 1.0)
            mean = total / (count * (count - 1) // 2)
            below = 1 + (count - 1) * mean
            flat = below.abs() < LEAST
            result[start:end] = (count * mean / below.masked_fill(flat, 1.0)).masked_fill_(flat, 0.0)
    return result.view(*shape[:-1], 1)


def prepare(group: "Group") -> "Group":
    """Nothing is kept but where to read: what depends on the checkpoints depends on the switch as well."""
    return group


def select(memo: "Group", values: Mapping[str, Any]) -> Trust:
    """The share of the average."""
    deltas = changes(memo).deltas
    if all(delta is None for delta in deltas):
        return Trust(memo, 0.0)
    if values["filter_wise"] and memo.models[0].value().dim() > 1:
        return Trust(memo, row_shares(deltas))
    return Trust(memo, whole_share(gram(deltas)))


def combine(
    base: "Operand | Aligned", choices: Sequence[Trust], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write T · average + (1 − T) · base."""
    share, models = choices[0].share, choices[0].group.models
    if isinstance(share, int | float):
        terms = [(base.value(), 1.0 - share), *((model.value(), share / len(models)) for model in models)]
        weighted_sum([term for term in terms if term[1] != 0], out, scratch)
        return
    columns = out.shape[-1]
    shares, target = share.view(-1, 1), out.view(-1, columns)
    known = [operand.value().reshape(-1, columns) for operand in (base, *models)]
    for start, end in spans(target.shape[0], max(1, scratch.size // columns)):
        pieces = [tensor[start:end].float() for tensor in known]
        store(_mix(pieces[0], pieces[1:], shares[start:end]), target[start:end], scratch)


def _mix(base: "Tensor", models: Sequence["Tensor"], share: "Tensor") -> "Tensor":
    average = models[0].clone()
    for model in models[1:]:
        average.add_(model)
    return average.div_(len(models)).mul_(share).add_(base * (1.0 - share))


@method(
    "model_stock",
    title="Model Stock",
    paper="https://arxiv.org/abs/2403.19522",
    summary="Several runs of one training: their average, drawn back to the base the more, the less the runs agree.",
    formula="T·mean(x) + (1 − T)·b,  T = N·c / (1 + (N − 1)·c),  c: mean cosine between two of the δᵢ",
    inputs="base+several",
    steps=Steps(prepare, select, combine),
    filter_wise=Knob.switch(False, stage="select", help="A share of its own for each row of a matrix."),
)
def model_stock(base: "Tensor", models: Sequence["Tensor"], *, filter_wise: bool = False) -> "Tensor":
    """Interpolate between `base` and the average of `models`, by how well their changes agree.

    Args:
        base: Weights of the common ancestor.
        models: Weights of two or more descendants, same shape.
        filter_wise: One share per vector along the last dimension; tensors with one dimension have one share.

    Returns:
        float32 weights. Changes that point apart (c < 0) give a negative T, as in mergekit; where 1 + (N − 1)·c is
        about 0, the base.
    """
    deltas = [model.float() - base.float() for model in models]
    if filter_wise and base.dim() > 1:
        return _mix(base.float(), [model.float() for model in models], row_shares(deltas))
    share = whole_share(gram(deltas))
    average = sum(models[1:], models[0].float()) / len(models)
    return share * average + (1.0 - share) * base.float()
