"""What a checkpoint's name leads to: a folder here, a repository on the hub, and the adapters on top of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from merging import folder as folders
from merging import gguf_folder, hub
from merging.adapter import CONFIG, Adapter, is_adapter, open_adapter
from merging.errors import CheckpointError
from merging.folder import Header
from merging.hub import Preview

DEEPEST = 8  # adapters on adapters
Look = Callable[[str], "Preview | Path"]


@dataclass(frozen=True)
class Site:
    """A folder with a model or an adapter; its weights may still be on the hub.

    Attributes:
        folder: Where its files lie; of a preview, the small ones.
        preview: What the hub tells of it, None where everything is here.
        known_licence: Its licence, where that is known without looking.
        source: The GGUF file the folder was made of, None for any other folder.
    """

    folder: Path
    preview: Preview | None = None
    known_licence: str | None = None
    source: Path | None = None

    def headers(self) -> dict[str, Header]:
        """Shape and dtype of every tensor of the model.

        Raises:
            CheckpointError: The weights are missing, damaged or pickled.
        """
        if self.preview:
            return dict(self.preview.weights)
        found: dict[str, Header] = {}
        for file in folders.weight_files(self.folder):
            found |= folders.read_headers(file)
        return found

    def adapter(self) -> Adapter:
        """The adapter.

        Raises:
            CheckpointError: There is none that can be read.
        """
        return open_adapter(self.folder, self.preview.adapter if self.preview else None)

    @cached_property
    def licence(self) -> str | None:
        """What its card says, as the hub writes it; None where it does not say."""
        if self.known_licence or self.preview:
            return self.known_licence or (self.preview.licence if self.preview else None)
        return folders.card_licence(self.source.parent if self.source else self.folder)

    def caveats(self) -> tuple[str, ...]:
        """What may surprise in its weights, in words that follow its name."""
        return gguf_folder.caveats(self.folder) if self.source else ()

    def tokenizer_hash(self) -> str | None:
        """sha256 of the tokenizer's vocabulary file; None where there is no tokenizer."""
        return self.preview.tokenizer if self.preview else folders.tokenizer_hash(self.folder)


@dataclass(frozen=True)
class Found:
    """Where a name leads.

    Attributes:
        model: The full model.
        adapters: LoRA adapters on top of it, in order, each with where it lies.
    """

    model: Site
    adapters: tuple[tuple[Site, Adapter], ...] = ()

    def carrying(self, site: Site) -> "Found":
        """The same with one more adapter on top."""
        return Found(self.model, (*self.adapters, (site, site.adapter())))


def locate(name: str, *, download: bool) -> Found:
    """Where a name leads.

    Args:
        name: As `merging.checkpoint.open_checkpoint` takes it.
        download: Whether weights on the hub are fetched; else they are previewed, unless the hub's cache has them.

    Raises:
        CheckpointError: It leads nowhere; the message says what to do.
    """
    return _locate(name, hub.fetch if download else lambda hub_id: hub.preview(hub_id) or hub.fetch(hub_id), 0)


def _locate(name: str, look: Look, depth: int) -> Found:
    if depth > DEEPEST:
        raise CheckpointError(
            f"The adapter {name!r} stands on more than {DEEPEST} others: one may name itself as its base."
        )
    if name.startswith("zoo:") and "+" not in name:
        from merging import zoo

        entry = zoo.resolve(name)
        if entry.kind == "folder":
            return Found(_zoo_site(name))
        return _locate(entry.base or "zoo:base", look, depth + 1).carrying(_zoo_site(name))
    if not Path(name).expanduser().is_dir() and "+" in name:
        base, _, top = name.rpartition("+")
        return _locate(base, look, depth + 1).carrying(_adapter_site(top, look))
    site = _site(name, look)
    if not is_adapter(site.folder) or (site.folder / "config.json").is_file():
        return Found(site)
    below = site.adapter().base
    if below is None:
        raise CheckpointError(f"The adapter {name!r} does not say which model it belongs to: write it as model+{name}.")
    return _locate(below, look, depth + 1).carrying(site)


def _adapter_site(name: str, look: Look) -> Site:
    site = _zoo_site(name) if name.startswith("zoo:") else _site(name, look)
    if not is_adapter(site.folder):
        raise CheckpointError(f"{name!r} is no LoRA adapter: it holds no {CONFIG}.")
    return site


def _zoo_site(name: str) -> Site:
    from merging import zoo

    return Site(Path(zoo.resolve(name).path), known_licence=zoo.LICENCE)


def _site(name: str, look: Look) -> Site:
    path = Path(name).expanduser()
    if path.is_dir():
        inner = _only_gguf(path)
        return _gguf_site(inner) if inner else Site(path)
    if path.is_file() and path.suffix == ".gguf":
        return _gguf_site(path)
    if path.exists():
        raise CheckpointError(
            f"{name!r} is a file: name the folder of the model, with config.json and safetensors in it, or a GGUF file."
        )
    if hub.names_gguf(name):
        return _gguf_site(hub.fetch_gguf(name))
    if not hub.is_hub_id(name):
        raise CheckpointError(f"There is no folder {name!r}: check the path (it is relative to the working directory).")
    found = look(name)
    return Site(found.folder, found) if isinstance(found, Preview) else Site(found)


def _gguf_site(file: Path) -> Site:
    return Site(gguf_folder.converted(file), source=file)


def _only_gguf(folder: Path) -> Path | None:
    """The one GGUF file of a folder that holds no safetensors; None where it holds some, or no GGUF file.

    Raises:
        CheckpointError: It holds several.
    """
    names = sorted(path.name for path in folder.iterdir())
    found = [name for name in names if name.endswith(".gguf")]
    if not found or any(name.endswith(".safetensors") for name in names):
        return None
    if len(found) > 1:
        raise CheckpointError(f"{str(folder)!r} holds {', '.join(found)}: name one of the files.")
    return folders.inside(folder, found[0])
