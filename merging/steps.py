"""Steps that several methods share: the delta of one model, the exact trim, and the merge of deltas by elected sign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.arithmetic import Scratch, absolute_sum, spans, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

SMALL = 1 << 16  # up to here a tensor is simply sorted
_SHIFT = 15  # a float32 magnitude has 31 bits: 16 name the bin, 15 the place in it
_MAGNITUDE = 0x7FFFFFFF
TINY = 1e-7  # an L1 norm below it is not divided by, as in mergekit


@dataclass(frozen=True)
class Delta:
    """What `prepare` keeps of one model: who it is, its delta's L1 norm, the elements in each bin of magnitudes.

    Attributes:
        group: The base and the one model.
        l1: Σ |δ|; 0 where model and base are the same storage.
        bins: Occupied bins, largest magnitude first; None for a small tensor.
        counts: Elements of each of them.
    """

    group: "Group"
    l1: float
    bins: "Tensor | None" = None
    counts: "Tensor | None" = None

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return 0 if self.bins is None or self.counts is None else self.bins.nbytes + self.counts.nbytes

    def tensor(self) -> "Tensor | None":
        """δ, a new float32 tensor; None where it is 0 everywhere because model and base are the same storage."""
        if self.group.base is None:
            raise TypeError("delta methods are planned with a base")
        return self.group.models[0].delta(self.group.base)


def delta(group: "Group") -> Delta:
    """`prepare` of methods that only need the L1 norm."""
    found = Delta(group, 0.0).tensor()
    return Delta(group, 0.0 if found is None else absolute_sum(found))


def ordered_delta(group: "Group") -> Delta:
    """`prepare` of methods that trim by magnitude: magnitudes are counted into bins, so that a cut needs no sort."""
    found = Delta(group, 0.0).tensor()
    if found is None:
        return Delta(group, 0.0)
    flat = found.view(-1)
    if flat.numel() <= SMALL:
        return Delta(group, absolute_sum(flat))
    counts = magnitude_bits(flat[:0]).bincount(minlength=1 << 16)
    for start, end in spans(flat.numel(), 1 << 20):
        counts += (magnitude_bits(flat[start:end]) >> _SHIFT).bincount(minlength=1 << 16)
    bins = counts.nonzero().view(-1).flip(0)
    return Delta(group, absolute_sum(flat), bins.clone(), counts[bins])


def magnitude_bits(tensor: "Tensor") -> "Tensor":
    """The bits of |x| of a float32 tensor as int32: they sort as the magnitudes do."""
    import torch

    return tensor.view(torch.int32) & _MAGNITUDE


def keep_count(density: float, size: int) -> int:
    """How many of `size` elements a trim keeps: ⌊density · size⌋, at least 1; none for a density of 0 or less."""
    return 0 if density <= 0 else min(size, max(1, int(density * size)))


def trim_(values: "Tensor", keep: int, memo: Delta | None = None) -> "Tensor":
    """Set all but the `keep` largest magnitudes of a float32 tensor to 0, in place; at the cut the lowest index stays.

    Args:
        values: Contiguous.
        keep: From 1 to the number of elements.
        memo: The bins of this very tensor, if it was counted.
    """
    flat = values.view(-1)
    if keep >= flat.numel():
        return values
    if memo is None or memo.bins is None or memo.counts is None:
        order = flat.abs().sort(descending=True, stable=True).indices
        flat[order[keep:]] = 0
        return values
    filled = memo.counts.cumsum(0)
    spot = int((filled < keep).sum())  # the bin in which the cut lies
    low, inside = int(memo.bins[spot]) << _SHIFT, keep - (int(filled[spot - 1]) if spot else 0)
    places = []
    for start, end in spans(flat.numel(), 1 << 20):
        piece = flat[start:end]
        bits = magnitude_bits(piece)
        places.append((bits >> _SHIFT == low >> _SHIFT).nonzero().view(-1) + start)
        piece.masked_fill_(bits < low, 0)
    flat[_below_cut(flat, places, inside)] = 0
    return values


def _below_cut(flat: "Tensor", places: Sequence["Tensor"], inside: int) -> "Tensor":
    """Of the elements of the cut's bin, in index order, those that go when the `inside` largest stay."""
    import torch

    spots = torch.cat(list(places))
    bits = magnitude_bits(flat[spots])
    if int(bits.min()) == int(bits.max()):  # the rule for deltas of bfloat16 models, which lie on a coarse grid
        return spots[inside:]
    return spots[bits.sort(descending=True, stable=True).indices[inside:]]


def match_l1_(values: "Tensor", l1: float) -> "Tensor":
    """Scale a tensor, in place, so that its L1 norm is `l1` again; not where either norm is below 1e-7."""
    now = absolute_sum(values)
    return values.mul_(l1 / now) if l1 >= TINY and now >= TINY else values


def elect_and_merge(
    base: "Tensor", deltas: Sequence["Tensor | None"], values: Mapping[str, Any], out: "Tensor", scratch: Scratch
) -> None:
    """Write base + λ · (mean of the weighted deltas that have the elected sign) into `out`.

    The sign of an element is elected by the sum of the weighted deltas (0 elects plus). Those that agree are added;
    `normalize` divides by the sum of their weights. (TIES, https://arxiv.org/abs/2306.01708, with mergekit's weights
    before the election.)

    Args:
        base: Weights of the ancestor, any float dtype.
        deltas: Trimmed float32 deltas, None for 0 everywhere.
        values: "weight" (one per delta), "normalize", "lambda".
        out: Result, overwritten, rounded once to its dtype.
        scratch: Buffers of it, one per delta and four more, are used.
    """
    scale = values["lambda"]
    used = [(d.view(-1), w) for d, w in zip(deltas, values["weight"], strict=True) if d is not None and w != 0]
    if not used or scale == 0:
        out.copy_(base)
        return
    if len(used) == 1 and values["normalize"]:
        # One voter always wins, and its weight divides out; the kernel below would give the same up to the rounding
        # of w · δ / w.
        weighted_sum([(base, 1.0), (used[0][0].view(base.shape), scale)], out, scratch)
        return
    weights = [w for _, w in used]
    source, target = base.reshape(-1), out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        merged = _elect([d[start:end] for d, _ in used], weights, bool(values["normalize"]), scratch)
        if scale != 1:
            merged.mul_(scale)
        target[start:end].copy_(scratch(0, end - start).copy_(source[start:end]).add_(merged))


def _elect(pieces: Sequence["Tensor"], weights: Sequence[float], normalize: bool, scratch: Scratch) -> "Tensor":
    """The merged delta of one chunk, in scratch buffer 1; buffers 2 and up are used."""
    import torch

    length = pieces[0].numel()
    total, sign, share, part = (scratch(index, length) for index in (1, 2, 3, 0))
    weighted = [
        torch.mul(p, w, out=scratch(4 + i, length)) for i, (p, w) in enumerate(zip(pieces, weights, strict=True))
    ]
    sign.copy_(weighted[0])
    for one in weighted[1:]:
        sign.add_(one)
    # A sum of -0 may elect minus; then nothing agrees either way. Adding 0 turns it into +0.
    torch.copysign(total.fill_(1.0), sign.add_(0.0), out=sign)
    for index, (one, weight) in enumerate(zip(weighted, weights, strict=True)):
        one.mul_(sign).clamp_min_(0)  # what agrees, as a magnitude
        if normalize:
            torch.sign(one, out=share if index == 0 else part)
            (share if index == 0 else part).mul_(weight)
            if index:
                share.add_(part)
        if index:
            total.add_(one)
        else:
            total.copy_(one)
    if normalize:
        _guard(share, weights)
        total.div_(share)
    return total.mul_(sign)


def _guard(share: "Tensor", weights: Sequence[float]) -> None:
    """Put something harmless where the agreeing weights sum to 0: nothing agrees, or they cancel (mergekit: 1)."""
    if min(weights) > 0:
        share.clamp_min_(min(weights))
    else:
        share.masked_fill_(share == 0, 1.0)
