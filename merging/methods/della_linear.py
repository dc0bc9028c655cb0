"""DELLA without the vote: drop changes at random, the small ones more often, add up (https://arxiv.org/abs/2406.11617)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from merging.knobs import DENSITY_AT_RANDOM, LAMBDA, WEIGHT_IN_SUM, normalize, rescale
from merging.methods.della import EPSILON, check, prepare, select
from merging.registry import Steps, method
from merging.steps import compose, summed

if TYPE_CHECKING:
    from torch import Tensor

STEPS = Steps(prepare, select, summed, each=True, check=check, memo=3)


@method(
    "della_linear",
    title="DELLA without vote",
    paper="https://arxiv.org/abs/2406.11617",
    summary="DARE that trusts size: large changes stay more often than small ones, and all that stay are added.",
    formula="b + λ · Σ wᵢ·mᵢ·δᵢ·‖δᵢ‖₁/‖mᵢ·δᵢ‖₁,  P(mᵢ) = density − ε … density + ε by rank in the row",
    inputs="base+models",
    random=True,
    steps=STEPS,
    weight=WEIGHT_IN_SUM,
    density=DENSITY_AT_RANDOM,
    epsilon=EPSILON,
    lambda_=LAMBDA,
    normalize=normalize(False),
    rescale=rescale(True),
)
def della_linear(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    epsilon: Sequence[float],
    names: Sequence[str] = (),
    seed: int = 0,
    tensor: str = "",
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: bool = True,
) -> "Tensor":
    """Add changes of `models`, thinned by rank and chance, to `base`.

    Arguments, errors and the difference from the paper as in `della`, but that `normalize` divides by the sum of all
    weights.

    Returns:
        float32 weights.
    """
    own = {"weight": weight, "density": density, "epsilon": epsilon}
    check(own)
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    return compose(STEPS, base, models, per_model=own, shared=shared, names=names, seed=seed, tensor=tensor)
