"""Task arithmetic: add weighted task vectors to their ancestor (https://arxiv.org/abs/2212.04089)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.deltas import Delta
from merging.knobs import LAMBDA, WEIGHT_IN_SUM, normalize
from merging.registry import Steps, method
from merging.steps import Kept, compose, prepare, summed

if TYPE_CHECKING:
    from torch import Tensor


def select(memo: Delta, values: Mapping[str, Any]) -> Kept:
    """All of the delta."""
    return Kept(None if memo.is_zero else memo)


STEPS = Steps(prepare, select, summed, each=True)


@method(
    "task_arithmetic",
    title="Task arithmetic",
    paper="https://arxiv.org/abs/2212.04089",
    summary="Experts that changed different things: adds their changes in full, where an average would halve them.",
    formula="b + λ · Σ wᵢ·δᵢ",
    inputs="base+models",
    steps=STEPS,
    weight=WEIGHT_IN_SUM,
    lambda_=LAMBDA,
    normalize=normalize(False),
)
def task_arithmetic(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    lambda_: float = 1.0,
    normalize: bool = False,
) -> "Tensor":
    """Add the weighted changes of `models` to `base`.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each change; any finite value, a negative one takes a skill away.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the weights, unless that is about 0.

    Returns:
        float32 weights. All weights 0 give `base`.
    """
    shared = {"lambda": lambda_, "normalize": normalize}
    return compose(STEPS, base, models, per_model={"weight": weight}, shared=shared)
