"""TIES: trim each task vector, elect a sign per entry, average those that agree (https://arxiv.org/abs/2306.01708)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.deltas import Delta
from merging.knobs import DENSITY_BY_SIZE, LAMBDA, WEIGHT_IN_VOTE, normalize, rescale
from merging.registry import Steps, method
from merging.steps import Kept, compose, elected, keep, keep_count, largest, prepare_ordered

if TYPE_CHECKING:
    from torch import Tensor


def select(memo: Delta, values: Mapping[str, Any]) -> Kept:
    """Only the largest magnitudes."""
    if memo.is_zero or values["density"] <= 0:
        return Kept(None)
    return keep(memo, largest(memo, keep_count(values["density"], memo.size)), rescale=values["rescale"])


STEPS = Steps(prepare_ordered, select, elected, each=True)


@method(
    "ties",
    title="TIES",
    paper="https://arxiv.org/abs/2306.01708",
    summary="Experts that pull in opposite directions: small changes are dropped, each entry follows the majority.",
    formula="b + λ · Σ Mᵢ·wᵢ·trim(δᵢ) / Σ Mᵢ·wᵢ,  Mᵢ: has the sign of Σ wᵢ·trim(δᵢ)",
    inputs="base+models",
    steps=STEPS,
    weight=WEIGHT_IN_VOTE,
    density=DENSITY_BY_SIZE,
    lambda_=LAMBDA,
    normalize=normalize(True, "the weights that agree"),
    rescale=rescale(False),
)
def ties(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    lambda_: float = 1.0,
    normalize: bool = True,
    rescale: bool = False,
) -> "Tensor":
    """Merge `models` into `base`, keeping per entry only the elected sign.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each model; any finite value, a negative one flips its change before the vote.
        density: Fraction of each change kept, by magnitude over the whole tensor; 1 and above keeps all, 0 and below
            none. At the cut the lowest index stays.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the agreeing weights.
        rescale: Scale each trimmed change back to its L1 norm.

    Returns:
        float32 weights. All densities 0 give `base`.

    Differs from the paper: signs are elected after weighting, as mergekit does, because the paper has no weights;
    with equal weights both agree.
    """
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    return compose(STEPS, base, models, per_model={"weight": weight, "density": density}, shared=shared)
