"""All models of one tensor together: their changes from the base, and the dot products between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from merging.arithmetic import REDUCE, spans, thread_count

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

ROUNDING = 1e-15  # a squared length below this share of its terms is rounding error, and counts as 0


@dataclass(frozen=True)
class Changes:
    """The float32 deltas of all models, kept; None for one that is 0 everywhere (the base's own storage)."""

    deltas: "tuple[Tensor | None, ...]"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(delta.nbytes for delta in self.deltas if delta is not None)

    @property
    def moved(self) -> "tuple[Tensor, ...]":
        """The deltas that are not 0 everywhere, flattened."""
        return tuple(delta.view(-1) for delta in self.deltas if delta is not None)


def changes(group: "Group") -> Changes:
    """`prepare` of methods that look at all deltas of a tensor at once."""
    base = group.base
    if base is None:
        raise TypeError("delta methods are planned with a base")
    return Changes(tuple(model.delta(base) for model in group.models))


def gram(tensors: "Sequence[Tensor | None]") -> list[list[float]]:
    """The dot products ⟨xᵢ, xⱼ⟩ of flattened tensors in float64, read once; None is 0 everywhere."""
    import torch

    flat = [None if tensor is None else tensor.reshape(-1) for tensor in tensors]
    length = max((tensor.numel() for tensor in flat if tensor is not None), default=0)
    found = [[0.0] * len(flat) for _ in flat]
    with thread_count(1):
        for start, end in spans(length, REDUCE):
            pieces = [None if tensor is None else tensor[start:end].double() for tensor in flat]
            for i, one in enumerate(pieces):
                for j, two in enumerate(pieces[: i + 1]):
                    if one is not None and two is not None:
                        found[i][j] += torch.dot(one, two).item()
    for i in range(len(flat)):
        for j in range(i):
            found[j][i] = found[i][j]
    return found


def length(products: Sequence[Sequence[float]], factors: Sequence[float]) -> float:
    """‖Σ fᵢ·xᵢ‖ from the dot products of the xᵢ; 0 where the terms cancel up to rounding."""
    terms = [
        one * two * products[i][j] for i, one in enumerate(factors) for j, two in enumerate(factors) if one and two
    ]
    square = math.fsum(terms)
    return math.sqrt(square) if square > ROUNDING * math.fsum(map(abs, terms)) else 0.0
