"""A folder of safetensors on disk: names, shapes and dtypes from the headers, tensors one at a time, no pickles.

Nothing outside the folder is read: shard names are plain file names, and links that lead out of the folder are
refused (but for the hub's own cache, whose snapshots are made of links to its `blobs`).
"""

import hashlib
import json
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.errors import CheckpointError, brief

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LARGEST_HEADER = 100 * 2**20  # as the safetensors library
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
# Those that hold the vocabulary, the most telling first: a folder without any of them has no tokenizer.
VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_digests: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True)
class Header:
    """What a safetensors header says of one tensor; `dtype` is the format's own word (F32, BF16, …)."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def inside(folder: Path, name: str) -> Path:
    """The file called `name` in `folder`.

    Raises:
        CheckpointError: The name is a path, or the file is a link that leads out of the folder.
    """
    _check_plain(str(folder), name)
    path, root = folder / name, folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        root = folder.parent.parent.resolve()
    if not path.resolve().is_relative_to(root):
        raise CheckpointError(f"{name!r} in {str(folder)!r} is a link out of that folder: copy the file into it.")
    return path


def _check_plain(where: str, name: str) -> None:
    if not name or name != Path(name).name or name in (".", "..") or "\\" in name:
        raise CheckpointError(f"{where!r} names the file {name!r}: only files of that very folder are read.")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object from a file of the folder.

    Raises:
        CheckpointError: The file is missing or holds something else.
    """
    path = inside(folder, name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{str(folder)!r} has no readable {name}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} in {str(folder)!r} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{name} in {str(folder)!r} is not a JSON object.")
    return found


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model, first to last.

    Raises:
        CheckpointError: There are none, or a shard is missing; pickles are refused with what to do.
    """
    listed = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    return tuple(inside(folder, name) for name in choose_weights(str(folder), listed, lambda: read_json(folder, INDEX)))


def choose_weights(where: str, listed: Collection[str], read_index: Callable[[], Mapping[str, Any]]) -> tuple[str, ...]:
    """Which of the files of a model, here or on the hub, hold its weights; first to last.

    Args:
        where: The model's name for messages.
        listed: Names of all its files.
        read_index: Gives the object in the index of shards; called only where one is listed.

    Raises:
        CheckpointError: As `weight_files`.
    """
    if INDEX in listed:
        names = read_index().get("weight_map")
        if not isinstance(names, Mapping) or not names or not all(isinstance(n, str) for n in names.values()):
            raise CheckpointError(f"{INDEX} in {where!r} has no weight_map.")
        chosen = tuple(sorted(set(names.values())))
        for name in chosen:
            _check_plain(where, name)
        if missing := [name for name in chosen if name not in listed]:
            raise CheckpointError(f"{where!r} lacks {', '.join(missing)}, which its index names: copy it again.")
        return chosen
    if SINGLE in listed:
        return (SINGLE,)
    found = [name for name in listed if fnmatch(name, "*.safetensors") and not name.startswith("adapter")]
    if len(found) == 1:
        return (found[0],)
    if packed := [name for name in listed if fnmatch(name, "*.gguf")]:
        raise CheckpointError(f"{where!r} holds GGUF files: name one of them, as in {where}:{packed[0]}.")
    if any(fnmatch(name, pattern) for name in listed for pattern in PICKLES):
        raise CheckpointError(
            f"{where!r} holds its weights as a pickle, which can run code and is never read. "
            f"Convert it where you trust it: AutoModelForCausalLM.from_pretrained({where!r})"
            ".save_pretrained(new_folder), and name the new folder."
        )
    raise CheckpointError(f"{where!r} holds no {SINGLE} and no {INDEX}: it is not a model in safetensors format.")


def read_headers(file: Path) -> dict[str, Header]:
    """Names, dtypes and shapes of the tensors in a safetensors file; no weight is read.

    Raises:
        CheckpointError: The file is truncated or damaged.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else None
            if length is None or length > LARGEST_HEADER or 8 + length > size:
                raise CheckpointError(f"{str(file)!r} is truncated or no safetensors file: copy or download it again.")
            tree = json.loads(stream.read(length))
        entries = {name: entry for name, entry in tree.items() if name != "__metadata__"}
        found = {n: Header(file, str(e["dtype"]), tuple(int(d) for d in e["shape"])) for n, e in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except OSError as error:
        raise CheckpointError(f"Cannot read {str(file)!r}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"The header of {str(file)!r} is damaged: copy or download the file again.") from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"{str(file)!r} is truncated: its header promises {8 + length + end} bytes, it has {size}. "
            "Copy or download it again."
        )
    return found


def read_tensor(header: Header, name: str) -> "Tensor":
    """One tensor, mapped from its file.

    Raises:
        CheckpointError: The file cannot be read any more.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(header.file), framework="pt") as opened:
            return opened.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"Cannot read {name} from {str(header.file)!r}: {brief(error)}.") from error


def stamp(files: Mapping[str, Path] | tuple[Path, ...]) -> tuple[tuple[str, int, int], ...]:
    """(path, size, time of change) of each file: differs once a file was written again.

    Raises:
        CheckpointError: A file is gone.
    """
    try:
        paths = files.values() if isinstance(files, Mapping) else files
        return tuple((str(p), s.st_size, s.st_mtime_ns) for p in paths for s in (p.stat(),))
    except OSError as error:
        raise CheckpointError(f"A file of the checkpoint is gone: {error.filename!r}.") from error


def digest(file: Path) -> str:
    """sha256 of a file, 64 hex digits; remembered while path, size and time of change stay the same."""
    key = stamp((file,))[0]
    if key not in _digests:
        with file.open("rb") as stream:
            _digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _digests[key]


def tokenizer_files(folder: Path) -> dict[str, Path]:
    """The tokenizer's files in a folder, by name; empty where it has none."""
    found = {name: inside(folder, name) for name in TOKENIZER_FILES if (folder / name).is_file()}
    return found if set(VOCABULARY_FILES) & set(found) else {}


def tokenizer_hash(folder: Path) -> str | None:
    """sha256 of the tokenizer's vocabulary file; None where there is no tokenizer."""
    files = tokenizer_files(folder)
    return next((digest(files[name]) for name in VOCABULARY_FILES if name in files), None)


def card_licence(folder: Path) -> str | None:
    """The licence that the front matter of the folder's README.md states, as `stated_licence`."""
    if not (folder / "README.md").is_file():
        return None
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    try:
        return stated_licence(metadata_load(inside(folder, "README.md")))
    except (OSError, ValueError, YAMLError):
        return None  # a card is prose: one that does not parse says nothing


def stated_licence(card: Any) -> str | None:
    """The licence in a model card's front matter: its id on the hub in lower case, or the name beside `other`."""
    if not isinstance(card, Mapping):
        return None
    found, named = card.get("license"), card.get("license_name")
    found = found[0] if isinstance(found, list) and found else found
    if not isinstance(found, str):
        return None
    return (str(named) if found == "other" and named else found).lower()
