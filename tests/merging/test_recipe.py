"""Recipes in and out of YAML, their digests, and what is refused, with words that help."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from merging import Recipe, registry
from merging.errors import MergeError, RecipeError
from merging.schedule import Entry, join, position, value

SLERP = """
merge_method: slerp
base_model: a
models: [{model: a}, {model: b}]
parameters: {t: 0.5}
"""
TIES = """
merge_method: ties
base_model: base
models:
- {model: a, parameters: {weight: 0.5, density: 0.3}}
- {model: b, parameters: {weight: 0.5, density: 0.3}}
"""


def edit(text: str, **changes: object) -> str:
    tree = yaml.safe_load(text)
    for key, change in changes.items():
        tree[key] = change
    return yaml.safe_dump({key: part for key, part in tree.items() if part is not None})


BAD = [
    pytest.param("{", r"not readable YAML \(line 1", id="broken YAML"),
    pytest.param("a: b: c", r"not readable YAML \(line 1, column 5\)", id="place of the fault"),
    pytest.param("just words", "top level", id="no mapping"),
    pytest.param("", "top level", id="empty"),
    pytest.param("- a", "top level", id="list"),
    pytest.param("models: [{model: a}]", "no merge_method", id="no method"),
    pytest.param(edit(SLERP, merge_method="slurp"), r"Unknown merge_method 'slurp'. Did you mean 'slerp'", id="method"),
    pytest.param(edit(SLERP, merge_method=["slerp"]), "merge_method is", id="method no text"),
    pytest.param(edit(SLERP, merge_metod="x"), r"'merge_metod' in .* Did you mean 'merge_method'", id="top key"),
    pytest.param(edit(SLERP, parameters={"tt": 1}), r"'tt' in parameters. Did you mean 't'", id="parameter"),
    pytest.param(edit(SLERP, parameters={"t": math.nan}), r"parameters.t is nan.*finite", id="NaN"),
    pytest.param(edit(SLERP, parameters={"t": math.inf}), r"parameters.t is inf.*finite", id="infinity"),
    pytest.param(edit(SLERP, parameters={"t": "1e999"}), r"parameters.t is '1e999'.*finite", id="overflow"),
    pytest.param(edit(SLERP, parameters={"t": "half"}), r"parameters.t is 'half'.*number", id="word for a number"),
    pytest.param(edit(SLERP, parameters={"t": True}), r"parameters.t is True.*number", id="switch for a number"),
    pytest.param(edit(SLERP, parameters={"t": [0, [1]]}), "number", id="nested list"),
    pytest.param(edit(SLERP, parameters={"t": []}), "at least one item", id="empty gradient"),
    pytest.param(edit(SLERP, parameters={"t": None}), "parameters.t has no value", id="no value"),
    pytest.param(edit(SLERP, parameters={"t": [{"filtre": "mlp", "value": 1}]}), "mean 'filter'", id="filter key"),
    pytest.param(edit(SLERP, parameters=None), "Missing parameter 't'", id="missing t"),
    pytest.param(edit(SLERP, base_model=None), "slerp needs base_model", id="no base"),
    pytest.param(edit(SLERP, models=[{"model": "a"}]), "exactly two models", id="one model"),
    pytest.param(edit(SLERP, models=[{"model": m} for m in "abc"]), "exactly two models", id="three models"),
    pytest.param(edit(SLERP, models=[{"modle": "a"}]), r"models\[0\]. Did you mean 'model'", id="model key"),
    pytest.param(edit(SLERP, models=[{"model": 3}]), r"models\[0\].model is 3", id="model no text"),
    pytest.param(edit(SLERP, models=["a", "b"]), r"models\[0\] is 'a'", id="model no mapping"),
    pytest.param(edit(SLERP, models=None), "exactly one of `models` and `slices`", id="no models"),
    pytest.param(edit(SLERP, slices=[]), "exactly one of `models` and `slices`", id="models and slices"),
    pytest.param(edit(SLERP, tokenizer={"source": "a"}, tokenizer_source="b"), "both", id="two tokenizers"),
    pytest.param(edit(SLERP, dtype="bfloat"), "dtype is 'bfloat'. Did you mean 'bfloat16'", id="dtype"),
    pytest.param(edit(SLERP, seed=-1), "seed is -1", id="seed"),
    pytest.param(edit(SLERP, seed=1.5), "seed is 1.5", id="seed no whole number"),
    pytest.param(SLERP + "base_model: b\n", "'base_model' is written twice", id="key twice"),
    pytest.param(edit(TIES, models=[{"model": "a", "parameters": {"density": 1}}]), r"'weight' of 'a'", id="no weight"),
    pytest.param(edit(TIES, parameters={"normalize": "maybe"}), "normalize is 'maybe'.*true or false", id="switch"),
    pytest.param(edit(TIES, parameters={"normalize": 0.5}), "true or false", id="number for a switch"),
    pytest.param(
        "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: -1}}",
        "sum to 0", id="weights that cancel",
    ),
    pytest.param("merge_method: linear\nmodels: []", "at least one item", id="no models at all"),
    pytest.param("merge_method: linear\nslices: [{sources: [{model: a}]}]", "layer_range is None", id="no range"),
    pytest.param("merge_method: linear\nslices: [{sources: [{model: a, layer_range: [2, 1]}]}]", ">= 0", id="range"),
    pytest.param(
        "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 2]}], "
        "parameters: {weight: 1}}]", "same number", id="ranges of unequal length",
    ),
    pytest.param(
        "merge_method: slerp\nbase_model: c\nslices: [{sources: [{model: a, layer_range: [0, 1]}, "
        "{model: b, layer_range: [0, 1]}]}]\nparameters: {t: 1}", "not list the base_model", id="base not in slice",
    ),
    pytest.param("&a [*a]", "top level", id="an alias to itself"),
    pytest.param("!!python/object/apply:os.system ['true']", "YAML", id="a tag that would run code"),
    pytest.param("x" * 300_000, "characters", id="too long"),
    pytest.param("[" * 10_000, "YAML", id="too deep"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recipe.from_yaml(text)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Cannot read the recipe .*gone.yaml"):
        Recipe.from_yaml(tmp_path / "gone.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not UTF-8"):
        Recipe.from_yaml(str(tmp_path / "binary.yaml"))


def test_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(SLERP)
    assert Recipe.from_yaml(str(tmp_path / "r.yml")) == Recipe.from_yaml(SLERP)


SAME = [
    pytest.param(SLERP, edit(SLERP, models=[{"model": "b"}]), id="base listed or not"),
    pytest.param(SLERP, edit(SLERP, models=[{"model": "b"}, {"model": "a"}]), id="base listed last"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": [{"value": 0.5}]}), id="value spelled out"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": [{"filter": "*", "value": 0.5}]}), id="filter for all"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": "5e-1"}), id="number as text"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": [0.5, 0.5]}), id="flat gradient"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": 0.5, "int8_mask": True}), id="int8_mask changes nothing"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": 0.5, "seed": 7}), id="seed of a method without noise"),
    pytest.param(TIES, edit(TIES, parameters={"lambda": 1, "normalize": True}), id="defaults spelled out"),
    pytest.param(
        TIES, edit(TIES, models=[{"model": "a"}, {"model": "b"}], parameters={"weight": 0.5, "density": 0.3}),
        id="one level up",
    ),
    pytest.param(TIES, edit(TIES, models=[*yaml.safe_load(TIES)["models"], {"model": "base"}]), id="base among models"),
    pytest.param(edit(TIES, dtype="bfloat16"), edit(TIES, dtype="float32", out_dtype="bfloat16"), id="compute dtype"),
    pytest.param(edit(TIES, tokenizer_source="union"), edit(TIES, tokenizer={"source": "union"}), id="tokenizer"),
]  # fmt: skip
DIFFERENT = [
    pytest.param(SLERP, edit(SLERP, parameters={"t": 0.6}), id="t"),
    pytest.param(SLERP, edit(SLERP, base_model="b"), id="direction"),
    pytest.param(SLERP, edit(SLERP, parameters={"t": [0.5, 0.6]}), id="gradient"),
    pytest.param(SLERP, edit(SLERP, out_dtype="float32"), id="dtype"),
    pytest.param(TIES, edit(TIES, merge_method="dare_ties"), id="method"),
    pytest.param(TIES, edit(TIES, parameters={"lambda": 2}), id="lambda"),
    pytest.param(TIES, edit(TIES, tokenizer_source="union"), id="tokenizer"),
    pytest.param(
        edit(TIES, merge_method="dare_ties"), edit(TIES, merge_method="dare_ties", parameters={"seed": 1}), id="seed"
    ),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_equal_meaning_equal_digest(one: str, two: str) -> None:
    assert Recipe.from_yaml(one).digest() == Recipe.from_yaml(two).digest()


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_other_meaning_other_digest(one: str, two: str) -> None:
    assert Recipe.from_yaml(one).digest() != Recipe.from_yaml(two).digest()


def test_digest_is_pinned() -> None:
    """Stored measurements are found by it: it may only change with the format number."""
    assert Recipe.from_yaml(SLERP).digest() == "87b9722656507859bd26d274c90c1468cf8a97c36f51f47afeab77729d51509a"


def test_seed_at_the_top_or_under_parameters() -> None:
    dare = edit(TIES, merge_method="dare_ties")
    one, two = (Recipe.from_yaml(edit(dare, **p)) for p in ({"seed": 3}, {"parameters": {"seed": 3}}))
    assert one == two and one.seed == 3
    with pytest.raises(RecipeError, match="twice"):
        Recipe.from_yaml(edit(dare, seed=3, parameters={"seed": 4}))


def test_models_used_in_listed_order() -> None:
    assert Recipe.from_yaml(TIES).models_used() == ("base", "a", "b")
    assert Recipe.from_yaml(SLERP).models_used() == ("a", "b")
    linear = "merge_method: linear\nbase_model: z\nmodels: [{model: b}, {model: a}]\nparameters: {weight: 1}"
    assert Recipe.from_yaml(linear).models_used() == ("b", "a", "z")


def test_labels() -> None:
    assert Recipe.from_yaml(SLERP).label() == "slerp t=0.50"
    assert Recipe.from_yaml(TIES).label() == "ties weight=0.50/0.50 density=0.30/0.30"
    assert Recipe.from_yaml(edit(SLERP, parameters={"t": [0, 1]})).label() == "slerp t=curve"
    assert Recipe.single("zoo:mix-15").label() == "zoo:mix-15"


def test_notes_tell_what_is_not_used() -> None:
    notes = Recipe.from_yaml(edit(SLERP, parameters={"t": 0.5, "density": 0.5, "int8_mask": True})).notes()
    assert notes == ("slerp has no density: the recipe's value is not used.",)
    under = edit(TIES, models=[{"model": "a", "parameters": {"weight": 1, "normalize": False}}])
    assert "put it under the recipe's parameters" in Recipe.from_yaml(under).notes()[0]


def test_build_is_the_same_thing() -> None:
    built = Recipe.build("slerp", models=["a", "b"], base_model="a", parameters={"t": 0.5})
    assert built.digest() == Recipe.from_yaml(SLERP).digest()
    with pytest.raises(RecipeError, match="1 entries for 2 models"):
        Recipe.build("linear", models=["a", "b"], per_model=[{"weight": 1}])
    with pytest.raises(MergeError, match="finite"):
        Recipe.build("slerp", models=["a", "b"], base_model="a", parameters={"t": math.nan})


finite = st.floats(-3, 3).map(lambda x: round(x, 4))
anchors = st.one_of(finite, st.lists(finite, min_size=1, max_size=5))
entries = st.lists(
    st.fixed_dictionaries({"value": anchors}, optional={"filter": st.sampled_from(["mlp", "self_attn", "*"])}),
    min_size=1,
)
numbers = st.one_of(anchors, entries.map(lambda e: [*e, {"value": 0.5}]))


@st.composite
def recipes(draw: st.DrawFn) -> dict:
    """Recipes of every method, with settings at any level, as models or slices."""
    method = draw(st.sampled_from(registry.methods()))
    names = ["one", "./two", "org/three@v1+lora"][: max(method.counts[0], 1 if method.counts[1] == 1 else 2)]
    knobs = {name: st.booleans() if k.kind == "switch" else numbers for name, k in method.knobs.items()}
    own = {name: s for name, s in knobs.items() if method.knobs[name].per_model}
    top = {name: s for name, s in knobs.items() if name not in own}
    needed = {name for name in knobs if method.knobs[name].absent is None}
    required = {name: s for name, s in own.items() if name in needed}
    optional = {name: s for name, s in own.items() if name not in needed}
    one = st.fixed_dictionaries(required, optional=optional)
    sources = [{"model": name, "parameters": draw(one)} for name in names]
    tree: dict = {"merge_method": method.name}
    if method.inputs not in ("one", "models") and (method.needs_base or draw(st.booleans())):
        tree["base_model"] = "base"
        sources.append({"model": "base"})
    if draw(st.booleans()):
        tree["models"] = sources
    else:
        tree["slices"] = [{"sources": [s | {"layer_range": [i, i + 2]} for s in sources]} for i in (0, 4)]
    required = {name: s for name, s in top.items() if name in needed}
    tree["parameters"] = draw(
        st.fixed_dictionaries(required, optional={k: s for k, s in top.items() if k not in needed})
    )
    tree |= draw(st.fixed_dictionaries({}, optional={"dtype": st.just("bfloat16"), "seed": st.integers(0, 9)}))
    return tree


@settings(deadline=None)
@given(recipes())
def test_yaml_round_trip(tree: dict) -> None:
    try:
        recipe = Recipe.from_yaml(yaml.safe_dump(tree))
    except RecipeError as error:
        assert "sum to 0" in str(error)
        return
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe and again.digest() == recipe.digest()


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    try:
        Recipe.from_yaml(text + "\n")
    except RecipeError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("anchors", "place", "expected"),
    [
        pytest.param((0.4,), 0.7, 0.4, id="constant"),
        pytest.param((0.0, 1.0), 0.25, 0.25, id="line"),
        pytest.param((1.0, 0.0, 0.5), 0.75, 0.25, id="second piece"),
        pytest.param((0.0, 0.5, 0.3, 0.7, 1.0), 1.0, 1.0, id="end"),
        pytest.param((0.0, 0.5, 0.3, 0.7, 1.0), 0.0, 0.0, id="start"),
        pytest.param((True, False), 0.9, True, id="switches are picked"),
    ],
)
def test_gradient(anchors: tuple, place: float, expected: float) -> None:
    assert value((Entry(anchors),), "any", place) == pytest.approx(expected)


def test_position_and_filters() -> None:
    assert [position(i, 4) for i in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert position(0, 1) == 1  # mergekit: a slice of one layer stands at its end
    setting = join((Entry((0.1,), "mlp"),), (Entry((0.2,), "mlp"), Entry((0.3,))), (Entry((0.4,)),))
    assert value(setting, "layers.0.mlp.up", 0) == 0.1
    assert value(setting, "layers.0.self_attn", 0) == 0.3
    assert value((Entry((1.0,), "mlp"),), "norm", 0) is None
