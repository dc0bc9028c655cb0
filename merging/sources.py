"""One model's tensor as the methods see it: a stored tensor plus unrounded low-rank parts, and its delta."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from merging.adapter import LowRank
    from merging.stages import Stages


class Store(Protocol):
    """Where stored tensors come from: `merging.pool.Pool`."""

    stages: "Stages"
    device: str

    def stored(self, key: Hashable) -> "Tensor":
        """The tensor under an `Operand.stored_key`, on the device, checked to be finite."""
        ...

    def touch(self, key: Hashable) -> None:
        """Check that tensor; it need not be kept."""
        ...


@dataclass(frozen=True)
class Operand:
    """One tensor of one model.

    Attributes:
        model: Name of the model in the recipe.
        stored_key: Which stored tensor (checkpoint, tensor name); equal keys are the very same storage.
        low_rank: LoRA parts added to it, kept in float32 and never rounded.
        store: Where to read it.
    """

    model: str
    stored_key: Hashable
    low_rank: tuple["LowRank", ...]
    store: Store

    @property
    def key(self) -> Hashable:
        """Equal keys are equal values, whatever the models are called."""
        return (self.stored_key, *(part.key for part in self.low_rank))

    def value(self) -> "Tensor":
        """The tensor: as stored, or float32 where low-rank parts are added. Not to be written to."""
        if not self.low_rank:
            return self.store.stored(self.stored_key)
        return self.store.stages.get(("value", self.key), self._added)

    def touch(self) -> None:
        """Read what is stored, so that a bad file is found now."""
        self.store.touch(self.stored_key)
        for part in self.low_rank:
            self.store.stages.get(("finite", part.key), part.check)

    def _added(self) -> "Tensor":
        stored = self.store.stored(self.stored_key)
        return _sum_parts(self.low_rank, self.store.device).add_(stored).view(stored.shape)

    def delta(self, base: "Source") -> "Tensor | None":
        """Value minus the base's value, a new float32 tensor; None where both are the same storage: it is exactly 0.

        Where both add low-rank parts to one stored tensor, the parts alone are subtracted: nothing is lost to the
        size of the weights.
        """
        if self.key == base.key:
            return None
        own = self._own_parts(base)
        if own:
            return _sum_parts(own, self.store.device).view(base.value().shape)
        return _difference(self.value(), base.value())

    def change(self, base: "Source") -> "tuple[Tensor, bool]":
        """What to read to have the delta: (the delta in float32, True), or (the value, False), to be subtracted from.

        Not to be written to; the delta of low-rank parts is memoised.
        """
        own = self._own_parts(base)
        if own:
            key = ("delta", tuple(part.key for part in own))
            return self.store.stages.get(key, lambda: _sum_parts(own, self.store.device).view(-1)), True
        return self.value(), False

    def _own_parts(self, base: "Source") -> "tuple[LowRank, ...]":
        """The low-rank parts that make up the whole delta; none where it is not made of low-rank parts alone."""
        if not isinstance(base, Operand):
            return ()
        shared = len(base.low_rank)
        same = self.stored_key == base.stored_key and self.low_rank[:shared] == base.low_rank
        return self.low_rank[shared:] if same else ()


@dataclass(frozen=True)
class Aligned:
    """One model's embedding or head, its rows in the order of the merged vocabulary; stands in for an `Operand`.

    Attributes:
        model: Name of the model in the recipe.
        key: Equal keys are equal values.
        store: Where to memoise.
        build: Makes the float32 tensor.
    """

    model: str
    key: Hashable
    store: Store
    build: "Builder"

    def touch(self) -> None:
        """Read what is stored, so that a bad file is found now."""
        self.value()

    def value(self) -> "Tensor":
        """The float32 tensor. Not to be written to."""
        return self.store.stages.get(("aligned", self.key), self.build)

    def delta(self, base: "Source") -> "Tensor | None":
        """As `Operand.delta`."""
        return None if self.key == base.key else _difference(self.value(), base.value())

    def change(self, base: "Source") -> "tuple[Tensor, bool]":
        """As `Operand.change`."""
        return self.value(), False


@dataclass(frozen=True, eq=False)
class Plain:
    """A tensor at hand, in the place of one that a checkpoint holds: what the methods' pure functions work on.

    Attributes:
        tensor: Contiguous, any float dtype.
        model: Name that the noise depends on.
    """

    tensor: "Tensor"
    model: str = ""

    @property
    def key(self) -> Hashable:
        """Equal keys are equal values."""
        return id(self.tensor)

    def touch(self) -> None:
        """Nothing is read."""

    def value(self) -> "Tensor":
        """The tensor."""
        return self.tensor

    def delta(self, base: "Source") -> "Tensor | None":
        """As `Operand.delta`."""
        return None if self.key == base.key else _difference(self.tensor, base.value())

    def change(self, base: "Source") -> "tuple[Tensor, bool]":
        """As `Operand.change`."""
        return self.tensor, False


Source = Operand | Aligned | Plain


class Builder(Protocol):
    """A function without arguments that makes a tensor."""

    def __call__(self) -> "Tensor":
        """The tensor."""
        ...


@dataclass(frozen=True)
class Group:
    """What one `prepare` works on: all models of a tensor, or one of them, beside the base.

    Attributes:
        name: Name of the tensor in the merged model.
        base: The base's tensor, None where the method has none.
        models: The other models' tensors, in listed order.
        seed: The recipe's seed.
    """

    name: str
    base: "Source | None"
    models: "tuple[Source, ...]"
    seed: int = 0

    @cached_property
    def key(self) -> Hashable:
        """Equal keys prepare equal memos."""
        return (self.name, self.base.key if self.base else None, tuple(model.key for model in self.models))

    @cached_property
    def is_one(self) -> bool:
        """Whether all models are the very same storage."""
        return len({model.key for model in self.models}) == 1


def _difference(value: "Tensor", base: "Tensor") -> "Tensor":
    import torch

    # A bfloat16 term is widened element by element, exactly; only the subtraction rounds.
    return value.to(torch.float32, copy=True).sub_(base)


def _sum_parts(parts: tuple["LowRank", ...], device: str) -> "Tensor":
    total = parts[0].matrix(device)
    for part in parts[1:]:
        total.add_(part.matrix(device))
    return total
