"""The small pieces a recipe's YAML is made of: mappings, lists, texts, names of models; each refused with its place."""

from collections.abc import Mapping
from typing import Any

from merging.errors import RecipeError, did_you_mean

MOST = 1024  # items of any list
_DEEPEST = 4  # `model:` inside `model:`


def keys(given: Mapping[str, Any], known: tuple[str, ...], place: str, hints: Mapping[str, str] | None = None) -> None:
    """Refuse what is not known by name.

    Args:
        given: The mapping.
        known: Keys it may have.
        place: Where it stands, "" for the top level.
        hints: What to do instead, for keys that are not known here but meant something.

    Raises:
        RecipeError: A key is not known.
    """
    for key in given:
        if key not in known:
            advice = (hints or {}).get(key) or f"{did_you_mean(key, known)} Known: {', '.join(known)}."
            raise RecipeError(
                f"Unknown key {key!r} in {place or 'the recipe'}.{'' if advice[0] == ' ' else ' '}{advice}",
                at=f"{place}.{key}" if place else key,
            )


def mapping(given: Any, place: str) -> Mapping[str, Any]:
    """`given`, which must hold `key: value` pairs."""
    if not isinstance(given, Mapping) or any(not isinstance(key, str) for key in given):
        raise RecipeError(f"{place} is {brief(given)}: it must hold `key: value` pairs.", at=place)
    return given


def items(given: Any, place: str) -> list[Any]:
    """`given`, which must be a list with something in it."""
    if not isinstance(given, list) or not given:
        raise RecipeError(f"{place} is {brief(given)}: it must be a list with at least one item.", at=place)
    if len(given) > MOST:
        raise RecipeError(f"{place} has {len(given)} items: at most {MOST} are read.", at=place)
    return given


def text(given: Any, place: str) -> str:
    """`given`, which must be text of one line, without blanks around it."""
    if not isinstance(given, str) or not given.strip():
        raise RecipeError(f"{place} is {brief(given)}: it must be text.", at=place)
    if "\0" in given or "\n" in given:
        raise RecipeError(f"{place} holds a line break or a NUL character: it must be plain text.", at=place)
    return given.strip()


def model_name(given: Any, place: str, depth: int = 0) -> str:
    """The name of a checkpoint, from text or from mergekit's mapping, as text: `path`, `path@revision`, `model+lora`.

    The mapping is `{model: ..., lora: ...}`, each of them a name or `{path: ..., revision: ...}`.

    Raises:
        RecipeError: It is neither.
    """
    if not isinstance(given, Mapping):
        return text(given, place)
    if depth > _DEEPEST:
        raise RecipeError(f"{place} nests one model in another too often: write `model: name`.", at=place)
    mapping(given, place)
    if "path" in given:
        keys(given, ("path", "revision"), place)
        path = text(given["path"], f"{place}.path")
        revision = given.get("revision")
        return path if revision is None else f"{path}@{text(revision, f'{place}.revision')}"
    keys(given, ("model", "lora"), place, _MODEL_HINTS)
    if "model" not in given:
        raise RecipeError(f"{place} has no model: write `model: name` or `path: name`.", at=place)
    name = model_name(given["model"], f"{place}.model", depth + 1)
    lora = given.get("lora")
    return name if lora is None else f"{name}+{model_name(lora, f'{place}.lora', depth + 1)}"


_MODEL_HINTS = {"override_architecture": "The architecture is what the checkpoint's config.json says: take it out."}


def brief(given: Any) -> str:
    """A value as an error shows it."""
    try:
        shown = repr(given)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, a list that holds itself
        shown = f"a {type(given).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
