"""mergekit YAML to `Recipe`; unknown keys are refused by name, none is ignored. Needs no torch.

One key is ours: `seed` (top level, or under `parameters`, where mergekit does not mind it), the seed of random methods;
recipes without it have seed 0. The noise of a model follows from the seed, its name in the recipe
and the tensor's name.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from merging import registry
from merging.errors import RecipeError, did_you_mean
from merging.recipe import Recipe, Slice, Source
from merging.schedule import Entry, Scalar, Setting

LARGEST = 256 * 1024  # characters of YAML; the longest recipes met in the wild have a few thousand
MOST = 1024  # items of any list
TOP = (
    "merge_method",
    "models",
    "slices",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "seed",
)
LATER = {
    "modules": "merging the modules of multi-modal models",
    "chat_template": "setting a chat template",
}
TOKENIZER_LATER = {"tokens": "rules for single tokens", "pad_to_multiple_of": "padding of the vocabulary"}


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML would silently resolve to the last one."""


def _unique(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, str) and key in seen and key != "<<":
            line = key_node.start_mark.line + 1
            raise RecipeError(f"The key {key!r} is written twice (line {line}): keep one.")
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


def parse(text: str) -> Recipe:
    """The recipe a YAML text describes.

    Raises:
        RecipeError: With the place of the first fault.
    """
    if len(text) > LARGEST:
        raise RecipeError(f"The recipe has {len(text)} characters: at most {LARGEST} are read.")
    try:
        tree = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        raise RecipeError(f"The recipe is not readable YAML{where}: {what}.") from error
    except (RecursionError, ValueError) as error:
        raise RecipeError(f"The recipe is not readable YAML: {error}.") from error
    if not isinstance(tree, dict):
        raise RecipeError(
            "The recipe is not readable: at its top level it must hold keys such as `merge_method: slerp`."
        )
    return parse_mapping(tree)


def parse_mapping(tree: Mapping[str, Any]) -> Recipe:
    """The recipe a mapping (YAML already read) describes.

    Raises:
        RecipeError: With the place of the first fault.
    """
    _keys(tree, TOP, "the recipe", LATER)
    if "merge_method" not in tree:
        raise RecipeError("The recipe has no merge_method: add one, for example `merge_method: slerp`.")
    method = registry.get(_text(tree["merge_method"], "merge_method"))
    if ("models" in tree) == ("slices" in tree):
        raise RecipeError("The recipe must have exactly one of `models` and `slices`.")
    base = _text(tree["base_model"], "base_model") if tree.get("base_model") is not None else None
    parameters = dict(_mapping(tree.get("parameters") or {}, "parameters"))
    seed = parameters.pop("seed", None)
    if seed is not None and "seed" in tree and seed != tree["seed"]:
        raise RecipeError("seed is given twice: keep the one under parameters.")
    settings = _parameters(parameters, "parameters", method)
    if "models" in tree:
        slices = (_models(tree["models"], base, method),)
    else:
        slices = tuple(_slice(one, f"slices[{i}]", method) for i, one in enumerate(_list(tree["slices"], "slices")))
    return Recipe(
        method=method.name,
        slices=slices,
        base_model=base,
        parameters=settings,
        dtype=_text(tree["dtype"], "dtype") if tree.get("dtype") is not None else None,
        out_dtype=_text(tree["out_dtype"], "out_dtype") if tree.get("out_dtype") is not None else None,
        tokenizer=_tokenizer(tree),
        seed=seed if seed is not None else tree.get("seed", 0),
    )


def _models(given: Any, base: str | None, method: registry.Method) -> Slice:
    sources = []
    for index, one in enumerate(_list(given, "models")):
        place = f"models[{index}]"
        _keys(_mapping(one, place), ("model", "parameters"), place)
        sources.append(_source(one, place, method, None))
    if base and method.inputs != "models" and all(source.model != base for source in sources):
        sources.insert(0, Source(base))
    return Slice(tuple(sources))


def _slice(given: Any, place: str, method: registry.Method) -> Slice:
    _keys(_mapping(given, place), ("sources", "parameters"), place)
    if "sources" not in given:
        raise RecipeError(f"{place} has no sources.")
    sources = []
    for index, one in enumerate(_list(given["sources"], f"{place}.sources")):
        spot = f"{place}.sources[{index}]"
        _keys(_mapping(one, spot), ("model", "layer_range", "parameters"), spot)
        ends = one.get("layer_range")
        if (
            not isinstance(ends, list)
            or len(ends) != 2
            or any(isinstance(e, bool) or not isinstance(e, int) for e in ends)
        ):
            raise RecipeError(f"{spot}.layer_range is {ends!r}: it must be [first, one after the last].")
        sources.append(_source(one, spot, method, (ends[0], ends[1])))
    return Slice(tuple(sources), _parameters(given.get("parameters") or {}, f"{place}.parameters", method))


def _source(one: Mapping[str, Any], place: str, method: registry.Method, layers: tuple[int, int] | None) -> Source:
    if "model" not in one:
        raise RecipeError(f"{place} has no model.")
    name = _text(one["model"], f"{place}.model")
    return Source(name, _parameters(one.get("parameters") or {}, f"{place}.parameters", method), layers)


def _parameters(given: Any, place: str, method: registry.Method) -> tuple[tuple[str, Setting], ...]:
    found = {}
    for name, value in _mapping(given, place).items():
        if name not in method.knobs and name not in registry.MERGEKIT_PARAMETERS:
            hint = did_you_mean(name, [*method.knobs, *registry.MERGEKIT_PARAMETERS])
            raise RecipeError(f"Unknown key {name!r} in {place}.{hint} {method.name} knows: {', '.join(method.knobs)}.")
        if value is None:
            raise RecipeError(f"{place}.{name} has no value.")
        knob = method.knobs.get(name)
        found[name] = _setting(value, f"{place}.{name}", knob.kind if knob else None)
    return tuple(sorted(found.items()))


def _setting(given: Any, place: str, kind: str | None) -> Setting:
    if isinstance(given, dict):
        return (_entry(given, place, kind),)
    if isinstance(given, list) and any(isinstance(item, dict) for item in given):
        return tuple(_entry(item, f"{place}[{i}]", kind) for i, item in enumerate(_list(given, place)))
    return (Entry(_anchors(given, place, kind)),)


def _entry(given: Any, place: str, kind: str | None) -> Entry:
    _keys(_mapping(given, place), ("filter", "value"), place)
    if given.get("value") is None:
        raise RecipeError(f"{place} has no value.")
    name = given.get("filter")
    name = None if name is None or name == "*" else _text(name, f"{place}.filter")
    return Entry(_anchors(given["value"], f"{place}.value", kind), name)


def _anchors(given: Any, place: str, kind: str | None) -> tuple[Scalar, ...]:
    items = _list(given, place) if isinstance(given, list) else [given]
    values = tuple(_scalar(item, place, kind) for item in items)
    return values[:1] if len(set(map(repr, values))) == 1 else values


def _scalar(given: Any, place: str, kind: str | None) -> Scalar:
    if kind == "switch" and not isinstance(given, str) and given in (0, 1):
        return bool(given)
    if isinstance(given, bool):
        return given
    try:
        number = float(given) if isinstance(given, int | float | str) else None
    except (ValueError, OverflowError):
        number = None
    if number is None:
        raise RecipeError(
            f"{place} is {given!r}: it must be a number{', or true or false' if kind != 'number' else ''}."
        )
    if not math.isfinite(number):
        raise RecipeError(f"{place} is {given!r}: it must be a finite number.")
    return number + 0.0  # -0 means 0


def _tokenizer(tree: Mapping[str, Any]) -> str | None:
    source = tree.get("tokenizer_source")
    if tree.get("tokenizer") is not None:
        if source is not None:
            raise RecipeError("The recipe has both tokenizer_source and tokenizer: keep one.")
        given = _mapping(tree["tokenizer"], "tokenizer")
        _keys(given, ("source",), "tokenizer", TOKENIZER_LATER)
        source = given.get("source")
    return None if source is None else _text(source, "tokenizer_source")


def _keys(given: Mapping[str, Any], known: tuple[str, ...], place: str, later: Mapping[str, str] | None = None) -> None:
    for key in given:
        if later and key in later:
            raise RecipeError(
                f"{key!r} in {place} is a mergekit key this version cannot do yet ({later[key]}): take it out."
            )
        if key not in known:
            raise RecipeError(
                f"Unknown key {key!r} in {place}.{did_you_mean(str(key), known)} Known: {', '.join(known)}."
            )


def _mapping(given: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or any(not isinstance(key, str) for key in given):
        raise RecipeError(f"{place} is {_brief(given)}: it must hold `key: value` pairs.")
    return given


def _list(given: Any, place: str) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise RecipeError(f"{place} is {_brief(given)}: it must be a list with at least one item.")
    if len(given) > MOST:
        raise RecipeError(f"{place} has {len(given)} items: at most {MOST} are read.")
    return given


def _text(given: Any, place: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise RecipeError(f"{place} is {_brief(given)}: it must be text.")
    if "\0" in given or "\n" in given:
        raise RecipeError(f"{place} holds a line break or a NUL character: it must be plain text.")
    return given.strip()


def _brief(given: Any) -> str:
    shown = repr(given)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
