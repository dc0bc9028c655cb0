"""DARE: drop changes at random, rescale the rest, add them up (https://arxiv.org/abs/2311.03099)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from merging.knobs import DENSITY_AT_RANDOM, LAMBDA, WEIGHT_IN_SUM, normalize, rescale
from merging.methods.dare_ties import select
from merging.registry import Steps, method
from merging.steps import compose, prepare, summed

if TYPE_CHECKING:
    from torch import Tensor

STEPS = Steps(prepare, select, summed, each=True)


@method(
    "dare_linear",
    title="DARE",
    paper="https://arxiv.org/abs/2311.03099",
    summary="Task arithmetic of thinned changes: shows how few of an expert's changes it takes to keep its skill.",
    formula="b + λ · Σ wᵢ·mᵢ·δᵢ·‖δᵢ‖₁/‖mᵢ·δᵢ‖₁,  mᵢ ~ Bernoulli(density)",
    inputs="base+models",
    random=True,
    steps=STEPS,
    weight=WEIGHT_IN_SUM,
    density=DENSITY_AT_RANDOM,
    lambda_=LAMBDA,
    normalize=normalize(False),
    rescale=rescale(True),
)
def dare_linear(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    names: Sequence[str] = (),
    seed: int = 0,
    tensor: str = "",
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: bool = True,
) -> "Tensor":
    """Add randomly thinned changes of `models` to `base`.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each change, any finite value.
        density: Probability with which an element of each change is kept; 1 and above keeps all, 0 and below none.
        names: Names of the models; the noise of each follows from (seed, name, tensor).
        seed: Seed of the noise.
        tensor: Name of the tensor.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the weights, unless that is about 0.
        rescale: Scale what is left by ‖δ‖₁ / ‖kept‖₁.

    Returns:
        float32 weights.

    Differs from the paper: as `dare_ties`.
    """
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    own = {"weight": weight, "density": density}
    return compose(STEPS, base, models, per_model=own, shared=shared, names=names, seed=seed, tensor=tensor)
