"""From a recipe and checkpoints to one job per tensor, checked, before any weight is read."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from merging import chat_template, layout, registry
from merging.checkpoint import Checkpoint, Outline
from merging.compatibility import Report, check_compatible
from merging.errors import CompatibilityError, RecipeError
from merging.merged_config import merged_config, merged_dtype
from merging.recipe import Recipe, Slice, Source
from merging.schedule import Setting, position, value
from merging.sources import Aligned, Group, Operand
from merging.spots import Spot, skip_head, spots
from merging.vocabulary import Vocabulary, merged_vocabulary, words

if TYPE_CHECKING:
    from merging.pool import Pool


@dataclass(frozen=True)
class Job:
    """One tensor of the merged model.

    Attributes:
        name: Its name.
        shape: Its shape.
        base: The base's tensor, None where the method has none.
        models: The other models' tensors, in listed order.
        values: Every knob's value here; a tuple, one per model, for knobs that are per model.
        seed: Seed of the noise.
    """

    name: str
    shape: tuple[int, ...]
    base: Operand | Aligned | None
    models: tuple[Operand | Aligned, ...]
    values: Mapping[str, Any]
    seed: int

    @cached_property
    def group(self) -> Group:
        """All models beside the base."""
        return Group(self.name, self.base, self.models, self.seed)

    def signature(self, method: registry.Method) -> Hashable:
        """Equal signatures give equal tensors."""
        names = tuple(model.model for model in self.models) if method.random else ()
        seed = self.seed if method.random else 0
        return (method.name, self.group.key, names, seed, tuple(sorted(self.values.items())))


@dataclass(frozen=True)
class Plan:
    """All of a merge but the arithmetic.

    Attributes:
        recipe: What was planned.
        jobs: One per tensor, sorted by name.
        dtype: Dtype of the merged model: float32, bfloat16 or float16.
        config: Its config.json.
        donor: The checkpoint that config and tokenizer come from.
        vocabulary: The merged vocabulary; None where the donor's tokenizer is taken as it is.
        warnings: What may surprise, one sentence each.
        chat_template: Jinja to be set; None where the tokenizer keeps what it has.
    """

    recipe: Recipe
    jobs: tuple[Job, ...]
    dtype: str
    config: dict[str, Any]
    donor: Checkpoint
    vocabulary: Vocabulary | None
    warnings: tuple[str, ...]
    chat_template: str | None = None

    @property
    def method(self) -> registry.Method:
        """The recipe's method."""
        return registry.get(self.recipe.method)


def plan(recipe: Recipe, pool: "Pool") -> Plan:
    """Work out and check every tensor of a merge.

    Raises:
        CheckpointError: A checkpoint cannot be read, or they cannot be merged with each other.
        RecipeError: A parameter has no value for some tensor, or none that can be computed with.
    """
    opened, report = _open(recipe, pool)
    donor = pool.checkpoint(recipe.donor)
    vocabulary = _vocabulary(recipe, pool, donor, list(opened.values()))
    settings = {id(piece): _settings(recipe, piece) for piece in recipe.slices}
    jobs = []
    for spot in spots(recipe, opened):
        if not skip_head(spot, opened):
            values = _values(recipe, spot, settings[id(spot.piece)])
            jobs.append(_job(recipe, spot, opened, pool, vocabulary, values))
    jobs.sort(key=lambda job: job.name)
    config = merged_config(recipe, donor, opened, [job.name for job in jobs], vocabulary)
    template, found = _template(recipe, opened | {donor.name: donor}, donor, vocabulary)
    warnings = (*report.warnings, *found)
    return Plan(recipe, tuple(jobs), merged_dtype(recipe, donor), config, donor, vocabulary, warnings, template)


def _open(recipe: Recipe, pool: "Pool") -> tuple[dict[str, Checkpoint], Report]:
    """The checkpoints whose tensors are merged, compared by their headers before any weight is downloaded."""
    roles = [recipe.roles(piece) for piece in recipe.slices]
    names = list(dict.fromkeys(s.model for base, models in roles for s in (*models, base) if s))

    def report(look: Callable[[str], Outline]) -> Report:
        found = [look(name) for name in (recipe.donor, *names)]
        return check_compatible(found, slices=not recipe.is_whole, aligned=recipe.tokenizer is not None)

    ahead = report(pool.outline)
    if all(isinstance(pool.outline(name), Checkpoint) for name in (recipe.donor, *names)):
        return {name: pool.checkpoint(name) for name in names}, ahead
    opened = {name: pool.checkpoint(name) for name in names}
    return opened, report(pool.checkpoint)  # a branch of the hub may have moved meanwhile


def _vocabulary(recipe: Recipe, pool: "Pool", donor: Checkpoint, models: Sequence[Checkpoint]) -> Vocabulary | None:
    mode = recipe.tokenizer
    if mode is None:
        return None
    owner = donor if mode in ("base", "union") else pool.checkpoint(mode)
    everyone = list({model.name: model for model in [*models, owner]}.values())
    lenders = [pool.checkpoint(rule.model) for rule in recipe.tokens if rule.model]
    padding = recipe.pad_to_multiple_of or 1
    return merged_vocabulary(mode, owner, everyone, rules=recipe.tokens, lenders=lenders, padding=padding)


def _template(
    recipe: Recipe, opened: Mapping[str, Checkpoint], donor: Checkpoint, vocabulary: Vocabulary | None
) -> tuple[str | None, tuple[str, ...]]:
    """The chat template to be set, and what may surprise about it."""
    found = chat_template.resolve(recipe.chat_template, [opened[n] for n in recipe.models_used() if n in opened])
    if found is None:
        return None, ()
    owner = vocabulary.owner if vocabulary else donor
    if not owner.tokenizer_files():
        raise CompatibilityError(f"{owner.name!r} has no tokenizer to set a chat_template in: leave chat_template out.")
    return found, chat_template.warnings(recipe.chat_template, words(owner, vocabulary))


def _job(
    recipe: Recipe,
    spot: Spot,
    opened: Mapping[str, Checkpoint],
    pool: "Pool",
    vocabulary: Vocabulary | None,
    values: Mapping[str, Any],
) -> Job:
    base, models = recipe.roles(spot.piece)
    everyone: list[Any] = [
        _operand(spot, source, opened[source.model], pool) for source in ([base] if base else []) + list(models)
    ]
    shapes = [shape for _, shape in everyone]
    operands: list[Any] = [operand for operand, _ in everyone]
    shape = shapes[0]
    if vocabulary is not None and layout.is_vocabulary(spot.name):
        shape = (vocabulary.size, *shape[1:])
        if not all(vocabulary.is_plain(o.model, s[0]) for o, s in everyone):
            lenders = {name: _operand(spot, Source(name), pool.checkpoint(name), pool) for name in vocabulary.lenders}
            vocabulary.check_rows(spot.name, {name: lent[0] for name, (_, lent) in lenders.items()})
            lent = {name: operand for name, (operand, _) in lenders.items()}
            operands = list(vocabulary.align(operands, recipe.base_model, lent))
    elif len(set(shapes)) > 1:
        raise CompatibilityError(f"{spot.name} has shapes {sorted(set(shapes))} in the models: they cannot be merged.")
    return Job(
        spot.name, shape, operands[0] if base else None, tuple(operands[1 if base else 0 :]), values, recipe.seed
    )


def _operand(spot: Spot, source: Source, checkpoint: Checkpoint, pool: "Pool") -> tuple[Operand, tuple[int, ...]]:
    name = spot.source_name(source)
    if name not in checkpoint.headers and layout.is_head(name):
        name = layout.input_embedding(checkpoint.headers) or name  # tied: the head is the embedding
    if name not in checkpoint.headers:
        raise CompatibilityError(f"{source.model!r} has no tensor {name}, which another model of the merge has.")
    return Operand(source.model, checkpoint.stored(name), checkpoint.low_rank(name), pool), checkpoint.shape(name)


def _settings(recipe: Recipe, piece: Slice) -> dict[str, tuple[Setting, ...]]:
    """What the recipe says of every knob in a slice, one setting per model for knobs that are per model."""
    models = recipe.roles(piece)[1]
    return {
        name: tuple(recipe.setting(name, piece, source) for source in (models if knob.per_model else (None,)))
        for name, knob in registry.get(recipe.method).knobs.items()
    }


def _values(recipe: Recipe, spot: Spot, settings: Mapping[str, tuple[Setting, ...]]) -> Mapping[str, Any]:
    """Every knob's value for one tensor; filters look at the name it has in the merged model."""
    where = position(spot.offset, spot.layers) if spot.inner is not None else 0.0
    method, found = registry.get(recipe.method), {}
    for name, knob in method.knobs.items():
        values = tuple(value(setting, spot.name, where) for setting in settings[name])
        if any(one is None for one in values):
            raise RecipeError(
                f"Missing parameter {name!r} for {spot.name}: no filter matches it; add an entry without filter."
            )
        found[name] = values if knob.per_model else values[0]
    if method.steps.check:
        method.steps.check(found)
    return MappingProxyType(found)
