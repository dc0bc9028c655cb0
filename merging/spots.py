"""Which tensors a merge makes, and which layer of which slice each comes from. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from merging import layout, modules
from merging.checkpoint import Checkpoint
from merging.errors import RecipeError
from merging.recipe import Recipe, Slice, Source


@dataclass(frozen=True)
class Spot:
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


def spots(recipe: Recipe, opened: Mapping[str, Checkpoint]) -> list[Spot]:
    """Every tensor of the merged model, module by module.

    Raises:
        RecipeError: The recipe's modules are not those of its checkpoints, or it asks for layers that are not there.
    """
    belongs = modules.split(sorted({name for checkpoint in opened.values() for name in checkpoint.headers}))
    there = tuple(dict.fromkeys(belongs.values()))
    listed = tuple(dict.fromkeys(piece.module for piece in recipe.slices if piece.module))
    if listed:
        modules.check_listed(listed, there, next(iter(opened)))
    elif len(there) > 1 and not recipe.is_whole:
        raise RecipeError(
            f"{next(iter(opened))!r} has the modules {', '.join(sorted(there))}: put `slices` under each of them in "
            "`modules`.",
            at="slices",
        )
    found = []
    for module in listed or there:
        pieces = [piece for piece in recipe.slices if piece.module in (None, module)]
        inside = frozenset(name for name, part in belongs.items() if len(there) == 1 or part == module)
        found += _of_module(recipe, pieces, opened, inside)
    return found


def _of_module(
    recipe: Recipe, pieces: Sequence[Slice], opened: Mapping[str, Checkpoint], inside: frozenset[str]
) -> list[Spot]:
    """Embeddings come from the first slice, what follows the layers (norm, head) from the last."""
    found, first = [], 0
    counts = {name: layout.layer_count(inside & set(one.headers), towers=True) for name, one in opened.items()}
    for index, piece in enumerate(pieces):
        checkpoints = [opened[s.model] for s in piece.sources if s.model in opened]
        names = sorted({name for checkpoint in checkpoints for name in checkpoint.headers} & inside)
        lead = next(s for s in piece.sources if s.model in opened)
        count = lead.layer_range[1] - lead.layer_range[0] if lead.layer_range else counts[lead.model]
        _check_range(piece, counts)
        start = lead.layer_range[0] if lead.layer_range else 0
        for name in names:
            inner = layout.place(name, towers=True)
            if inner is None:
                if index == (0 if layout.is_before_layers(name) else len(pieces) - 1):
                    found.append(Spot(name, piece, None))
            elif name in opened[lead.model].headers or recipe.covers(piece):
                offset = inner.number - start
                if 0 <= offset < count:
                    found.append(Spot(inner.at(first + offset), piece, inner, offset, count))
        first += count
    return found


def _check_range(piece: Slice, counts: Mapping[str, int]) -> None:
    for source in piece.sources:
        if source.layer_range and source.model in counts and source.layer_range[1] > counts[source.model]:
            raise RecipeError(
                f"layer_range {list(source.layer_range)} asks {source.model!r} for more layers "
                f"than its {counts[source.model]}."
            )


def skip_head(spot: Spot, opened: Mapping[str, Checkpoint]) -> bool:
    """Whether a stored head is left out, because every model says that it is tied to the embedding."""
    sources = [opened[s.model] for s in spot.piece.sources if s.model in opened]
    return layout.is_head(spot.name) and all(checkpoint.is_tied for checkpoint in sources)
