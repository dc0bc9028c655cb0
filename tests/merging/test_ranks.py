"""Exact ranks against the sort, and the softmax in lanes against loops in float64."""

import pytest
import torch

from merging.lanes import softmax
from merging.ranks import PIECE, SMALL, at_ranks, largest
from tests.merging import oracles_more as oracles


def drawn(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("columns", [1, 7, 16, 40])
def test_softmax_in_lanes(columns: int) -> None:
    x = drawn((5, columns)) * 4
    x[0] = -200.0
    x[0, 0] = 0.0
    expected = torch.tensor([oracles.softmax(row) for row in x.double().tolist()])
    torch.testing.assert_close(softmax(x), expected, atol=3e-7, rtol=0)


@pytest.mark.parametrize("size", [1, 9, SMALL + 1, PIECE + 7])
@pytest.mark.parametrize("coarse", [False, True])
def test_ranks_are_those_of_the_sort(size: int, coarse: bool) -> None:
    values = drawn((size,), seed=size)
    values = (values * 4).round() / 4 if coarse else values
    ranks = [0, size // 4, size // 2, size - 1]
    assert at_ranks(values, ranks) == values.sort().values[ranks].tolist()


@pytest.mark.parametrize("size", [9, SMALL + 1])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_largest_are_those_of_the_stable_sort(size: int, share: float) -> None:
    values = (drawn((size,)).abs() * 4).round() / 4
    keep = max(1, int(share * size))
    expected = torch.zeros(size, dtype=torch.bool)
    expected[values.sort(descending=True, stable=True).indices[:keep]] = True
    assert torch.equal(largest(values, keep), expected)
