"""SLERP: along the great circle between two models (Shoemake 1985, https://doi.org/10.1145/325334.325242)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, moments, weighted_sum
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group, Source

COLINEAR = 0.9995  # |cosine| above it: the sphere is flat there, and the straight line is taken
NO_NORM = 1e-8


@dataclass(frozen=True)
class Pair:
    """The two ends and the angle between them, None where the straight line is taken."""

    ends: "tuple[Source, Source]"
    angle: float | None


def angle(first: "Tensor", second: "Tensor") -> float | None:
    """The angle between two flattened tensors, in radians; None where they are (nearly) colinear, or opposite."""
    squares = moments(first, second)
    norms = [norm if (norm := math.sqrt(square)) > NO_NORM else 1.0 for square in (squares[0], squares[2])]
    cosine = max(-1.0, min(1.0, squares[1] / norms[0] / norms[1]))
    return None if abs(cosine) > COLINEAR else math.acos(cosine)


def coefficients(radians: float | None, t: float) -> tuple[float, float]:
    """The factors of the two ends."""
    if radians is None:
        return 1.0 - t, t
    return math.sin((1.0 - t) * radians) / math.sin(radians), math.sin(t * radians) / math.sin(radians)


def prepare(group: "Group") -> Pair:
    """The angle between the base (t = 0) and the other model (t = 1)."""
    if group.base is None:
        raise TypeError("SLERP is planned with a base")
    ends = (group.base, group.models[0])
    same = ends[0].key == ends[1].key
    return Pair(ends, None if same else angle(ends[0].value(), ends[1].value()))


def select(memo: Pair, values: Mapping[str, Any]) -> Pair:
    """No knob selects anything."""
    return memo


def combine(base: object, choices: Sequence[Pair], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> bool:
    """Write the point at t; True where it lies on the sphere. One storage at both ends is copied, not computed."""
    pair, t = choices[0], values["t"]
    if pair.ends[0].key == pair.ends[1].key:
        weighted_sum([(pair.ends[0].value(), 1.0)], out, scratch)
        return False
    factors = coefficients(pair.angle, t)
    terms = [(end.value(), factor) for end, factor in zip(pair.ends, factors, strict=True) if factor != 0]
    weighted_sum(terms, out, scratch)
    return pair.angle is not None


def note(spherical: int, total: int) -> str:
    """What the page says beside the recipe."""
    tail = ": SLERP equals linear here." if spherical == 0 else "."
    return f"{spherical} of {total} tensors took the spherical branch{tail}"


@method(
    "slerp",
    title="SLERP",
    paper="https://doi.org/10.1145/325334.325242",
    summary="Two models, one slider: keeps the length of weights that point apart; near twins get the straight line.",
    formula="sin((1−t)θ)/sin θ · a + sin(tθ)/sin θ · b,  straight line where |cos θ| > 0.9995",
    inputs="two",
    steps=Steps(prepare, select, combine),
    note=note,
    t=Knob(0.0, 1.0, 0.5, step=0.01, help="0 is the base model, 1 the other; outside, the curve goes on."),
)
def slerp(first: "Tensor", second: "Tensor", *, t: float) -> "Tensor":
    """Interpolate between two tensors along the great circle through their directions.

    Args:
        first: Weights at t = 0.
        second: Weights at t = 1, same shape.
        t: Any finite number.

    Returns:
        float32 weights. The tensors themselves are combined, not their unit vectors, so the norm is not constant (as
        in mergekit).
    """
    one, two = coefficients(angle(first, second), t)
    return first.float() * one + second.float() * two
