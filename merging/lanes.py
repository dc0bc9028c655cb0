"""Softmax in float32, step by step as CPUs with 16 lanes compute it: the same bits on every machine.

Sums of exponentials round by the order in which they are added, and libraries add as the CPU is wide. That is harmless
until nearly equal rows are compared: their divergence is mostly this rounding. The steps here are written out: the
exponential is SLEEF's (https://sleef.org) with its coefficients, the sum runs over 16 lanes and then halves them, in
operations that round once per element, so that nothing depends on machine, device or threads.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LANES = 16
_LOG2_E = 1.442695040888963407
_LN2 = (0.693145751953125, 1.428606765330187045e-06)  # ln 2 in two parts, the first with zeros at its end
_TAYLOR = (0.000198527617612853646, 0.00139304355252534151, 0.00833336077630519867, 0.0416664853692054749,
           0.166666671633720398, 0.5)  # fmt: skip


def softmax(values: "Tensor") -> "Tensor":
    """The softmax of each row of a float32 matrix."""
    powers = _exp(values - values.amax(-1, keepdim=True))
    return powers * (1.0 / _row_sums(powers))


def _exp(values: "Tensor") -> "Tensor":
    """The exponential of float32 numbers that are not positive."""
    import torch

    whole = (values * _single(_LOG2_E)).round().clamp_min_(-126.0)
    rest = _fused(whole, -_single(_LN2[0]), values)
    rest = _fused(whole, -_single(_LN2[1]), rest)
    series = torch.full_like(rest, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        series = _fused(series, rest, _single(coefficient))
    power = _fused(rest * rest, series, rest).add_(1.0)
    return power.mul_(((whole.to(torch.int32) + 127) << 23).view(torch.float32))


def _row_sums(values: "Tensor") -> "Tensor":
    """The sums of the rows, kept with size 1: one running sum a lane, then the upper half of the lanes to the lower."""
    rows, columns = values.shape
    total = values.new_zeros(rows, LANES)
    for start in range(0, columns, LANES):
        piece = values[:, start : start + LANES]
        total[:, : piece.shape[1]] += piece
    width = LANES
    while width > 1:
        width //= 2
        total = total[:, :width] + total[:, width:]
    return total


def _fused(one: "Tensor", two: "Tensor | float", three: "Tensor | float") -> "Tensor":
    """One · two + three rounded once: float64 holds the product of two float32 numbers exactly."""
    import torch

    wide = [part.double() if isinstance(part, torch.Tensor) else part for part in (two, three)]
    return one.double().mul_(wide[0]).add_(wide[1]).float()


def _single(number: float) -> float:
    """A number rounded to float32."""
    import torch

    return torch.tensor(number, dtype=torch.float32).item()
