"""mergekit YAML to `Recipe`; unknown keys are refused by name, none is ignored. Needs no torch.

One key is ours: `seed` (top level, or under `parameters`, where mergekit does not mind it), the seed of random methods;
recipes without it have seed 0. The noise of a model follows from the seed, its name in the recipe
and the tensor's name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from merging import registry
from merging.errors import RecipeError, located
from merging.recipe import Recipe, Slice, Source
from merging.recipe_parts import items, keys, mapping, model_name, text
from merging.recipe_places import line_of
from merging.recipe_settings import parameters
from merging.recipe_tokenizer import tokenizer
from merging.schedule import join

LARGEST = 256 * 1024  # characters of YAML; the longest recipes met in the wild have a few thousand
TOP = (
    "merge_method",
    "models",
    "slices",
    "modules",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "seed",
)
HINTS = {
    "pad_to_multiple_of": "It belongs under `tokenizer`.",
    "tokens": "It belongs under `tokenizer`.",
    "name": "A recipe has no name here: take it out.",
}


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML would silently resolve to the last one."""


def _unique(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, str) and key in seen and key != "<<":
            line = key_node.start_mark.line + 1
            raise RecipeError(f"The key {key!r} is written twice (line {line}): keep one.", line=line)
        if isinstance(key, str):
            seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique)


def read_text(text_or_path: str | Path) -> str:
    """The YAML itself: the text as given, or what the file holds.

    Raises:
        RecipeError: The file does not exist or is not UTF-8 text.
    """
    given = text_or_path
    if isinstance(given, str) and ("\n" in given or not given.strip().endswith((".yaml", ".yml"))):
        return given
    path = Path(given)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"Cannot read the recipe {str(path)!r}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {str(path)!r} is not UTF-8 text.") from error


def parse(written: str) -> Recipe:
    """The recipe a YAML text describes.

    Raises:
        RecipeError: With the place of the first fault, and its line where it has one.
    """
    tree, root = _load(written)
    if not isinstance(tree, dict):
        raise RecipeError(
            "The recipe is not readable: at its top level it must hold keys such as `merge_method: slerp`."
        )
    try:
        return parse_mapping(tree)
    except RecipeError as error:
        line = line_of(root, *error.at) if root is not None else None
        if line is not None and error.line is None:
            error.point(line)
        raise


def _load(written: str) -> tuple[Any, yaml.Node | None]:
    """What the YAML says, and its nodes, which know their lines."""
    if len(written) > LARGEST:
        raise RecipeError(f"The recipe has {len(written)} characters: at most {LARGEST} are read.")
    try:
        loader = _Loader(written)  # a SafeLoader
        try:
            root = loader.get_single_node()
            return (loader.construct_document(root), root) if root is not None else (None, root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        line = mark.line + 1 if mark else None
        raise RecipeError(f"The recipe is not readable YAML{where}: {what}.", line=line) from error
    except (RecursionError, ValueError) as error:
        raise RecipeError(f"The recipe is not readable YAML: {error}.") from error


def parse_mapping(tree: Mapping[str, Any]) -> Recipe:
    """The recipe a mapping (YAML already read) describes.

    Raises:
        RecipeError: With the place of the first fault.
    """
    keys(tree, TOP, "", HINTS)
    if "merge_method" not in tree:
        raise RecipeError("The recipe has no merge_method: add one, for example `merge_method: slerp`.")
    with located("merge_method"):
        method = registry.get(text(tree["merge_method"], "merge_method"))
    listed = [key for key in ("models", "slices", "modules") if key in tree]
    if len(listed) != 1:
        raise RecipeError(
            "The recipe must have exactly one of `models` and `slices` (or `modules`).",
            at=listed[1] if listed else (),
        )
    base = model_name(tree["base_model"], "base_model") if tree.get("base_model") is not None else None
    given = dict(mapping(tree.get("parameters") or {}, "parameters"))
    seed = given.pop("seed", None)
    if seed is not None and "seed" in tree and seed != tree["seed"]:
        raise RecipeError("seed is given twice: keep the one under parameters.", at="seed")
    mode, tokens, padding = tokenizer(tree)
    return Recipe(
        method=method.name,
        slices=_modules(tree["modules"], base, method) if "modules" in tree else _pieces(tree, "", base, method),
        base_model=base,
        parameters=parameters(given, "parameters", method),
        dtype=_dtype(tree, "dtype"),
        out_dtype=_dtype(tree, "out_dtype"),
        tokenizer=mode,
        seed=seed if seed is not None else tree.get("seed", 0),
        tokens=tokens,
        pad_to_multiple_of=padding,
        chat_template=_chat_template(tree.get("chat_template")),
    )


def _dtype(tree: Mapping[str, Any], key: str) -> str | None:
    return None if tree.get(key) is None else text(tree[key], key).removeprefix("torch.")


def _chat_template(given: Any) -> str | None:
    if given is not None and (not isinstance(given, str) or not given.strip()):
        raise RecipeError("chat_template must be a name or a Jinja template, as text.", at="chat_template")
    return given if given is None or "{" in given else given.strip()


def _modules(given: Any, base: str | None, method: registry.Method) -> tuple[Slice, ...]:
    """The slices of every module, the module's parameters joined to each slice's own."""
    found: list[Slice] = []
    for name, one in mapping(given, "modules").items():
        place = f"modules.{name}"
        keys(mapping(one, place), ("models", "slices", "parameters"), place)
        if ("models" in one) == ("slices" in one):
            raise RecipeError(f"{place} must have exactly one of `models` and `slices`.", at=place)
        settings = dict(parameters(one.get("parameters"), f"{place}.parameters", method))
        for piece in _pieces(one, f"{place}.", base, method):
            own = dict(piece.parameters)
            joined = {key: join(own.get(key), settings.get(key)) for key in sorted({*own, *settings})}
            found.append(Slice(piece.sources, tuple(joined.items()), text(name, "modules")))
    if not found:
        raise RecipeError("modules lists no module: give each its `models` or `slices`.", at="modules")
    return tuple(found)


def _pieces(tree: Mapping[str, Any], place: str, base: str | None, method: registry.Method) -> tuple[Slice, ...]:
    if "models" in tree:
        return (_models(tree["models"], f"{place}models", base, method),)
    listed = items(tree["slices"], f"{place}slices")
    return tuple(_slice(one, f"{place}slices[{i}]", method) for i, one in enumerate(listed))


def _models(given: Any, place: str, base: str | None, method: registry.Method) -> Slice:
    sources = []
    for index, one in enumerate(items(given, place)):
        spot = f"{place}[{index}]"
        keys(mapping(one, spot), ("model", "parameters"), spot)
        sources.append(_source(one, spot, method, None))
    if base and method.inputs not in ("one", "models") and all(source.model != base for source in sources):
        sources.insert(0, Source(base))
    return Slice(tuple(sources))


def _slice(given: Any, place: str, method: registry.Method) -> Slice:
    keys(mapping(given, place), ("sources", "parameters"), place)
    if "sources" not in given:
        raise RecipeError(f"{place} has no sources.", at=place)
    sources = []
    for index, one in enumerate(items(given["sources"], f"{place}.sources")):
        spot = f"{place}.sources[{index}]"
        keys(mapping(one, spot), ("model", "layer_range", "parameters"), spot)
        ends = one.get("layer_range")
        if (
            not isinstance(ends, list)
            or len(ends) != 2
            or any(isinstance(e, bool) or not isinstance(e, int) for e in ends)
        ):
            raise RecipeError(
                f"{spot}.layer_range is {ends!r}: it must be [first, one after the last].", at=f"{spot}.layer_range"
            )
        sources.append(_source(one, spot, method, (ends[0], ends[1])))
    return Slice(tuple(sources), parameters(given.get("parameters"), f"{place}.parameters", method))


def _source(one: Mapping[str, Any], place: str, method: registry.Method, layers: tuple[int, int] | None) -> Source:
    if "model" not in one:
        raise RecipeError(f"{place} has no model.", at=place)
    name = model_name(one["model"], f"{place}.model")
    return Source(name, parameters(one.get("parameters"), f"{place}.parameters", method), layers)
