"""Each method's pure function against loops in float64, on sizes and values where formulas break."""

import math

import pytest
import torch

from merging import noise
from merging.methods.dare_ties import dare_ties
from merging.methods.linear import linear
from merging.methods.nuslerp import nuslerp
from merging.methods.slerp import slerp
from merging.methods.ties import ties
from merging.steps import SMALL, keep_count, ordered_delta, trim_
from tests.merging import oracles

SHAPES = [
    pytest.param((1,), id="one"),
    pytest.param((7,), id="odd"),
    pytest.param((4, 6), id="matrix"),
    pytest.param((5, 1), id="column"),
]


def tensors(shape: tuple[int, ...], count: int, scale: float = 1.0, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for _ in range(count)]


def check(got: torch.Tensor, expected: list[float], atol: float = 1e-6) -> None:
    torch.testing.assert_close(got.double().view(-1), torch.tensor(expected, dtype=torch.float64), atol=atol, rtol=0)


def listed(*found: torch.Tensor) -> list[list[float]]:
    return [one.double().view(-1).tolist() for one in found]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("weight", "normalize"), [((0.3, 0.9), True), ((0.3, 0.9), False), ((-0.5, 2.0), True), ((0.0, 1.0), True)]
)
def test_linear(shape: tuple[int, ...], weight: tuple[float, ...], normalize: bool) -> None:
    found = tensors(shape, 2)
    check(linear(found, weight=weight, normalize=normalize), oracles.linear(listed(*found), weight, normalize))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 1.4, -0.2])
def test_slerp(shape: tuple[int, ...], t: float) -> None:
    x, y = tensors(shape, 2)
    check(slerp(x, y, t=t), oracles.slerp(*listed(x, y), t), atol=3e-6)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param([1.0, 2.0], [2.0, 4.0], id="colinear"),
        pytest.param([1.0, 2.0], [-1.0, -2.0], id="antipodal"),
        pytest.param([0.0, 0.0], [1.0, 2.0], id="zero start"),
        pytest.param([0.0, 0.0], [0.0, 0.0], id="all zero"),
        pytest.param([1.0, 2.0], [1.0, 2.0], id="equal"),
        pytest.param([1.0, 0.0], [0.9995, math.sqrt(1 - 0.9995**2) + 1e-5], id="just spherical"),
        pytest.param([1.0, 0.0], [0.9996, math.sqrt(1 - 0.9996**2)], id="just straight"),
        pytest.param([1e-5, 0.0], [0.0, 1e-6], id="tiny"),
    ],
)
def test_arcs_at_the_edges(x: list[float], y: list[float]) -> None:
    one, two = torch.tensor(x), torch.tensor(y)
    check(slerp(one, two, t=0.3), oracles.slerp(*listed(one, two), 0.3))
    check(nuslerp(one, two, weight=(0.7, 0.3)), oracles.nuslerp(*listed(one, two), (0.7, 0.3)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", [(0.7, 0.5), (1.0, 0.0), (1.0, -1.0), (0.0, 0.0)])
def test_nuslerp(shape: tuple[int, ...], weight: tuple[float, float]) -> None:
    x, y, base = tensors(shape, 3)
    check(nuslerp(x, y, weight=weight), oracles.nuslerp(*listed(x, y), weight), atol=3e-6)
    arc = oracles.nuslerp(*listed(x - base, y - base), weight)
    check(nuslerp(x, y, base, weight=weight), [b + d for b, d in zip(listed(base)[0], arc, strict=True)], atol=3e-6)


@pytest.mark.parametrize("row_wise", [False, True])
def test_nuslerp_by_vector(row_wise: bool) -> None:
    x, y = tensors((4, 6), 2)
    y[1] = x[1]  # one colinear row
    got = nuslerp(x, y, weight=(0.6, 0.4), nuslerp_flatten=False, nuslerp_row_wise=row_wise)
    ends = [m.t() if row_wise else m for m in (x, y, got)]
    for one, two, merged in zip(*ends, strict=True):
        check(merged, oracles.nuslerp(*listed(one.contiguous(), two.contiguous()), (0.6, 0.4)))


def ties_oracle(
    base: torch.Tensor, models: list[torch.Tensor], weight: tuple[float, ...], density: tuple[float, ...], **knobs
) -> list[float]:
    deltas = listed(*[model - base for model in models])
    kept = [oracles.trim(delta, part) for delta, part in zip(deltas, density, strict=True)]
    if knobs.get("rescale"):
        kept = [oracles.rescale(d, k) if p < 1 else k for d, k, p in zip(deltas, kept, density, strict=True)]
    return oracles.elect(listed(base)[0], kept, weight, knobs.get("normalize", True), knobs.get("lambda_", 1.0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0, -0.5, 1.7])
@pytest.mark.parametrize(
    ("weight", "knobs"),
    [
        pytest.param((0.5, 0.5), {}, id="equal"),
        pytest.param((0.2, 1.0), {}, id="weights vote"),
        pytest.param((0.6, -0.4), {}, id="negative"),
        pytest.param((0.5, -0.5), {}, id="cancelling share"),
        pytest.param((0.0, 0.0), {}, id="none"),
        pytest.param((0.0, 0.7), {}, id="single voter"),
        pytest.param((0.5, 0.4), {"normalize": False, "rescale": True}, id="sum, rescaled"),
        pytest.param((0.5, 0.4), {"lambda_": 1.5}, id="lambda"),
    ],
)
def test_ties(shape: tuple[int, ...], density: float, weight: tuple[float, ...], knobs: dict) -> None:
    base, *models = tensors(shape, 3)
    got = ties(base, models, weight=weight, density=(density, 0.5), **knobs)
    check(got, ties_oracle(base, models, weight, (density, 0.5), **knobs), atol=2e-6)


def test_ties_of_three_with_disagreement() -> None:
    base = torch.zeros(4)
    models = [torch.tensor(v) for v in ([1.0, 1.0, -1.0, 0.0], [1.0, -0.6, -1.0, 0.0], [-3.0, 0.0, 0.5, 0.0])]
    got = ties(base, models, weight=(1, 1, 1), density=(1, 1, 1))
    check(got, [-3.0, 1.0, -1.0, 0.0])  # (1 + 1 - 3 < 0: minus), (1 beats .6), (mean of two), nobody


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, 3 * SMALL + 5])
@pytest.mark.parametrize("grid", [0.0, 0.05], ids=["fine", "many ties"])
@pytest.mark.parametrize("density", [1e-6, 0.2, 0.5, 0.99])
def test_trim_by_bins_is_the_sort(size: int, grid: float, density: float) -> None:
    (values,) = tensors((size,), 1, seed=size)
    values = (values / grid).round() * grid if grid else values
    keep = keep_count(density, size)
    order = values.abs().sort(descending=True, stable=True).indices[:keep]
    expected = torch.zeros_like(values)
    expected[order] = values[order]
    memo = ordered_delta(Fake(values))  # type: ignore[arg-type]
    assert torch.equal(trim_(values.clone(), keep, memo), expected)


class Fake:
    """A group whose only model differs from the base by given values."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values, self.base, self.models = values, self, (self,)

    def delta(self, base: object) -> torch.Tensor:
        return self.values.clone()


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("normalize", [False, True])
def test_dare_ties(density: float, normalize: bool) -> None:
    base, *models = tensors((50, 40), 3, scale=0.1)
    streams = [noise.key(3, name, "w") for name in ("a", "b")]
    got = dare_ties(base, models, weight=(0.6, 0.4), density=(density, 0.7), streams=streams, normalize=normalize)
    kept = []
    for model, part, stream in zip(models, (density, 0.7), streams, strict=True):
        (delta,) = listed(model - base)
        chance = noise.uniform(stream, 0, len(delta)).tolist()
        mask = [d if part >= 1 or c < part else 0.0 for d, c in zip(delta, chance, strict=True)]
        kept.append(oracles.rescale(delta, mask))
    check(got, oracles.elect(listed(base)[0], kept, (0.6, 0.4), normalize, 1.0))


def test_dare_keeps_the_expected_share_and_the_size() -> None:
    base = torch.zeros(400, 500)
    model = torch.ones(400, 500)
    got = dare_ties(base, [model], weight=[1.0], density=[0.3], streams=[noise.key(0, "a", "w")])
    share = (got != 0).double().mean().item()
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / got.numel())
    assert got.sum().item() == pytest.approx(model.sum().item(), rel=1e-5)
