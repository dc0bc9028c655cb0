"""DARE with TIES: drop changes at random, rescale the rest, merge by elected sign (https://arxiv.org/abs/2311.03099)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging import noise
from merging.deltas import Delta
from merging.keep import Noise
from merging.knobs import DENSITY_AT_RANDOM, LAMBDA, WEIGHT_IN_VOTE, normalize, rescale
from merging.registry import Steps, method
from merging.steps import Kept, compose, elected, keep, prepare

if TYPE_CHECKING:
    from torch import Tensor


def select(memo: Delta, values: Mapping[str, Any]) -> Kept:
    """A random share of the delta, scaled back to its L1 norm."""
    density, group = values["density"], memo.group
    if memo.is_zero or density <= 0:
        return Kept(None)
    if density >= 1:
        return Kept(memo)
    rule = Noise(density, noise.key(group.seed, group.models[0].model, group.name))
    return keep(memo, rule, rescale=values["rescale"])


STEPS = Steps(prepare, select, elected, each=True)


@method(
    "dare_ties",
    title="DARE-TIES",
    paper="https://arxiv.org/abs/2311.03099",
    summary="Experts with redundant changes: most are dropped at random and the rest scaled up, so they collide less.",
    formula="TIES of mᵢ·δᵢ·‖δᵢ‖₁/‖mᵢ·δᵢ‖₁,  mᵢ ~ Bernoulli(density)",
    inputs="base+models",
    random=True,
    steps=STEPS,
    weight=WEIGHT_IN_VOTE,
    density=DENSITY_AT_RANDOM,
    lambda_=LAMBDA,
    normalize=normalize(False, "the weights that agree"),
    rescale=rescale(True),
)
def dare_ties(
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
    """Merge randomly thinned changes of `models` into `base`, keeping per entry only the elected sign.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each model, any finite value.
        density: Probability with which an element of each change is kept; 1 and above keeps all, 0 and below none.
        names: Names of the models; the noise of each follows from (seed, name, tensor).
        seed: Seed of the noise.
        tensor: Name of the tensor.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the agreeing weights.
        rescale: Scale what is left by ‖δ‖₁ / ‖kept‖₁.

    Returns:
        float32 weights.

    Differs from the paper: rescales by the ratio of the L1 norms, as mergekit does, not by 1 / density; on large
    tensors they are nearly equal.
    """
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    own = {"weight": weight, "density": density}
    return compose(STEPS, base, models, per_model=own, shared=shared, names=names, seed=seed, tensor=tensor)
