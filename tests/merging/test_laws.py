"""The laws, for every registered method: live is offline, no weights is the base, order and history do not matter."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from merging import LiveModel, Pool, Recipe, merge_to_folder, registry
from merging.errors import MergeError
from tests.merging import tiny

METHODS = [method.name for method in registry.methods()]
DELTA = [method.name for method in registry.methods() if method.inputs == "base+models" and "weight" in method.knobs]
BASE = {"one": None, "models": None, "everyone": None, "two": "a"}  # who is base_model, by inputs; else the ancestor
ROOT = Path(__file__).resolve().parents[2]
numbers = st.sampled_from([0.0, 0.1, 0.35, 0.5, 0.8, 1.0, 1.3, -0.4])
positive = st.sampled_from([0.1, 0.35, 0.5, 0.8, 1.0, 1.3])
POSITIVE = ("weight", "eps", "epsilon", "max_iter")
LIGHT = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def build(name: str, family: dict[str, str], knobs: dict[str, Any], **more: Any) -> Recipe:
    """A recipe of any method over two descendants; `knobs` holds a value, or one per model, for each knob."""
    method = registry.get(name)
    models = [family["a"], family[more.pop("second", "b")]]
    if method.inputs == "one":
        models = models[1:]
    base = BASE.get(method.inputs, "base")
    own = [{k: v[i] for k, v in knobs.items() if isinstance(v, tuple)} for i in range(len(models))]
    shared = {k: v for k, v in knobs.items() if not isinstance(v, tuple)}
    return Recipe.build(name, models=models, base_model=base and family[base], per_model=own, parameters=shared, **more)


@st.composite
def stops(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """One position of all sliders."""
    found: dict[str, Any] = {}
    for key, knob in registry.get(name).knobs.items():
        one = st.booleans() if knob.kind == "switch" else (positive if key in POSITIVE else numbers)
        one = st.sampled_from([0.0, 0.05]) if key == "epsilon" else one  # DELLA refuses chances outside 0 to 1
        found[key] = (draw(one), draw(one)) if knob.per_model else draw(one)
    return found


def offline(recipe: Recipe, threads: int = 1) -> dict[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        return load_file(merge_to_folder(recipe, Path(folder) / "out", threads=threads) / "model.safetensors")


def same(live: LiveModel, tensors: dict[str, torch.Tensor]) -> bool:
    state = live.model.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("second", ["b", "lora"])
@LIGHT
@given(data=st.data())
def test_live_after_any_moves_is_offline(family: dict[str, str], name: str, second: str, data: st.DataObject) -> None:
    memo = data.draw(st.sampled_from([0, 4096, 1 << 30]), label="memo bytes")
    lives = [LiveModel(list(family.values()), threads=n, memo_bytes=memo) for n in (1, 2)]
    recipes = [
        build(name, family, knobs, second=second) for knobs in data.draw(st.lists(stops(name), min_size=1, max_size=4))
    ]
    for recipe in recipes:
        for live in lives:
            live.apply(recipe)
    found = [offline(recipes[-1], threads) for threads in (1, 2)]
    assert all(same(live, tensors) for live in lives for tensors in found)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models with a tensor that torch splits among threads, and that takes more than one chunk of scratch."""
    folder = tmp_path_factory.mktemp("large")
    base = tiny.weights(0, torch.bfloat16, vocab=70_001)
    found = {"base": base, "a": tiny.moved(base, 1), "b": tiny.moved(base, 2)}
    return {name: str(tiny.write_model(folder / name, tensors)) for name, tensors in found.items()}


@pytest.mark.parametrize("name", METHODS)
def test_the_thread_count_changes_nothing(large: dict[str, str], name: str) -> None:
    every = {"weight": (0.7, 0.4), "density": (0.5, 0.3), "t": 0.4, "rescale": True, "nuslerp_flatten": False}
    recipe = build(name, large, {k: v for k, v in every.items() if k in registry.get(name).knobs})
    one, two, three = (offline(recipe, threads) for threads in (1, 2, 3))
    assert all(torch.equal(one[key], two[key]) and torch.equal(one[key], three[key]) for key in one)


@pytest.mark.parametrize("name", METHODS)
def test_wider_parameters_hold_the_same_weights(family: dict[str, str], name: str) -> None:
    """float32 parameters, as on CPUs without bf16 arithmetic, hold the bf16 values that the folder has."""
    live = LiveModel(list(family.values()), compute_dtype="float32")
    for weight in (0.2, 0.7):
        every = {"weight": (weight, 0.5), "t": weight, "density": (0.5, 0.4)}
        recipe = build(name, family, {k: v for k, v in every.items() if k in registry.get(name).knobs})
        live.apply(recipe)
        assert all(torch.equal(live.model.state_dict()[n], x.float()) for n, x in offline(recipe).items())
    assert live.model.dtype == torch.float32


@pytest.mark.parametrize(
    ("compute_dtype", "dtype", "held"),
    [
        (None, "float16", torch.float16),
        ("float32", "float16", torch.float32),
        ({"float16": "float32"}, "float16", torch.float32),
        ({"float16": "float32"}, "bfloat16", torch.bfloat16),
    ],
)
def test_parameters_may_be_wider_for_some_dtypes_only(
    family: dict[str, str], compute_dtype: Any, dtype: str, held: torch.dtype
) -> None:
    live = LiveModel(list(family.values()), compute_dtype=compute_dtype)
    live.apply(replace(Recipe.single(family["a"]), dtype=dtype))
    assert live.model.dtype == held


@pytest.mark.parametrize("name", [name for name in DELTA if "density" in registry.get(name).knobs])
@given(weight=st.tuples(positive, positive), rescale=st.booleans())
@LIGHT
def test_no_density_is_the_base(family: dict[str, str], name: str, weight: tuple, rescale: bool) -> None:
    got = offline(build(name, family, {"weight": weight, "density": (0.0, 0.0), "rescale": rescale}))
    assert all(torch.equal(got[n], t) for n, t in load_file(f"{family['base']}/model.safetensors").items())


@pytest.mark.parametrize("name", DELTA)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_no_weight_is_the_base(family: dict[str, str], name: str, normalize: bool, density: float) -> None:
    knobs = {"weight": (0.0, 0.0), "density": (density, density), "normalize": normalize}
    got = offline(build(name, family, knobs))
    assert all(torch.equal(got[n], t) for n, t in load_file(f"{family['base']}/model.safetensors").items())


def can_be_alone(method: registry.Method) -> bool:
    """Whether some setting of the method takes over one model as it is."""
    if method.inputs == "two":
        return "t" in method.knobs
    return method.counts[0] < 2 or method.inputs == "two+base?"


@pytest.mark.parametrize("name", [name for name in METHODS if can_be_alone(registry.get(name))])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_one_model_alone_is_that_model(family: dict[str, str], name: str, dtype: str) -> None:
    method = registry.get(name)
    one = {key: value for key, value in {"weight": 1, "density": 1, "isotropy": 0}.items() if key in method.knobs}
    if method.inputs == "two":
        recipe = build(name, family, {"t": 1.0}, out_dtype=dtype)
    elif method.counts[0] < 2 and "normalize" not in method.knobs:
        models, base = [family["b"]], BASE.get(method.inputs, "base")
        recipe = Recipe.build(name, models=models, base_model=base and family[base], parameters=one, out_dtype=dtype)
    elif method.inputs == "base+models":
        recipe = Recipe.build(
            name,
            models=[family["b"]],
            base_model=family["base"],
            parameters=one,
            out_dtype=dtype,
        )
    else:
        recipe = build(name, family, {"weight": (0.0, 1.0)}, out_dtype=dtype)
    got, expected = offline(recipe), load_file(f"{family['b']}/model.safetensors")
    exact = BASE.get(method.inputs, "base") != "base"  # the others add a rounded difference to the base
    for key, tensor in expected.items():
        torch.testing.assert_close(
            got[key].float(), tensor.float(), atol=0 if exact else 1e-5, rtol=0 if exact else 2**-8
        )


@pytest.mark.parametrize("name", [m for m in METHODS if registry.get(m).counts[1] is None])
def test_order_of_the_models_is_rounding(family: dict[str, str], name: str) -> None:
    method = registry.get(name)
    knobs = {key: value for key, value in {"weight": 0.5, "density": 0.6}.items() if key in method.knobs}
    base = family["base"] if BASE.get(method.inputs, "base") else None
    orders = [[family[m] for m in order] for order in ("abc", "cab")]
    found = [
        offline(Recipe.build(name, models=m, base_model=base, parameters=knobs, out_dtype="float32")) for m in orders
    ]
    for key in found[0]:
        torch.testing.assert_close(found[0][key], found[1][key], atol=1e-6, rtol=1e-6)


SCRIPT = """
import sys, hashlib, json
from merging import Recipe, merge_to_folder
for number, text in enumerate(json.load(open(sys.argv[1]))):
    out = merge_to_folder(Recipe.from_yaml(text), f"{sys.argv[2]}/{number}")
    print(Recipe.from_yaml(text).digest(), hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest())
"""


def test_a_fresh_process_changes_nothing(family: dict[str, str], tmp_path: Path) -> None:
    every = {"weight": (0.7, 0.4), "density": (0.5, 0.6), "t": 0.4}
    recipes = [build(n, family, {k: v for k, v in every.items() if k in registry.get(n).knobs}) for n in METHODS]
    (tmp_path / "recipes.json").write_text(json.dumps([recipe.to_yaml() for recipe in recipes]))
    expected = []
    for number, recipe in enumerate(recipes):
        out = merge_to_folder(recipe, tmp_path / f"here-{number}")
        expected.append(f"{recipe.digest()} {hashlib.sha256((out / 'model.safetensors').read_bytes()).hexdigest()}")
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "recipes.json"), str(tmp_path / seed)]
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        assert done.stdout.split("\n")[:-1] == expected


DEGENERATE = {
    "ordinary": lambda t: t + 0.1,
    "zero": torch.zeros_like,
    "equal": lambda t: t.clone(),
    "colinear": lambda t: 2 * t,
    "antipodal": lambda t: -t,
    "one element moved": lambda t: t.index_fill(0, torch.tensor([0]), 1.0),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_models(name: str, kind: str, tmp_path: Path) -> None:
    base = tiny.weights(0, torch.bfloat16)
    models = {"base": base, "a": tiny.moved(base, 1), "b": {n: DEGENERATE[kind](t) for n, t in base.items()}}
    family = {key: str(tiny.write_model(tmp_path / key, tensors)) for key, tensors in models.items()}
    every = {"weight": (0.7, 0.4), "density": (0.5, 0.01), "epsilon": (0.1, 0.005), "t": 0.4}
    got = offline(build(name, family, {k: v for k, v in every.items() if k in registry.get(name).knobs}))
    for key, tensor in base.items():
        assert got[key].isfinite().all() and got[key].shape == tensor.shape and got[key].dtype == torch.bfloat16


def test_masks_of_a_random_method_are_nested_and_seeded(family: dict[str, str]) -> None:
    def changed(density: float, seed: int = 0) -> torch.Tensor:
        recipe = Recipe.build(
            "dare_ties", models=[family["c"]], base_model=family["base"], parameters={"weight": 1, "density": density},
            seed=seed, out_dtype="float32",
        )  # fmt: skip
        base = load_file(f"{family['base']}/model.safetensors")
        return torch.cat([(tensor != base[key].float()).view(-1) for key, tensor in sorted(offline(recipe).items())])

    few, many, other = changed(0.3), changed(0.6), changed(0.3, seed=1)
    assert (many | ~few).all() and few.sum() < many.sum()
    assert not torch.equal(few, other)


def test_two_slots_share_a_pool(family: dict[str, str]) -> None:
    pool = Pool(memo_bytes=1 << 20)
    slots = [LiveModel(list(family.values()), pool=pool) for _ in range(2)]
    recipes = [build("slerp", family, {"t": t}) for t in (0.2, 0.7)]
    for slot, recipe in zip(slots, recipes, strict=True):
        slot.apply(recipe)
    assert all(same(slot, offline(recipe)) for slot, recipe in zip(slots, recipes, strict=True))


def test_apply_reuses_and_leaves_the_thread_count(family: dict[str, str]) -> None:
    before = torch.get_num_threads()
    live = LiveModel(list(family.values()), threads=1)
    recipe = build("ties", family, {"weight": (0.5, 0.5)})
    assert not live.apply(recipe).reused and live.apply(Recipe.from_yaml(recipe.to_yaml())).reused
    assert live.recipe == recipe and torch.get_num_threads() == before


def test_tied_weights_stay_tied_and_the_module_stays(family: dict[str, str]) -> None:
    live = LiveModel(list(family.values()))
    live.apply(build("slerp", family, {"t": 0.3}))
    model, place = live.model, live.model.get_input_embeddings().weight.data_ptr()
    live.apply(build("linear", family, {"weight": (0.3, 0.9)}))
    assert live.model is model
    assert model.get_output_embeddings().weight.data_ptr() == place == model.get_input_embeddings().weight.data_ptr()
    assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_an_error_leaves_the_model_as_it_was(family: dict[str, str], tmp_path: Path) -> None:
    live = LiveModel(list(family.values()))
    good = build("linear", family, {"weight": (0.3, 0.9)})
    live.apply(good)
    bad = tiny.moved(tiny.weights(0, torch.bfloat16), 9)
    bad["model.norm.weight"][3] = float("nan")
    broken = str(tiny.write_model(tmp_path / "nan", bad))
    with pytest.raises(MergeError, match=r"model.norm.weight in .*nan.* holds NaN"):
        live.apply(Recipe.build("linear", models=[family["a"], broken], parameters={"weight": 1}))
    assert live.recipe == good and same(live, offline(good)) and live.apply(good).reused


def test_the_next_apply_repairs_what_broke_midway(family: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from merging import live as module

    live = LiveModel(list(family.values()))
    first, second = (build("slerp", family, {"t": t}) for t in (0.2, 0.6))
    live.apply(first)
    whole, left = module.merge_tensor, [5]

    def breaks(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            arguments[2].zero_()  # half written
            raise MemoryError
        return whole(*arguments)

    monkeypatch.setattr(module, "merge_tensor", breaks)
    with pytest.raises(MemoryError):
        live.apply(second)
    assert live.recipe is None
    monkeypatch.undo()
    assert not live.apply(first).reused and same(live, offline(first))


def test_only_what_changed_is_merged_again(family: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from merging import live as module

    def recipe(mlp: float) -> Recipe:
        return build("slerp", family, {"t": [{"filter": "mlp", "value": mlp}, {"value": 0.5}]})

    live, names, whole = LiveModel(list(family.values())), [], module.merge_tensor
    live.apply(recipe(0.2))
    monkeypatch.setattr(module, "merge_tensor", lambda job, *rest: names.append(job.name) or whole(job, *rest))
    live.apply(recipe(0.8))
    assert names and all(".mlp." in name for name in names)
    assert same(live, offline(recipe(0.8)))


def test_slerp_says_when_it_is_linear(family: dict[str, str], tmp_path: Path) -> None:
    near = tiny.write_model(tmp_path / "near", tiny.moved(load_file(f"{family['a']}/model.safetensors"), 4, 1e-3))
    live = LiveModel()
    twins = Recipe.build("slerp", models=[str(near)], base_model=family["a"], parameters={"t": 0.5})
    total = len(tiny.shapes())
    assert live.apply(twins).notes[0] == f"0 of {total} tensors took the spherical branch: SLERP equals linear here."
    assert "equals linear" not in live.apply(build("slerp", family, {"t": 0.5}, second="c")).notes[0]


def test_source_hashes_follow_the_content(family: dict[str, str], tmp_path: Path) -> None:
    live = LiveModel()
    twin = tiny.write_model(tmp_path / "twin", load_file(f"{family['a']}/model.safetensors"))
    recipe = Recipe.build("linear", models=[family["a"], str(twin), family["lora"]], parameters={"weight": 1})
    hashes = live.source_hashes(recipe)
    assert hashes[family["a"]] == hashes[str(twin)] != hashes[family["lora"]]
    live.apply(recipe)
    tiny.write_model(twin, tiny.moved(tiny.weights(0, torch.bfloat16), 77))
    assert live.source_hashes(recipe)[str(twin)] != hashes[str(twin)]
    assert not live.apply(recipe).reused and same(live, offline(recipe))
