"""From a recipe and checkpoints to one job per tensor, checked, before any weight is read."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from merging import layout, registry
from merging.checkpoint import Checkpoint, Outline
from merging.compatibility import Report, check_compatible
from merging.errors import CompatibilityError, RecipeError
from merging.recipe import Recipe, Slice, Source
from merging.schedule import Setting, position, value
from merging.sources import Aligned, Group, Operand
from merging.vocabulary import Vocabulary, merged_vocabulary

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
    """

    recipe: Recipe
    jobs: tuple[Job, ...]
    dtype: str
    config: dict[str, Any]
    donor: Checkpoint
    vocabulary: Vocabulary | None
    warnings: tuple[str, ...]

    @property
    def method(self) -> registry.Method:
        """The recipe's method."""
        return registry.get(self.recipe.method)


@dataclass(frozen=True)
class _Spot:
    """Where a tensor of the merged model comes from: which slice, which layer of it (None outside the layers)."""

    name: str
    piece: Slice
    inner: layout.Place | None
    offset: int = 0
    layers: int = 1

    def source_name(self, source: Source) -> str:
        """The tensor's name in a source."""
        if self.inner is None:
            return self.name
        return self.inner.at((source.layer_range[0] if source.layer_range else 0) + self.offset)


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
    for spot in _spots(recipe, opened):
        if not _skip_head(spot, opened):
            values = _values(recipe, spot, settings[id(spot.piece)])
            jobs.append(_job(recipe, spot, opened, pool, vocabulary, values))
    jobs.sort(key=lambda job: job.name)
    config = _config(recipe, donor, opened, jobs, vocabulary)
    return Plan(recipe, tuple(jobs), _dtype(recipe, donor), config, donor, vocabulary, report.warnings)


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
    return merged_vocabulary(mode, owner, everyone)


def _spots(recipe: Recipe, opened: Mapping[str, Checkpoint]) -> list[_Spot]:
    """Every tensor of the merged model: embeddings from the first slice, norm and head from the last."""
    spots, first = [], 0
    for index, piece in enumerate(recipe.slices):
        checkpoints = [opened[s.model] for s in piece.sources if s.model in opened]
        names = sorted({name for checkpoint in checkpoints for name in checkpoint.headers})
        lead = next(s for s in piece.sources if s.model in opened)
        count = lead.layer_range[1] - lead.layer_range[0] if lead.layer_range else opened[lead.model].layers
        _check_range(piece, opened)
        start = lead.layer_range[0] if lead.layer_range else 0
        for name in names:
            inner = layout.place(name)
            if inner is None:
                if index == (0 if layout.is_before_layers(name) else len(recipe.slices) - 1):
                    spots.append(_Spot(name, piece, None))
            elif name in opened[lead.model].headers or recipe.is_whole:
                offset = inner.number - start
                if 0 <= offset < count:
                    spots.append(_Spot(inner.at(first + offset), piece, inner, offset, count))
        first += count
    return spots


def _check_range(piece: Slice, opened: Mapping[str, Checkpoint]) -> None:
    for source in piece.sources:
        if source.layer_range and source.model in opened and source.layer_range[1] > opened[source.model].layers:
            raise RecipeError(
                f"layer_range {list(source.layer_range)} asks {source.model!r} for more layers "
                f"than its {opened[source.model].layers}."
            )


def _skip_head(spot: _Spot, opened: Mapping[str, Checkpoint]) -> bool:
    """A stored head is left out where every model says that it is tied to the embedding."""
    sources = [opened[s.model] for s in spot.piece.sources if s.model in opened]
    return layout.is_head(spot.name) and all(checkpoint.is_tied for checkpoint in sources)


def _job(
    recipe: Recipe,
    spot: _Spot,
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
        if not all(vocabulary.is_plain(o, o.model, s[0]) for o, s in everyone):
            operands = list(vocabulary.align(operands, recipe.base_model))
    elif len(set(shapes)) > 1:
        raise CompatibilityError(f"{spot.name} has shapes {sorted(set(shapes))} in the models: they cannot be merged.")
    return Job(
        spot.name, shape, operands[0] if base else None, tuple(operands[1 if base else 0 :]), values, recipe.seed
    )


def _operand(spot: _Spot, source: Source, checkpoint: Checkpoint, pool: "Pool") -> tuple[Operand, tuple[int, ...]]:
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


def _values(recipe: Recipe, spot: _Spot, settings: Mapping[str, tuple[Setting, ...]]) -> Mapping[str, Any]:
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


def _dtype(recipe: Recipe, donor: Checkpoint) -> str:
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


def _config(
    recipe: Recipe,
    donor: Checkpoint,
    opened: Mapping[str, Checkpoint],
    jobs: Sequence[Job],
    vocabulary: Vocabulary | None,
) -> dict[str, Any]:
    """The donor's config with the merged model's layers, vocabulary and dtype."""
    config = {key: part for key, part in donor.config.items() if key not in ("_name_or_path", "torch_dtype", "dtype")}
    inner = dict(layout.text_config(config))
    if not recipe.is_whole:
        inner |= _layer_lists(recipe, donor, opened)
    if vocabulary is not None:
        inner["vocab_size"] = vocabulary.size
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if key in vocabulary.owner.config:
                inner[key] = vocabulary.owner.config[key]
    if any(layout.is_head(job.name) for job in jobs):
        inner["tie_word_embeddings"] = False
        config |= {"tie_word_embeddings": False}
    config = {**config, "text_config": inner} if "text_config" in config else inner
    return {**config, "dtype": _dtype(recipe, donor)}


def _layer_lists(recipe: Recipe, donor: Checkpoint, opened: Mapping[str, Checkpoint]) -> dict[str, Any]:
    """The number of layers, and every list with one entry per layer (such as layer_types), picked as the layers are."""
    picked: list[tuple[Mapping[str, Any], int]] = []
    for piece in recipe.slices:
        base, models = recipe.roles(piece)
        lead = base or models[0]
        if lead.layer_range:
            picked += [(layout.text_config(opened[lead.model].config), layer) for layer in range(*lead.layer_range)]
    inner = layout.text_config(donor.config)
    changed: dict[str, Any] = {key: len(picked) for key in layout.COUNT_KEYS if key in inner}
    for key, entry in inner.items():
        if isinstance(entry, list) and len(entry) == donor.layers and key != "architectures":
            changed[key] = [config[key][layer] if key in config else entry[0] for config, layer in picked]
    return changed
