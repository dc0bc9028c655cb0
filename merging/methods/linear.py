"""Linear: the weighted average of the models ("model soups", https://arxiv.org/abs/2203.05482)."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.errors import RecipeError
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group


def prepare(group: "Group") -> "Group":
    """Nothing depends on the checkpoints alone."""
    return group


def select(memo: "Group", values: Mapping[str, Any]) -> "Group":
    """No knob selects anything."""
    return memo


def coefficients(weights: Sequence[float], *, normalize: bool) -> list[float]:
    """The factor of each model.

    Raises:
        RecipeError: The weights sum to 0 and are to be divided by their sum.
    """
    total = math.fsum(weights) if normalize else 1.0
    if abs(total) < 1e-12:
        raise RecipeError(
            "The weights sum to 0, and normalize divides by their sum: change one, or set normalize: false."
        )
    return [weight / total for weight in weights]


def combine(base: None, choices: Sequence["Group"], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> None:
    """Write the weighted sum; one storage under all models, with weights that sum to 1, is copied, not computed."""
    group = choices[0]
    if group.is_one and values["normalize"]:
        weighted_sum([(group.models[0].value(), 1.0)], out, scratch)
        return
    factors = coefficients(values["weight"], normalize=values["normalize"])
    terms = [(model.value(), factor) for model, factor in zip(group.models, factors, strict=True) if factor != 0]
    if terms:
        weighted_sum(terms, out, scratch)
    else:
        out.zero_()


@method(
    "linear",
    title="Linear",
    paper="https://arxiv.org/abs/2203.05482",
    summary="The plain weighted average: the first thing to try, and the yardstick for everything else.",
    formula="Σ wᵢ·xᵢ / Σ wᵢ",
    inputs="models",
    steps=Steps(prepare, select, combine, check=lambda v: coefficients(v["weight"], normalize=v["normalize"])),
    weight=Knob(
        0.0,
        1.0,
        0.5,
        per_model=True,
        help="Share of this model; with normalize on, only the ratio of the weights matters.",
    ),
    normalize=Knob.switch(True, help="Divide by the sum of the weights."),
)
def linear(models: Sequence["Tensor"], *, weight: Sequence[float], normalize: bool = True) -> "Tensor":
    """Average `models`.

    Args:
        models: Tensors of one shape.
        weight: Coefficient of each model, any finite value; their sum must not be 0 where they are normalised.
        normalize: Divide by the sum of the weights.

    Returns:
        float32 average.
    """
    factors = coefficients(weight, normalize=normalize)
    total = models[0].float() * factors[0]
    for model, factor in zip(models[1:], factors[1:], strict=True):
        total = total + model.float() * factor
    return total
