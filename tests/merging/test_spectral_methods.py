"""TSV-Merge, Iso-C and SafeMERGE against numpy's decompositions, and where decompositions are left open or break."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Recipe, spectrum
from merging.arithmetic import thread_count
from merging.errors import RecipeError
from merging.methods.iso_c import iso_c
from merging.methods.safemerge import projected_cosine, safemerge, spectral_cosine
from merging.methods.tsv import Changes, summands, tsv
from tests.merging import oracles_spectral as oracles
from tests.merging import tiny

SHAPES = [
    pytest.param((1,), id="one"),
    pytest.param((7,), id="vector"),
    pytest.param((6, 6), id="square"),
    pytest.param((9, 4), id="tall"),
    pytest.param((4, 9), id="wide"),
    pytest.param((5, 1), id="column"),
    pytest.param((1, 1), id="one by one"),
]
SPECTRAL = ["tsv", "iso_c"]


def tensors(shape: tuple[int, ...], count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def low_rank(shape: tuple[int, int], rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((side, rank), generator=generator) for side in shape)


def wide(*found: torch.Tensor) -> list[np.ndarray]:
    return [one.double().numpy() for one in found]


def check(got: torch.Tensor, expected: np.ndarray, atol: float = 1e-5) -> None:
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, atol=atol, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", [(1.0,), (0.4, 1.3), (1.0, -0.5, 0.0)])
@pytest.mark.parametrize(("scale", "share"), [(1.0, 1.0), (0.7, 0.6), (-0.3, 0.01), (1.0, 1.8)])
def test_tsv(shape: tuple[int, ...], weight: tuple[float, ...], scale: float, share: float) -> None:
    base, *models = tensors(shape, 1 + len(weight))
    expected = oracles.tsv(*wide(base), wide(*models), weight, scale, share)
    check(tsv(base, models, weight=weight, lambda_=scale, rank_share=share), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", [(1.0,), (0.4, 1.3), (1.0, -0.5, 0.0)])
@pytest.mark.parametrize(("scale", "isotropy"), [(1.0, 1.0), (0.7, 0.0), (1.5, 0.4), (1.0, -0.3), (1.0, 1.4)])
def test_iso_c(shape: tuple[int, ...], weight: tuple[float, ...], scale: float, isotropy: float) -> None:
    base, *models = tensors(shape, 1 + len(weight), seed=1)
    expected = oracles.iso_c(*wide(base), wide(*models), weight, scale, isotropy)
    check(iso_c(base, models, weight=weight, lambda_=scale, isotropy=isotropy), expected, atol=3e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("apart", [-1e-3, 1e-3])
def test_safemerge(shape: tuple[int, ...], apart: float) -> None:
    base, tuned, safe = tensors(shape, 3, seed=2)
    cosine = oracles.cosine(*wide(base, tuned, safe))
    got = safemerge(base, tuned, safe, tau=cosine + apart, alpha=0.3)
    check(got, oracles.safemerge(*wide(base, tuned, safe), cosine + apart, 0.3), atol=1e-6)
    assert torch.equal(got, tuned) == (apart < 0)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)])
def test_factors_and_matrices_have_one_spectrum(shape: tuple[int, int]) -> None:
    halves = low_rank(shape, 3, 0)
    matrix = halves[0] @ halves[1].t()
    thin, full = spectrum.of_product(*halves), spectrum.of_matrix(matrix)
    assert thin.rank == full.rank == 3  # the rounding of the product counts as no direction
    expected = np.linalg.svd(wide(halves[0])[0] @ wide(halves[1])[0].T)[1][:3]
    for found in (thin, full):
        np.testing.assert_allclose(found.values.numpy(), expected, rtol=1e-6)
        torch.testing.assert_close(found.matrix(), matrix, atol=1e-5, rtol=0)
    other = low_rank(shape, 2, 1)
    cosine = oracles.cosine(np.zeros(shape), *wide(matrix, other[0] @ other[1].t()))
    assert spectral_cosine(thin, spectrum.of_product(*other)) == pytest.approx(cosine, abs=1e-6)
    assert projected_cosine(matrix, other[0] @ other[1].t()) == pytest.approx(cosine, abs=1e-6)


def test_signs_and_order_of_singular_vectors_do_not_matter() -> None:
    found = [spectrum.of_matrix(one, 3) for one in tensors((9, 6), 2)]
    flip, turn = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([2, 0, 1])
    other = [spectrum.Spectrum((s.left * flip)[:, turn], s.values[turn], (s.right * flip)[:, turn]) for s in found]
    one, two = (summands(Changes((9, 6), tuple(spectra)), 1.0) for spectra in (found, other))
    for mine, theirs in zip(one, two, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_tsv_of_changes_that_share_nothing_is_their_sum() -> None:
    base = torch.zeros(8, 8)
    ends = torch.linalg.qr(tensors((8, 8), 1)[0]).Q
    models = [ends[:, [0, 1]] @ ends[:, [2, 3]].t(), ends[:, [4, 5]] @ ends[:, [6, 7]].t()]
    check(tsv(base, models, weight=(1.0, 1.0)), (models[0] + models[1]).numpy(), atol=1e-6)


@pytest.mark.parametrize(("factor", "noise"), [(1.0, 0.0), (-2.0, 0.0), (1.0, 3e-7)])
def test_tsv_of_one_change_twice_adds_no_direction(factor: float, noise: float) -> None:
    """The Procrustes solution is open there, or decided by rounding; ours stays within the directions there are."""
    halves = low_rank((9, 6), 2, 0)
    change = halves[0] @ halves[1].t()
    again = factor * change * (1.0 + noise * tensors((9, 6), 1)[0])
    got = tsv(torch.zeros(9, 6), [change, again], weight=(1.0, 1.0))
    check(got, (change * (0.5 + factor / 2)).numpy(), atol=1e-5)


def test_iso_c_keeps_the_sum_of_the_singular_values_of_a_low_rank_change() -> None:
    halves = low_rank((20, 12), 3, 0)
    change = halves[0] @ halves[1].t()
    values = np.linalg.svd(iso_c(torch.zeros(20, 12), [change], weight=(1.0,)).numpy(), compute_uv=False)
    mean = np.linalg.svd(change.numpy(), compute_uv=False).sum() / 3
    np.testing.assert_allclose(values, [mean] * 3 + [0] * 9, atol=1e-5)


DEGENERATE = {
    "zero": lambda b, x: b.clone(),
    "equal": lambda b, x: x.clone(),
    "colinear": lambda b, x: b + 2 * (x - b),
    "opposite": lambda b, x: b - (x - b),
    "one element": lambda b, x: b + torch.zeros_like(b).index_fill(0, torch.tensor([0]), 1.0),
    "tiny": lambda b, x: b * (1 + 1e-7),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_changes_stay_finite(shape: tuple[int, ...], kind: str) -> None:
    base, first = tensors(shape, 2)
    second = DEGENERATE[kind](base, first)
    for models in ([first, second], [second, second], [second]):
        ones = [1.0] * len(models)
        for got in (tsv(base, models, weight=ones), iso_c(base, models, weight=ones)):
            assert got.isfinite().all() and got.shape == base.shape
            assert (got - base).abs().max() <= 10 * (first - base).norm() + 10
    for tuned, safe in ((first, second), (second, first), (second, second)):
        assert safemerge(base, tuned, safe).isfinite().all()
    if kind == "zero":
        assert torch.equal(tsv(base, [second] * 2, weight=(1.0, 1.0)), base)
        assert torch.equal(iso_c(base, [second] * 2, weight=(1.0, 1.0)), base)
        assert torch.equal(safemerge(base, first, second, tau=2.0), first)  # no safety change to mend it with
        assert torch.equal(safemerge(base, second, first, tau=2.0), base)  # nothing that strays


def test_the_thread_count_changes_no_bit() -> None:
    models = tensors((1500, 130), 2)
    found = []
    for threads in (1, 2, 3):
        with thread_count(threads):
            base = torch.zeros(1500, 130)
            merged = [tsv(base, models, weight=(1.0, 0.5)), iso_c(base, models, weight=(1.0, 0.5))]
            merged += [iso_c(base.t(), [m.t() for m in models], weight=(1.0, 0.5))]
            found.append((merged, projected_cosine(*models), projected_cosine(*[m.t() for m in models])))
    for merged, *cosines in found[1:]:
        assert cosines == list(found[0][1:])
        assert all(torch.equal(one, two) for one, two in zip(merged, found[0][0], strict=True))


def recipe(name: str, family: dict[str, str], models: str | list[str], **parameters: float) -> Recipe:
    names = [family[model] for model in models]
    return Recipe.build(name, models=names, base_model=family["base"], parameters=parameters, out_dtype="float32")


def merged(made: Recipe) -> dict[str, torch.Tensor]:
    live = LiveModel(threads=1)
    live.apply(made)
    return {name: tensor.clone() for name, tensor in live.model.state_dict().items()}


@pytest.fixture
def adapters(family: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Two adapters on the base, on tensors that overlap in part."""
    modules = ("mlp.gate_proj", "self_attn.q_proj")
    other = tiny.write_adapter(tmp_path / "other", family["base"], modules, seed=6, rank=3)
    return {**family, "other": str(other)}


def change(folder: str, name: str) -> np.ndarray | float:
    """scale · B·A of a tensor, 0 where the adapter does not change it."""
    halves = load_file(f"{folder}/adapter_model.safetensors")
    config = json.loads((Path(folder) / "adapter_config.json").read_text())
    key = f"base_model.model.{name.removesuffix('.weight')}.lora_%s.weight"
    if key % "A" not in halves:
        return 0.0
    b, a = wide(halves[key % "B"], halves[key % "A"])
    return config["lora_alpha"] / config["r"] * b @ a


def test_adapters_are_merged_as_their_products(adapters: dict[str, str]) -> None:
    """From the factors alone; in the oracle numpy decomposes the multiplied matrix, cut to the rank it has."""
    tsv_got = merged(recipe("tsv", adapters, ["lora", "other"], weight=0.8))
    iso_got = merged(recipe("iso_c", adapters, ["lora", "other"], weight=0.8))
    safe_got = merged(recipe("safemerge", adapters, ["lora", "other"], tau=2.0, alpha=0.4))
    for name, stored in load_file(f"{adapters['base']}/model.safetensors").items():
        base = stored.double().numpy()
        deltas = [change(adapters[model], name) for model in ("lora", "other")]
        ranks = [0 if np.isscalar(delta) else rank for delta, rank in zip(deltas, (2, 3), strict=True)]
        models = [base + delta for delta in deltas]
        if not all(ranks):
            both = base + 0.8 * (deltas[0] + deltas[1])
            check(tsv_got[name], both)
            check(safe_got[name], models[0])
        else:  # q_proj, 8 x 8: room for four directions each, of which they have two and three
            found = [np.linalg.svd(delta) for delta in deltas]
            sides = [
                oracles.nearest_orthonormal(
                    np.concatenate(
                        [(f[0] if side == 0 else f[2].T)[:, :r] for f, r in zip(found, ranks, strict=True)], 1
                    )
                )
                for side in (0, 1)
            ]
            sigma = np.concatenate([0.8 * f[1][:r] for f, r in zip(found, ranks, strict=True)])
            check(tsv_got[name], base + sides[0] @ np.diag(sigma) @ sides[1].T)
            check(safe_got[name], 0.6 * models[0] + 0.4 * models[1])
        rank = sum(ranks)
        expected = oracles.iso_c(base, models, (0.8, 0.8), 1.0, 1.0, rank) if rank else base
        check(iso_got[name], expected)


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("models", ["ab", ["lora", "b"], "a", ["lora", "other"]])
def test_no_weight_is_the_base_bit_for_bit(adapters: dict[str, str], name: str, models: list[str]) -> None:
    extra = {"tsv": {"rank_share": 0.0}, "iso_c": {"weight": 0.0, "isotropy": 0.3}}[name]
    for parameters in ({"weight": 0.0}, {"lambda": 0.0}, extra):
        got = merged(recipe(name, adapters, models, **parameters))
        for key, tensor in load_file(f"{adapters['base']}/model.safetensors").items():
            assert torch.equal(got[key], tensor.float()), (parameters, key)


@pytest.mark.parametrize("models", ["ab", ["lora", "b"], ["lora", "other"]])
def test_the_ends_of_safemerge(adapters: dict[str, str], models: list[str]) -> None:
    tuned, safe = (merged(single(adapters[model])) for model in models)
    kept = merged(recipe("safemerge", adapters, models, tau=0.0, alpha=0.9))
    assert all(torch.equal(kept[key], tensor) for key, tensor in tuned.items())
    taken = merged(recipe("safemerge", adapters, models, tau=2.0, alpha=1.0))
    for key, tensor in taken.items():
        assert torch.equal(tensor, safe[key]) or torch.equal(tensor, tuned[key])
    assert any(torch.equal(taken[key], safe[key]) and not torch.equal(safe[key], tuned[key]) for key in taken)


def single(model: str) -> Recipe:
    return Recipe.build("linear", models=[model], parameters={"weight": 1.0}, out_dtype="float32")


def test_safemerge_counts_what_it_merged(family: dict[str, str]) -> None:
    live = LiveModel(threads=1)
    notes = [live.apply(recipe("safemerge", family, "ab", tau=tau)).notes[0] for tau in (0.0, 2.0)]
    assert notes[0].startswith("0 of 20 tensors") and notes[1].startswith("19 of 20 tensors")  # one of b is the base's


TEXT = """
merge_method: {method}
base_model: base
models:
  - model: one
{own}
  - model: two
parameters:
{shared}
"""


@pytest.mark.parametrize(
    ("method", "own", "shared"),
    [
        ("tsv", "    parameters: {weight: 0.5}", "  lambda: 0.8\n  rank_share: [1, 0.5]"),
        ("iso_c", "    parameters: {weight: 0.5}", "  isotropy: [{filter: mlp, value: 1}, {value: 0}]"),
        ("safemerge", "", "  tau: 0.2\n  alpha: [0.2, 0.6]"),
    ],
)
def test_yaml_round_trip(method: str, own: str, shared: str) -> None:
    read = Recipe.from_yaml(TEXT.format(method=method, own=own, shared=shared))
    again = Recipe.from_yaml(read.to_yaml())
    assert again == read and again.digest() == read.digest()


@pytest.mark.parametrize(
    ("method", "models", "parameters", "said"),
    [
        pytest.param("ties", 2, {"weight": 1, "isotropy": 1}, "isotropy", id="another method's knob"),
        pytest.param("tsv", 2, {"rank_shares": 1}, "rank_share", id="misspelt"),
        pytest.param("safemerge", 1, {}, "safemerge merges .*models", id="no safety model"),
        pytest.param("safemerge", 3, {}, "safemerge merges .*models", id="three"),
    ],
)
def test_refusals(method: str, models: int, parameters: dict[str, float], said: str) -> None:
    names = ["one", "two", "three"][:models]
    with pytest.raises(RecipeError, match=said):
        Recipe.build(method, models=names, base_model="base", parameters=parameters)
