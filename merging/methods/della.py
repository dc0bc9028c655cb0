"""DELLA: drop changes at random, the small ones more often, merge by elected sign (https://arxiv.org/abs/2406.11617)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging import noise
from merging.arithmetic import spans
from merging.deltas import Delta
from merging.errors import RecipeError
from merging.keep import Mask
from merging.knobs import DENSITY_AT_RANDOM, LAMBDA, WEIGHT_IN_VOTE, normalize, rescale
from merging.registry import Knob, Steps, method
from merging.steps import Kept, compose, elected, keep

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

EPSILON = Knob(
    0.0,
    0.3,
    0.15,
    per_model=True,
    absent=0.15,
    stage="select",
    help="How much more often the largest change of a row stays than the average one, and the smallest goes.",
)
_ROWS = 1 << 20  # elements sorted at a time


@dataclass(frozen=True)
class Ranked:
    """A delta and the place of each element in its row: 0 for the smallest magnitude; of equal ones the last index.

    Attributes:
        delta: The delta.
        ranks: int16 or int32, shape (rows, columns); None where the delta is 0 everywhere.
    """

    delta: Delta
    ranks: "Tensor | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return self.delta.nbytes + (0 if self.ranks is None else self.ranks.nbytes)


def prepare(group: "Group") -> Ranked:
    """Rank the magnitudes of every row (along the last dimension; a vector is one row)."""
    import torch

    memo = Delta(group)
    if memo.is_zero:
        return Ranked(memo, None)
    shape = memo.base().shape
    columns = shape[-1] if len(shape) else 1
    kind = torch.int16 if columns <= 1 << 15 else torch.int32
    ranks = torch.empty(memo.size, dtype=kind, device=memo.base().device)
    places = torch.arange(columns - 1, -1, -1, dtype=kind, device=ranks.device)
    for start, end in spans(memo.size, max(1, _ROWS // columns) * columns):
        piece = torch.empty(end - start, dtype=torch.float32, device=ranks.device)
        order = memo.read(start, end, piece).abs_().view(-1, columns).sort(descending=True, stable=True).indices
        ranks[start:end].view(-1, columns).scatter_(1, order, places.expand(order.shape))
    return Ranked(memo, ranks.view(-1, columns))


def chances(ranks: "Tensor", density: float, epsilon: float) -> "Tensor":
    """The probability with which each element stays, float32: density - epsilon to density + epsilon along a row."""
    columns = ranks.shape[-1]
    if columns == 1:
        return ranks.float().fill_(density)
    return ranks.float().mul_(2 * epsilon / (columns - 1)).add_(density - epsilon)


def select(memo: Ranked, values: Mapping[str, Any]) -> Kept:
    """A random share of the delta, mostly large ones, scaled back to its L1 norm."""
    import torch

    density, group = values["density"], memo.delta.group
    if memo.ranks is None or density <= 0:
        return Kept(None)
    if density >= 1:
        return Kept(memo.delta)
    stream = noise.key(group.seed, group.models[0].model, group.name)
    columns = memo.ranks.shape[-1]
    stays = torch.empty(memo.delta.size, dtype=torch.bool, device=memo.ranks.device)
    for start, end in spans(memo.delta.size, max(1, _ROWS // columns) * columns):
        chance = chances(memo.ranks.view(-1)[start:end].view(-1, columns), density, values["epsilon"]).view(-1)
        stays[start:end] = noise.uniform(stream, start, end, device=str(stays.device)) < chance
    return keep(memo.delta, Mask(stays), rescale=values["rescale"])


def check(values: Mapping[str, Any]) -> None:
    """Raise RecipeError where a chance would leave [0, 1]."""
    for density, epsilon in zip(values["density"], values["epsilon"], strict=True):
        if 0 < density < 1 and not 0 < density - abs(epsilon) <= density + abs(epsilon) < 1:
            raise RecipeError(
                f"density {density:g} with epsilon {epsilon:g}: density ± epsilon must lie between 0 and 1; "
                "make epsilon smaller, or the density 0 or 1."
            )


STEPS = Steps(prepare, select, elected, each=True, check=check, memo=3)


@method(
    "della",
    title="DELLA",
    paper="https://arxiv.org/abs/2406.11617",
    summary="DARE-TIES that trusts size: large changes stay more often than small ones.",
    formula="TIES of mᵢ·δᵢ·‖δᵢ‖₁/‖mᵢ·δᵢ‖₁,  P(mᵢ) = density − ε … density + ε by rank in the row",
    inputs="base+models",
    random=True,
    steps=STEPS,
    weight=WEIGHT_IN_VOTE,
    density=DENSITY_AT_RANDOM,
    epsilon=EPSILON,
    lambda_=LAMBDA,
    normalize=normalize(True, "the weights that agree"),
    rescale=rescale(True),
)
def della(
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
    normalize: bool = True,
    rescale: bool = True,
) -> "Tensor":
    """Merge changes of `models`, thinned by rank and chance, into `base`, keeping per entry only the elected sign.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        weight: Coefficient of each model, any finite value.
        density: Mean probability with which an element of each change is kept; 1 and above keeps all, 0 and below none.
        epsilon: The probability runs from density - epsilon (smallest of a row) to density + epsilon (largest).
        names: Names of the models; the noise of each follows from (seed, name, tensor).
        seed: Seed of the noise.
        tensor: Name of the tensor.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the agreeing weights.
        rescale: Scale what is left by ‖δ‖₁ / ‖kept‖₁.

    Returns:
        float32 weights.

    Raises:
        RecipeError: A probability would leave the range 0 to 1.

    Differs from the paper: rescales by the ratio of the L1 norms, as mergekit does, not each element by 1 / chance.
    """
    own = {"weight": weight, "density": density, "epsilon": epsilon}
    check(own)
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    return compose(STEPS, base, models, per_model=own, shared=shared, names=names, seed=seed, tensor=tensor)
