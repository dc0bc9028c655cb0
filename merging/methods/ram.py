"""RAM: changes that one model made alone are kept whole, shared ones are averaged (https://arxiv.org/abs/2601.13572)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, spans, store, weighted_sum
from merging.changes import Changes, changes
from merging.errors import RecipeError
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Operand


def check(values: Mapping[str, Any]) -> None:
    """Raise RecipeError where no magnitude could be inactive."""
    if values["epsilon"] < 0:
        raise RecipeError(f"epsilon is {values['epsilon']:g}: it is a magnitude and must not be negative.")


def select(memo: Changes, values: Mapping[str, Any]) -> Changes:
    """No knob selects anything."""
    return memo


def combine(
    base: "Operand | Aligned", choices: Sequence[Changes], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the base plus the active changes."""
    moved = choices[0].moved
    blend(base.value(), moved, [1.0] * len(moved), values["epsilon"], out, scratch)


def blend(
    base: "Tensor",
    moved: Sequence["Tensor"],
    boosts: Sequence[float],
    epsilon: float,
    out: "Tensor",
    scratch: Scratch,
) -> None:
    """Write base + the mean of the active changes of each element into `out`.

    Args:
        base: Weights of the ancestor.
        moved: Flat float32 changes; an element is active where its magnitude is above `epsilon`.
        boosts: Factor of each change where it is the only active one.
        epsilon: Not negative.
        out: Result, overwritten.
        scratch: Four buffers of it are used.
    """
    import torch

    if not moved:
        weighted_sum([(base, 1.0)], out, scratch)
        return
    source, target = base.reshape(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        total, part, count, alone = (scratch(index, end - start) for index in range(4))
        pieces = [delta[start:end] for delta in moved]
        count.zero_()
        for piece in pieces:
            count.add_(torch.abs(piece, out=part) > epsilon)
        alone.copy_(count == 1)
        total.zero_()
        for piece, boost in zip(pieces, boosts, strict=True):
            active = torch.abs(piece, out=part) > epsilon
            part.copy_(piece).mul_(active)
            total.add_(part)
            if boost != 1:
                total.add_(part.mul_(alone).mul_(boost - 1))
        total.div_(count.clamp_min_(1.0)).add_(part.copy_(source[start:end]))
        store(total, target[start:end], scratch)


@method(
    "ram",
    title="RAM",
    paper="https://arxiv.org/abs/2601.13572",
    summary="Agents trained by reinforcement, whose changes are sparse: what only one of them learned is not diluted.",
    formula="b + Σ Aᵢ·δᵢ / max(1, Σ Aᵢ),  Aᵢ: |δᵢ| > ε",
    inputs="base+models",
    steps=Steps(changes, select, combine, check=check),
    epsilon=Knob(0.0, 0.01, 1e-5, step=1e-5, absent=1e-5, help="Changes up to this size count as none."),
)
def ram(base: "Tensor", models: Sequence["Tensor"], *, epsilon: float = 1e-5) -> "Tensor":
    """Add to `base`, element by element, the mean of those changes that are larger than `epsilon`.

    Args:
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        epsilon: Magnitude up to which a change counts as none; not negative.

    Returns:
        float32 weights.
    """
    moved = [(model.float() - base.float()).reshape(-1) for model in models]
    out = base.float().clone().contiguous()
    blend(base, moved, [1.0] * len(moved), epsilon, out, Scratch(str(base.device)))
    return out
