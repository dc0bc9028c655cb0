"""More methods once more, by the letter, in Python loops and float64. Shares no code with merging/."""

import math
from collections.abc import Callable, Sequence

Vector = list[float]


def dot(x: Vector, y: Vector) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def norm(x: Vector) -> float:
    return math.sqrt(dot(x, x))


def combined(factors: Sequence[float], vectors: Sequence[Vector]) -> Vector:
    return [math.fsum(f * v[i] for f, v in zip(factors, vectors, strict=True)) for i in range(len(vectors[0]))]


def minus(x: Vector, y: Vector) -> Vector:
    return [a - b for a, b in zip(x, y, strict=True)]


def plus(x: Vector, y: Vector) -> Vector:
    return [a + b for a, b in zip(x, y, strict=True)]


def nearswap(base: Vector, model: Vector, t: float) -> Vector:
    merged = []
    for b, x in zip(base, model, strict=True):
        w = min(1.0, max(0.0, t / max(abs(b - x), 1e-6)))
        merged.append(w * x + (1 - w) * b)
    return merged


def multislerp(
    models: Sequence[Vector], weight: Sequence[float], base: Vector | None, normalize: bool = True, eps: float = 1e-8
) -> Vector:
    if len(models) == 1:
        return models[0]
    if normalize:
        weight = [w / math.fsum(weight) for w in weight]
    vectors = list(models) if base is None else [minus(x, base) for x in models]
    units = [[a / (norm(v) + eps) for a in v] for v in vectors]
    mean = combined(weight, units)
    if norm(mean) < eps:
        found = combined(weight, vectors)
    else:
        center = [a / norm(mean) for a in mean]
        tangents = [[a - dot(u, center) * c for a, c in zip(u, center, strict=True)] for u in units]
        tangent = combined(weight, tangents)
        size = norm(tangent) + eps
        point = combined([math.cos(size), math.sin(size) / size], [center, tangent])
        reach = math.fsum(w * norm(v) for w, v in zip(weight, vectors, strict=True))
        found = [reach * a for a in point]
    return found if base is None else plus(base, found)


def karcher(models: Sequence[Vector], max_iter: int = 10, tol: float = 1e-5) -> Vector:
    units = [[a / norm(x) for a in x] for x in models if norm(x) > tol]
    if not units:
        return [0.0] * len(models[0])
    point = combined([1 / len(units)] * len(units), units)
    point = [a / norm(point) for a in point] if norm(point) >= tol else units[0]
    for _ in range(max_iter):
        step = [0.0] * len(point)
        for unit in units:
            cosine = max(-1.0, min(1.0, dot(unit, point)))
            angle = math.acos(cosine)
            if angle > 1e-9 and math.sin(angle) > 1e-7:
                factor = angle / math.sin(angle) / len(units)
                step = [s + factor * (u - cosine * p) for s, u, p in zip(step, unit, point, strict=True)]
        size = norm(step)
        if size < tol or size == 0:
            break
        point = combined([math.cos(size), math.sin(size) / size], [point, step])
        point = [a / norm(point) for a in point]
    reach = math.fsum(norm(x) for x in models) / len(models)
    return [reach * a for a in point]


def model_stock(base: Vector, models: Sequence[Vector]) -> Vector:
    deltas, count, cosines = [minus(x, base) for x in models], len(models), []
    for i in range(count):
        for j in range(i + 1, count):
            cosine = dot(deltas[i], deltas[j]) / max(norm(deltas[i]) * norm(deltas[j]), 1e-6)
            cosines.append(max(-1.0, min(1.0, cosine)))
    c = math.fsum(cosines) / len(cosines)
    t = 0.0 if abs(1 + (count - 1) * c) < 1e-6 else count * c / (1 + (count - 1) * c)
    return combined([1 - t, *[t / count] * count], [base, *models])


def sce(base: Vector, models: Sequence[Vector], select_topk: float = 1.0) -> Vector:
    deltas, count = [minus(x, base) for x in models], len(models)
    if select_topk < 1:
        spread = []
        for i in range(len(base)):
            mean = math.fsum(d[i] for d in deltas) / count
            spread.append(math.fsum((d[i] - mean) ** 2 for d in deltas) / count)
        keep = math.floor(max(select_topk, 0) * sum(s != 0 for s in spread))
        order = sorted(range(len(base)), key=lambda i: (-spread[i], i))[:keep]
        deltas = [[a if i in order else 0.0 for i, a in enumerate(d)] for d in deltas]
    squares = [dot(d, d) / len(base) for d in deltas]
    total = math.fsum(squares)
    weights = [1 / count if total < 1e-6 else s / total for s in squares]
    merged = []
    for i, b in enumerate(base):
        sign = 1 if math.fsum(d[i] for d in deltas) >= 0 else -1
        agree = [(w, d[i]) for w, d in zip(weights, deltas, strict=True) if d[i] * sign > 0]
        merged.append(b + math.fsum(w * d for w, d in agree) / max(math.fsum(w for w, _ in agree), 1e-6))
    return merged


def ram(base: Vector, models: Sequence[Vector], epsilon: float = 1e-5, r: float = 0.0, alpha: float = 0.0) -> Vector:
    deltas = [minus(x, base) for x in models]
    active = [[abs(a) > epsilon for a in d] for d in deltas]
    count = [sum(a[i] for a in active) for i in range(len(base))]
    boosts = []
    for mine in active:
        shared = sum(a and n > 1 for a, n in zip(mine, count, strict=True))
        unique = sum(a and n == 1 for a, n in zip(mine, count, strict=True))
        boosts.append(1 + r * min(max(shared / unique, 0), alpha) if unique else 1.0)
    merged = []
    for i, b in enumerate(base):
        found = [(d[i], boost) for d, a, boost in zip(deltas, active, boosts, strict=True) if a[i]]
        if len(found) == 1:
            b += found[0][0] * found[0][1]
        elif found:
            b += math.fsum(d for d, _ in found) / len(found)
        merged.append(b)
    return merged


def arcee_fusion(base: Sequence[Vector], model: Sequence[Vector]) -> Vector:
    """Of rows."""
    importance = []
    for b, x in zip(base, model, strict=True):
        p, q = softmax(x), softmax(b)
        divergence = math.fsum((s + 1e-8) * math.log((s + 1e-8) / (t + 1e-8)) for s, t in zip(p, q, strict=True))
        importance += [abs(one - two) * divergence for one, two in zip(x, b, strict=True)]
    ordered = sorted(importance)
    low, median, high = (ordered[math.floor(q * (len(ordered) - 1))] for q in (0.25, 0.5, 0.75))
    cut = median + 1.5 * (high - low)
    flat = [pair for rows in zip(model, base, strict=True) for pair in zip(*rows, strict=True)]
    return [x if s >= cut else b for (x, b), s in zip(flat, importance, strict=True)]


def softmax(row: Vector) -> Vector:
    powers = [math.exp(a - max(row)) for a in row]
    return [a / math.fsum(powers) for a in powers]


def by_rows(method: Callable[..., Vector], base: Sequence[Vector], models: Sequence[Sequence[Vector]]) -> Vector:
    """A method applied to each row apart."""
    rows = zip(base, *models, strict=True)
    return [value for row in rows for value in method(row[0], list(row[1:]))]
