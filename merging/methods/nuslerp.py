"""NuSLERP: SLERP with weights, and of task vectors where an ancestor is given (mergekit's name, Shoemake's curve)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, moments, store, thread_count, weighted_sum
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

SHORTEST = 1e-7  # a norm below it is replaced by it
COLINEAR = 1e-16  # 1 - cos² up to it: the straight line is taken


@dataclass(frozen=True)
class Ends:
    """What is interpolated: the two models, or their float32 deltas (None: 0 everywhere)."""

    group: "Group"
    deltas: "tuple[Tensor | None, Tensor | None] | None"

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(d.nbytes for d in self.deltas or () if d is not None)

    def tensors(self) -> "tuple[Tensor | None, Tensor | None]":
        """The two tensors that span the arc."""
        first, second = self.group.models
        return self.deltas if self.deltas is not None else (first.value(), second.value())


@dataclass(frozen=True)
class Arc:
    """The ends and the angle (0: straight line): one for the whole tensor, or float64 angles that broadcast to it."""

    ends: Ends
    angle: "float | Tensor"

    @property
    def nbytes(self) -> int:
        """Bytes kept, the deltas of the ends included: they live as long as this does."""
        return self.ends.nbytes + (0 if isinstance(self.angle, int | float) else self.angle.nbytes)


def share(weights: Sequence[float]) -> float:
    """T of the second model: its part of the sum of the weights, ½ where they cancel."""
    total = weights[0] + weights[1]
    return 0.5 if abs(total) < 1e-6 else weights[1] / total


def _radians(cosine: float) -> float:
    cosine = max(-1.0, min(1.0, cosine))
    return 0.0 if 1.0 - cosine * cosine <= COLINEAR else math.acos(cosine)


def whole_angle(first: "Tensor", second: "Tensor") -> float:
    """The angle between two flattened tensors, in radians; 0 where they are colinear."""
    xx, xy, yy = moments(first, second)
    return _radians(xy / max(math.sqrt(xx), SHORTEST) / max(math.sqrt(yy), SHORTEST))


def vector_angles(first: "Tensor", second: "Tensor", dim: int) -> "Tensor":
    """The angle of each pair of vectors along `dim` (kept, with size 1), float64 radians; 0 where they are colinear."""
    with thread_count(1):
        one, two = first.double(), second.double()
        norms = [(x * x).sum(dim, keepdim=True).sqrt_().clamp_min_(SHORTEST) for x in (one, two)]
        cosine = ((one * two).sum(dim, keepdim=True) / norms[0] / norms[1]).clamp_(-1.0, 1.0)
        return cosine.acos().masked_fill_(1.0 - cosine * cosine <= COLINEAR, 0.0)


def coefficients(radians: float, t: float) -> tuple[float, float]:
    """The factors of the two ends."""
    if radians == 0.0:
        return 1.0 - t, t
    return math.sin((1.0 - t) * radians) / math.sin(radians), math.sin(t * radians) / math.sin(radians)


def vector_coefficients(radians: "Tensor", t: float) -> "tuple[Tensor, Tensor]":
    """As `coefficients`, float32, one pair for each vector."""
    straight = radians == 0.0
    below = radians.sin().masked_fill_(straight, 1.0)
    one = ((radians * (1.0 - t)).sin() / below).masked_fill_(straight, 1.0 - t)
    two = ((radians * t).sin() / below).masked_fill_(straight, t)
    return one.float(), two.float()


def prepare(group: "Group") -> Ends:
    """The deltas where there is an ancestor."""
    if group.base is None:
        return Ends(group, None)
    first, second = group.models
    return Ends(group, (first.delta(group.base), second.delta(group.base)))


def select(memo: Ends, values: Mapping[str, Any]) -> Arc:
    """The angles: one, or one per vector; π/2 (cosine 0) where an end is 0 everywhere and has no direction."""
    first, second = memo.tensors()
    if first is None or second is None:
        return Arc(memo, math.pi / 2)
    if values["nuslerp_flatten"] or first.dim() == 0:
        return Arc(memo, whole_angle(first, second))
    return Arc(memo, vector_angles(first, second, 0 if values["nuslerp_row_wise"] else -1))


def combine(base: Any, choices: Sequence[Arc], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> bool:
    """Write the point at t of the arc, added to the base if there is one; True where it lies off the straight line."""
    arc, t = choices[0], share(values["weight"])
    group = arc.ends.group
    if group.is_one and base is None:
        weighted_sum([(group.models[0].value(), 1.0)], out, scratch)
        return False
    first, second = arc.ends.tensors()
    if not isinstance(arc.angle, int | float) and first is not None and second is not None:
        ends = (first, second, vector_coefficients(arc.angle, t))
        store(_combine_vectors(None if base is None else base.value(), *ends), out, scratch)
        return bool((arc.angle != 0).any())
    radians = arc.angle if isinstance(arc.angle, int | float) else 0.0
    start = [] if base is None else [(base.value(), 1.0)]
    ends = zip((first, second), coefficients(radians, t), strict=True)
    terms = start + [(end, factor) for end, factor in ends if end is not None and factor != 0]
    weighted_sum(terms, out, scratch)
    return radians != 0.0 and first is not None and second is not None


def _combine_vectors(
    base: "Tensor | None", first: "Tensor", second: "Tensor", factors: "tuple[Tensor, Tensor]"
) -> "Tensor":
    merged = (first.float() * factors[0]).add_(second.float() * factors[1])
    return merged if base is None else base.float().add(merged)


def note(off_line: int, total: int) -> str:
    """What the page says beside the recipe."""
    return f"{off_line} of {total} tensors follow an arc; the others are equal, or unchanged in one of the models."


@method(
    "nuslerp",
    title="SLERP of task vectors (NuSLERP)",
    paper="https://doi.org/10.1145/325334.325242",
    summary="Two experts of one base: turns from one's change to the other's; plain SLERP of near twins is a line.",
    formula="b + slerp(δ₁, δ₂; t = w₂ / (w₁ + w₂)); without a base, slerp(x₁, x₂; t)",
    inputs="two+base?",
    steps=Steps(prepare, select, combine, memo=4),
    note=note,
    weight=Knob(0.0, 1.0, 0.5, per_model=True, help="Only the ratio of the two matters: t is the second one's share."),
    nuslerp_flatten=Knob.switch(
        True, stage="select", help="One angle for the whole tensor; off: one for each of its vectors."
    ),
    nuslerp_row_wise=Knob.switch(
        False, stage="select", help="With flatten off: vectors along the first dimension, not the last."
    ),
)
def nuslerp(
    first: "Tensor",
    second: "Tensor",
    base: "Tensor | None" = None,
    *,
    weight: Sequence[float],
    nuslerp_flatten: bool = True,
    nuslerp_row_wise: bool = False,
) -> "Tensor":
    """Interpolate between two tensors, or between their differences from `base`, along the arc between them.

    Args:
        first: Weights of the first model.
        second: Weights of the second model, same shape.
        base: Weights of their ancestor, if the task vectors are meant.
        weight: Two finite numbers; t is the second's share of their sum, ½ where the sum is about 0.
        nuslerp_flatten: One angle for the whole tensor, instead of one per vector.
        nuslerp_row_wise: Vectors along the first dimension instead of the last.

    Returns:
        float32 weights.
    """
    t = share(weight)
    one = first.float() if base is None else first.float() - base.float()
    two = second.float() if base is None else second.float() - base.float()
    if nuslerp_flatten or one.dim() == 0:
        factors: Any = coefficients(whole_angle(one, two), t)
    else:
        factors = vector_coefficients(vector_angles(one, two, 0 if nuslerp_row_wise else -1), t)
    merged = one * factors[0] + two * factors[1]
    return merged if base is None else base.float() + merged
