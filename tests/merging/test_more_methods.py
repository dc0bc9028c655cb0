"""The pure functions of the rarer methods against loops in float64, on sizes and values where formulas break."""

from collections.abc import Callable

import pytest
import torch

from merging.changes import Changes
from merging.errors import RecipeError
from merging.methods import karcher as karcher_module
from merging.methods import multislerp as multislerp_module
from merging.methods import sce as sce_module
from merging.methods.arcee_fusion import arcee_fusion
from merging.methods.karcher import karcher
from merging.methods.model_stock import model_stock
from merging.methods.multislerp import multislerp
from merging.methods.nearswap import nearswap
from merging.methods.passthrough import passthrough
from merging.methods.ram import check as check_ram
from merging.methods.ram import ram
from merging.methods.ramplus_tl import ramplus_tl
from merging.methods.sce import sce
from tests.merging import oracles_more as oracles

SHAPES = [
    pytest.param((1,), id="one"),
    pytest.param((7,), id="odd"),
    pytest.param((4, 6), id="matrix"),
    pytest.param((5, 1), id="column"),
]
Models = list[torch.Tensor]


def tensors(shape: tuple[int, ...], count: int, scale: float = 1.0, seed: int = 0) -> Models:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for _ in range(count)]


def descendants(shape: tuple[int, ...], count: int, scale: float = 0.3, dtype: torch.dtype = torch.float32) -> Models:
    """A base and models that changed half of it, each another half."""
    base, *moves = tensors(shape, count + 1)
    moved = [base + scale * move * (torch.rand(shape, generator=torch.Generator().manual_seed(9 + i)) < 0.6)
             for i, move in enumerate(moves)]  # fmt: skip
    return [tensor.to(dtype) for tensor in (base, *moved)]


def check(got: torch.Tensor, expected: list[float], atol: float = 2e-6) -> None:
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double().view(-1), torch.tensor(expected, dtype=torch.float64), atol=atol, rtol=0)


def flat(tensor: torch.Tensor) -> list[float]:
    return tensor.double().reshape(-1).tolist()


def rows(tensor: torch.Tensor) -> list[list[float]]:
    return tensor.double().reshape(-1, tensor.shape[-1]).tolist()


def listed(models: Models) -> list[list[float]]:
    return [flat(model) for model in models]


ODD = {
    "ordinary": lambda x: x + 0.3,
    "zero": torch.zeros_like,
    "equal": torch.clone,
    "colinear": lambda x: 2 * x,
    "antipodal": torch.neg,
}


@pytest.mark.parametrize("scale", [1.0, 0.0, -0.5])
def test_passthrough(scale: float) -> None:
    (x,) = tensors((4, 6), 1)
    assert torch.equal(passthrough(x, scale=scale), x * scale)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.2, 1.0, -0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nearswap(shape: tuple[int, ...], t: float, dtype: torch.dtype) -> None:
    base, model = descendants(shape, 1, dtype=dtype)
    check(nearswap(base, model, t=t), oracles.nearswap(flat(base), flat(model), t))


def test_nearswap_below_the_least_distance() -> None:
    base, model = torch.zeros(3), torch.tensor([0.0, 5e-7, 1e-3])
    check(nearswap(base, model, t=2.5e-7), [0.0, 1.25e-7, 2.5e-7], atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_base", [False, True])
@pytest.mark.parametrize(
    ("weight", "normalize", "eps"),
    [
        pytest.param((0.5, 0.3, 0.4), True, 1e-8, id="three"),
        pytest.param((0.5, 0.3, 0.4), False, 1e-8, id="three, not normalised"),
        pytest.param((0.5, -0.2, 0.4), True, 1e-8, id="negative"),
        pytest.param((0.7, 0.3), True, 1e-8, id="two"),
        pytest.param((0.7, 0.0), True, 1e-8, id="one of two"),
        pytest.param((0.5, 0.3, 0.4), True, 0.2, id="large eps"),
        pytest.param((0.4,), True, 1e-8, id="single"),
    ],
)
def test_multislerp(shape: tuple, with_base: bool, weight: tuple, normalize: bool, eps: float) -> None:
    base, *models = tensors(shape, len(weight) + 1)
    origin = base if with_base else None
    got = multislerp(models, origin, weight=weight, normalize_weights=normalize, eps=eps)
    expected = oracles.multislerp(listed(models), weight, flat(base) if with_base else None, normalize, eps)
    check(got, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ODD)
def test_multislerp_at_the_edges(kind: str) -> None:
    (x,) = tensors((4, 6), 1)
    models = [x, ODD[kind](x)]
    check(multislerp(models, weight=(0.5, 0.5)), oracles.multislerp(listed(models), (0.5, 0.5), None))
    assert multislerp([*models, x, ODD[kind](x)], weight=[0.25] * 4).isfinite().all()


def test_multislerp_of_directions_that_cancel_is_the_average() -> None:
    x = torch.tensor([3.0, 4.0])
    check(multislerp([x, -2 * x], weight=(0.5, 0.5)), [-1.5, -2.0])
    check(multislerp([x, -x, torch.zeros(2)], weight=(1, 1, 1)), [0.0, 0.0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weight": (1.0, -1.0), "normalize_weights": True, "eps": 1e-8}, "sum to 0"),
        ({"weight": (1.0, 1.0), "normalize_weights": True, "eps": -1.0}, "must not be negative"),
    ],
)
def test_multislerp_refuses_what_cannot_be_computed(values: dict, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        multislerp_module.check(values)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(("max_iter", "tol"), [(10, 1e-5), (0, 1e-5), (1, 1e-5), (40, 1e-8), (10, 0.5)])
def test_karcher(shape: tuple[int, ...], count: int, max_iter: int, tol: float) -> None:
    models = [model + 0.5 for model in tensors(shape, count, seed=count)]
    check(karcher(models, max_iter=max_iter, tol=tol), oracles.karcher(listed(models), max_iter, tol), atol=1e-5)


@pytest.mark.parametrize("kind", ODD)
def test_karcher_at_the_edges(kind: str) -> None:
    (x,) = tensors((4, 6), 1)
    models = [x, ODD[kind](x)]
    check(karcher(models), oracles.karcher(listed(models)))
    assert karcher([*models, x]).isfinite().all()


def test_karcher_counts_tensors_without_direction_in_the_length() -> None:
    x = torch.tensor([3.0, 4.0])
    check(karcher([x, torch.tensor([0.0, 0.1])], tol=0.2), [1.53, 2.04])
    check(karcher([x, torch.zeros(2)]), [1.5, 2.0])
    check(karcher([torch.zeros(2), torch.zeros(2)]), [0.0, 0.0])


@pytest.mark.parametrize("steps", [-1.0, 1e9])
def test_karcher_refuses_impossible_steps(steps: float) -> None:
    with pytest.raises(RecipeError, match="max_iter"):
        karcher_module.check({"max_iter": steps, "tol": 1e-5})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("filter_wise", [False, True])
def test_model_stock(shape: tuple[int, ...], count: int, filter_wise: bool) -> None:
    base, *models = tensors(shape, count + 1, seed=3)
    shared = base + 1.0  # changes that agree somewhat: 1 + (N - 1) c is not near 0
    models = [shared + 0.5 * (model - base) for model in models]
    if filter_wise and len(shape) > 1:
        expected = oracles.by_rows(oracles.model_stock, rows(base), [rows(model) for model in models])
    else:
        expected = oracles.model_stock(flat(base), listed(models))
    check(model_stock(base, models, filter_wise=filter_wise), expected, atol=5e-6)


def test_model_stock_by_row_of_more_dimensions() -> None:
    base, *models = descendants((2, 3, 5), 3)
    expected = oracles.by_rows(oracles.model_stock, rows(base), [rows(model) for model in models])
    check(model_stock(base, models, filter_wise=True), expected, atol=1e-5)


@pytest.mark.parametrize("filter_wise", [False, True])
def test_model_stock_of_opposite_changes_is_the_base(filter_wise: bool) -> None:
    base, change = tensors((4, 6), 2)
    got = model_stock(base, [base + change, base - change], filter_wise=filter_wise)
    torch.testing.assert_close(got, base, atol=1e-3, rtol=0)  # c = -1: 1 + (N - 1) c is 0 up to rounding
    assert torch.equal(model_stock(base, [base, base], filter_wise=filter_wise), base)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("select_topk", [1.0, 0.9, 0.5, 0.1, 0.0, -1.0])
@pytest.mark.parametrize("scale", [0.3, 1e-4], ids=["ordinary", "too small to weigh"])
def test_sce(shape: tuple[int, ...], count: int, select_topk: float, scale: float) -> None:
    base, *models = descendants(shape, count, scale)
    check(sce(base, models, select_topk=select_topk), oracles.sce(flat(base), listed(models), select_topk), atol=5e-6)


def test_sce_counts_models_that_changed_nothing() -> None:
    base, one, two = descendants((4, 6), 2)
    deltas = tuple(model - base for model in (one, two))
    apart, kept = (sce_module.Pulls(Changes(found)) for found in ((*deltas, base - base), (*deltas, None)))
    for topk in (1.0, 0.5):
        first, second = (sce_module.select(memo, {"select_topk": topk}) for memo in (apart, kept))
        assert first.weights[:2] == second.weights
        assert topk == 1 or torch.equal(first.mask, second.mask)
    torch.testing.assert_close(apart.spread, kept.spread)


def test_sce_selects_by_index_where_variances_are_equal() -> None:
    models = [torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]), torch.tensor([-1.0, -1.0, -1.0, 0.0, 1.0])]
    check(sce(torch.zeros(5), models, select_topk=0.7), [1.0, 1.0, 0.0, 0.0, 0.0])  # 2 of the 3 that differ


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("epsilon", [1e-5, 0.0, 0.1])
@pytest.mark.parametrize(("r", "alpha"), [(0.0, 0.2), (0.1, 0.2), (1.5, 10.0), (0.5, -1.0)])
def test_ram(shape: tuple[int, ...], count: int, epsilon: float, r: float, alpha: float) -> None:
    base, *models = descendants(shape, count)
    plain = oracles.ram(flat(base), listed(models), epsilon)
    check(ram(base, models, epsilon=epsilon), plain)
    scaled = oracles.ram(flat(base), listed(models), epsilon, r, alpha)
    check(ramplus_tl(base, models, r=r, alpha=alpha, epsilon=epsilon), scaled)


def test_ram_keeps_what_one_model_learned_alone() -> None:
    models = [torch.tensor([2.0, 1.0, 1e-6]), torch.tensor([4.0, 0.0, 0.0])]
    check(ram(torch.zeros(3), models), [3.0, 1.0, 0.0])
    check(ramplus_tl(torch.zeros(3), models, r=0.1, alpha=2.0), [3.0, 1.1, 0.0])


def test_ram_refuses_a_negative_magnitude() -> None:
    with pytest.raises(RecipeError, match="must not be negative"):
        check_ram({"epsilon": -1e-5})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(4))
def test_arcee_fusion(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> None:
    base, model = (tensor.to(dtype) for tensor in tensors(shape, 2, seed=seed))
    check(arcee_fusion(base, model), oracles.arcee_fusion(rows(base), rows(model)))


def test_arcee_fusion_takes_outstanding_changes_only() -> None:
    base = torch.zeros(8, 50)
    model = base + 0.1 * tensors((8, 50), 1)[0]
    model[3, 7] = 5.0
    got = arcee_fusion(base, model)
    assert got[3, 7] == 5.0 and 0 < (got == base).double().mean() < 1


@pytest.mark.parametrize("kind", ODD)
def test_arcee_fusion_at_the_edges(kind: str) -> None:
    (x,) = tensors((4, 6), 1)
    got = arcee_fusion(x, ODD[kind](x))
    assert ((got == x) | (got == ODD[kind](x))).all()


@pytest.mark.parametrize(
    "merged",
    [
        pytest.param(lambda models: multislerp(models, weight=[1.0] * 3), id="multislerp"),
        pytest.param(karcher, id="karcher"),
        pytest.param(lambda models: sce(models[0], models[1:]), id="sce"),
        pytest.param(lambda models: ram(models[0], models[1:]), id="ram"),
        pytest.param(lambda models: model_stock(models[0], models[1:]), id="model_stock"),
        pytest.param(lambda models: arcee_fusion(models[0], models[1]), id="arcee_fusion"),
    ],
)
def test_no_input_is_written_to(merged: Callable[[Models], torch.Tensor]) -> None:
    models = tensors((4, 6), 3)
    before = [model.clone() for model in models]
    merged(models)
    assert all(torch.equal(one, two) for one, two in zip(models, before, strict=True))
