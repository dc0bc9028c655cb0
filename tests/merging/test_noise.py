import math

import pytest
import torch

from merging import noise

N = 1 << 20


def stream(seed: int = 0, model: str = "m", name: str = "w") -> torch.Tensor:
    return noise.uniform(noise.key(seed, model, name), 0, N)


def test_is_uniform() -> None:
    counts = torch.histc(stream(), bins=256, min=0, max=1)
    chi2 = ((counts - N / 256) ** 2 / (N / 256)).sum().item()
    assert abs(chi2 - 255) < 6 * math.sqrt(2 * 255)
    assert stream().min() >= 0 and stream().max() < 1


@pytest.mark.parametrize("lag", [1, 2, 64, 640, 4096])
def test_neighbours_are_independent(lag: int) -> None:
    x = stream().double() - 0.5
    assert abs((x[:-lag] * x[lag:]).mean().item() * 12) < 6 / math.sqrt(N)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"model": "n"}, {"name": "v"}], ids=["another seed", "another model", "another tensor"]
)
def test_streams_are_independent(other: dict) -> None:
    x, y = stream().double() - 0.5, stream(**other).double() - 0.5
    assert abs((x * y).mean().item() * 12) < 6 / math.sqrt(N)
    both = ((x < 0) & (y < 0)).double().mean().item()
    assert abs(both - 0.25) < 6 * math.sqrt(0.25 * 0.75 / N)


def test_a_part_is_the_part_of_the_whole() -> None:
    key = noise.key(5, "m", "w")
    assert torch.equal(noise.uniform(key, 1000, 3000), stream(5)[1000:3000])


def test_beyond_32_bits() -> None:
    key = noise.key(0, "m", "w")
    far = 1 << 32
    across = noise.uniform(key, far - 50, far + 50)
    assert torch.equal(across[50:], noise.uniform(key, far, far + 50))
    assert not torch.equal(across[50:], noise.uniform(key, 0, 50))


def test_masks_are_nested() -> None:
    few, many = stream() < 0.2, stream() < 0.6
    assert (many | ~few).all()


def test_values_are_pinned() -> None:
    """A stored recipe must give the same model next year."""
    got = (noise.uniform(noise.key(1234, "zoo:general", "model.norm.weight"), 0, 4) * 2**24).to(torch.int64).tolist()
    assert got == PINNED


# Made by the same hash in plain Python integers.
PINNED = [2621499, 324267, 6219608, 13143304]
