"""The geometry of checkpoints around their base: how far each moved, which ways they agree, where their signs collide.

It tells which merges can work: task vectors that are nearly orthogonal add up with little loss, those that point apart
or disagree in sign cancel (https://arxiv.org/abs/2212.04089, https://arxiv.org/abs/2306.01708). Nothing is sampled:
every element of every tensor is read, one tensor at a time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations
from typing import TYPE_CHECKING

from merging import layout
from merging.arithmetic import REDUCE, spans, thread_count
from merging.checkpoint import Checkpoint
from merging.compatibility import check_compatible
from merging.errors import Cancelled, CompatibilityError
from merging.sources import Operand

if TYPE_CHECKING:
    from torch import Tensor

    from merging.pool import Pool

Progress = Callable[[float, str], None]
EMBEDDING, LAST = "embedding", "norm and head"


@dataclass(frozen=True)
class Total:
    """The three figures of `Geometry` over the whole model: one per model, one per pair, one per pair."""

    norms: tuple[float, ...]
    cosines: tuple[float, ...]
    conflicts: tuple[float, ...]


@dataclass(frozen=True)
class Geometry:
    """How the task vectors δ = model − base lie to each other, group of tensors by group of tensors.

    Attributes:
        base: The common ancestor.
        models: Its descendants, as given.
        groups: "embedding", "layer 0", "layer 1", …, "norm and head"; only those there are.
        norms: [model][group] ‖δ‖ / ‖base‖, 0 or more; infinite where the base is 0 and the model is not.
        pairs: Indices into `models`, the smaller first.
        cosines: [pair][group] cosine between the two task vectors, in [-1, 1]; NaN where one of them is 0.
        conflicts: [pair][group] of the elements both models changed, the share with opposite signs, in [0, 1]; NaN
            where there are none.
        total: The same over the whole model.
    """

    base: str
    models: tuple[str, ...]
    groups: tuple[str, ...]
    norms: tuple[tuple[float, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    cosines: tuple[tuple[float, ...], ...]
    conflicts: tuple[tuple[float, ...], ...]
    total: Total


@dataclass
class _Sums:
    """Running sums over some tensors: float64 sums of products, whole numbers of elements."""

    pairs: tuple[tuple[int, int], ...]
    base: float = 0.0
    products: dict[tuple[int, int], float] = field(default_factory=dict)
    shared: dict[tuple[int, int], int] = field(default_factory=dict)
    opposed: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, other: "_Sums") -> None:
        """Add the sums of other tensors."""
        self.base += other.base
        for pair, product in other.products.items():
            self.products[pair] = self.products.get(pair, 0.0) + product
        for counts, more in ((self.shared, other.shared), (self.opposed, other.opposed)):
            for pair, count in more.items():
                counts[pair] = counts.get(pair, 0) + count

    def norm(self, model: int) -> float:
        """‖δ‖ / ‖base‖."""
        moved = math.sqrt(self.products.get((model, model), 0.0))
        return moved / math.sqrt(self.base) if self.base > 0 else math.inf if moved else 0.0

    def cosine(self, pair: tuple[int, int]) -> float:
        """Cosine between two task vectors, NaN where one is 0."""
        lengths = [math.sqrt(self.products.get((model, model), 0.0)) for model in pair]
        if min(lengths) == 0:
            return math.nan
        return max(-1.0, min(1.0, self.products[pair] / lengths[0] / lengths[1]))

    def conflict(self, pair: tuple[int, int]) -> float:
        """Share of the elements changed in both whose signs differ, NaN where there are none."""
        shared = self.shared.get(pair, 0)
        return self.opposed[pair] / shared if shared else math.nan


def geometry(
    base: str,
    models: Sequence[str],
    pool: "Pool",
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Geometry:
    """Measure checkpoints against their base.

    The pool is locked for one tensor at a time, so that a merge may come in between. The figures do not depend on the
    number of threads.

    Args:
        base: Name of the common ancestor.
        models: Names of its descendants; the same one may be listed twice.
        pool: Where checkpoints are read.
        progress: Called with the share of the elements done (0 to 1) and the name of the next tensor.
        cancelled: Asked before every tensor.

    Raises:
        CheckpointError: A checkpoint cannot be read, or they differ in architecture, layers, shapes or vocabulary.
        Cancelled: `cancelled()` was true.
    """
    pairs = tuple(combinations(range(len(models)), 2))
    with pool.lock:
        opened = [pool.checkpoint(name) for name in (base, *models)]
    check_compatible(opened)
    names = _names(opened)
    sizes = [math.prod(opened[0].shape(_stored_name(opened[0], name))) for name in names]
    found: dict[str, _Sums] = {}
    for name, done in zip(names, accumulate(sizes, initial=0), strict=False):
        if cancelled and cancelled():
            raise Cancelled
        if progress:
            progress(done / sum(sizes), name)
        with pool.lock:
            operands = [_operand(checkpoint, name, pool) for checkpoint in opened]
            found.setdefault(_group(name), _Sums(pairs)).add(_measure(operands[0], operands[1:], pairs))
    if progress:
        progress(1.0, "done")
    return _table(base, tuple(models), pairs, found)


def _names(opened: Sequence[Checkpoint]) -> list[str]:
    """The tensors to compare, sorted; a stored head is left out where every model says that it is tied."""
    tied = all(checkpoint.is_tied for checkpoint in opened)
    found = sorted({name for checkpoint in opened for name in checkpoint.headers})
    return [name for name in found if not (tied and layout.is_head(name))]


def _stored_name(checkpoint: Checkpoint, name: str) -> str:
    """The tensor's name in a checkpoint; the head of a tied model is its embedding."""
    if name not in checkpoint.headers and layout.is_head(name):
        name = layout.input_embedding(checkpoint.headers) or name
    if name not in checkpoint.headers:
        raise CompatibilityError(
            f"{checkpoint.name!r} has no tensor {name}, which another of the models has: they cannot be compared."
        )
    return name


def _operand(checkpoint: Checkpoint, name: str, pool: "Pool") -> Operand:
    inner = _stored_name(checkpoint, name)
    return Operand(checkpoint.name, checkpoint.stored(inner), checkpoint.low_rank(inner), pool)


def _group(name: str) -> str:
    if inner := layout.place(name):
        return f"layer {inner.number}"
    return EMBEDDING if layout.is_before_layers(name) else LAST


def _measure(base: Operand, models: Sequence[Operand], pairs: tuple[tuple[int, int], ...]) -> _Sums:
    """The sums of one tensor."""
    import torch

    value = base.value().reshape(-1)
    deltas = {i: d.view(-1) for i, model in enumerate(models) if (d := model.delta(base)) is not None}
    sums = _Sums(pairs)
    with thread_count(1):
        for start, end in spans(value.numel(), REDUCE):
            own = value[start:end].double()
            sums.add(_Sums(pairs, base=torch.dot(own, own).item()))
            sums.add(_compare({i: delta[start:end] for i, delta in deltas.items()}, pairs))
    return sums


def _compare(pieces: "dict[int, Tensor]", pairs: tuple[tuple[int, int], ...]) -> _Sums:
    """The sums of one chunk of the task vectors that are not 0 everywhere."""
    import torch

    sums = _Sums(pairs)
    wide = {i: piece.double() for i, piece in pieces.items()}
    signs = {i: piece.sign() for i, piece in pieces.items()}
    for i, piece in wide.items():
        sums.products[i, i] = torch.dot(piece, piece).item()
    for one, two in pairs:
        if one in wide and two in wide:
            both = signs[one] * signs[two]
            sums.products[one, two] = torch.dot(wide[one], wide[two]).item()
            sums.shared[one, two] = int(both.count_nonzero())
            sums.opposed[one, two] = int((both < 0).count_nonzero())
    return sums


def _ordered(groups: "dict[str, _Sums]") -> Iterator[str]:
    """Embedding, layers by number, norm and head."""
    layers = sorted((name for name in groups if name.startswith("layer ")), key=lambda name: int(name.split()[1]))
    return (name for name in (EMBEDDING, *layers, LAST) if name in groups)


def _table(base: str, models: tuple[str, ...], pairs: tuple[tuple[int, int], ...], found: dict[str, _Sums]) -> Geometry:
    groups, whole = tuple(_ordered(found)), _Sums(pairs)
    rows = [found[group] for group in groups]
    for row in rows:
        whole.add(row)
    return Geometry(
        base=base,
        models=models,
        groups=groups,
        norms=tuple(tuple(row.norm(model) for row in rows) for model in range(len(models))),
        pairs=pairs,
        cosines=tuple(tuple(row.cosine(pair) for row in rows) for pair in pairs),
        conflicts=tuple(tuple(row.conflict(pair) for row in rows) for pair in pairs),
        total=Total(
            tuple(whole.norm(model) for model in range(len(models))),
            tuple(whole.cosine(pair) for pair in pairs),
            tuple(whole.conflict(pair) for pair in pairs),
        ),
    )
