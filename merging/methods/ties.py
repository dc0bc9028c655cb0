"""TIES: trim each task vector, elect a sign per entry, average those that agree (https://arxiv.org/abs/2306.01708)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, absolute_sum
from merging.registry import Knob, Steps, method
from merging.steps import Delta, elect_and_merge, keep_count, match_l1_, ordered_delta, trim_

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Operand


@dataclass(frozen=True)
class Trimmed:
    """A float32 delta after its trim; None for 0 everywhere."""

    tensor: "Tensor | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if self.tensor is None else self.tensor.nbytes


def select(memo: Delta, values: Mapping[str, Any]) -> Trimmed:
    """The delta with only its largest magnitudes left."""
    found = memo.tensor()
    if found is None or values["density"] <= 0:
        return Trimmed(None)
    trim_(found, keep_count(values["density"], found.numel()), memo)
    return Trimmed(match_l1_(found, memo.l1) if values["rescale"] and values["density"] < 1 else found)


def combine(
    base: "Operand | Aligned", choices: Sequence[Trimmed], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Elect signs and write base + λ · the merged deltas."""
    elect_and_merge(base.value(), [choice.tensor for choice in choices], values, out, scratch)


@method(
    "ties",
    title="TIES",
    paper="https://arxiv.org/abs/2306.01708",
    summary="Experts that pull in opposite directions: small changes are dropped, each entry follows the majority.",
    formula="b + λ · Σ Mᵢ·wᵢ·trim(δᵢ) / Σ Mᵢ·wᵢ,  Mᵢ: has the sign of Σ wᵢ·trim(δᵢ)",
    inputs="base+models",
    steps=Steps(ordered_delta, select, combine, each=True),
    weight=Knob(0.0, 1.0, 0.5, per_model=True, help="Pull of this model, in the vote on signs and in the average."),
    density=Knob(
        0.0, 1.0, 0.5, per_model=True, absent=1.0, stage="select", help="Share of the changes kept, the largest first."
    ),
    lambda_=Knob(0.0, 2.0, 1.0, absent=1.0, help="Factor of the merged change; 0 is the base."),
    normalize=Knob.switch(True, help="Divide by the sum of the weights that agree."),
    rescale=Knob.switch(False, stage="select", help="Scale a trimmed change back to its total size (L1 norm)."),
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
    trimmed: list[Tensor | None] = []
    for model, part in zip(models, density, strict=True):
        change = (model.float() - base.float()).contiguous()
        l1 = absolute_sum(change)
        if part <= 0:
            trimmed.append(None)
            continue
        trim_(change, keep_count(part, change.numel()))
        trimmed.append(match_l1_(change, l1) if rescale and part < 1 else change)
    out = base.float().clone().contiguous()
    elect_and_merge(
        base.float(),
        trimmed,
        {"weight": weight, "lambda": lambda_, "normalize": normalize},
        out,
        Scratch(str(base.device)),
    )
    return out
