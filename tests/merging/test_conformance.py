"""mergekit's own output, case by case (tests/conformance/README.md has the tolerances)."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Recipe, merge_to_folder
from merging.errors import CompatibilityError

ROOT = Path(__file__).resolve().parents[1] / "conformance"
EXACT = 2e-6
FP32 = [
    "arcee_fusion", "breadcrumbs_d0.6_g0.05", "dare_ties_d1", "della_d1", "karcher_3", "linear_2_norm",
    "linear_gradient_weight", "model_stock", "multislerp_3", "nearswap_t0.001", "nuslerp_flat",
    "passthrough_frankenmerge_scale", "ram", "sce_full", "slerp_classic_gradient", "slerp_t0.3", "task_arithmetic",
    "ties_d0.5", "ties_nonorm_rescale",
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def both(case: str, tmp_path: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Our output, the same live and offline, and mergekit's."""
    recipe = Recipe.from_yaml(Path(f"cases/{case}/config.yaml"))
    ours = load_file(merge_to_folder(recipe, tmp_path / "out") / "model.safetensors")
    live = LiveModel(recipe.models_used())
    live.apply(recipe)
    state = live.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in ours.items())
    theirs = load_file(f"cases/{case}/out/model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].dtype == theirs[name].dtype and ours[name].shape == theirs[name].shape for name in ours)
    return ours, theirs


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensors[name].double().view(-1) for name in sorted(tensors)])


def test_every_case_is_tested() -> None:
    others = {"bf16_slerp_t0.3", "bf16_ties_fp32math", "bf16_ties_d0.5", "err_vocab_mismatch", "tok_union_linear"}
    assert {path.name for path in (ROOT / "cases").iterdir()} == {*FP32, *others}


@pytest.mark.parametrize("case", FP32)
def test_float32(case: str, tmp_path: Path) -> None:
    ours, theirs = both(case, tmp_path)
    torch.testing.assert_close(flat(ours), flat(theirs), atol=EXACT, rtol=0)


def test_bfloat16_slerp(tmp_path: Path) -> None:
    ours, theirs = both("bf16_slerp_t0.3", tmp_path)
    assert (flat(ours) != flat(theirs)).double().mean() <= 0.0005
    torch.testing.assert_close(flat(ours), flat(theirs), atol=0, rtol=2**-7)


def ties_oracle(names: list[str]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """float64 TIES (weights and densities 0.5) of the h models, and a mask of the elements on a trim cut."""
    base, a, b = (load_file(f"models/h_{name}/model.safetensors") for name in ("base", "a", "b"))
    merged, on_cut = {}, {}
    for name in names:
        deltas = [model[name].double().view(-1) - base[name].double().view(-1) for model in (a, b)]
        cuts = [delta.abs().sort(descending=True).values[max(1, delta.numel() // 2) - 1] for delta in deltas]
        kept = []
        for delta, cut in zip(deltas, cuts, strict=True):
            order = sorted(range(delta.numel()), key=lambda i: (-abs(delta[i].item()), i))
            kept.append(torch.zeros_like(delta))
            chosen = order[: max(1, delta.numel() // 2)]
            kept[-1][chosen] = 0.5 * delta[chosen]
            on_cut[name] = on_cut.get(name, torch.zeros(delta.numel(), dtype=torch.bool)) | (delta.abs() == cut)
        sign = torch.where(sum(kept) >= 0, 1.0, -1.0)
        agree = [(one.sign() == sign) for one in kept]
        share = sum(0.5 * mask for mask in agree)
        total = sum(one * mask for one, mask in zip(kept, agree, strict=True))
        merged[name] = base[name].double().view(-1) + total / torch.where(share == 0, 1.0, share)
    return merged, on_cut


def test_bfloat16_ties_in_float32(tmp_path: Path) -> None:
    ours, theirs = both("bf16_ties_fp32math", tmp_path)
    _, on_cut = ties_oracle(sorted(ours))
    differ = flat(ours) != flat(theirs)
    assert differ.double().mean() <= 0.006
    assert not (differ & ~flat(on_cut).bool()).any()


def test_bfloat16_ties_is_closer_to_the_truth_than_mergekit(tmp_path: Path) -> None:
    ours, theirs = both("bf16_ties_d0.5", tmp_path)
    truth, on_cut = ties_oracle(sorted(ours))
    off = ~flat(on_cut).bool()
    errors = [(flat(found) - flat(truth)).abs()[off].mean() for found in (ours, theirs)]
    assert errors[0] <= errors[1]
    assert (
        flat(ours) - flat(truth).bfloat16().double()
    ).abs().max() == 0  # one rounding, ties at the cut by lowest index


def vocabulary(folder: Path) -> dict[str, int]:
    tree = json.loads((folder / "tokenizer.json").read_text())
    return tree["model"]["vocab"] | {entry["content"]: entry["id"] for entry in tree["added_tokens"]}


def test_union_of_tokenizers(tmp_path: Path) -> None:
    """Token by token: mergekit picks the donor of the numbering at random, we take the first model."""
    ours, theirs = both("tok_union_linear", tmp_path)
    rows = [vocabulary(tmp_path / "out"), vocabulary(Path("cases/tok_union_linear/out"))]
    assert rows[0].keys() == rows[1].keys()
    for name in ours:
        found = [ours[name], theirs[name]]
        if name in ("lm_head.weight", "model.embed_tokens.weight"):
            found = [tensor[[row[word] for word in sorted(row)]] for tensor, row in zip(found, rows, strict=True)]
        torch.testing.assert_close(found[0], found[1], atol=EXACT, rtol=0)


def test_different_vocabularies_are_refused(tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(Path("cases/err_vocab_mismatch/config.yaml"))
    with pytest.raises(CompatibilityError, match=r"vocabularies of 64 and 70 tokens.*tokenizer_source"):
        merge_to_folder(recipe, tmp_path / "out")
    assert not list(tmp_path.iterdir())
