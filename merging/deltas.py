"""The delta (task vector) of one tensor of one model, read where it lies: what can be subtracted is not stored."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from merging import fused
from merging.arithmetic import REDUCE, fixed_factor, fixed_sum, spans
from merging.keep import Rule, float_of, magnitude_bits

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Group

SMALL = 1 << 16  # up to here a tensor is simply sorted
SHIFT = 15  # a float32 magnitude has 31 bits: 16 name the bin, 15 the place in it
BINS = 1 << 16
_SPAN = 1 << 20


@dataclass(frozen=True)
class Delta:
    """Model minus base, with what methods ask of it, found when first asked.

    Attributes:
        group: The base and the one model.
    """

    group: "Group"

    @property
    def nbytes(self) -> int:
        """Bytes kept beside the sources."""
        known = vars(self)
        return sum(t.nbytes for t in (*known.get("_filled", ()), known.get("_order")) if t is not None)

    def ordered(self) -> "Delta":
        """The same, its magnitudes counted (a small tensor's: sorted), so that a cut needs no sort of the whole."""
        if not self.is_zero:
            _ = self._order if self.size <= SMALL else self._filled
        return self

    @property
    def is_zero(self) -> bool:
        """Whether model and base are the same storage."""
        return self.group.base is None or self.group.models[0].key == self.group.base.key

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.base().numel()

    def base(self) -> "Tensor":
        """The base's tensor."""
        if self.group.base is None:
            raise TypeError("delta methods are planned with a base")
        return self.group.base.value()

    def source(self) -> "tuple[Tensor, bool]":
        """The model's tensor, or the delta itself in float32; and whether it is the delta."""
        if self.group.base is None:
            raise TypeError("delta methods are planned with a base")
        return self.group.models[0].change(self.group.base)

    def read(self, start: int, end: int, out: "Tensor") -> "Tensor":
        """Write elements [start, end) of the delta into `out`, float32."""
        tensor, is_delta = self.source()
        out.copy_(tensor.view(-1)[start:end])
        return out if is_delta else out.sub_(self.base().view(-1)[start:end])

    def tensor(self) -> "Tensor":
        """The whole delta, a new flat float32 tensor."""
        return self.read(0, self.size, self.empty(self.size))

    def empty(self, length: int) -> "Tensor":
        """Room for so many elements, flat, float32, on the tensors' device."""
        import torch

        return torch.empty(length, dtype=torch.float32, device=self.base().device)

    @cached_property
    def peak(self) -> float:
        """Max |δ|."""
        if call := self._fused():
            kernels, arguments, _held = call
            bits = max(fused.spread(lambda a, b: kernels.peak(*arguments, a, b), self.size, kernels.BLOCK))
            return float_of(bits)
        return max(self._piece(a, b).abs().max().item() for a, b in spans(self.size, _SPAN))

    @cached_property
    def l1(self) -> float:
        """Σ |δ|."""
        return self.kept_l1(None)

    def kept_l1(self, rule: Rule | None) -> float:
        """Σ |δ| of what a rule keeps; exact to 2**-37 of the largest element, whatever the order of adding."""
        factor = fixed_factor(self.peak)
        if call := self._fused():
            kernels, arguments, _held = call
            rules = rule_words(kernels, [(rule, 1.0, 1.0)])
            parts = fused.spread(
                lambda a, b: kernels.kept_sum(*arguments, rules, factor, a, b), self.size, kernels.EXACT
            )
            return sum(parts) / factor
        total = 0
        for start, end in spans(self.size, REDUCE):
            piece = self._piece(start, end)
            if rule is not None:
                rule.drop_(piece, start)
            total += fixed_sum(piece, factor)
        return total / factor

    def cut(self, count: int) -> tuple[int, int]:
        """The magnitude (as bits) and the index of the last of the `count` largest; equal ones by lowest index.

        Args:
            count: From 1 to the number of elements.
        """
        if self.size <= SMALL:
            order = self._order
            place = int(order[count - 1])
            return int(magnitude_bits(self._piece(place, place + 1))[0]), place
        bins, filled = self._filled
        spot = int((filled < count).sum())
        inside = count - (int(filled[spot - 1]) if spot else 0)
        magnitudes, places = self._gather(int(bins[spot]), int(filled[spot]) - (count - inside))
        order = magnitudes.sort(descending=True, stable=True).indices
        return int(magnitudes[order[inside - 1]]), int(places[order[inside - 1]])

    @cached_property
    def _order(self) -> "Tensor":
        return self.tensor().abs_().sort(descending=True, stable=True).indices

    @cached_property
    def _filled(self) -> "tuple[Tensor, Tensor]":
        """The occupied bins of magnitudes, largest first, and how many elements lie in them and above."""
        counts = self._counts()
        bins = counts.nonzero().view(-1).flip(0)
        return bins, counts[bins].cumsum(0)

    def _counts(self) -> "Tensor":
        import torch

        if call := self._fused():
            import numpy as np

            kernels, arguments, _held = call

            def count(start: int, end: int) -> Any:
                found = np.zeros(BINS, np.int64)
                kernels.histogram(*arguments, start, end, found)
                return found

            return torch.from_numpy(sum(fused.spread(count, self.size, kernels.BLOCK)))
        counts = torch.zeros(BINS, dtype=torch.int64, device=self.base().device)
        for start, end in spans(self.size, _SPAN):
            counts += (magnitude_bits(self._piece(start, end)) >> SHIFT).bincount(minlength=BINS)
        return counts

    def _gather(self, wanted: int, most: int) -> "tuple[Tensor, Tensor]":
        """Magnitudes (as bits) and places of the elements of one bin, in order; there are `most` of them."""
        import torch

        if call := self._fused():
            import numpy as np

            kernels, arguments, _held = call

            def gather(start: int, end: int) -> Any:
                room = min(most, end - start)
                sizes, places = np.empty(room, np.uint32), np.empty(room, np.int64)
                found = kernels.gather(*arguments, wanted, start, end, sizes, places)
                return sizes[:found].view(np.int32), places[:found]

            parts = fused.spread(gather, self.size, kernels.BLOCK)
            return tuple(torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))  # type: ignore[return-value]
        sizes, places = [], []
        for start, end in spans(self.size, _SPAN):
            bits = magnitude_bits(self._piece(start, end))
            inside = (bits >> SHIFT == wanted).nonzero().view(-1)
            sizes.append(bits[inside])
            places.append(inside + start)
        return torch.cat(sizes), torch.cat(places)

    def _piece(self, start: int, end: int) -> "Tensor":
        return self.read(start, end, self.empty(end - start))

    def _fused(self) -> "tuple[Any, tuple[int, ...], tuple[Tensor, Tensor]] | None":
        """The compiled loops, this delta as their first arguments, and the tensors these point into, to be held.

        None where the loops cannot serve.
        """
        kernels = fused.ready()
        if kernels is None:
            return None
        base, (tensor, is_delta) = self.base(), self.source()
        if not fused.serves(base, tensor):
            return None
        kind = kernels.F32_DELTA if is_delta else fused.kind(kernels, tensor)
        return kernels, (base.data_ptr(), fused.kind(kernels, base), tensor.data_ptr(), kind), (base, tensor)


def rule_words(kernels: Any, rules: "list[tuple[Rule | None, float, float]]") -> Any:
    """Rules with their scale and weight, as the compiled loops read them."""
    import numpy as np

    words: Any = np.zeros(len(rules), kernels.rule_type)
    for place, (rule, scale, weight) in enumerate(rules):
        words["kind"][place] = 0 if rule is None else kernels.KINDS[type(rule).__name__]
        words["scale"][place], words["weight"][place] = scale, weight
        for name, value in (rule.words() if rule else {}).items():
            words[name][place] = value
    return words
