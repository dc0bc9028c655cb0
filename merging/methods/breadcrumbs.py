"""Model breadcrumbs: drop the largest and the smallest changes, add up the middle (https://arxiv.org/abs/2312.06795)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.deltas import Delta
from merging.knobs import DENSITY_BY_SIZE, LAMBDA, WEIGHT_IN_SUM, normalize, rescale
from merging.registry import Knob, Steps, method
from merging.steps import Kept, compose, keep, largest, prepare_ordered, summed

if TYPE_CHECKING:
    from torch import Tensor

GAMMA = Knob(
    0.0, 0.2, 0.01, per_model=True, step=0.01, absent=0.01, stage="select", help="Share dropped from the largest down."
)


def window(density: float, gamma: float, size: int) -> tuple[int, int]:
    """How many of the largest of `size` elements go, and how many of the next stay: ⌊density · size⌋ of them."""
    stay = min(size, max(0, int(density * size)))
    below = max(0, size - stay - max(0, int(gamma * size)))
    return size - below - stay, stay


def select(memo: Delta, values: Mapping[str, Any]) -> Kept:
    """The magnitudes in the middle."""
    if memo.is_zero:
        return Kept(None)
    skip, stay = window(values["density"], values["gamma"], memo.size)
    if not stay:
        return Kept(None)
    return keep(memo, largest(memo, stay, skip=skip), rescale=values["rescale"])


STEPS = Steps(prepare_ordered, select, summed, each=True)


@method(
    "breadcrumbs",
    title="Breadcrumbs",
    paper="https://arxiv.org/abs/2312.06795",
    summary="Experts with a few outsized changes that would drown the others: both tails of each change are cut.",
    formula="b + λ · Σ wᵢ·middle(δᵢ),  without the γ largest, density in all",
    inputs="base+models",
    steps=STEPS,
    weight=WEIGHT_IN_SUM,
    density=DENSITY_BY_SIZE,
    gamma=GAMMA,
    lambda_=LAMBDA,
    normalize=normalize(False),
    rescale=rescale(False),
)
def breadcrumbs(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    gamma: Sequence[float],
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: bool = False,
) -> "Tensor":
    """Add the middle magnitudes of the changes of `models` to `base`.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each change, any finite value.
        density: Fraction of each change kept, over the whole tensor; 0 and below none.
        gamma: Fraction of each change dropped from the largest magnitude down; where density + gamma is above 1,
            fewer, so that the density is kept.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the weights, unless that is about 0.
        rescale: Scale what is left back to the L1 norm.

    Returns:
        float32 weights. All densities 0 give `base`.
    """
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    own = {"weight": weight, "density": density, "gamma": gamma}
    return compose(STEPS, base, models, per_model=own, shared=shared)
