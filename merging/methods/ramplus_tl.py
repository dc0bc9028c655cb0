"""RAM+ tensor by tensor: what one model changed alone is scaled up (https://arxiv.org/abs/2601.13572)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import REDUCE, Scratch, spans
from merging.changes import Changes, changes
from merging.methods.ram import blend, check
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Operand


@dataclass(frozen=True)
class Counted:
    """The deltas that are not 0 everywhere, and how many active elements each shares for one that it has alone."""

    moved: "tuple[Tensor, ...]"
    ratios: tuple[float, ...]

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(delta.nbytes for delta in self.moved)


def select(memo: Changes, values: Mapping[str, Any]) -> Counted:
    """Count shared and unique elements."""
    return Counted(memo.moved, ratios(memo.moved, values["epsilon"]))


def ratios(moved: Sequence["Tensor"], epsilon: float) -> tuple[float, ...]:
    """Active elements a model shares with others, divided by those it has alone; 0 where it has none alone."""
    import torch

    shared, unique = [0] * len(moved), [0] * len(moved)
    for start, end in spans(len(moved[0]) if moved else 0, REDUCE):
        active = torch.stack([delta[start:end].abs() > epsilon for delta in moved])
        count = active.sum(0)
        for index in range(len(moved)):
            shared[index] += int((active[index] & (count > 1)).sum())
            unique[index] += int((active[index] & (count == 1)).sum())
    return tuple(many / few if few else 0.0 for many, few in zip(shared, unique, strict=True))


def boosts(found: Sequence[float], r: float, alpha: float) -> list[float]:
    """The factor of each model's unique elements: 1 + r · its ratio, cut to [0, α]."""
    return [1.0 + r * min(max(ratio, 0.0), alpha) for ratio in found]


def combine(
    base: "Operand | Aligned", choices: Sequence[Counted], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the base plus the active changes."""
    counted = choices[0]
    factors = boosts(counted.ratios, values["r"], values["alpha"])
    blend(base.value(), counted.moved, factors, values["epsilon"], out, scratch)


@method(
    "ramplus_tl",
    title="RAM+ (tensor-local)",
    paper="https://arxiv.org/abs/2601.13572",
    summary="As RAM, for agents whose changes overlap much: what each learned alone is strengthened in turn.",
    formula="as RAM, a change made by one model alone × (1 + r · min(α, #sharedᵢ / #uniqueᵢ))",
    inputs="base+models",
    steps=Steps(changes, select, combine, check=check),
    r=Knob(0.0, 1.0, 0.1, absent=0.1, help="Strength of the rescaling; 0 is RAM."),
    alpha=Knob(0.0, 1.0, 0.2, absent=0.2, help="Most of the ratio shared / unique that counts."),
    epsilon=Knob(
        0.0, 0.01, 1e-5, step=1e-5, absent=1e-5, stage="select", help="Changes up to this size count as none."
    ),
)
def ramplus_tl(
    base: "Tensor", models: Sequence["Tensor"], *, r: float = 0.1, alpha: float = 0.2, epsilon: float = 1e-5
) -> "Tensor":
    """RAM with unique changes scaled up by how much of the model's change is shared.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        r: Strength of the rescaling, any finite value.
        alpha: Upper bound of the ratio shared / unique.
        epsilon: Magnitude up to which a change counts as none; not negative.

    Returns:
        float32 weights.
    """
    moved = [(model.float() - base.float()).reshape(-1) for model in models]
    out = base.float().clone().contiguous()
    blend(base, moved, boosts(ratios(moved, epsilon), r, alpha), epsilon, out, Scratch(str(base.device)))
    return out
