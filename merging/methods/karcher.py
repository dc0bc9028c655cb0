"""Karcher mean: the point of the sphere nearest to all models (Karcher 1977, https://doi.org/10.1002/cpa.3160300502)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.changes import gram, length
from merging.errors import RecipeError
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

MOST_STEPS = 10_000
FLOOR = 1e-9  # a shorter step is rounding error
OPPOSITE = 1e-6  # sine below which a point opposite to the mean pulls nowhere: all directions are as near


@dataclass(frozen=True)
class Points:
    """The models and the dot products between them."""

    group: "Group"
    products: tuple[tuple[float, ...], ...]


def prepare(group: "Group") -> Points:
    """The dot products, from which the whole iteration follows."""
    return Points(group, tuple(map(tuple, gram([model.value() for model in group.models]))))


def select(memo: Points, values: Mapping[str, Any]) -> Points:
    """No knob selects anything."""
    return memo


def check(values: Mapping[str, Any]) -> None:
    """Raise RecipeError where the number of steps is impossible."""
    if not 0 <= values["max_iter"] <= MOST_STEPS:
        raise RecipeError(f"max_iter is {values['max_iter']:g}: it must lie between 0 and {MOST_STEPS}.")


def coefficients(products: Sequence[Sequence[float]], max_iter: int, tol: float) -> list[float]:
    """The factor of each tensor in the mean; all 0 where none is longer than `tol`."""
    norms = [math.sqrt(max(products[i][i], 0.0)) for i in range(len(products))]
    alive = [i for i, norm in enumerate(norms) if norm > tol and norm > 0]
    if not alive:
        return [0.0] * len(norms)
    cosines = [[products[i][j] / norms[i] / norms[j] for j in alive] for i in alive]
    mean = _mean(cosines, max_iter, tol)
    reach = math.fsum(norms) / len(norms)
    found = [0.0] * len(norms)
    for i, share in zip(alive, mean, strict=True):
        found[i] = reach * share / norms[i]
    return found


def _mean(cosines: Sequence[Sequence[float]], max_iter: int, tol: float) -> list[float]:
    """The mean as a combination of unit vectors: steps along the average of the arcs to them, until it is short."""
    count = len(cosines)
    whole = length(cosines, [1 / count] * count)
    # Unit vectors that cancel have no mean to start from: the first one is as good.
    point = [1 / count / whole] * count if whole >= max(tol, FLOOR) else [1.0] + [0.0] * (count - 1)
    for _ in range(max_iter):
        step = _step(cosines, point)
        size = length(cosines, step)
        if size < max(tol, FLOOR):
            break
        point = [math.cos(size) * u + math.sin(size) / size * s for u, s in zip(point, step, strict=True)]
        whole = length(cosines, point)
        point = [u / whole for u in point]
    return point


def _step(cosines: Sequence[Sequence[float]], point: Sequence[float]) -> list[float]:
    """The average of the arcs from `point` to each unit vector: (θ / sin θ) · (uᵢ − cos θ · point)."""
    count, step = len(cosines), [0.0] * len(cosines)
    for i, row in enumerate(cosines):
        cosine = max(-1.0, min(1.0, math.fsum(c * u for c, u in zip(row, point, strict=True))))
        angle, sine = math.acos(cosine), math.sqrt(1.0 - cosine * cosine)
        if sine < OPPOSITE and cosine < 0:
            continue
        stretch = angle / sine / count if sine >= OPPOSITE else 1 / count
        step = [s - stretch * cosine * u for s, u in zip(step, point, strict=True)]
        step[i] += stretch
    return step


def combine(base: None, choices: Sequence[Points], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> None:
    """Write the mean."""
    points = choices[0]
    factors = coefficients(points.products, int(values["max_iter"]), values["tol"])
    terms = [(m.value(), f) for m, f in zip(points.group.models, factors, strict=True) if f != 0]
    if terms:
        weighted_sum(terms, out, scratch)
    else:
        out.zero_()


@method(
    "karcher",
    title="Karcher mean",
    paper="https://doi.org/10.1002/cpa.3160300502",
    summary="Three models and more as equals: their midpoint on the sphere, where a plain average would be too short.",
    formula="mean ‖xᵢ‖ · u,  u: the unit vector with the least Σ angle(u, xᵢ)²",
    inputs="everyone",
    steps=Steps(prepare, select, combine, check=check),
    max_iter=Knob(0.0, 20.0, 10.0, step=1, absent=10.0, help="Most steps towards the mean; 0: the first guess."),
    tol=Knob(
        0.0, 1e-2, 1e-5, step=1e-5, absent=1e-5, advanced=True,
        help="A step shorter than it is the last; tensors shorter than it have no direction.",
    ),
)  # fmt: skip
def karcher(models: Sequence["Tensor"], *, max_iter: int = 10, tol: float = 1e-5) -> "Tensor":
    """The Karcher mean of the tensors' directions, at their average length.

    Args:
        models: One or more tensors of one shape, all of the same weight.
        max_iter: Most steps, from 0 to 10 000.
        tol: Length of a step at which the iteration stops, and norm up to which a tensor has no direction.

    Returns:
        float32 weights; 0 everywhere where no tensor is longer than `tol`. A tensor opposite to the mean pulls in no
        direction.
    """
    merged = models[0].float() * 0
    for model, factor in zip(models, coefficients(gram(models), max_iter, tol), strict=True):
        merged = merged + model.float() * factor
    return merged
