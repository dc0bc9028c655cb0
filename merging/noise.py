"""Counter-based uniform noise: element i of (seed, model, tensor name) is one number on any device, in any order.

Two rounds of a 32-bit integer hash over the element's index, each with its own half of a key drawn from SHA-256. The
multiplications are done in int64 with factors below 2**31, so that no step overflows and every device gives the same
bits. The hash is the "prospector" family's (Wellons, https://github.com/skeeto/hash-prospector, public domain).
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_WORD = 0xFFFFFFFF


def key(seed: int, model: str, name: str) -> tuple[int, int]:
    """Two 32-bit words that name one stream of noise."""
    digest = hashlib.sha256(f"{seed}\0{model}\0{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def _mix(word: "Tensor") -> "Tensor":
    """The hash, in place, of int64 values below 2**32."""
    word.bitwise_xor_(word >> 16).mul_(0x21F0AAAD).bitwise_and_(_WORD)
    word.bitwise_xor_(word >> 15).mul_(0x735A2D97).bitwise_and_(_WORD)
    return word.bitwise_xor_(word >> 15)


def uniform(stream: tuple[int, int], start: int, end: int, *, device: str = "cpu") -> "Tensor":
    """Elements [start, end) of a stream: float32 multiples of 2**-24 in [0, 1); `noise < density` keeps that share."""
    import torch

    index = torch.arange(start, end, dtype=torch.int64, device=device)
    low = _mix((index & _WORD).bitwise_xor_(stream[0]))
    if end > _WORD:
        low.bitwise_xor_(_mix(index >> 32))
    return (_mix(low.bitwise_xor_(stream[1])) >> 8).to(torch.float32).mul_(2.0**-24)
