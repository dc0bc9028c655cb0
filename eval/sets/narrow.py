"""Parts and samples of a set: by language, by category, and a seeded sample that keeps translations together."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from eval.errors import ProbeError
from eval.probes import ProbeSet
from eval.sets.request import Request
from eval.types import Item
from merging.errors import did_you_mean

BETWEEN = "; "
"""Stands between the categories of an item that has several."""


def assembled(header: Mapping[str, Any], items: Sequence[Item]) -> ProbeSet:
    """Header and items as a probe; the hash goes by languages and items, whatever file they came from."""
    said = [list(header["languages"]), *(asdict(item) for item in items)]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return ProbeSet(dict(header), tuple(items), digest, {item.id: item for item in items})


def narrowed(probe: ProbeSet, request: Request) -> ProbeSet:
    """The part of a set that a request asks for; the set itself where it asks for all.

    Raises:
        ProbeError: The set lacks a language or a category, or the part is empty.
    """
    if not request.narrows:
        return probe
    languages = request.languages or probe.languages
    for language in languages:
        if language not in probe.languages:
            raise ProbeError(f"{probe.id} has no language {language!r}; it has {', '.join(probe.languages)}.")
    items = [item for item in probe.items if item.language in languages]
    if request.categories:
        items = _of_categories(items, request.categories, probe.id)
    if request.sample is not None:
        items = sampled(items, request.sample, request.seed)
    if not items:
        raise ProbeError(f"Nothing of {probe.id} is left in {', '.join(languages)}.")
    kept = {key: value for key, value in probe.header.items() if key != "kinds"}  # its counts are those of the whole
    name = str(replace(request, name=probe.id.partition("?")[0]))
    return assembled({**kept, "id": name, "languages": list(languages)}, items)


def sampled(items: Sequence[Item], size: int, seed: int) -> list[Item]:
    """At most `size` items of each kind in each language, clusters whole, in the order of the set.

    Every cluster has a place in a line that follows from the seed and its name alone, so that the samples of two
    languages hold the same clusters, and a smaller sample is nearly always part of a larger one.
    """
    clusters: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        clusters[item.cluster].append(item)
    have: Counter[tuple[str, str]] = Counter()
    taken: set[str] = set()
    for name in sorted(clusters, key=lambda name: hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()):
        more = Counter((item.kind, item.language) for item in clusters[name])
        if all(have[key] + count <= size for key, count in more.items()):
            have += more
            taken.add(name)
    return [item for item in items if item.cluster in taken]


def categories(items: Sequence[Item]) -> list[str]:
    """The categories that items have, sorted."""
    return sorted({name for item in items for name in item.category.split(BETWEEN) if name})


def _of_categories(items: Sequence[Item], wanted: Sequence[str], name: str) -> list[Item]:
    known = {one.casefold(): one for one in categories(items)}
    for category in wanted:
        if category.casefold() not in known:
            hint = did_you_mean(category, known.values())
            listed = "; ".join(known.values()) or "none"
            raise ProbeError(f"{name} has no category {category!r}.{hint} It has: {listed}.")
    chosen = {category.casefold() for category in wanted}
    return [item for item in items if chosen & {one.casefold() for one in item.category.split(BETWEEN)}]
