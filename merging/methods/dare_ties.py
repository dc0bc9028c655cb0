"""DARE with TIES: drop changes at random, rescale the rest, merge by elected sign (https://arxiv.org/abs/2311.03099)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging import noise
from merging.arithmetic import Scratch, absolute_sum, spans
from merging.methods.ties import Trimmed, combine
from merging.registry import Knob, Steps, method
from merging.steps import Delta, delta, elect_and_merge, match_l1_

if TYPE_CHECKING:
    from torch import Tensor


def drop_(values: "Tensor", density: float, stream: tuple[int, int]) -> "Tensor":
    """Keep each element with probability `density`, in place; masks of one stream are nested as the density grows."""
    flat = values.view(-1)
    for start, end in spans(flat.numel(), 1 << 17):
        dropped = noise.uniform(stream, start, end, device=str(flat.device)) >= density
        flat[start:end].masked_fill_(dropped, 0)
    return values


def select(memo: Delta, values: Mapping[str, Any]) -> Trimmed:
    """The delta with a random share of it left, scaled back to its L1 norm."""
    found, density = memo.tensor(), values["density"]
    if found is None or density <= 0:
        return Trimmed(None)
    if density < 1:
        drop_(found, density, noise.key(memo.group.seed, memo.group.models[0].model, memo.group.name))
        if values["rescale"]:
            match_l1_(found, memo.l1)
    return Trimmed(found)


@method(
    "dare_ties",
    title="DARE-TIES",
    paper="https://arxiv.org/abs/2311.03099",
    summary="Experts with redundant changes: most are dropped at random and the rest scaled up, so they collide less.",
    formula="TIES of mᵢ·δᵢ·‖δᵢ‖₁/‖mᵢ·δᵢ‖₁,  mᵢ ~ Bernoulli(density)",
    inputs="base+models",
    random=True,
    steps=Steps(delta, select, combine, each=True),
    weight=Knob(0.0, 1.0, 0.5, per_model=True, help="Pull of this model, in the vote on signs and in the sum."),
    density=Knob(
        0.0, 1.0, 0.5, per_model=True, absent=1.0, stage="select", help="Share of the changes kept, picked at random."
    ),
    lambda_=Knob(0.0, 2.0, 1.0, absent=1.0, help="Factor of the merged change; 0 is the base."),
    normalize=Knob.switch(False, help="Divide by the sum of the weights that agree."),
    rescale=Knob.switch(True, stage="select", help="Scale what is left back to the change's total size (L1 norm)."),
)
def dare_ties(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    streams: Sequence[tuple[int, int]],
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
        streams: One stream of noise per model, `merging.noise.key(seed, model, tensor name)`.
        lambda_: Factor of the merged change.
        normalize: Divide by the sum of the agreeing weights.
        rescale: Scale what is left by ‖δ‖₁ / ‖kept‖₁.

    Returns:
        float32 weights.

    Differs from the paper: rescales by the ratio of the L1 norms, as mergekit does, not by 1 / density; on large
    tensors they are nearly equal.
    """
    kept: list[Tensor | None] = []
    for model, part, stream in zip(models, density, streams, strict=True):
        change = (model.float() - base.float()).contiguous()
        l1 = absolute_sum(change)
        if 0 < part < 1:
            drop_(change, part, stream)
            change = match_l1_(change, l1) if rescale else change
        kept.append(None if part <= 0 else change)
    out = base.float().clone().contiguous()
    values = {"weight": weight, "lambda": lambda_, "normalize": normalize}
    elect_and_merge(base.float(), kept, values, out, Scratch(str(base.device)))
    return out
