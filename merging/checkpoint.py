"""Checkpoints by name: `zoo:` names, local folders, hub ids, LoRA adapters on any of these; headers first."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from merging import folder as folders
from merging import hub, layout
from merging.adapter import CONFIG, WEIGHTS, Adapter, LowRank, is_adapter, open_adapter
from merging.errors import CheckpointError, CompatibilityError
from merging.folder import DTYPES, Header

DEEPEST = 8  # adapters on adapters


class StoredKey(NamedTuple):
    """One tensor in one version of one file; equal keys are the very same bytes."""

    file: str
    version: tuple[str, int, int]
    name: str


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk, its weights unread.

    Attributes:
        name: As the recipe writes it.
        folder: The folder of the full model.
        adapters: LoRA adapters on top of it, in order.
        config: Its config.json.
        headers: Shape and dtype of every stored tensor.
    """

    name: str
    folder: Path
    adapters: tuple[Adapter, ...]
    config: Mapping[str, Any]
    headers: Mapping[str, Header]
    version: tuple[tuple[str, int, int], ...]

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

    @cached_property
    def _versions(self) -> dict[str, tuple[str, int, int]]:
        return {entry[0]: entry for entry in self.version}

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.headers[name].shape

    def dtype(self, name: str) -> str:
        """Dtype of a stored tensor: float32, bfloat16, float16 or float64."""
        return DTYPES[self.headers[name].dtype]

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

    def tokenizer_hash(self) -> str | None:
        """sha256 of the tokenizer's vocabulary file; None where there is no tokenizer."""
        files = self.tokenizer_files()
        for name in ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"):
            if name in files:
                return folders.digest(files[name])
        return None

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
    """Open a checkpoint by name; config and headers are read, no weights.

    Args:
        name: `zoo:<name>`, a folder, `org/repo[@revision]`, an adapter folder (its config names the base), or
            `model+adapter`.

    Raises:
        CheckpointError: It cannot be found or read; the message says what to do.
    """
    where, adapters = _locate(name, 0)
    config = folders.read_json(where, "config.json")
    if config.get("quantization_config"):
        raise CheckpointError(f"{name!r} is quantised: merge its full-precision original instead.")
    headers: dict[str, Header] = {}
    files = folders.weight_files(where)
    for file in files:
        headers |= {tensor: h for tensor, h in folders.read_headers(file).items() if not layout.is_buffer(tensor)}
    _check_headers(name, where, headers)
    for adapter in adapters:
        _check_adapter(adapter, headers)
    watched = (*files, where / "config.json", *(a.folder / f for a in adapters for f in (WEIGHTS, CONFIG)))
    return Checkpoint(name, where, adapters, config, headers, folders.stamp(watched))


def _locate(name: str, depth: int) -> tuple[Path, tuple[Adapter, ...]]:
    """The folder of the full model and the adapters on it."""
    if depth > DEEPEST:
        raise CheckpointError(
            f"The adapter {name!r} stands on more than {DEEPEST} others: one may name itself as its base."
        )
    if name.startswith("zoo:") and "+" not in name:
        from merging import zoo

        entry = zoo.resolve(name)
        if entry.kind == "folder":
            return Path(entry.path), ()
        where, below = _locate(entry.base or "zoo:base", depth + 1)
        return where, (*below, open_adapter(Path(entry.path)))
    path = Path(name).expanduser()
    if not path.is_dir() and "+" in name:
        base, _, top = name.rpartition("+")
        where, below = _locate(base, depth + 1)
        return where, (*below, open_adapter(_adapter_folder(top)))
    folder = path if path.is_dir() else _fetch(name, path)
    if not is_adapter(folder) or (folder / "config.json").is_file():
        return folder, ()
    adapter = open_adapter(folder)
    if adapter.base is None:
        raise CheckpointError(f"The adapter {name!r} does not say which model it belongs to: write it as model+{name}.")
    where, below = _locate(adapter.base, depth + 1)
    return where, (*below, adapter)


def _adapter_folder(name: str) -> Path:
    if name.startswith("zoo:"):
        from merging import zoo

        return Path(zoo.resolve(name).path)
    path = Path(name).expanduser()
    folder = path if path.is_dir() else _fetch(name, path)
    if not is_adapter(folder):
        raise CheckpointError(f"{name!r} is no LoRA adapter: it holds no {CONFIG}.")
    return folder


def _fetch(name: str, path: Path) -> Path:
    if path.exists():
        raise CheckpointError(
            f"{name!r} is a file: name the folder of the model, with config.json and safetensors in it."
        )
    if not hub.is_hub_id(name):
        raise CheckpointError(f"There is no folder {name!r}: check the path (it is relative to the working directory).")
    return hub.fetch(name)


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
        if tensor not in headers:
            raise CheckpointError(
                f"The adapter {str(adapter.folder)!r} changes {tensor}, which its model does not have."
            )
        if tuple(shape) != headers[tensor].shape:
            raise CheckpointError(
                f"The adapter {str(adapter.folder)!r} changes {tensor} by a matrix of shape {tuple(shape)}, "
                f"but its model has {headers[tensor].shape} there: it belongs to another model."
            )


@dataclass(frozen=True)
class Report:
    """What config and headers tell about merging some checkpoints.

    Attributes:
        problems: Why they cannot be merged layer for layer, one sentence each; empty where they can.
        warnings: What may surprise, one sentence each.
        vocabularies_differ: Whether rows of embedding or head do not line up, which tokenizer_source can mend.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    vocabularies_differ: bool = False


def compatibility(checkpoints: Sequence[Checkpoint], *, slices: bool = False, aligned: bool = False) -> Report:
    """Compare every checkpoint with the first.

    Args:
        checkpoints: Any number.
        slices: Layers are picked one by one, so their number may differ.
        aligned: Vocabularies are aligned token by token, so they may differ.
    """
    first, problems, warnings, differ = checkpoints[0], [], [], False
    for other in checkpoints[1:]:
        pair = f"{first.name!r} and {other.name!r}"
        kinds = [c.config.get("model_type") for c in (first, other)]
        if kinds[0] != kinds[1]:
            problems.append(f"{pair} are of different architecture ({kinds[0]} and {kinds[1]}): they cannot be merged.")
            continue
        if first.layers != other.layers and not slices:
            problems.append(
                f"{pair} have {first.layers} and {other.layers} layers: merge slices of equal length instead."
            )
            continue
        found = _shape_problems(first, other, aligned=aligned)
        differ = differ or any(is_vocabulary for is_vocabulary, _ in found)
        problems += [text for _, text in found[:1]]
        hashes = first.tokenizer_hash(), other.tokenizer_hash()
        if not found and not aligned and None not in hashes and hashes[0] != hashes[1]:
            warnings.append(
                f"{pair} have different tokenizer files: check that the same token has the same number in both."
            )
    return Report(tuple(problems), tuple(warnings), differ)


def _shape_problems(first: Checkpoint, other: Checkpoint, *, aligned: bool) -> list[tuple[bool, str]]:
    found = []
    for name in sorted(set(first.headers) & set(other.headers)):
        one, two = first.shape(name), other.shape(name)
        if layout.is_vocabulary(name) and one[:1] != two[:1] and one[1:] == two[1:]:
            text = (
                f"{first.name!r} and {other.name!r} have vocabularies of {one[0]} and {two[0]} tokens ({name}): "
                "set tokenizer_source: union (or base, or one of the models) to align them."
            )
            if not aligned:
                found.append((True, text))
        elif one != two:
            text = (
                f"{name} has shape {one} in {first.name!r} and {two} in {other.name!r}: "
                "only models of one size can be merged."
            )
            found.insert(0, (False, text))
    return found


def check_compatible(checkpoints: Sequence[Checkpoint], *, slices: bool = False, aligned: bool = False) -> Report:
    """The report of checkpoints that can be merged.

    Raises:
        CompatibilityError: They cannot; the message is the first reason.
    """
    report = compatibility(checkpoints, slices=slices, aligned=aligned)
    if report.problems:
        raise CompatibilityError(report.problems[0])
    return report
