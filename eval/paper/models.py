"""Which of the plan's models are here, where, and of what content. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from eval.paper.entries import Entry
from eval.paper.plan import Plan
from merging import Recipe, zoo
from merging.checkpoint import open_checkpoint
from merging.errors import MergeError


@dataclass(frozen=True)
class Models:
    """Looks the plan's names up; names that are neither `zoo:` nor of the folder of variants are taken to be there."""

    plan: Plan
    _known: dict[str, str] = field(default_factory=dict)

    def missing(self, entry: Entry) -> str | None:
        """Why a row cannot be made here and what to do about it; None where it can."""
        return next((why for name in entry.recipe.models_used() if (why := self._missing(name))), None)

    def contents(self, entry: Entry) -> tuple[str, ...] | None:
        """Sorted sha256 of its checkpoints; None where one is missing or not prepared yet."""
        found = [self._content(name) for name in entry.recipe.models_used()]
        return None if None in found else tuple(sorted(one for one in found if one is not None))

    def here(self, recipe: Recipe) -> Recipe:
        """The recipe with variants named by the folders where they lie."""
        places = {name: str(self._place(name)) for name in recipe.models_used() if self._is_variant(name)}
        if not places:
            return recipe
        return Recipe.from_yaml(yaml.safe_dump(_renamed(yaml.safe_load(recipe.to_yaml()), places), sort_keys=False))

    def _missing(self, name: str) -> str | None:
        if name.startswith(zoo.PREFIX) and name not in zoo.NAMES:
            return f"{name} is missing: make it with `python -m training {name.removeprefix(zoo.PREFIX)}`."
        if self._is_variant(name) and not self._place(name).is_dir():
            return f"{name} is missing: make it with `python -m training {Path(name).name}`."
        return None

    def _is_variant(self, name: str) -> bool:
        return self.plan.repeats is not None and name.startswith(f"{self.plan.repeats.folder}/")

    def _place(self, name: str) -> Path:
        return Path(name) if Path(name).is_dir() else zoo.home() / name

    def _content(self, name: str) -> str | None:
        if name not in self._known and not self._missing(name):
            found = _content(str(self._place(name)) if self._is_variant(name) else name)
            if found is None:  # it may be prepared later in this run
                return None
            self._known[name] = found
        return self._known.get(name)


def _content(name: str) -> str | None:
    if not name.startswith(zoo.PREFIX) and not Path(name.split("+")[0]).expanduser().exists():
        return None  # on the hub: nothing is downloaded to look
    try:
        return open_checkpoint(name).content_hash()
    except MergeError:  # not prepared yet
        return None


def _renamed(node: Any, places: Mapping[str, str]) -> Any:
    """A recipe's tree with some names replaced."""
    if isinstance(node, Mapping):
        return {key: _renamed(value, places) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, places) for value in node]
    return places.get(node, node) if isinstance(node, str) else node
