"""Exact ranks of float32 values without sorting them: quantiles, and the largest so many."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from merging.arithmetic import spans

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1 << 16  # up to here values are simply sorted
PIECE = 1 << 20  # elements looked at together
_SHIFT = 15  # of 32 bits, 17 name the bin and 15 the place in it
_BINS = 1 << 17


def at_ranks(values: "Tensor", ranks: Sequence[int]) -> list[float]:
    """The values at positions `ranks` of the ascending order.

    Args:
        values: Flat, contiguous, finite, float32, not empty.
        ranks: From 0 to the number of values less one.
    """
    import torch

    if values.numel() <= SMALL:
        ordered = values.sort().values
        return [ordered[rank].item() for rank in ranks]
    counts = _bins(values[:0]).bincount(minlength=_BINS)
    for start, end in spans(values.numel(), PIECE):
        counts += _bins(values[start:end]).bincount(minlength=_BINS)
    filled = counts.cumsum(0)
    found = []
    for rank in ranks:
        spot = int((filled <= rank).sum())  # the bin that holds this rank
        pieces = [values[start:end] for start, end in spans(values.numel(), PIECE)]
        inside = torch.cat([piece[_bins(piece) == spot] for piece in pieces])
        before = int(filled[spot - 1]) if spot else 0
        found.append(inside.sort().values[rank - before].item())
    return found


def _bins(values: "Tensor") -> "Tensor":
    """The bin of each value; bins ascend as the values do."""
    import torch

    bits = values.view(torch.int32)
    # The bits of negative numbers descend: turn them round.
    return ((bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> _SHIFT) + (_BINS >> 1)


def largest(values: "Tensor", keep: int) -> "Tensor":
    """A mask of the `keep` largest values; at the cut the lowest index stays.

    Args:
        values: As for `at_ranks`.
        keep: From 1 to the number of values.
    """
    (cut,) = at_ranks(values, [values.numel() - keep])
    mask = values > cut
    missing = keep - int(mask.sum())
    mask[(values == cut).nonzero().view(-1)[:missing]] = True
    return mask
