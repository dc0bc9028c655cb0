"""Nearswap: take the other model's weights where they are near the base's (alchemonaut, 2024, QuartetAnemoi-70B)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, spans, store, weighted_sum
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Group, Operand

NEAREST = 1e-6  # a distance below it is divided by as if it were that


def prepare(group: "Group") -> "Group":
    """Nothing is kept: the distances are as quick to compute as to read."""
    return group


def select(memo: "Group", values: Mapping[str, Any]) -> "Group":
    """No knob selects anything."""
    return memo


def combine(
    base: "Operand | Aligned", choices: Sequence["Group"], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the two, mixed element by element; one storage at both ends is copied, not computed."""
    other, t = choices[0].models[0], values["t"]
    if other.key == base.key or t <= 0:
        weighted_sum([(base.value(), 1.0)], out, scratch)
        return
    near, far, target = base.value().reshape(-1), other.value().reshape(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        one, two, share, rest = (scratch(index, end - start) for index in range(4))
        one.copy_(near[start:end])
        two.copy_(far[start:end])
        store(_mix(one, two, share, rest, t), target[start:end], scratch)


def _mix(one: "Tensor", two: "Tensor", share: "Tensor", rest: "Tensor", t: float) -> "Tensor":
    """Two · w + one · (1 − w) with w = t / |one − two| cut to [0, 1]; all four buffers are overwritten."""
    rest.copy_(one).sub_(two).abs_().clamp_min_(NEAREST)
    share.fill_(t).div_(rest).clamp_(0.0, 1.0)
    rest.fill_(1.0).sub_(share)
    return two.mul_(share).add_(one.mul_(rest))


@method(
    "nearswap",
    title="Nearswap",
    paper="https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    summary="A strong base, a gentle second model: weights that hardly differ are swapped in, large changes stay out.",
    formula="w·x + (1 − w)·b,  w = min(1, t / |x − b|) for each element",
    inputs="two",
    steps=Steps(prepare, select, combine),
    t=Knob(
        0.0, 0.01, 0.001, step=0.0001, help="Distance up to which the other model's weight is taken; 0 is the base."
    ),
)
def nearswap(base: "Tensor", model: "Tensor", *, t: float) -> "Tensor":
    """Move each element of `base` towards `model`, by at most `t`.

    Args:
        base: Weights to start from.
        model: Weights of the other model, same shape.
        t: Farthest an element moves, in units of the weights; 0 and below leave the base.

    Returns:
        float32 weights. A distance below 1e-6 counts as 1e-6, as in mergekit.
    """
    one, two = base.float().clone(), model.float().clone()
    return _mix(one, two, one.clone(), one.clone(), max(t, 0.0))
