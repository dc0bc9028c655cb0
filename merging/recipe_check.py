"""Whether a recipe can be computed at all, before any checkpoint is opened. Needs no torch."""

import math
from typing import TYPE_CHECKING

from merging import chat_template, registry
from merging.errors import RecipeError, did_you_mean
from merging.schedule import Setting
from merging.tokens import MOST_PADDING

if TYPE_CHECKING:
    from merging.recipe import Recipe, Slice

DTYPES = ("float32", "bfloat16", "float16")
WANTED = {
    "one": "exactly one model",
    "two": "exactly two models, base_model one of them",
    "two+base": "exactly two models besides base_model",
    "two+base?": "exactly two models besides base_model",
    "base+several": "two or more models besides base_model",
}
_TOKENIZER = ("tokenizer.source", "tokenizer_source")


def check(recipe: "Recipe") -> None:
    """Raise RecipeError with the place of the first fault."""
    method = registry.get(recipe.method)
    if method.needs_base and not recipe.base_model:
        role = "the model at t = 0" if method.inputs == "two" else "the common ancestor of the models"
        raise RecipeError(
            f"{recipe.method} needs base_model ({role}): name it at the top level of the recipe.", at="merge_method"
        )
    for key in ("dtype", "out_dtype"):
        given = getattr(recipe, key)
        if given is not None and given not in DTYPES:
            hint = " Leave the key out to keep the donor's dtype." if given == "auto" else did_you_mean(given, DTYPES)
            raise RecipeError(f"{key} is {given!r}.{hint} Known: {', '.join(DTYPES)}.", at=key)
    if isinstance(recipe.seed, bool) or not isinstance(recipe.seed, int) or not 0 <= recipe.seed < 2**63:
        raise RecipeError(
            f"seed is {recipe.seed!r}: it must be a whole number from 0 to 2**63 - 1.", at=("parameters.seed", "seed")
        )
    if not recipe.slices:
        raise RecipeError("The recipe lists no models: give `models` or `slices`.")
    if recipe.tokenizer == "base" and not recipe.base_model:
        raise RecipeError(
            "tokenizer_source: base needs a base_model: name one, or use union or the name of a model.", at=_TOKENIZER
        )
    _vocabulary(recipe)
    chat_template.check(recipe.chat_template)
    _settings(recipe.parameters, "parameters", recipe)
    for index, piece in enumerate(recipe.slices):
        _slice(recipe, piece, index)


def _slice(recipe: "Recipe", piece: "Slice", index: int) -> None:
    place, above = _places(recipe, piece, index)
    method = registry.get(recipe.method)
    base, models = recipe.roles(piece)
    if base is None and method.needs_base:
        raise RecipeError(
            f"{place} does not list the base_model {recipe.base_model!r}: add it, with as many layers as the others.",
            at=place,
        )
    least, most = method.counts
    if len(models) < least or (most is not None and len(models) > most):
        wanted = WANTED.get(method.inputs, f"{least} or more models")
        apart = " besides the base" if method.base_apart else ""
        raise RecipeError(f"{recipe.method} merges {wanted}: {place} gives {len(models)}{apart}.", at=place)
    _ranges(piece, place, whole=recipe.covers(piece))
    _settings(piece.parameters, f"{above}.parameters", recipe)
    for number, source in enumerate(piece.sources):
        _settings(source.parameters, f"{place}[{number}].parameters", recipe)
    for name, knob in method.knobs.items():
        if knob.absent is not None:
            continue
        for source in models if knob.per_model else (None,):
            if not recipe.setting(name, piece, source):
                of = f" of {source.model!r} in {place}" if source else ""
                at = (f"{place}[={source.model}]",) if source else ("parameters", "merge_method")
                raise RecipeError(f"Missing parameter {name!r}{of}: {recipe.method} needs it.", at=at)
    _weights(recipe, piece, place)


def _places(recipe: "Recipe", piece: "Slice", index: int) -> tuple[str, str]:
    """Where the recipe lists a slice's sources, and where it has the slice's own parameters."""
    module = f"modules.{piece.module}" if piece.module else ""
    if recipe.covers(piece):
        return f"{module}.models".removeprefix("."), module or "slices[0]"
    before = sum(other.module == piece.module for other in recipe.slices[:index])
    above = f"{module}.slices[{before}]".removeprefix(".")
    return f"{above}.sources", above


def _vocabulary(recipe: "Recipe") -> None:
    if (recipe.tokens or recipe.pad_to_multiple_of) and recipe.tokenizer is None:
        raise RecipeError(
            "tokens and pad_to_multiple_of need a tokenizer to align to: add `source: union`.", at="tokenizer"
        )
    given = recipe.pad_to_multiple_of
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_PADDING):
        raise RecipeError(
            f"tokenizer.pad_to_multiple_of is {given!r}: it must be a whole number from 1 to {MOST_PADDING}.",
            at="tokenizer.pad_to_multiple_of",
        )


def _ranges(piece: "Slice", place: str, *, whole: bool) -> None:
    sizes = set()
    for number, source in enumerate(piece.sources):
        if source.layer_range is None:
            if not whole:
                at = f"{place}[{number}]"
                raise RecipeError(f"{at} has no layer_range: give [first, one after the last].", at=at)
            continue
        first, end = source.layer_range
        if not 0 <= first < end:
            raise RecipeError(
                f"{place}[{number}].layer_range is [{first}, {end}]: it must be [first, one after the last], "
                "first >= 0.",
                at=f"{place}[{number}].layer_range",
            )
        sizes.add(end - first)
    if len(sizes) > 1:
        raise RecipeError(
            f"{place} take {sorted(sizes)} layers: every source of a slice needs the same number.", at=place
        )


def _settings(parameters: tuple[tuple[str, Setting], ...], place: str, recipe: "Recipe") -> None:
    knobs = registry.get(recipe.method).knobs
    for name, setting in parameters:
        if name not in knobs and name not in registry.MERGEKIT_PARAMETERS:
            hint = did_you_mean(name, [*knobs, *registry.MERGEKIT_PARAMETERS, "seed"])
            raise RecipeError(f"Unknown key {name!r} in {place}.{hint} {recipe.method} knows: {', '.join(knobs)}.")
        kind = knobs[name].kind if name in knobs else None
        for value in (value for entry in setting for value in entry.value):
            if kind == "switch" and not isinstance(value, bool):
                raise RecipeError(f"{place}.{name} is {value!r}: it must be true or false.")
            if kind == "number" and isinstance(value, bool):
                raise RecipeError(f"{place}.{name} is {value!r}: it must be a number.")
            if not isinstance(value, bool) and not math.isfinite(value):
                raise RecipeError(f"{place}.{name} is {value!r}: it must be a finite number.")


def _weights(recipe: "Recipe", piece: "Slice", place: str) -> None:
    """Refuse constant weights that sum to 0 and are divided by it; gradients are checked tensor by tensor later."""
    if recipe.method != "linear":
        return
    settings = [recipe.setting("weight", piece, source) for source in recipe.roles(piece)[1]]
    normalize = recipe.setting("normalize", piece, None)
    plain = all(len(s) == 1 and len(s[0].value) == 1 and s[0].filter is None for s in [*settings, normalize])
    if plain and normalize[0].value[0] and abs(math.fsum(s[0].value[0] for s in settings)) < 1e-12:
        raise RecipeError(
            f"The weights in {place} sum to 0, and normalize divides by their sum: "
            "change one, or set normalize: false.",
            at=place,
        )
