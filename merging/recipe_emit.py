"""`Recipe` to mergekit YAML. Needs no torch."""

from typing import Any

import yaml

from merging import registry
from merging.recipe import Recipe, Slice, Source
from merging.recipe_tokenizer import emit_tokenizer
from merging.schedule import Entry, Setting


def emit(recipe: Recipe) -> str:
    """Mergekit YAML of a recipe; `Recipe.from_yaml` of it gives an equal recipe."""
    tree: dict[str, Any] = {"merge_method": recipe.method}
    if recipe.base_model:
        tree["base_model"] = recipe.base_model
    tree |= _emit_modules(recipe) if recipe.slices[0].module else _emit_pieces(recipe, recipe.slices)
    parameters = _emit_parameters(recipe.parameters)
    if recipe.seed or registry.get(recipe.method).random:
        parameters["seed"] = recipe.seed
    if parameters:
        tree["parameters"] = parameters
    last = {"dtype": recipe.dtype, "out_dtype": recipe.out_dtype}
    tree |= {key: value for key, value in last.items() if value}
    tree |= emit_tokenizer(recipe.tokenizer, recipe.tokens, recipe.pad_to_multiple_of)
    if recipe.chat_template:
        tree["chat_template"] = recipe.chat_template
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def _emit_modules(recipe: Recipe) -> dict[str, Any]:
    found = {}
    for name in dict.fromkeys(piece.module for piece in recipe.slices):
        pieces = tuple(piece for piece in recipe.slices if piece.module == name)
        found[name] = _emit_pieces(recipe, pieces)
        if recipe.covers(pieces[0]) and pieces[0].parameters:
            found[name]["parameters"] = _emit_parameters(pieces[0].parameters)
    return {"modules": found}


def _emit_pieces(recipe: Recipe, pieces: tuple[Slice, ...]) -> dict[str, Any]:
    if recipe.covers(pieces[0]):
        return {"models": [_emit_source(source) for source in pieces[0].sources]}
    return {"slices": [_emit_slice(piece) for piece in pieces]}


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
