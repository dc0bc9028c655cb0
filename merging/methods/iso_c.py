"""Iso-C: the sum of the changes with all its singular values made equal (https://arxiv.org/abs/2502.04959)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.registry import Knob, Steps, method
from merging.spectrum import Spectrum, factors, of_matrix, of_product

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group, Source


@dataclass(frozen=True)
class Changes:
    """What `prepare` keeps of a tensor: the models' changes, as low-rank factors where all are made of these.

    Attributes:
        group: Base and models.
        halves: (L, R) of each change L·Rᵀ, None for one that is 0 everywhere; None where some change is dense, which
            is subtracted again rather than kept.
    """

    group: "Group"
    halves: "tuple[tuple[Tensor, Tensor] | None, ...] | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(half.nbytes for pair in self.halves or () if pair is not None for half in pair)


@dataclass(frozen=True)
class Merged:
    """The merged change, float32; None for 0 everywhere."""

    tensor: "Tensor | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if self.tensor is None else self.tensor.nbytes


def prepare(group: "Group") -> Changes:
    """The low-rank factors; the spectrum is that of the sum, so it depends on the weights."""
    base = group.base
    if base is None:
        raise TypeError("delta methods are planned with a base")
    halves = [None if model.key == base.key else factors(model, base) for model in group.models]
    dense = any(half is None and model.key != base.key for half, model in zip(halves, group.models, strict=True))
    return Changes(group, None if dense else tuple(halves))


def select(memo: Changes, values: Mapping[str, Any]) -> Merged:
    """Sum the changes and level the spectrum of the sum."""
    base, weights = memo.group.base, values["weight"]
    if base is None:
        raise TypeError("delta methods are planned with a base")
    if memo.halves is not None:
        used = [(pair, w) for pair, w in zip(memo.halves, weights, strict=True) if pair is not None and w != 0]
        return Merged(_from_factors([pair for pair, _ in used], [w for _, w in used], values["isotropy"]))
    total = None
    for model, weight in zip(memo.group.models, weights, strict=True):
        change = None if weight == 0 else model.delta(base)
        if change is not None:
            total = change.mul_(weight) if total is None else total.add_(change.mul_(weight))
    return Merged(None if total is None else levelled(total, len(weights), values["isotropy"]))


def _from_factors(
    pairs: "Sequence[tuple[Tensor, Tensor]]", weights: Sequence[float], isotropy: float
) -> "Tensor | None":
    """As `levelled` of Σ w·L·Rᵀ, without multiplying it out first."""
    import torch

    if not pairs:
        return None
    left = torch.cat([pair[0] * weight for pair, weight in zip(pairs, weights, strict=True)], 1)
    found = of_product(left, torch.cat([pair[1] for pair in pairs], 1))
    return level(found, isotropy).matrix() if found.rank else None


def levelled(total: "Tensor", models: int, isotropy: float) -> "Tensor | None":
    """The sum of the changes with its spectrum levelled; divided by their number where it is no matrix."""
    if total.dim() != 2:
        return total.mul_(1.0 / models)
    if isotropy == 0:
        return total
    found = of_matrix(total)
    return level(found, isotropy).matrix() if found.rank else None


def level(found: Spectrum, isotropy: float) -> Spectrum:
    """The same directions, each singular value moved by `isotropy` of the way to the mean of all."""
    values = found.values
    return Spectrum(found.left, values * (1.0 - isotropy) + values.mean() * isotropy, found.right)


def combine(
    base: "Source", choices: Sequence[Merged], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write base + λ · the merged change."""
    change, scale = choices[0].tensor, values["lambda"]
    terms = [] if change is None or scale == 0 else [(change, scale)]
    weighted_sum([(base.value(), 1.0), *terms], out, scratch)


@method(
    "iso_c",
    title="Isotropic merging (Iso-C)",
    paper="https://arxiv.org/abs/2502.04959",
    summary="Experts that changed by unequal amounts: all directions of the sum get one strength, so quiet ones count.",
    formula="b + λ · U·Σ'·Vᵀ,  Σ wᵢ·δᵢ = U·Σ·Vᵀ,  σ'ⱼ = (1−a)·σⱼ + a·mean(σ)",
    inputs="base+models",
    steps=Steps(prepare, select, combine),
    weight=Knob(
        0.0, 2.0, 1.0, per_model=True, absent=1.0, stage="select", help="Factor of this model's change in the sum."
    ),
    lambda_=Knob(0.0, 3.0, 1.0, absent=1.0, help="Factor of the merged change; 0 is the base."),
    isotropy=Knob(
        0.0, 1.0, 1.0, absent=1.0, stage="select", help="0 keeps the spectrum (task arithmetic), 1 makes it flat."
    ),
)
def iso_c(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    lambda_: float = 1.0,
    isotropy: float = 1.0,
) -> "Tensor":
    """Merge `models` into `base` in their common subspace, with a flat spectrum.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Factor of each change, any finite value.
        lambda_: Factor of the merged change.
        isotropy: How far each singular value of the sum moves to their mean: 0 not at all, 1 as in the paper; outside,
            on and on.

    Returns:
        float32 weights. All weights 0 or `lambda_` 0 give `base`.

    Differs from the paper: it has no weights (1 each), and always the flat spectrum. Singular values below 1e-5 of the
    largest count as 0; their directions stay out, and the mean is over the others, so that the sum of the singular
    values is the paper's but a sum of low-rank adapters is not filled up with directions nobody trained. As in the
    paper's code, tensors that are no matrices are averaged, Σ wᵢ·δᵢ / N.
    """
    total = (models[0].float() - base.float()) * weight[0]
    for model, factor in zip(models[1:], weight[1:], strict=True):
        total = total + (model.float() - base.float()) * factor
    change = levelled(total.contiguous(), len(models), isotropy)
    return base.float() if change is None else base.float() + lambda_ * change
