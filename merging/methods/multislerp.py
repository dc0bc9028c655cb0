"""Multi-SLERP: many models averaged on a sphere (Goddard, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.changes import Changes, changes, gram, length
from merging.errors import RecipeError
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Aligned, Group, Operand


@dataclass(frozen=True)
class Fan:
    """What is averaged: the models, or their deltas where there is an ancestor, and the dot products between them."""

    group: "Group"
    moved: Changes | None
    products: tuple[tuple[float, ...], ...]

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if self.moved is None else self.moved.nbytes

    def tensors(self) -> "tuple[Tensor | None, ...]":
        """The tensors that span the sphere."""
        return tuple(model.value() for model in self.group.models) if self.moved is None else self.moved.deltas


def prepare(group: "Group") -> Fan:
    """The dot products, from which all norms and angles follow, and the deltas where there is an ancestor."""
    if len(group.models) == 1:
        return Fan(group, None, ())
    moved = None if group.base is None else changes(group)
    tensors = [model.value() for model in group.models] if moved is None else moved.deltas
    return Fan(group, moved, tuple(map(tuple, gram(tensors))))


def select(memo: Fan, values: Mapping[str, Any]) -> Fan:
    """No knob selects anything."""
    return memo


def check(values: Mapping[str, Any]) -> None:
    """Raise RecipeError where the weights, or eps, cannot be computed with."""
    if values["eps"] < 0:
        raise RecipeError(f"eps is {values['eps']:g}: it must not be negative, for norms are divided by ‖x‖ + eps.")
    shares(values["weight"], normalize=values["normalize_weights"])


def shares(weights: Sequence[float], *, normalize: bool) -> list[float]:
    """The weights, divided by their sum where they are to be.

    Raises:
        RecipeError: That sum is 0.
    """
    total = math.fsum(weights) if normalize and len(weights) > 1 else 1.0
    if abs(total) < 1e-12:
        raise RecipeError(
            "The weights sum to 0, and normalize_weights divides by their sum: change one, or set it to false."
        )
    return [weight / total for weight in weights]


def coefficients(products: Sequence[Sequence[float]], weights: Sequence[float], eps: float) -> list[float]:
    """The factor of each tensor in the result.

    With S = Σ wᵢuᵢ and μ = S / ‖S‖ the weighted tangents Σ wᵢ(uᵢ − ⟨uᵢ, μ⟩μ) sum to 0, so that one step of the
    exponential map from μ along them, (v = 0) · sin(eps)/eps beside μ · cos(eps), is μ · cos(eps).
    """
    norms = [math.sqrt(max(products[i][i], 0.0)) for i in range(len(weights))]
    units = [w / (norm + eps) if norm + eps > 0 else 0.0 for w, norm in zip(weights, norms, strict=True)]
    found = length(products, units)
    if found == 0 or found < eps:  # opposite directions cancel: no point of the sphere is between them
        return list(weights)
    reach = math.fsum(w * norm for w, norm in zip(weights, norms, strict=True)) * math.cos(eps)
    return [reach * unit / found for unit in units]


def combine(
    base: "Operand | Aligned | None", choices: Sequence[Fan], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write the point on the sphere, added to the base if there is one; a single model is taken as it is."""
    fan = choices[0]
    if len(fan.group.models) == 1:
        weighted_sum([(fan.group.models[0].value(), 1.0)], out, scratch)
        return
    weights = shares(values["weight"], normalize=values["normalize_weights"])
    factors = coefficients(fan.products, weights, values["eps"])
    terms = [(base.value(), 1.0)] if base is not None else []
    terms += [(t, f) for t, f in zip(fan.tensors(), factors, strict=True) if t is not None and f != 0]
    if terms:
        weighted_sum(terms, out, scratch)
    else:
        out.zero_()


@method(
    "multislerp",
    title="Multi-SLERP",
    paper="https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    summary="SLERP for three models and more: averages directions and lengths apart, so that far models do not shrink.",
    formula="(Σ wᵢ‖yᵢ‖) · μ,  μ = Σ wᵢyᵢ/‖yᵢ‖ scaled to length 1,  yᵢ = xᵢ, or δᵢ with a base (then b +)",
    inputs="models+base?",
    steps=Steps(prepare, select, combine, check=check),
    weight=Knob(0.0, 1.0, 0.5, per_model=True, help="Pull of this model on the common direction and on the length."),
    normalize_weights=Knob.switch(True, help="Divide the weights by their sum."),
    eps=Knob(
        0.0, 1e-3, 1e-8, step=1e-8, absent=1e-8, advanced=True,
        help="Added to norms before dividing; directions that sum to less than it are averaged on the straight line.",
    ),
)  # fmt: skip
def multislerp(
    models: Sequence["Tensor"],
    base: "Tensor | None" = None,
    *,
    weight: Sequence[float],
    normalize_weights: bool = True,
    eps: float = 1e-8,
) -> "Tensor":
    """Average tensors, or their differences from `base`, by direction and length.

    Args:
        models: One or more tensors of one shape; a single one is returned as it is.
        base: Weights of their ancestor, if differences are meant.
        weight: Coefficient of each, any finite value.
        normalize_weights: Divide the weights by their sum, which must not be 0.
        eps: Not negative.

    Returns:
        float32 weights. Differs from mergekit where the directions of three and more models cancel: there it stops
        with an error, here, as for two, the weighted average is taken.
    """
    if len(models) == 1:
        return models[0].float()
    tensors = [model.float() if base is None else model.float() - base.float() for model in models]
    factors = coefficients(gram(tensors), shares(weight, normalize=normalize_weights), eps)
    merged = tensors[0] * factors[0]
    for tensor, factor in zip(tensors[1:], factors[1:], strict=True):
        merged = merged + tensor * factor
    return merged if base is None else base.float() + merged
