"""TSV-Merge: each change's strongest singular directions, made orthogonal between models (arXiv 2412.00081)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.registry import Knob, Steps, method
from merging.spectrum import Spectrum, of_change, of_matrix, orthogonal

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group, Source


@dataclass(frozen=True)
class Changes:
    """What `prepare` keeps of a tensor: each model's decomposed change, or, where it is no matrix, the change itself.

    Attributes:
        shape: Of the tensor.
        found: One per model; None for a change that is 0 everywhere.
    """

    shape: tuple[int, ...]
    found: "tuple[Spectrum | Tensor | None, ...]"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(one.nbytes for one in self.found if one is not None)


@dataclass(frozen=True)
class Parts:
    """The merged change, one float32 summand per model, so that weights only scale; None for 0 everywhere."""

    tensors: "tuple[Tensor | None, ...]"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(one.nbytes for one in self.tensors if one is not None)


def room(shape: Sequence[int], models: int) -> int:
    """How many directions of a tensor are each model's: the smaller side over the number of models; 0: no matrix."""
    return min(shape) // models if len(shape) == 2 and models else 0


def prepare(group: "Group") -> Changes:
    """Decompose every change, as far as its room goes."""
    if group.base is None:
        raise TypeError("delta methods are planned with a base")
    shape = tuple(group.base.value().shape)
    most = room(shape, len(group.models))
    if most == 0 or len(group.models) == 1:
        return Changes(shape, tuple(model.delta(group.base) for model in group.models))
    return Changes(shape, tuple(of_change(model, group.base, most) for model in group.models))


def select(memo: Changes, values: Mapping[str, Any]) -> Parts:
    """Cut every change to its strongest directions and turn those of all models orthogonal to each other."""
    return Parts(summands(memo, values["rank_share"]))


def summands(memo: Changes, share: float) -> "tuple[Tensor | None, ...]":
    """Uᵢ·Σᵢ·Vᵢᵀ of each model, or δᵢ / N where the tensor is no matrix."""
    models, most = len(memo.found), room(memo.shape, len(memo.found))
    if share <= 0:
        return (None,) * models
    if most == 0:
        return tuple(None if one is None or isinstance(one, Spectrum) else one * (1.0 / models) for one in memo.found)
    if models == 1:
        return (_cut(memo.found[0], share),)
    kept = {i: _strongest(one, share) for i, one in enumerate(memo.found) if isinstance(one, Spectrum) and one.rank}
    if not kept:
        return (None,) * models
    lefts = orthogonal([one.left for one in kept.values()])
    rights = orthogonal([one.right for one in kept.values()])
    made = {i: Spectrum(u, kept[i].values, v).matrix() for i, u, v in zip(kept, lefts, rights, strict=True)}
    return tuple(made.get(i) for i in range(models))


def _strongest(one: Spectrum, share: float) -> Spectrum:
    return one.first(one.rank if share >= 1 else max(1, int(share * one.rank)))


def _cut(change: "Spectrum | Tensor | None", share: float) -> "Tensor | None":
    """The change of the only model, with its strongest directions alone; all of it is taken as it is."""
    if change is None or isinstance(change, Spectrum) or share >= 1:
        return change.matrix() if isinstance(change, Spectrum) else change
    whole = of_matrix(change)
    return _strongest(whole, share).matrix() if whole.rank else None


def combine(
    base: "Source", choices: Sequence[Parts], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write base + λ · Σ wᵢ · the models' summands."""
    pairs = zip(choices[0].tensors, values["weight"], strict=True)
    factors = [(part, values["lambda"] * weight) for part, weight in pairs if part is not None]
    weighted_sum([(base.value(), 1.0), *((part, factor) for part, factor in factors if factor != 0)], out, scratch)


@method(
    "tsv",
    title="Task singular vectors (TSV-Merge)",
    paper="https://arxiv.org/abs/2412.00081",
    summary="Experts whose changes share directions: the strongest of each are made orthogonal, so that none drowns.",
    formula="b + λ · Σ wᵢ·U⊥ᵢ·Σᵢ·V⊥ᵢᵀ,  δᵢ ≈ UᵢΣᵢVᵢᵀ cut to 1/N of its directions, [U₁ U₂ …] → nearest orthonormal U⊥",
    inputs="base+models",
    steps=Steps(prepare, select, combine),
    weight=Knob(0.0, 2.0, 1.0, per_model=True, absent=1.0, help="Factor of this model's directions; 1 is the paper's."),
    lambda_=Knob(0.0, 2.0, 1.0, absent=1.0, help="Factor of the merged change; 0 is the base."),
    rank_share=Knob(
        0.0, 1.0, 1.0, absent=1.0, stage="select", help="Share of each model's room for directions that is used."
    ),
)
def tsv(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    lambda_: float = 1.0,
    rank_share: float = 1.0,
) -> "Tensor":
    """Merge `models` into `base` by their task singular vectors.

    The k strongest singular directions of each change are kept, k = ⌊smaller side / N⌋ for N models. The left vectors
    of all models, side by side, are replaced by the nearest orthonormal matrix (whitening, orthogonal Procrustes), the
    right ones too, and the changes are put together again with their own singular values.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Factor of each model's singular values, any finite value. A model of weight 0 still takes its room:
            leave it out to free it.
        lambda_: Factor of the merged change.
        rank_share: Share of each model's k directions (of its rank, where that is less) that is used, at least one;
            1 and above uses all, 0 and below none.

    Returns:
        float32 weights. All weights 0, `lambda_` 0 or `rank_share` 0 give `base`.

    Differs from the paper: it has no weights per model, and its rank share is 1 here. Singular values below 1e-5 of
    the largest count as 0 (a low-rank adapter has no more directions than its rank), and directions that two models
    have in common exactly are merged into one without inventing others in their place. One model alone is taken as it
    is. As in the paper's code, tensors that are no matrices are averaged, Σ wᵢ·δᵢ / N; here also matrices with a side
    shorter than N.
    """
    changes = [(model.float() - base.float()).contiguous() for model in models]
    most = room(base.shape, len(changes))
    decomposed = [of_matrix(change, most) if most and len(changes) > 1 else change for change in changes]
    parts = summands(Changes(tuple(base.shape), tuple(decomposed)), rank_share)
    total = base.float().clone()
    for part, factor in zip(parts, weight, strict=True):
        if part is not None:
            total += lambda_ * factor * part
    return total
