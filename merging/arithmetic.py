"""Tensor arithmetic whose bits do not depend on the thread count: float32 in chunks, float64 sums in a fixed order.

Only operations that round once per element (copy, multiply, add, divide) are used on whole tensors: a fused
multiply-add may round differently in a vector loop and in its tail, and where the tails lie depends on the number of
threads. torch is imported inside functions, so that the methods can be listed without it.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from merging import fused

if TYPE_CHECKING:
    from torch import Tensor
    from torch import dtype as Dtype

# Float32 elements of one scratch buffer on a CPU: smaller ones pay for each call, larger ones leave the cache.
CHUNK = 1 << 19
CUDA_CHUNK = 1 << 24  # fewer, larger kernels there
REDUCE = 1 << 16  # float64 elements of one partial sum
FIXED_BITS = 37  # of a fixed-point magnitude: REDUCE of them add up in float64 without rounding


class Scratch:
    """Float32 buffers, allocated once: a slider step takes memory from here only.

    Attributes:
        size: Elements of one buffer.
        rounds: Dtype whose values a float32 result must hold; None where the result has the merged model's own dtype.
    """

    def __init__(self, device: str = "cpu", size: int | None = None) -> None:
        self.device = device
        self.rounds: Dtype | None = None
        self.size = size or (CUDA_CHUNK if device.startswith("cuda") else CHUNK)
        self._buffers: list[Tensor] = []

    def __call__(self, index: int, length: int) -> "Tensor":
        """The first `length` elements of buffer `index`; what they hold is undefined."""
        import torch

        while len(self._buffers) <= index:
            self._buffers.append(torch.empty(self.size, dtype=torch.float32, device=self.device))
        return self._buffers[index][:length]


@contextmanager
def thread_count(count: int | None) -> Iterator[None]:
    """Run a block with `count` threads (None: as they are) and put the count back after it."""
    import torch

    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spans(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Consecutive [start, end) of at most `size` that cover `length` elements."""
    for start in range(0, length, size):
        yield start, min(start + size, length)


def weighted_sum(terms: Sequence[tuple["Tensor", float]], out: "Tensor", scratch: Scratch) -> None:
    """Write Σ coefficient · tensor into `out`: float32, in the order given, rounded once to the dtype of `out`.

    Args:
        terms: Contiguous tensors of the shape of `out`, of any float dtype, with their coefficients. A coefficient of
            1 multiplies nothing.
        out: Contiguous result, overwritten.
        scratch: Two buffers of it are used, and its `rounds`.
    """
    import torch

    kernels = fused.ready()
    if kernels and fused.serves(out, *(tensor for tensor, _ in terms)) and scratch.rounds in (None, torch.bfloat16):
        fused.weighted_sum(kernels, terms, out, rounded=scratch.rounds is not None)
        return
    flat = [(tensor.reshape(-1), coefficient) for tensor, coefficient in terms]
    target = out.view(-1)
    for start, end in spans(target.numel(), scratch.size):
        total = scratch(0, end - start)
        for index, (tensor, coefficient) in enumerate(flat):
            part = total if index == 0 else scratch(1, end - start)
            piece = tensor[start:end]
            if coefficient == 1:
                part.copy_(piece)
            elif piece.dtype == torch.float32:
                torch.mul(piece, coefficient, out=part)
            else:
                part.copy_(piece).mul_(coefficient)
            if index:
                total.add_(part)
        store(total, target[start:end], scratch)


def store(values: "Tensor", target: "Tensor", scratch: Scratch) -> None:
    """Write float32 values into `target`, rounded once to its dtype, or to the dtype it stands for."""
    target.copy_(values if scratch.rounds is None else values.to(scratch.rounds))


def moments(first: "Tensor", second: "Tensor") -> tuple[float, float, float]:
    """(‖first‖², ⟨first, second⟩, ‖second‖²) over the flattened tensors, in float64."""
    import torch

    one, two = first.reshape(-1), second.reshape(-1)
    sums = [0.0, 0.0, 0.0]
    with thread_count(1):
        for start, end in spans(one.numel(), REDUCE):
            a, b = one[start:end].double(), two[start:end].double()
            for index, value in enumerate((torch.dot(a, a), torch.dot(a, b), torch.dot(b, b))):
                sums[index] += value.item()
    return sums[0], sums[1], sums[2]


def absolute_sum(tensor: "Tensor") -> float:
    """Σ |x| over the flattened tensor of float32 values, the same on any device and for any number of threads."""
    flat = tensor.reshape(-1)
    if not flat.numel():
        return 0.0
    largest = max(flat[start:end].abs().max().item() for start, end in spans(flat.numel(), 1 << 20))
    factor = fixed_factor(largest)
    return sum(fixed_sum(flat[start:end], factor) for start, end in spans(flat.numel(), REDUCE)) / factor


def fixed_factor(largest: float) -> float:
    """The power of two that turns magnitudes up to `largest` into fixed-point numbers of FIXED_BITS bits."""
    return 2.0 ** (FIXED_BITS - math.frexp(largest)[1]) if largest > 0 else 1.0


def fixed_sum(piece: "Tensor", factor: float) -> int:
    """Σ round(|x| · factor) of at most REDUCE elements: whole numbers below 2**53, so no order of adding rounds."""
    return int(piece.double().abs_().mul_(factor).round_().sum().item())


def product(left: "Tensor", right: "Tensor") -> "Tensor":
    """The float32 matrix product, in blocks of rows and by one thread, so that the bits do not depend on the count."""
    import torch

    result = torch.empty(left.shape[0], right.shape[1], dtype=torch.float32, device=left.device)
    with thread_count(1):
        for start, end in spans(left.shape[0], 256):
            torch.mm(left[start:end], right, out=result[start:end])
    return result


def is_finite(tensor: "Tensor") -> bool:
    """Whether no element is NaN or infinite: the least and the largest show both, in one pass."""
    import torch

    return not tensor.numel() or bool(torch.stack(torch.aminmax(tensor.reshape(-1))).isfinite().all())
