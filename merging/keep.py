"""Which elements of a delta stay: rules that are applied while the delta is read, so that no thinned copy is stored."""

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging import noise
from merging.arithmetic import spans

if TYPE_CHECKING:
    from torch import Tensor

MAGNITUDE = 0x7FFFFFFF  # the bits of a float32 without its sign: as integers they sort as the magnitudes do
DRAW_BITS = 24  # of a number of `merging.noise`
_SPAN = 1 << 17


@dataclass(frozen=True)
class Window:
    """By magnitude: the largest stay, but for the very largest.

    Attributes:
        bits: Magnitudes (as bits) above it stay; of those equal to it, the ones up to index `last`.
        last: See `bits`.
        top: Of those that stay, magnitudes above it go again, and equal ones up to index `top_last`.
        top_last: See `top`.
    """

    bits: int
    last: int
    top: int = MAGNITUDE
    top_last: int = -1

    def drop_(self, piece: "Tensor", start: int) -> None:
        """Set to 0 what goes, in elements that begin at index `start` of the tensor."""
        bits = magnitude_bits(piece)
        stays = _above(bits, self.bits, self.last, start)
        if self.top < MAGNITUDE:
            stays &= ~_above(bits, self.top, self.top_last, start)
        piece.masked_fill_(~stays, 0)

    def words(self) -> dict[str, Any]:
        """The rule as `merging.kernels` reads it."""
        top = float_of(self.top) if self.top < MAGNITUDE else math.inf
        return {"cut": float_of(self.bits), "last": self.last, "top": top, "top_last": self.top_last}


@dataclass(frozen=True)
class Noise:
    """At random: each element with probability `density`; masks of one stream are nested as the density grows."""

    density: float
    stream: tuple[int, int]

    def drop_(self, piece: "Tensor", start: int) -> None:
        """As `Window.drop_`."""
        for low, high in spans(piece.numel(), _SPAN):
            drawn = noise.uniform(self.stream, start + low, start + high, device=str(piece.device))
            piece[low:high].masked_fill_(drawn >= self.density, 0)

    def words(self) -> dict[str, Any]:
        """As `Window.words`."""
        import numpy as np

        # u < density, u a multiple of 2**-24: compared as whole numbers, with the density as float32 has it
        draws = math.ceil(float(np.float32(self.density)) * (1 << DRAW_BITS))
        return {"draws": draws, "first": self.stream[0], "second": self.stream[1]}


@dataclass(frozen=True)
class Mask:
    """One by one: `stays`, bool, flat, as long as the tensor."""

    stays: "Tensor"

    def drop_(self, piece: "Tensor", start: int) -> None:
        """As `Window.drop_`."""
        piece.masked_fill_(~self.stays[start : start + piece.numel()], 0)

    def words(self) -> dict[str, Any]:
        """As `Window.words`."""
        return {"mask": self.stays.data_ptr()}


Rule = Window | Noise | Mask


def magnitude_bits(tensor: "Tensor") -> "Tensor":
    """The bits of |x| of a float32 tensor as int32."""
    import torch

    return tensor.view(torch.int32) & MAGNITUDE


def float_of(bits: int) -> float:
    """The magnitude that has these bits in float32."""
    return struct.unpack("<f", struct.pack("<I", bits & MAGNITUDE))[0]


def _above(bits: "Tensor", cut: int, last: int, start: int) -> "Tensor":
    import torch

    above, equal = bits > cut, bits == cut
    if bool(equal.any()):
        places = torch.arange(start, start + bits.numel(), device=bits.device)
        above |= equal & (places <= last)
    return above
