"""What is known of the models a merge is made of: revision, licences, languages, and the hash of their content."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from merging.errors import CheckpointError
from merging.folder import inside

if TYPE_CHECKING:
    from merging.checkpoint import Checkpoint
    from merging.recipe import Recipe


@dataclass(frozen=True)
class Parent:
    """One checkpoint that a merge reads.

    Attributes:
        name: As the recipe writes it.
        role: "base", "model" or "tokenizer".
        repositories: On the hub, `org/repo@commit` of each: the model's first, then those of its adapters.
        licences: As its cards state them, the topmost adapter's first; empty where none is stated.
        languages: Tags of its cards.
        content: sha256 over weights, config, tokenizer and adapters; equal hashes are equal models.
    """

    name: str
    role: str
    repositories: tuple[str, ...]
    licences: tuple[str, ...]
    languages: tuple[str, ...]
    content: str


class Hashing(threading.Thread):
    """Content hashes in a thread of their own: hashing leaves the interpreter free to merge meanwhile.

    A daemon, so that a merge that fails or is stopped does not wait for gigabytes to be hashed.
    """

    def __init__(self, checkpoints: "Sequence[Checkpoint]") -> None:
        super().__init__(name="content hashes", daemon=True)
        self._checkpoints = checkpoints
        self._found: dict[str, str] = {}
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Hash them one after the other."""
        try:
            for checkpoint in self._checkpoints:
                self._found[checkpoint.name] = checkpoint.content_hash()
        except (OSError, CheckpointError) as error:
            self._error = error

    def result(self) -> dict[str, str]:
        """The hashes by name, once all are there.

        Raises:
            CheckpointError: A file is gone.
        """
        self.join()
        if self._error:
            raise CheckpointError(f"A parent cannot be read any more: {self._error}") from self._error
        return self._found


def describe(recipe: "Recipe", checkpoints: "Sequence[Checkpoint]", hashes: dict[str, str]) -> tuple[Parent, ...]:
    """The parents of a merge, in the recipe's order."""
    merged = {source.model for piece in recipe.slices for source in piece.sources}
    return tuple(
        Parent(
            name=one.name,
            role="base" if one.name == recipe.base_model else "model" if one.name in merged else "tokenizer",
            repositories=tuple(dict.fromkeys(repo for folder in _folders(one) if (repo := repository(folder)))),
            licences=one.licences,
            languages=tuple(dict.fromkeys(tag for folder in _folders(one) for tag in languages(folder))),
            content=hashes[one.name],
        )
        for one in checkpoints
    )


def _folders(checkpoint: "Checkpoint") -> list[Path]:
    return [checkpoint.folder, *(adapter.folder for adapter in checkpoint.adapters)]


def repository(folder: Path) -> str | None:
    """`org/repo@commit` of a folder in the hub's cache, models--ORG--REPO/snapshots/COMMIT; None for another folder."""
    place = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not place.startswith("models--"):
        return None
    return f"{place.removeprefix('models--').replace('--', '/')}@{folder.name}"


def languages(folder: Path) -> tuple[str, ...]:
    """The language tags in the front matter of a folder's README.md; empty where it states none."""
    if not (folder / "README.md").is_file():
        return ()
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    try:
        card = metadata_load(inside(folder, "README.md"))
    except (OSError, ValueError, YAMLError):
        return ()  # a card is prose: one that does not parse says nothing
    found = card.get("language") if isinstance(card, dict) else None
    tags = found if isinstance(found, list) else [found]
    return tuple(tag for tag in tags if isinstance(tag, str))
