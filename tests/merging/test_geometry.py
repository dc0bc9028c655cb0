"""Norms, cosines and sign conflicts of task vectors against plain float64 sums over whole models."""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from merging import Pool
from merging.arithmetic import thread_count
from merging.errors import Cancelled, CompatibilityError
from merging.geometry import Geometry, geometry
from merging.geometry.__main__ import main, table
from tests.merging import tiny

Tensors = dict[str, list[float]]


def numbers(folder: str) -> Tensors:
    """Every tensor of a model folder, or of the tiny adapter on its base, as float64 numbers."""
    if not (Path(folder) / "adapter_config.json").is_file():
        return {n: t.double().view(-1).tolist() for n, t in load_file(f"{folder}/model.safetensors").items()}
    config = json.loads((Path(folder) / "adapter_config.json").read_text())
    stored = load_file(f"{config['base_model_name_or_path']}/model.safetensors")
    found = {n: t.double() for n, t in stored.items()}
    halves = load_file(f"{folder}/adapter_model.safetensors")
    for name in [n for n in halves if ".lora_A." in n]:
        whole = name.removeprefix("base_model.model.").replace(".lora_A", "")
        up, down = halves[name.replace("lora_A", "lora_B")].double(), halves[name].double()
        found[whole] = found[whole] + config["lora_alpha"] / config["r"] * (up @ down)
    return {n: t.view(-1).tolist() for n, t in found.items()}


def group_of(name: str) -> str:
    if "layers." in name:
        return f"layer {name.split('.')[2]}"
    return "embedding" if "embed" in name else "norm and head"


def oracle(base: Tensors, models: list[Tensors], group: str | None) -> tuple[list[float], list[float], list[float]]:
    """(norms, cosines, conflicts) over the tensors of a group (None: all of them)."""
    names = [n for n in sorted(base) if group in (None, group_of(n))]
    flat = [x for n in names for x in base[n]]
    deltas = [[y - x for n in names for x, y in zip(base[n], model[n], strict=True)] for model in models]
    size = [math.sqrt(math.fsum(d * d for d in delta)) for delta in deltas]
    cosines, conflicts = [], []
    for i, j in combinations(range(len(models)), 2):
        dot = math.fsum(x * y for x, y in zip(deltas[i], deltas[j], strict=True))
        cosines.append(dot / (size[i] * size[j]) if size[i] and size[j] else math.nan)
        shared = [x * y for x, y in zip(deltas[i], deltas[j], strict=True) if x != 0 and y != 0]
        conflicts.append(sum(s < 0 for s in shared) / len(shared) if shared else math.nan)
    return [s / math.sqrt(math.fsum(x * x for x in flat)) for s in size], cosines, conflicts


def check(found: Geometry, base: str, models: list[str]) -> None:
    tensors = numbers(base), [numbers(model) for model in models]
    for column, group in [*enumerate(found.groups), (None, None)]:
        if column is None:
            got = [found.total.norms, found.total.cosines, found.total.conflicts]
        else:
            got = [[row[column] for row in rows] for rows in (found.norms, found.cosines, found.conflicts)]
        for mine, expected in zip(got, oracle(*tensors, group), strict=True):
            assert list(mine) == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True), group


@pytest.mark.parametrize(
    "models",
    [
        pytest.param("ab", id="two"),
        pytest.param("abc", id="three"),
        pytest.param("aa", id="equal"),
        pytest.param(["a", "lora"], id="full and adapter"),
        pytest.param(["lora", "lora", "b"], id="adapter twice"),
        pytest.param(["base", "a"], id="base itself"),
        pytest.param("c", id="one"),
        pytest.param("", id="none"),
    ],
)
def test_against_the_oracle(family: dict[str, str], models: list[str]) -> None:
    names = [family[model] for model in models]
    found = geometry(family["base"], names, Pool())
    assert found.groups == ("embedding", "layer 0", "layer 1", "norm and head")
    assert found.models == tuple(names) and found.pairs == tuple(combinations(range(len(names)), 2))
    check(found, family["base"], names)


def test_values_that_are_known(tmp_path: Path) -> None:
    """Twice the change, its opposite, and a model whose changes lie elsewhere."""
    base = tiny.weights(0)
    step = {n: torch.full_like(t, 0.25) for n, t in base.items()}
    base = {n: t.round() for n, t in base.items()}  # so that the sums are exact in float32
    half = {n: torch.arange(t.numel()).view(t.shape) % 2 for n, t in base.items()}
    family = {
        "once": {n: t + step[n] for n, t in base.items()},
        "twice": {n: t + 2 * step[n] for n, t in base.items()},
        "back": {n: t - step[n] for n, t in base.items()},
        "even": {n: t + step[n] * half[n] for n, t in base.items()},
        "odd": {n: t + step[n] * (1 - half[n]) for n, t in base.items()},
    }
    names = [str(tiny.write_model(tmp_path / name, tensors)) for name, tensors in family.items()]
    found = geometry(str(tiny.write_model(tmp_path / "base", base)), names, Pool())
    pairs = dict(zip(found.pairs, zip(found.total.cosines, found.total.conflicts, strict=True), strict=True))
    assert pairs[0, 1] == pytest.approx((1.0, 0.0)) and pairs[0, 2] == pytest.approx((-1.0, 1.0))
    assert pairs[0, 3] == pytest.approx((math.sqrt(0.5), 0.0))
    assert pairs[3, 4][0] == 0.0 and math.isnan(pairs[3, 4][1])  # no element is changed in both
    assert found.total.norms[1] == pytest.approx(2 * found.total.norms[0])


def test_an_untied_head_counts_and_a_tied_model_lends_its_embedding(untied: dict[str, str], tmp_path: Path) -> None:
    found = geometry(untied["x"], [untied["y"]], Pool())
    check(found, untied["x"], [untied["y"]])
    tied = tiny.weights(9)
    found = geometry(untied["x"], [str(tiny.write_model(tmp_path / "tied", tied))], Pool())
    full = {**tied, "lm_head.weight": tied["model.embed_tokens.weight"]}
    models = [{n: t.double().view(-1).tolist() for n, t in full.items()}]
    assert found.total.norms == pytest.approx(oracle(numbers(untied["x"]), models, None)[0], rel=1e-6)


def test_neither_threads_nor_budget_change_a_bit(tmp_path: Path) -> None:
    base = tiny.weights(0, torch.bfloat16, vocab=40_001)
    models = {"base": base, "a": tiny.moved(base, 1), "b": tiny.moved(base, 2)}
    names = [str(tiny.write_model(tmp_path / name, tensors)) for name, tensors in models.items()]
    found = []
    for threads in (1, 2, 3):
        with thread_count(threads):
            found.append(geometry(names[0], names[1:], Pool(memo_bytes=threads % 2 << 20)))
    assert found[0] == found[1] == found[2]


def test_progress_and_stop(family: dict[str, str]) -> None:
    seen: list[float] = []
    geometry(family["base"], [family["a"]], Pool(), progress=lambda share, _: seen.append(share))
    assert seen[0] == 0.0 and seen[-1] == 1.0 and seen == sorted(seen)
    with pytest.raises(Cancelled):
        geometry(family["base"], [family["a"]], Pool(), cancelled=lambda: True)


def test_what_does_not_fit_is_refused(family: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    deeper = str(tiny.write_model(tmp_path / "deeper", tiny.weights(1, layers=3), num_hidden_layers=3))
    with pytest.raises(CompatibilityError, match="2 and 3 layers"):
        geometry(family["base"], [family["a"], deeper], Pool())
    extra = tiny.weights(1) | {"model.layers.0.extra.weight": torch.zeros(2)}
    with pytest.raises(CompatibilityError, match=r"no tensor model\.layers\.0\.extra\.weight"):
        geometry(family["base"], [str(tiny.write_model(tmp_path / "extra", extra))], Pool())
    assert main([family["base"], deeper]) == 2
    assert "2 and 3 layers" in capsys.readouterr().err


def test_command(family: dict[str, str], capsys: pytest.CaptureFixture) -> None:
    names = [family["base"], family["a"], family["lora"]]
    assert main([*names, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = geometry(names[0], names[1:], Pool())
    assert printed["norms"] == [list(row) for row in found.norms]
    assert printed["cosines"][0][0] is None and printed["total"]["cosines"] == list(found.total.cosines)
    assert main(names) == 0
    assert capsys.readouterr().out.strip() == table(found).strip()
    assert f"{found.total.cosines[0]:.3f}" in table(found).splitlines()[-1]
