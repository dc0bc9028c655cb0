"""SafeMERGE: tensors whose fine-tuning strays from the safety change are merged with it (arXiv 2503.17239)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, moments, thread_count, weighted_sum
from merging.registry import Knob, Steps, method
from merging.spectrum import Spectrum, factors, gram, of_product

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group, Source


@dataclass(frozen=True)
class Alignment:
    """How well a tensor's fine-tuning keeps to the directions of the safety model's change.

    Attributes:
        tuned: The fine-tuned model's tensor.
        safe: The safety model's tensor.
        cosine: ρ in [0, 1]; None where one of the two models did not change the tensor.
    """

    tuned: "Source"
    safe: "Source"
    cosine: float | None


def prepare(group: "Group") -> Alignment:
    """The cosine: from the low-rank parts where both changes are made of them, else from Gram matrices."""
    base, (tuned, safe) = group.base, group.models
    if base is None:
        raise TypeError("delta methods are planned with a base")
    if base.key in (tuned.key, safe.key):
        return Alignment(tuned, safe, None)
    thin = [factors(model, base) for model in (tuned, safe)]
    if thin[0] is not None and thin[1] is not None:
        return Alignment(tuned, safe, spectral_cosine(of_product(*thin[0]), of_product(*thin[1])))
    changes = [model.delta(base) for model in (tuned, safe)]
    if changes[0] is None or changes[1] is None:
        return Alignment(tuned, safe, None)
    return Alignment(tuned, safe, projected_cosine(changes[0], changes[1]))


def projected_cosine(tuned: "Tensor", safe: "Tensor") -> float | None:
    """ρ = cos(δ, V·Vᵀ·δ) of two float32 changes, read as matrices with as many rows as their first dimension.

    With A = Vᵀδ, ⟨δ, V·Vᵀ·δ⟩ is ‖A‖² and ‖V·Vᵀ·δ‖² is ⟨A, VᵀV·A⟩; where rows are the fewer, K = V·Vᵀ and D = δ·δᵀ
    take their place: ⟨K, D⟩ and ⟨K·K, D⟩. So no product has the size of the tensor.

    Returns:
        From 0 to 1; None where one of the changes is 0 everywhere.
    """
    delta, v = (one.reshape(one.shape[0], -1) if one.dim() else one.reshape(1, 1) for one in (tuned, safe))
    size, _, span = moments(delta, v)
    if delta.shape[0] < delta.shape[1]:
        k, d = gram(v.t(), v.t()), gram(delta.t(), delta.t())
        with thread_count(1):
            inner, length = (k * d).sum().item(), ((k @ k) * d).sum().item()
    else:
        a, g = gram(v, delta), gram(v, v)
        with thread_count(1):
            inner, length = (a * a).sum().item(), (a * (g @ a)).sum().item()
    return _cosine(size, span, inner, length)


def spectral_cosine(tuned: Spectrum, safe: Spectrum) -> float | None:
    """As `projected_cosine`, from the singular values and the left directions alone."""
    between = gram(safe.left, tuned.left) * safe.values[:, None] * tuned.values
    with thread_count(1):
        size, span = ((one.values**2).sum().item() for one in (tuned, safe))
        inner, length = (between**2).sum().item(), ((between * safe.values[:, None]) ** 2).sum().item()
    return _cosine(size, span, inner, length)


def _cosine(size: float, span: float, inner: float, length: float) -> float | None:
    """⟨δ, Cδ⟩ / (‖δ‖·‖Cδ‖); 0 where the two have no direction in common, None where δ or V is 0."""
    if size <= 0 or span <= 0:
        return None
    return min(1.0, inner / math.sqrt(size) / math.sqrt(length)) if length > 0 else 0.0


def select(memo: Alignment, values: Mapping[str, Any]) -> Alignment:
    """No knob selects anything."""
    return memo


def strays(cosine: float | None, tau: float) -> bool:
    """Whether a tensor is merged with the safety model."""
    return cosine is not None and cosine < tau


def combine(
    base: object, choices: Sequence[Alignment], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> bool:
    """Write the fine-tuned tensor, merged with the safety model's where it strays; True where it does."""
    found = choices[0]
    merged = strays(found.cosine, values["tau"])
    shares = (1.0 - values["alpha"], values["alpha"]) if merged else (1.0, 0.0)
    ends = zip((found.tuned, found.safe), shares, strict=True)
    weighted_sum([(end.value(), share) for end, share in ends if share != 0], out, scratch)
    return merged


def note(merged: int, total: int) -> str:
    """What the page says beside the recipe."""
    return f"{merged} of {total} tensors strayed from the safety change and were merged with the safety model."


@method(
    "safemerge",
    title="SafeMERGE",
    paper="https://arxiv.org/abs/2503.17239",
    summary="A fine-tuned model (listed first) and a safety model: only the tensors that stray from safety are mended.",
    formula="(1−α)·x₁ + α·x₂ where cos(δ₁, δ₂·δ₂ᵀ·δ₁) < τ, elsewhere x₁;  δᵢ = xᵢ − b, x₂: the safety model",
    inputs="two+base",
    steps=Steps(prepare, select, combine),
    note=note,
    tau=Knob(
        0.0, 1.0, 0.35, step=0.01, absent=0.35, help="Tensors with a cosine below it are merged; 0: none, above 1: all."
    ),
    alpha=Knob(0.0, 1.0, 0.2, absent=0.2, help="Share of the safety model in a merged tensor."),
)
def safemerge(base: "Tensor", tuned: "Tensor", safe: "Tensor", *, tau: float = 0.35, alpha: float = 0.2) -> "Tensor":
    """Merge `tuned` with `safe` if its change of this tensor strays from the directions of the safety change.

    V is the safety model's change, C = V·Vᵀ / ‖V‖ projects onto its directions, and ρ = cos(δ, C·δ) says how much of
    the fine-tuning's change δ lies in them. Where ρ < τ the tensor is merged linearly, elsewhere kept as fine-tuned.

    Args:
        base: Weights of the common ancestor.
        tuned: Weights of the fine-tuned model, same shape.
        safe: Weights of the safety model, same shape.
        tau: Threshold; ρ lies in [0, 1], so 0 merges nothing and anything above 1 every tensor both models changed.
        alpha: Share of the safety model, any finite value; 0 keeps the fine-tuned tensor, 1 takes the safety model's.

    Returns:
        float32 weights.

    Differs from the paper: there V is the change from an unaligned model to its aligned chat model, and another model,
    tuned on safe answers, is merged in; here one safety model is both, and every change is from one common base. The
    paper treats the matrices that LoRA tuned; here vectors take part as matrices of one column, tensors of more
    dimensions as matrices with as many rows as the first. A tensor that one of the two models did not change has no
    cosine and is kept as fine-tuned. Defaults are those of the paper's code (τ 0.35, shares 0.8 and 0.2).
    """
    cosine = projected_cosine(tuned.float() - base.float(), safe.float() - base.float())
    if not strays(cosine, tau):
        return tuned.float()
    return tuned.float() * (1.0 - alpha) + safe.float() * alpha
