"""Checkpoints by hub id, through huggingface_hub: config, tokenizer and safetensors are fetched, never a pickle.

`preview` tells what a repository holds (config, headers, tokenizer's hash, licence) before `fetch` downloads a weight.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from merging.errors import CheckpointError, brief
from merging.folder import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    INDEX,
    VOCABULARY_FILES,
    Header,
    choose_weights,
    digest,
    read_json,
    stated_licence,
)

_ID = re.compile(r"^(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?$")
_GGUF = re.compile(r"^(?P<model>[^:]+):(?P<file>[\w][\w.-]*\.gguf)$")
PATTERNS = [
    "*.json", "*.safetensors", "tokenizer.model", "spiece.model", "merges.txt", "vocab.txt", "*.jinja", "README.md",
]  # fmt: skip
NOT_PATTERNS = ["*/*"]  # other formats live in subfolders ("original/", "onnx/")
_SMALL = ["config.json", ADAPTER_CONFIG, INDEX]
_CONNECTIONS = 8  # headers of so many shards are asked for at once


@dataclass(frozen=True)
class Preview:
    """What a repository holds, its weights still on the hub.

    Attributes:
        folder: Where its small files lie, and its weights will.
        weights: Headers of the model's tensors; empty where it holds an adapter only.
        adapter: Headers of the adapter's tensors; None where it holds none.
        tokenizer: sha256 of the tokenizer's vocabulary file; None where there is no tokenizer.
        licence: What its card says, as the hub writes it; None where it does not say.
    """

    folder: Path
    weights: Mapping[str, Header]
    adapter: Mapping[str, Header] | None
    tokenizer: str | None
    licence: str | None


def is_hub_id(name: str) -> bool:
    """Whether a name reads as `org/repo` or `org/repo@revision`."""
    return bool(_ID.match(name)) and not name.endswith((".yaml", ".yml", ".safetensors"))


def names_gguf(name: str) -> bool:
    """Whether a name reads as `org/repo:FILE.gguf` or `org/repo@revision:FILE.gguf`."""
    found = _GGUF.match(name)
    return bool(found) and is_hub_id(found["model"])


def fetch_gguf(name: str) -> Path:
    """A GGUF file of a repository, downloaded unless the hub's cache has it.

    Raises:
        CheckpointError: It cannot be had; the message says what to do.
    """
    from huggingface_hub import errors, hf_hub_download

    found = _GGUF.match(name)
    if not found:
        raise CheckpointError(f"{name!r} names no GGUF file: write org/repo:FILE.gguf.")
    repo, revision = _parts(found["model"])
    with _plainly(found["model"]):
        try:
            return Path(hf_hub_download(repo, found["file"], revision=revision))
        except errors.RemoteEntryNotFoundError as error:
            raise CheckpointError(f"{repo!r} has no file {found['file']} on the hub.") from error


def fetch(name: str) -> Path:
    """The folder of a hub checkpoint, downloaded unless the hub's cache has it (HF_HUB_OFFLINE: the cache only).

    Raises:
        CheckpointError: It cannot be had; the message says what to do.
    """
    from huggingface_hub import snapshot_download

    repo, revision = _parts(name)
    with _plainly(name):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=PATTERNS, ignore_patterns=NOT_PATTERNS))


def preview(name: str) -> Preview | None:
    """What a repository holds, by its listing, its small files and the first bytes of its safetensors files.

    Returns:
        None where `fetch` has nothing to download: the hub's cache has it all, or the hub cannot be reached.

    Raises:
        CheckpointError: There is no such repository, it is closed, or it holds nothing that can be read.
    """
    import httpx
    from huggingface_hub import HfApi, errors, snapshot_download, try_to_load_from_cache

    repo, revision = _parts(name)
    with _plainly(name):
        try:
            info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
            raise
        except (errors.OfflineModeIsEnabled, errors.HfHubHTTPError, httpx.HTTPError):
            return None  # `fetch` looks into the cache, and says what to do where that is empty
        files = {entry.rfilename: entry for entry in info.siblings or () if "/" not in entry.rfilename}
        if not any(file.endswith(".safetensors") for file in files):
            choose_weights(name, files, dict)  # says why nothing can be read
        wanted = [file for file in files if any(fnmatch(file, pattern) for pattern in PATTERNS)]
        if all(isinstance(try_to_load_from_cache(repo, file, revision=info.sha), str) for file in wanted):
            return None
        folder = Path(snapshot_download(repo, revision=info.sha, allow_patterns=_SMALL, ignore_patterns=NOT_PATTERNS))
        is_adapter = ADAPTER_CONFIG in files and ADAPTER_WEIGHTS in files
        is_model = "config.json" in files or not is_adapter
        shards = choose_weights(name, files, lambda: read_json(folder, INDEX)) if is_model else ()
        return Preview(
            folder,
            _headers(repo, info.sha, folder, shards),
            _headers(repo, info.sha, folder, (ADAPTER_WEIGHTS,)) if is_adapter else None,
            _tokenizer(repo, info.sha, files),
            stated_licence(info.card_data.to_dict() if info.card_data else None),
        )


def _parts(name: str) -> tuple[str, str | None]:
    found = _ID.match(name)
    if not found:
        raise CheckpointError(f"{name!r} is no hub id: write org/repo or org/repo@revision.")
    return found["repo"], found["revision"]


def _headers(repo: str, commit: str | None, folder: Path, files: Sequence[str]) -> dict[str, Header]:
    """Headers of some safetensors files by range requests, of which the library makes the first 100 kB long."""
    from huggingface_hub import parse_safetensors_file_metadata

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        trees = list(pool.map(lambda file: parse_safetensors_file_metadata(repo, file, revision=commit), files))
    return {
        tensor: Header(folder / file, entry.dtype, tuple(entry.shape))
        for file, tree in zip(files, trees, strict=True)
        for tensor, entry in tree.tensors.items()
    }


def _tokenizer(repo: str, commit: str | None, files: Mapping[str, Any]) -> str | None:
    """sha256 of the vocabulary file: the hub's own for a large file, else by fetching the file, which is small."""
    from huggingface_hub import hf_hub_download

    name = next((file for file in VOCABULARY_FILES if file in files), None)
    if name is None:
        return None
    large = files[name].lfs
    return large.sha256 if large else digest(Path(hf_hub_download(repo, name, revision=commit)))


@contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Turn the library's errors into sentences.

    Raises:
        CheckpointError: In place of any of them.
    """
    import httpx
    from huggingface_hub import errors

    repo, revision = _parts(name)
    try:
        yield
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{repo!r} asks for its terms to be accepted: do so on its page, then log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo!r} has no revision {revision!r} on the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no folder {name!r} here and no such model on the hub (a private one needs `hf auth login`)."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"There is no folder {name!r} here, and the hub cannot be reached, nor is the model in its cache: "
            "name a local folder, or connect (and unset HF_HUB_OFFLINE)."
        ) from error
    except (errors.SafetensorsParsingError, errors.NotASafetensorsRepoError) as error:
        raise CheckpointError(f"The header of a safetensors file of {name!r} on the hub is damaged.") from error
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx.HTTPError, OSError) as error:
        raise CheckpointError(f"Cannot fetch {name!r} from the hub: {brief(error)}.") from error
