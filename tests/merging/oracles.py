"""The methods once more, by the letter, in Python loops and float64. Shares no code with merging/."""

import math
from collections.abc import Sequence

Vector = list[float]


def dot(x: Vector, y: Vector) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def linear(models: Sequence[Vector], weight: Sequence[float], normalize: bool = True) -> Vector:
    total = sum(weight) if normalize else 1.0
    return [math.fsum(w * x[i] for w, x in zip(weight, models, strict=True)) / total for i in range(len(models[0]))]


def _arc(x: Vector, y: Vector, t: float, theta: float | None) -> Vector:
    if theta is None:
        return [(1 - t) * a + t * b for a, b in zip(x, y, strict=True)]
    one, two = math.sin((1 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)
    return [one * a + two * b for a, b in zip(x, y, strict=True)]


def slerp(x: Vector, y: Vector, t: float) -> Vector:
    norms = [math.sqrt(dot(v, v)) for v in (x, y)]
    norms = [n if n > 1e-8 else 1.0 for n in norms]
    cosine = min(1.0, max(-1.0, dot(x, y) / norms[0] / norms[1]))
    return _arc(x, y, t, None if abs(cosine) > 0.9995 else math.acos(cosine))


def nuslerp(x: Vector, y: Vector, weight: Sequence[float]) -> Vector:
    total = weight[0] + weight[1]
    t = 0.5 if abs(total) < 1e-6 else weight[1] / total
    norms = [max(math.sqrt(dot(v, v)), 1e-7) for v in (x, y)]
    cosine = min(1.0, max(-1.0, dot(x, y) / norms[0] / norms[1]))
    return _arc(x, y, t, None if 1 - cosine**2 <= 1e-16 else math.acos(cosine))


def trim(delta: Vector, density: float) -> Vector:
    if density >= 1:
        return delta
    if density <= 0:
        return [0.0] * len(delta)
    keep = max(1, math.floor(density * len(delta)))
    order = sorted(range(len(delta)), key=lambda i: (-abs(delta[i]), i))
    return [d if i in set(order[:keep]) else 0.0 for i, d in enumerate(delta)]


def rescale(delta: Vector, kept: Vector) -> Vector:
    before, after = (math.fsum(map(abs, v)) for v in (delta, kept))
    return [k * before / after for k in kept] if before >= 1e-7 and after >= 1e-7 else kept


def elect(base: Vector, deltas: Sequence[Vector], weight: Sequence[float], normalize: bool, lambda_: float) -> Vector:
    merged = []
    for i, b in enumerate(base):
        votes = [w * d[i] for w, d in zip(weight, deltas, strict=True)]
        sign = 1.0 if sum(votes) >= 0 else -1.0
        agree = [(v, w) for v, w in zip(votes, weight, strict=True) if v * sign > 0]
        share = sum(w for _, w in agree)
        total = sum(v for v, _ in agree)
        merged.append(b + lambda_ * (total / share if normalize and share != 0 else total))
    return merged


def add(base: Vector, deltas: Sequence[Vector], weight: Sequence[float], normalize: bool, lambda_: float) -> Vector:
    total = sum(weight) if normalize and abs(sum(weight)) >= 1e-8 else 1.0
    merged = [math.fsum(w * d[i] for w, d in zip(weight, deltas, strict=True)) for i in range(len(base))]
    return [b + lambda_ * m / total for b, m in zip(base, merged, strict=True)]


def breadcrumbs(delta: Vector, density: float, gamma: float) -> Vector:
    size = len(delta)
    stay, top = min(size, math.floor(density * size)), math.floor(gamma * size)
    below = max(0, size - stay - top)
    order = sorted(range(size), key=lambda i: (abs(delta[i]), -i))  # ascending; of equal ones the last index first
    return [d if i in set(order[below : below + stay]) else 0.0 for i, d in enumerate(delta)]


def della_chances(row: Vector, density: float, epsilon: float) -> Vector:
    if len(row) == 1:
        return [density]
    order = sorted(range(len(row)), key=lambda i: (abs(row[i]), -i))
    return [density - epsilon + 2 * epsilon * order.index(i) / (len(row) - 1) for i in range(len(row))]
