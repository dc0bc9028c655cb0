"""The config.json of the merged model: the donor's, with the merge's layers, vocabulary and dtype. Needs no torch."""

from collections.abc import Iterable, Mapping
from typing import Any

from merging import layout, modules
from merging.checkpoint import Checkpoint
from merging.errors import RecipeError
from merging.recipe import Recipe, Slice
from merging.vocabulary import Vocabulary

_COUNTS = (*layout.COUNT_KEYS, "depth")  # the last one of some vision towers


def merged_dtype(recipe: Recipe, donor: Checkpoint) -> str:
    """float32, bfloat16 or float16: what the recipe says, else what most of the donor's numbers are stored in."""
    if given := recipe.out_dtype or recipe.dtype:
        return given
    sizes: dict[str, int] = {}
    for name, header in donor.headers.items():
        count = 1
        for size in header.shape:
            count *= size
        sizes[donor.dtype(name)] = sizes.get(donor.dtype(name), 0) + count
    found = max(sorted(sizes), key=sizes.__getitem__)
    return "float32" if found == "float64" else found


def merged_config(
    recipe: Recipe,
    donor: Checkpoint,
    opened: Mapping[str, Checkpoint],
    names: Iterable[str],
    vocabulary: Vocabulary | None,
) -> dict[str, Any]:
    """The donor's config with the merged model's layers, vocabulary and dtype.

    Args:
        recipe: What is merged.
        donor: Whose config it starts from.
        opened: The checkpoints by name.
        names: Names of the merged tensors.
        vocabulary: The merged vocabulary, None where it is the donor's.

    Raises:
        RecipeError: Layers of a module are picked whose number no part of the config holds.
    """
    config = {key: part for key, part in donor.config.items() if key not in ("_name_or_path", "torch_dtype", "dtype")}
    for module in dict.fromkeys(piece.module for piece in recipe.slices):
        pieces = [piece for piece in recipe.slices if piece.module == module]
        if not recipe.covers(pieces[0]):
            config = _with_layers(config, module, recipe, pieces, opened)
    inner = dict(layout.text_config(config))
    if vocabulary is not None:
        inner["vocab_size"] = vocabulary.size
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if key in vocabulary.owner.config:
                inner[key] = vocabulary.owner.config[key]
    if any(layout.is_head(name) for name in names):
        inner["tie_word_embeddings"] = False
        config |= {"tie_word_embeddings": False}
    if "text_config" in config:
        config["text_config"] = inner
        if vocabulary is not None and "vocab_size" in config:
            config["vocab_size"] = vocabulary.size
    else:
        config = inner
    return {**config, "dtype": merged_dtype(recipe, donor)}


def _with_layers(
    config: dict[str, Any],
    module: str | None,
    recipe: Recipe,
    pieces: list[Slice],
    opened: Mapping[str, Checkpoint],
) -> dict[str, Any]:
    """A config in which a module has the layers that its slices pick: their number, and every list of one per layer."""
    is_text = module is None or module in modules.ONLY
    key = None if is_text else modules.config_key(module or "", config)

    def part(whole: Mapping[str, Any]) -> Mapping[str, Any]:
        return layout.text_config(whole) if is_text else whole.get(key or "", {})

    if not is_text and not set(_COUNTS) & set(part(config)):
        raise RecipeError(
            f"config.json does not say how many layers {module} has: give its `models`, not slices.",
            at=f"modules.{module}",
        )

    picked: list[tuple[Mapping[str, Any], int]] = []
    for piece in pieces:
        base, models = recipe.roles(piece)
        lead = base or models[0]
        if lead.layer_range:
            picked += [(part(opened[lead.model].config), layer) for layer in range(*lead.layer_range)]
    inner = dict(part(config))
    before = next((inner[name] for name in _COUNTS if name in inner), None)
    for name, entry in inner.items():
        if name in _COUNTS:
            inner[name] = len(picked)
        elif isinstance(entry, list) and len(entry) == before and name != "architectures":
            inner[name] = [one[name][layer] if name in one else entry[0] for one, layer in picked]
    if is_text and "text_config" not in config:
        return inner
    return {**config, (key or "text_config"): inner}
