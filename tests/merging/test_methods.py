"""Each method's pure function against loops in float64, on sizes and values where formulas break."""

import inspect
import math
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch

from merging import fused, noise
from merging.arithmetic import Scratch, weighted_sum
from merging.deltas import SMALL, Delta
from merging.errors import RecipeError
from merging.keep import Rule
from merging.methods.breadcrumbs import breadcrumbs, window
from merging.methods.breadcrumbs_ties import breadcrumbs_ties
from merging.methods.dare_linear import dare_linear
from merging.methods.dare_ties import dare_ties
from merging.methods.della import della
from merging.methods.della_linear import della_linear
from merging.methods.linear import linear
from merging.methods.nuslerp import nuslerp
from merging.methods.slerp import slerp
from merging.methods.task_arithmetic import task_arithmetic
from merging.methods.ties import ties
from merging.sources import Group, Plain
from merging.steps import keep_count, largest
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


def kept(values: torch.Tensor, rule: Rule | None) -> torch.Tensor:
    left = values.clone()
    if rule is not None:
        rule.drop_(left, 0)
    return left


@pytest.fixture(params=["compiled", "eager"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to compute: they must give the same bits, so every test that takes this runs on each."""
    assert fused.wait(), "numba is a requirement, and works on the machines the suite runs on"
    with fused.eager() if request.param == "eager" else nullcontext():
        yield request.param


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, 3 * SMALL + 5])
@pytest.mark.parametrize("grid", [0.0, 0.05], ids=["fine", "many ties"])
@pytest.mark.parametrize(("density", "skipped"), [(1e-6, 0.0), (0.2, 0.0), (0.5, 0.1), (0.99, 0.01), (0.99, 0.0)])
def test_a_cut_is_the_sort(size: int, grid: float, density: float, skipped: float, way: str) -> None:
    (values,) = tensors((size,), 1, seed=size)
    values = (values / grid).round() * grid if grid else values
    count, skip = keep_count(density, size), int(skipped * size)
    order = values.abs().sort(descending=True, stable=True).indices[skip : skip + count]
    expected = torch.zeros_like(values)
    expected[order] = values[order]
    memo = Delta(Group("w", Plain(torch.zeros(size)), (Plain(values),))).ordered()
    assert torch.equal(kept(values, largest(memo, count, skip=skip)), expected)


@pytest.mark.parametrize("shape", [(1,), (7,), (300, 300)])
def test_norms_do_not_depend_on_the_way(shape: tuple[int, ...]) -> None:
    base, model = tensors(shape, 2)
    found = []
    for eager in (False, True):
        with fused.eager() if eager else nullcontext():
            memo = Delta(Group("w", Plain(base), (Plain(model),)))
            found.append((memo.peak, memo.l1, memo.kept_l1(largest(memo, keep_count(0.3, memo.size)))))
    assert found[0] == found[1]
    truth = (model - base).double().abs()
    assert found[0][0] == truth.max()
    assert found[0][1] == pytest.approx(truth.sum().item(), rel=1e-9)


def thinned(base: torch.Tensor, model: torch.Tensor, name: str, chance: list[float]) -> list[float]:
    """A delta whose element i stays where its noise is below chance[i], scaled back to its L1 norm."""
    (delta,) = listed(model - base)
    drawn = noise.uniform(noise.key(3, name, "w"), 0, len(delta)).tolist()
    return oracles.rescale(delta, [d if u < c else 0.0 for d, u, c in zip(delta, drawn, chance, strict=True)])


NAMED = {"names": ("a", "b"), "seed": 3, "tensor": "w"}


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("normalize", [False, True])
def test_dare(density: float, normalize: bool, way: str) -> None:
    base, *models = tensors((50, 40), 3, scale=0.1)
    knobs = {"weight": (0.6, 0.4), "density": (density, 0.7), "normalize": normalize}
    parts = [[part] * base.numel() for part in (density, 0.7)]
    found = [thinned(base, m, n, c) if c[0] else [0.0] * len(c) for m, n, c in zip(models, "ab", parts, strict=True)]
    (start,) = listed(base)
    check(dare_ties(base, models, **knobs, **NAMED), oracles.elect(start, found, (0.6, 0.4), normalize, 1.0))
    check(dare_linear(base, models, **knobs, **NAMED), oracles.add(start, found, (0.6, 0.4), normalize, 1.0))


def test_dare_keeps_the_expected_share_and_the_size() -> None:
    base = torch.zeros(400, 500)
    model = torch.ones(400, 500)
    got = dare_ties(base, [model], weight=[1.0], density=[0.3])
    share = (got != 0).double().mean().item()
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / got.numel())
    assert got.sum().item() == pytest.approx(model.sum().item(), rel=1e-5)


@pytest.mark.parametrize("shape", [*SHAPES, pytest.param((30, 40), id="larger")])
@pytest.mark.parametrize(
    ("density", "epsilon"), [((0.5, 0.7), (0.15, 0.2)), ((1.0, 0.3), (0.15, 0.0)), ((0, 0), (0, 0))]
)
def test_della(shape: tuple[int, ...], density: tuple[float, ...], epsilon: tuple[float, ...], way: str) -> None:
    base, *models = tensors(shape, 3, scale=0.1)
    found = []
    for model, name, part, spread in zip(models, "ab", density, epsilon, strict=True):
        rows = (model - base).reshape(-1, shape[-1]).tolist()
        chance = [c for row in rows for c in oracles.della_chances(row, part, spread)]
        thin = thinned(base, model, name, chance)
        found.append(listed(model - base)[0] if part >= 1 else thin if part > 0 else [0.0] * len(chance))
    (start,) = listed(base)
    knobs = {"weight": (0.6, 0.4), "density": density, "epsilon": epsilon, **NAMED}
    check(della(base, models, **knobs), oracles.elect(start, found, (0.6, 0.4), True, 1.0), atol=2e-6)
    check(della_linear(base, models, **knobs), oracles.add(start, found, (0.6, 0.4), False, 1.0), atol=2e-6)


def test_della_keeps_large_changes_more_often() -> None:
    row = torch.linspace(0.1, 1.0, 1000).repeat(400, 1)
    got = della_linear(torch.zeros_like(row), [row], weight=[1.0], density=[0.5], epsilon=[0.2], rescale=False)
    share = (got != 0).double().mean(dim=0)
    tolerance = 5 * math.sqrt(0.25 / (400 * 100))
    for part, expected in ((slice(0, 100), 0.32), (slice(450, 550), 0.5), (slice(900, 1000), 0.68)):
        assert abs(share[part].mean().item() - expected) < tolerance


@pytest.mark.parametrize(("density", "epsilon"), [(0.1, 0.15), (0.9, 0.15), (0.5, 0.5)])
def test_della_refuses_impossible_chances(density: float, epsilon: float) -> None:
    base, model = tensors((4, 6), 2)
    with pytest.raises(RecipeError, match="must lie between 0 and 1"):
        della(base, [model], weight=[1.0], density=[density], epsilon=[epsilon])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", [(0.7, 0.4), (1.0, -1.0), (0.0, 0.0), (-0.5, 0.2)])
@pytest.mark.parametrize("normalize", [False, True])
def test_task_arithmetic(shape: tuple[int, ...], weight: tuple[float, ...], normalize: bool, way: str) -> None:
    base, *models = tensors(shape, 3)
    got = task_arithmetic(base, models, weight=weight, lambda_=1.3, normalize=normalize)
    deltas = listed(*[model - base for model in models])
    check(got, oracles.add(listed(base)[0], deltas, weight, normalize, 1.3), atol=3e-6)


@pytest.mark.parametrize("shape", [*SHAPES, pytest.param((30, 40), id="larger")])
@pytest.mark.parametrize(
    ("density", "gamma"),
    [(0.6, 0.05), (0.6, 0.01), (0.5, 0.0), (0.95, 0.2), (1.0, 0.01), (0.0, 0.1), (1.7, 0.1), (0.3, 0.9)],
)
@pytest.mark.parametrize("rescale", [False, True])
def test_breadcrumbs(shape: tuple[int, ...], density: float, gamma: float, rescale: bool, way: str) -> None:
    base, *models = tensors(shape, 3)
    deltas = listed(*[model - base for model in models])
    kept = [oracles.breadcrumbs(delta, part, gamma) for delta, part in zip(deltas, (density, 0.5), strict=True)]
    if rescale:
        kept = [oracles.rescale(d, k) for d, k in zip(deltas, kept, strict=True)]
    (start,), knobs = listed(base), {"density": (density, 0.5), "gamma": (gamma, gamma), "rescale": rescale}
    got = breadcrumbs(base, models, weight=(0.6, 0.4), **knobs)
    check(got, oracles.add(start, kept, (0.6, 0.4), False, 1.0), atol=3e-6)
    got = breadcrumbs_ties(base, models, weight=(0.6, 0.4), normalize=True, **knobs)
    check(got, oracles.elect(start, kept, (0.6, 0.4), True, 1.0), atol=3e-6)


@pytest.mark.parametrize(
    ("density", "gamma", "size", "expected"),
    [
        pytest.param(0.5, 0.01, 64, (0, 32), id="gamma below one element: nothing is skipped, half stays"),
        pytest.param(0.6, 0.05, 1000, (50, 600), id="plain"),
        pytest.param(0.95, 0.2, 100, (5, 95), id="density wins over gamma"),
        pytest.param(0.0, 0.1, 100, (10, 0), id="none"),
    ],
)
def test_window(density: float, gamma: float, size: int, expected: tuple[int, int]) -> None:
    assert window(density, gamma, size) == expected


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.int16 if tensor.dtype == torch.bfloat16 else torch.int32)


@pytest.mark.parametrize("call", [ties, task_arithmetic, dare_ties, dare_linear, breadcrumbs_ties, della])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (5, 1), (70, 1001)])
def test_compiled_and_eager_give_the_same_bits(call, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    assert fused.wait()
    base = tensors(shape, 1, scale=0.02)[0].to(dtype)
    models = [(base.float() + change).to(dtype) for change in tensors(shape, 3, scale=0.003, seed=1)]
    accepted = inspect.signature(call).parameters
    for weight in ((0.5, 0.5, 0.5), (0.3, -0.3, 0.2)):
        knobs = {"density": (0.5, 0.7, 0.3), "gamma": (0.05, 0.0, 0.2), "epsilon": (0.08, 0.0, 0.1), "rescale": True}
        own = {key: value for key, value in knobs.items() if key in accepted}
        found = call(base, models, weight=weight, lambda_=1.3, normalize=True, **own)
        with fused.eager():
            assert torch.equal(bits(call(base, models, weight=weight, lambda_=1.3, normalize=True, **own)), bits(found))


@pytest.mark.parametrize("rounds", [None, torch.bfloat16])
@pytest.mark.parametrize("target", [torch.float32, torch.bfloat16])
def test_a_weighted_sum_rounds_once(target: torch.dtype, rounds: torch.dtype | None, way: str) -> None:
    one, two, three = tensors((70, 1001), 3)
    scratch, out = Scratch(), torch.empty(70, 1001, dtype=target)
    scratch.rounds = rounds
    weighted_sum([(one.bfloat16(), 0.3), (two, 0.7), (three, 1.0)], out, scratch)
    exact = one.bfloat16().float() * 0.3 + two * 0.7 + three
    assert torch.equal(out, exact.to(rounds or target).to(target))
    weighted_sum([(one.bfloat16(), 0.3), (two.bfloat16(), 0.7)], out, scratch)
    exact = one.bfloat16().float() * 0.3 + two.bfloat16().float() * 0.7
    assert torch.equal(out, exact.to(rounds or target).to(target))
