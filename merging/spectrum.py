"""Singular values and directions of task vectors, computed once per checkpoint: what the spectral methods share.

A dense change goes through the eigenvectors of its smaller Gram matrix, a change made of low-rank parts through two
thin QR decompositions; both in float64, in blocks of a fixed size and by one thread, so that the bits do not depend on
the thread count. Signs and order of singular vectors, which a decomposition leaves open, change no result made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from merging.arithmetic import product, spans, thread_count
from merging.sources import Operand

if TYPE_CHECKING:
    from torch import Tensor

    from merging.sources import Source

# Singular values up to this share of the largest count as 0: the Gram matrix resolves no smaller ones, and what is
# left there of a low-rank change is the rounding of its product.
NEGLIGIBLE = 1e-5
# Directions of several models closer to dependent than this (eigenvalue of their Gram matrix) count as the same.
DEPENDENT = 1e-10
BLOCK = 1024  # rows widened to float64 at a time


@dataclass(frozen=True)
class Spectrum:
    """The singular value decomposition of a matrix, without the values that count as 0.

    Attributes:
        left: Orthonormal columns, float32, (rows, rank).
        values: Singular values, float64, largest first, (rank,).
        right: Orthonormal columns, float32, (columns, rank).
    """

    left: "Tensor"
    values: "Tensor"
    right: "Tensor"

    @property
    def rank(self) -> int:
        """Singular values kept; 0 for a matrix of zeros."""
        return self.values.numel()

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return self.left.nbytes + self.values.nbytes + self.right.nbytes

    def first(self, count: int) -> "Spectrum":
        """The `count` largest."""
        return Spectrum(self.left[:, :count], self.values[:count], self.right[:, :count])

    def matrix(self) -> "Tensor":
        """Σ σ·u·vᵀ, a new float32 matrix."""
        return product(self.left * self.values.float(), self.right.t().contiguous())


def gram(first: "Tensor", second: "Tensor") -> "Tensor":
    """Firstᵀ · second in float64, of matrices with equally many rows."""
    import torch

    total = torch.zeros(first.shape[1], second.shape[1], dtype=torch.float64, device=first.device)
    with thread_count(1):
        for start, end in spans(first.shape[0], BLOCK):
            total += first[start:end].double().t() @ second[start:end].double()
    return total


def applied(matrix: "Tensor", small: "Tensor") -> "Tensor":
    """Matrix · small, computed in float64, a new float32 matrix."""
    import torch

    result = torch.empty(matrix.shape[0], small.shape[1], dtype=torch.float32, device=matrix.device)
    with thread_count(1):
        for start, end in spans(matrix.shape[0], BLOCK):
            result[start:end] = matrix[start:end].double() @ small
    return result


def of_matrix(matrix: "Tensor", most: int | None = None) -> Spectrum:
    """The decomposition of a float32 matrix.

    Args:
        matrix: Finite.
        most: Largest number of singular values wanted, None for all.
    """
    import torch

    if matrix.shape[0] < matrix.shape[1]:
        turned = of_matrix(matrix.t(), most)
        return Spectrum(turned.right, turned.values, turned.left)
    with thread_count(1):
        squares, vectors = torch.linalg.eigh(gram(matrix, matrix))
    values = squares.clamp_min(0.0).sqrt().flip(0)
    kept = _count(values, most)
    values, right = values[:kept].clone(), vectors.flip(1)[:, :kept]
    return Spectrum(applied(matrix, right / values), values, right.float())


def of_product(left: "Tensor", right: "Tensor", most: int | None = None) -> Spectrum:
    """The decomposition of left · rightᵀ, of float32 matrices with few columns, without multiplying them out."""
    import torch

    with thread_count(1):
        (q_left, r_left), (q_right, r_right) = (torch.linalg.qr(half.double()) for half in (left, right))
        u, values, v = torch.linalg.svd(r_left @ r_right.t(), full_matrices=False)
        kept = _count(values, most)
        ends = (q_left @ u[:, :kept]).float(), (q_right @ v[:kept].t()).float()
    return Spectrum(ends[0], values[:kept].clone(), ends[1])


def _count(values: "Tensor", most: int | None) -> int:
    """How many of descending singular values are kept."""
    count = int((values > NEGLIGIBLE * values[0]).sum()) if values.numel() else 0
    return count if most is None else min(count, most)


def factors(model: "Source", base: "Source") -> "tuple[Tensor, Tensor] | None":
    """(L, R), float32, with δ = L·Rᵀ where the change is made of low-rank parts alone; None where it is not."""
    import torch

    if not isinstance(model, Operand) or not isinstance(base, Operand) or model.stored_key != base.stored_key:
        return None
    shared = len(base.low_rank)
    if model.low_rank[:shared] != base.low_rank or len(model.low_rank) == shared:
        return None
    halves = [part.factors(model.store.device) for part in model.low_rank[shared:]]
    return torch.cat([left for left, _ in halves], 1), torch.cat([right for _, right in halves], 1)


def of_change(model: "Source", base: "Source", most: int | None = None) -> Spectrum | None:
    """The decomposition of a model's change of a matrix; None where it is the very storage of the base."""
    halves = factors(model, base)
    if halves is not None:
        return of_product(*halves, most)
    change = model.delta(base)
    return None if change is None else of_matrix(change, most)


def orthogonal(columns: Sequence["Tensor"]) -> "list[Tensor]":
    """The nearest matrix with orthonormal columns to matrices side by side, taken apart again.

    It is the orthogonal Procrustes solution P·Qᵀ of the decomposition P·D·Qᵀ, as (C·Cᵀ)^(-1/2)·C. Where columns
    depend on each other there are many; this is the smallest, which adds no direction that no column has.

    Args:
        columns: Float32 matrices with equally many rows.

    Returns:
        Float32 matrices of the same shapes.
    """
    import torch

    beside = torch.cat(list(columns), 1)
    with thread_count(1):
        squares, vectors = torch.linalg.eigh(gram(beside, beside))
        inverse = squares.clamp_min(DEPENDENT).rsqrt_().masked_fill_(squares <= DEPENDENT, 0.0)
        small = (vectors * inverse) @ vectors.t()
    return list(applied(beside, small).split([part.shape[1] for part in columns], 1))
