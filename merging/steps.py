"""Steps that the delta methods share: what is kept of each model's delta, and the merge of what is kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from merging import fused
from merging.arithmetic import Scratch, spans, store, weighted_sum
from merging.deltas import Delta, rule_words
from merging.keep import Rule, Window
from merging.sources import Group, Plain

if TYPE_CHECKING:
    from torch import Tensor

    from merging.registry import Steps

TINY = 1e-7  # an L1 norm below it is not divided by, as in mergekit
NO_SUM = 1e-8  # weights whose sum is smaller are not divided by it, as in mergekit


@dataclass(frozen=True)
class Kept:
    """What `select` leaves of one model's delta: rule and scale are applied whenever it is read.

    Attributes:
        delta: The delta; None where nothing of it stays.
        rule: Which elements stay; None for all.
        scale: Factor of those that stay.
        thinned: The result in float32, flat; only where the compiled loops cannot apply the rule as they read.
    """

    delta: Delta | None
    rule: Rule | None = None
    scale: float = 1.0
    thinned: "Tensor | None" = None

    @property
    def nbytes(self) -> int:
        """Bytes kept beside the delta."""
        held = (getattr(self.rule, "stays", None), self.thinned)
        return sum(tensor.nbytes for tensor in held if tensor is not None)

    def read(self, start: int, end: int, out: "Tensor") -> "Tensor":
        """Write elements [start, end) into `out`, float32."""
        if self.delta is None:
            return out.zero_()
        if self.thinned is not None:
            return out.copy_(self.thinned[start:end])
        self.delta.read(start, end, out)
        if self.rule is not None:
            self.rule.drop_(out, start)
        return out if self.scale == 1 else out.mul_(self.scale)

    def weighted(self, start: int, end: int, out: "Tensor", weight: float) -> "Tensor":
        """As `read`, times the weight; one pass where the result is at hand."""
        import torch

        if self.thinned is not None:
            return torch.mul(self.thinned[start:end], weight, out=out)
        return self.read(start, end, out).mul_(weight)


def prepare(group: "Group") -> Delta:
    """The delta of one model."""
    return Delta(group)


def prepare_ordered(group: "Group") -> Delta:
    """The delta of one model, ready to be cut by magnitude."""
    return Delta(group).ordered()


def keep(memo: Delta, rule: Rule | None, *, rescale: bool) -> Kept:
    """What the rule leaves, scaled back to the L1 norm of the whole where asked; not where either norm is tiny."""
    scale = 1.0
    if rescale and rule is not None:
        now = memo.kept_l1(rule)
        scale = memo.l1 / now if memo.l1 >= TINY and now >= TINY else 1.0
    kept = Kept(memo, rule, scale)
    if rule is None or fused.ready() is not None:
        return kept
    return replace(kept, thinned=kept.read(0, memo.size, memo.empty(memo.size)))


def keep_count(density: float, size: int) -> int:
    """How many of `size` elements a trim keeps: ⌊density · size⌋, at least 1; none for a density of 0 or less."""
    return 0 if density <= 0 else min(size, max(1, int(density * size)))


def largest(memo: Delta, count: int, *, skip: int = 0) -> Window | None:
    """The rule that keeps the `count` largest magnitudes after the `skip` largest; None where that is all.

    Args:
        memo: Of the delta that is cut.
        count: At least 1.
        skip: At least 0.
    """
    if count >= memo.size:
        return None
    bits, last = memo.cut(min(count + skip, memo.size)) if count + skip < memo.size else (0, memo.size)
    if not skip:
        return Window(bits, last)
    top, top_last = memo.cut(skip)
    return Window(bits, last, top, top_last)


def summed(base: Any, choices: Sequence[Kept], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> None:
    """`combine` of the linear methods: base + λ · Σ wᵢ·δᵢ, with `normalize` divided by Σ wᵢ (not where that is 0).

    Args:
        base: The ancestor.
        choices: What is kept of each delta.
        values: "weight" (one per delta), "normalize", "lambda".
        out: Result, overwritten, rounded once to its dtype.
        scratch: Buffers of it, one per delta and three more, are used.
    """
    weights = list(values["weight"])
    total = math.fsum(weights) if values["normalize"] else 1.0
    if abs(total) >= NO_SUM:
        weights = [weight / total for weight in weights]
    used = [(choice, weight) for choice, weight in zip(choices, weights, strict=True) if _counts(choice, weight)]
    _merge(base.value(), used, values["lambda"], None, out, scratch)


def elected(base: Any, choices: Sequence[Kept], values: Mapping[str, Any], out: "Tensor", scratch: Scratch) -> None:
    """`combine` of the TIES methods: base + λ · (the weighted deltas that have the elected sign, summed or averaged).

    The sign of an element is elected by the sum of the weighted deltas (0 elects plus). `normalize` divides by the
    sum of the weights of those that agree. (TIES, https://arxiv.org/abs/2306.01708, with mergekit's weights before the
    election.) Arguments as in `summed`.
    """
    used = [(c, w) for c, w in zip(choices, values["weight"], strict=True) if _counts(c, w)]
    normalize = bool(values["normalize"])
    if len(used) == 1:
        # One voter always wins, and with normalize its weight divides out; the election would give the same up to
        # the rounding of w · δ / w.
        used = [(used[0][0], 1.0 if normalize else used[0][1])]
        _merge(base.value(), used, values["lambda"], None, out, scratch)
        return
    _merge(base.value(), used, values["lambda"], normalize, out, scratch)


def _counts(choice: Kept, weight: float) -> bool:
    return choice.delta is not None and not choice.delta.is_zero and weight != 0


def _merge(
    base: "Tensor",
    used: Sequence[tuple[Kept, float]],
    scale: float,
    elect: bool | None,
    out: "Tensor",
    scratch: Scratch,
) -> None:
    """Base + scale · merged; `elect`: None sums, False and True elect signs without and with normalize."""
    if not used or scale == 0:
        weighted_sum([(base, 1.0)], out, scratch)
        return
    if _merge_fused(base, used, scale, elect, out, scratch):
        return
    weights, source, target = [weight for _, weight in used], base.view(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        length = end - start
        weighted = [
            choice.weighted(start, end, scratch(3 + i, length), weight) for i, (choice, weight) in enumerate(used)
        ]
        total = scratch(0, length).copy_(weighted[0])
        for one in weighted[1:]:
            total.add_(one)
        if elect is not None:
            _elect(weighted, weights, total, scratch, normalize=elect)
        result = scratch(1, length).copy_(source[start:end])
        store(result.add_(total.mul_(scale)), target[start:end], scratch)


def _elect(
    weighted: Sequence["Tensor"], weights: Sequence[float], total: "Tensor", scratch: Scratch, *, normalize: bool
) -> None:
    """Turn `total`, the sum of a chunk, into its merge by elected sign; scratch buffers 1, 2 and `weighted` change."""
    import torch

    sign, share = scratch(1, total.numel()), scratch(2, total.numel())
    # A sum of -0 may elect minus; then nothing agrees either way. Adding 0 turns it into +0.
    torch.copysign(sign.fill_(1.0), total.add_(0.0), out=sign)
    total.zero_()
    share.zero_()
    for one, weight in zip(weighted, weights, strict=True):
        one.mul_(sign).clamp_min_(0)  # what agrees, as a magnitude
        total.add_(one)
        share.add_(torch.sign(one, out=one).mul_(weight))
    if normalize:
        # mergekit divides by 1 where the agreeing weights sum to 0: nothing agrees, or they cancel
        total.div_(share.masked_fill_(share == 0, 1.0))
    total.mul_(sign).add_(0.0)  # no -0, which another order of operations might not give


def _merge_fused(
    base: "Tensor",
    used: Sequence[tuple[Kept, float]],
    scale: float,
    elect: bool | None,
    out: "Tensor",
    scratch: Scratch,
) -> bool:
    """`_merge` in one pass of the compiled loop; False where that cannot serve."""
    import numpy as np
    import torch

    kernels = fused.ready()
    if kernels is None or scratch.rounds not in (None, torch.bfloat16):
        return False
    sources = [choice.delta.source() for choice, _ in used if choice.delta is not None]
    if not fused.serves(base, out, *(tensor for tensor, _ in sources)):
        return False
    addresses = np.array([tensor.data_ptr() for tensor, _ in sources], np.uint64)
    kinds = np.array([kernels.F32_DELTA if own else fused.kind(kernels, t) for t, own in sources], np.uint8)
    rules = rule_words(kernels, [(choice.rule, choice.scale, weight) for choice, weight in used])
    head = (base.data_ptr(), fused.kind(kernels, base), addresses, kinds, rules)
    tail = (elect is not None, bool(elect), scale, out.data_ptr())
    kind = fused.kind(kernels, out, rounded=scratch.rounds is not None)
    held = [base, out, used, sources]

    def merge(start: int, end: int, _held: object = held) -> None:
        kernels.merge_deltas(*head, *tail, kind, start, end)

    fused.write(merge, out.numel(), kernels.BLOCK)
    return True


def compose(
    steps: "Steps",
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    per_model: Mapping[str, Sequence[float]],
    shared: Mapping[str, Any],
    names: Sequence[str] = (),
    seed: int = 0,
    tensor: str = "",
) -> "Tensor":
    """A delta method's three steps on tensors at hand: what its pure function is.

    Args:
        steps: The method's.
        base: Weights of the common ancestor.
        models: Weights of its descendants, same shape.
        per_model: Values of the knobs that are per model.
        shared: Values of the other knobs.
        names: Names of the models, on which noise depends; their positions where not given.
        seed: Seed of the noise.
        tensor: Name of the tensor, on which noise depends.

    Returns:
        float32 weights.
    """
    import torch

    root, choices = Plain(base.contiguous()), []
    for index, model in enumerate(models):
        name = names[index] if names else str(index)
        group = Group(tensor, root, (Plain(model.contiguous(), name),), seed)
        values = {**shared, **{key: value[index] for key, value in per_model.items()}}
        choices.append(steps.select(steps.prepare(group), values))
    out = torch.empty(base.shape, dtype=torch.float32, device=base.device)
    steps.combine(root, choices, {**shared, **per_model}, out, Scratch(str(base.device)))
    return out
