"""`Recipe` to mergekit YAML. Needs no torch."""

from typing import Any

import yaml

from merging import registry
from merging.recipe import Recipe, Slice, Source
from merging.schedule import Entry, Setting


def emit(recipe: Recipe) -> str:
    """Mergekit YAML of a recipe; `Recipe.from_yaml` of it gives an equal recipe."""
    tree: dict[str, Any] = {"merge_method": recipe.method}
    if recipe.base_model:
        tree["base_model"] = recipe.base_model
    if recipe.is_whole:
        tree["models"] = [_emit_source(source) for source in recipe.slices[0].sources]
    else:
        tree["slices"] = [_emit_slice(piece) for piece in recipe.slices]
    parameters = _emit_parameters(recipe.parameters)
    if recipe.seed or registry.get(recipe.method).random:
        parameters["seed"] = recipe.seed
    if parameters:
        tree["parameters"] = parameters
    last = {"dtype": recipe.dtype, "out_dtype": recipe.out_dtype, "tokenizer_source": recipe.tokenizer}
    tree |= {key: value for key, value in last.items() if value}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def _emit_slice(piece: Slice) -> dict[str, Any]:
    tree: dict[str, Any] = {"sources": [_emit_source(source) for source in piece.sources]}
    if piece.parameters:
        tree["parameters"] = _emit_parameters(piece.parameters)
    return tree


def _emit_source(source: Source) -> dict[str, Any]:
    tree: dict[str, Any] = {"model": source.model}
    if source.layer_range is not None:
        tree["layer_range"] = list(source.layer_range)
    if source.parameters:
        tree["parameters"] = _emit_parameters(source.parameters)
    return tree


def _emit_parameters(parameters: tuple[tuple[str, Setting], ...]) -> dict[str, Any]:
    return {name: _emit_setting(setting) for name, setting in parameters}


def _emit_setting(setting: Setting) -> Any:
    def anchors(entry: Entry) -> Any:
        return entry.value[0] if len(entry.value) == 1 else list(entry.value)

    if len(setting) == 1 and setting[0].filter is None:
        return anchors(setting[0])
    return [
        {"filter": e.filter, "value": anchors(e)} if e.filter is not None else {"value": anchors(e)} for e in setting
    ]
