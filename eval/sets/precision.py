"""How precise a set can be, told before anything is run: the widest 95 % interval its size allows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from eval.statistics import wilson
from eval.types import Item


def half_width(n: int) -> float:
    """Half of the 95 % Wilson interval of a rate of one half over n independent outcomes: the worst case."""
    low, high = wilson(0.5, n)
    return (high - low) / 2


def independent(items: Sequence[Item]) -> int:
    """To how many independent outcomes the mean over languages comes at worst, at least 1 (items of one kind).

    At worst all items of a cluster succeed or fail together. The mean over L languages with n_l items gives an item
    the weight 1 / (L n_l), a cluster the sum w of its items' weights, and the mean has the variance p (1 - p) sum(w^2):
    that of 1 / sum(w^2) independent outcomes (Kish 1965).
    """
    sizes = Counter(item.language for item in items)
    weights: dict[str, float] = defaultdict(float)
    for item in items:
        weights[item.cluster] += 1 / (len(sizes) * sizes[item.language])
    return _effective(weights.values())


def expected(per_language: Sequence[int], *, parallel: bool) -> int:
    """The same for a set known by its counts only: its items are clusters of one, or of one per language."""
    if parallel:
        return min(per_language)
    return _effective(1 / (len(per_language) * n) for n in per_language for _ in range(n))


def _effective(weights: Iterable[float]) -> int:
    return max(1, int(1 / sum(weight * weight for weight in weights) + 1e-9))
