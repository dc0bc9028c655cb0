"""Checkpoints by name: `zoo:` names, local folders, hub ids, LoRA adapters on any of these; headers first."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from merging import folder as folders
from merging import layout
from merging.adapter import CONFIG, WEIGHTS, Adapter, LowRank
from merging.errors import CheckpointError
from merging.folder import DTYPES, Header
from merging.source_names import Found, Site, locate


class StoredKey(NamedTuple):
    """One tensor in one version of one file; equal keys are the very same bytes."""

    file: str
    version: tuple[str, int, int]
    name: str


@dataclass(frozen=True)
class Outline:
    """What config and headers tell of a model; its weights may still be on the hub.

    Attributes:
        name: As the recipe writes it.
        found: Where the name leads: the full model and the adapters on it.
        config: Its config.json.
        headers: Shape and dtype of every stored tensor.
    """

    name: str
    found: Found
    config: Mapping[str, Any]
    headers: Mapping[str, Header]

    @property
    def folder(self) -> Path:
        """The folder of the full model."""
        return self.found.model.folder

    @cached_property
    def adapters(self) -> tuple[Adapter, ...]:
        """LoRA adapters on top of it, in order."""
        return tuple(adapter for _, adapter in self.found.adapters)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its tensors, sorted."""
        return tuple(sorted(self.headers))

    @cached_property
    def layers(self) -> int:
        """Number of layers, by the names of the tensors."""
        return layout.layer_count(self.headers)

    @property
    def is_tied(self) -> bool:
        """Whether the output head shares the input embedding's weights."""
        tied = layout.text_config(self.config).get("tie_word_embeddings", self.config.get("tie_word_embeddings"))
        return bool(tied) if tied is not None else not any(layout.is_head(name) for name in self.headers)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.headers[name].shape

    def dtype(self, name: str) -> str:
        """Dtype of a stored tensor: float32, bfloat16, float16 or float64."""
        return DTYPES[self.headers[name].dtype]

    @property
    def _sites(self) -> tuple[Site, ...]:
        """The topmost adapter first, the full model last."""
        return (*(site for site, _ in reversed(self.found.adapters)), self.found.model)

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of the adapters and of the full model that their cards state, the topmost first."""
        return tuple(dict.fromkeys(site.licence for site in self._sites if site.licence))

    @property
    def licence(self) -> str | None:
        """The topmost licence that is stated, as the hub writes it (apache-2.0, gemma); None where none is."""
        return next(iter(self.licences), None)

    def caveats(self) -> tuple[str, ...]:
        """What may surprise in its weights, one sentence each."""
        return tuple(f"{self.name!r} {words}" for words in self.found.model.caveats())

    def tokenizer_hash(self) -> str | None:
        """sha256 of the tokenizer's vocabulary file, an adapter's own before the model's; None without a tokenizer."""
        return next((found for site in self._sites if (found := site.tokenizer_hash())), None)


@dataclass(frozen=True)
class Checkpoint(Outline):
    """A model on disk, its weights unread.

    Attributes:
        version: Path, size and time of change of every file it is made of.
    """

    version: tuple[tuple[str, int, int], ...]

    @cached_property
    def _versions(self) -> dict[str, tuple[str, int, int]]:
        return {entry[0]: entry for entry in self.version}

    def stored(self, name: str) -> StoredKey:
        """Which stored tensor lies under a name: the model's, or the one an adapter puts in its place."""
        header, inner = self.headers[name], name
        for adapter in self.adapters:
            header, inner = adapter.replaced.get(name, (header, inner))
        return StoredKey(str(header.file), self._versions[str(header.file)], inner)

    def low_rank(self, name: str) -> tuple[LowRank, ...]:
        """The LoRA parts added to a tensor."""
        parts: tuple[LowRank, ...] = ()
        for adapter in self.adapters:
            parts = () if name in adapter.replaced else parts
            parts += (adapter.parts[name],) if name in adapter.parts else ()
        return parts

    def is_current(self) -> bool:
        """Whether no file has changed since it was opened."""
        try:
            return folders.stamp(tuple(Path(path) for path, _, _ in self.version)) == self.version
        except CheckpointError:
            return False

    def tokenizer_files(self) -> dict[str, Path]:
        """The tokenizer's files by name, an adapter's own before the model's; empty where there is no tokenizer."""
        for adapter in reversed(self.adapters):
            if found := folders.tokenizer_files(adapter.folder):
                return found
        return folders.tokenizer_files(self.folder)

    def content_hash(self) -> str:
        """sha256 over weights, config, tokenizer and adapters: equal hashes are equal models, under any name."""
        files = {path.name: path for path in {header.file for header in self.headers.values()}}
        files |= {"config.json": self.folder / "config.json"} | self.tokenizer_files()
        total = hashlib.sha256()
        for name in sorted(files):
            total.update(f"{name}\0{folders.digest(files[name])}\n".encode())
        for adapter in self.adapters:
            total.update(f"adapter\0{adapter.content_hash()}\n".encode())
        return total.hexdigest()


def open_checkpoint(name: str) -> Checkpoint:
    """Open a checkpoint by name; config and headers are read, no weights. What is on the hub is downloaded.

    Args:
        name: `zoo:<name>`, a folder, a GGUF file, `org/repo[@revision]`, `org/repo[@revision]:FILE.gguf`, an adapter
            folder (its config names the base), or `model+adapter`.

    Raises:
        CheckpointError: It cannot be found or read; the message says what to do.
    """
    opened = _open(name, locate(name, download=True))
    if not isinstance(opened, Checkpoint):
        raise TypeError(f"{name!r} was only previewed")
    return opened


def outline(name: str) -> Outline:
    """What config and headers tell of a checkpoint; of one on the hub, nothing but these is downloaded.

    Args:
        name: As for `open_checkpoint`.

    Returns:
        A whole `Checkpoint` where all of it is on this machine.

    Raises:
        CheckpointError: As `open_checkpoint`.
    """
    return _open(name, locate(name, download=False))


def _open(name: str, found: Found) -> Outline:
    where = found.model.folder
    config = folders.read_json(where, "config.json")
    if config.get("quantization_config"):
        raise CheckpointError(f"{name!r} is quantised: merge its full-precision original instead.")
    stored = found.model.headers()
    headers = {tensor: header for tensor, header in stored.items() if not layout.is_buffer(tensor)}
    _check_headers(name, where, headers)
    for _, adapter in found.adapters:
        _check_adapter(adapter, headers)
    if any(site.preview for site in (found.model, *(site for site, _ in found.adapters))):
        return Outline(name, found, config, headers)
    files = dict.fromkeys(header.file for header in stored.values())
    adapters = [adapter.folder / file for _, adapter in found.adapters for file in (WEIGHTS, CONFIG)]
    adapters += [found.model.source] if found.model.source else []
    return Checkpoint(name, found, config, headers, folders.stamp((*files, where / "config.json", *adapters)))


def _check_headers(name: str, where: Path, headers: Mapping[str, Header]) -> None:
    if not headers:
        raise CheckpointError(f"{str(where)!r} holds no tensors.")
    for tensor, header in headers.items():
        if header.dtype not in DTYPES:
            raise CheckpointError(
                f"{name!r} stores {tensor} as {header.dtype}: only {', '.join(DTYPES)} can be merged."
            )


def _check_adapter(adapter: Adapter, headers: Mapping[str, Header]) -> None:
    shapes = {n: part.shape for n, part in adapter.parts.items()}
    shapes |= {n: header.shape for n, (header, _) in adapter.replaced.items()}
    for tensor, shape in shapes.items():
        if tensor not in headers and layout.is_head(tensor):
            raise CheckpointError(
                f"The adapter {str(adapter.folder)!r} changes {tensor}, which its model shares with the embedding: "
                "untie the head (tie_word_embeddings: false), merge it with PEFT (merge_and_unload, save_pretrained) "
                "and name the result."
            )
        if tensor not in headers:
            raise CheckpointError(
                f"The adapter {str(adapter.folder)!r} changes {tensor}, which its model does not have."
            )
        if tuple(shape) != headers[tensor].shape:
            raise CheckpointError(
                f"The adapter {str(adapter.folder)!r} changes {tensor} by a matrix of shape {tuple(shape)}, "
                f"but its model has {headers[tensor].shape} there: it belongs to another model."
            )
