"""Passthrough: one model's tensor as it is, or scaled; slices of it stack layers ("frankenmerge", depth up-scaling)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, weighted_sum
from merging.registry import Knob, Steps, method

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group


def prepare(group: "Group") -> "Group":
    """Nothing depends on the checkpoint alone."""
    return group


def select(memo: "Group", values: Mapping[str, Any]) -> "Group":
    """No knob selects anything."""
    return memo


def combine(base: None, choices: Sequence["Group"], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> None:
    """Write the tensor times its scale; a scale of 1 multiplies nothing."""
    weighted_sum([(choices[0].models[0].value(), values["scale"][0])], out, scratch)


@method(
    "passthrough",
    title="Passthrough",
    paper="https://arxiv.org/abs/2312.15166",
    summary="One model a slice: stacks layers of one or several models into a deeper one, or scales some tensors.",
    formula="scale · x",
    inputs="one",
    steps=Steps(prepare, select, combine),
    scale=Knob(
        0.0, 2.0, 1.0, per_model=True, absent=1.0, help="Factor of the tensor; with a filter (o_proj, down_proj) 0 "
        "switches the part of a layer off that writes to the residual stream.",
    ),
)  # fmt: skip
def passthrough(model: "Tensor", *, scale: float = 1.0) -> "Tensor":
    """Take over `model`.

    Args:
        model: Weights, any shape.
        scale: Any finite factor.

    Returns:
        float32 weights.
    """
    return model.float() * scale
