"""The spectral methods once more, by the letter of their papers, with numpy's decompositions. Shares no code."""

import math
from collections.abc import Sequence

import numpy as np

Matrix = np.ndarray


def nearest_orthonormal(matrix: Matrix) -> Matrix:
    """Orthogonal Procrustes: P·Qᵀ of the decomposition P·D·Qᵀ."""
    p, _, q = np.linalg.svd(matrix, full_matrices=False)
    return p @ q


def tsv(base: Matrix, models: Sequence[Matrix], weight: Sequence[float], scale: float, share: float) -> Matrix:
    deltas, count = [model - base for model in models], len(models)
    if base.ndim != 2 or min(base.shape) < count:
        return base + scale * sum(w * d for w, d in zip(weight, deltas, strict=True)) / count
    k = min(base.shape) // count
    k = max(1, math.floor(k * min(share, 1.0)))
    found = [np.linalg.svd(delta, full_matrices=False) for delta in deltas]
    left = nearest_orthonormal(np.concatenate([u[:, :k] for u, _, _ in found], 1))
    right = nearest_orthonormal(np.concatenate([v[:k].T for _, _, v in found], 1))
    sigma = np.concatenate([w * s[:k] for w, (_, s, _) in zip(weight, found, strict=True)])
    return base + scale * left @ np.diag(sigma) @ right.T


def iso_c(
    base: Matrix, models: Sequence[Matrix], weight: Sequence[float], scale: float, isotropy: float, rank: int = 10**9
) -> Matrix:
    """Where the sum is known to have a smaller rank, its other directions are left out of sum and mean."""
    total = sum(w * (model - base) for w, model in zip(weight, models, strict=True))
    if base.ndim != 2:
        return base + scale * total / len(models)
    u, s, v = np.linalg.svd(total, full_matrices=False)
    u, s, v = u[:, :rank], s[:rank], v[:rank]
    return base + scale * u @ np.diag((1 - isotropy) * s + isotropy * s.mean()) @ v


def cosine(base: Matrix, tuned: Matrix, safe: Matrix) -> float:
    """SafeMERGE's ρ: between a change and its projection C·δ, C = V·Vᵀ / ‖V‖, both flattened."""
    delta, v = tuned - base, safe - base
    if delta.ndim == 1:
        delta, v = delta[:, None], v[:, None]
    projector = v @ v.T / np.linalg.norm(v)
    projected = projector @ delta
    return float((delta * projected).sum() / np.linalg.norm(delta) / np.linalg.norm(projected))


def safemerge(base: Matrix, tuned: Matrix, safe: Matrix, tau: float, alpha: float) -> Matrix:
    return (1 - alpha) * tuned + alpha * safe if cosine(base, tuned, safe) < tau else tuned
