"""`manifest.json` of a written folder: the sha256 of every file, what was merged, and whether it is still so."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.disk import Record
from merging.errors import CheckpointError
from merging.folder import inside, read_json
from merging.writer import write_json

if TYPE_CHECKING:
    from merging.parents import Parent
    from merging.plan import Plan

MANIFEST = "manifest.json"
TOOL = {"name": "merge-frontier", "version": "0.1.0"}


def record(path: Path) -> Record:
    """Size and sha256 of a file."""
    with path.open("rb") as stream:
        return Record(path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def write_manifest(folder: Path, planned: "Plan", parents: "Sequence[Parent]", known: Mapping[str, Record]) -> None:
    """Write the manifest of a folder that is otherwise complete.

    Args:
        folder: Where to.
        planned: What was merged.
        parents: Its parents.
        known: Files whose size and sha256 are known already.
    """
    files = sorted(path.name for path in folder.iterdir() if _counts(path))
    tree: dict[str, Any] = {
        "format": 1,
        "tool": TOOL,
        "recipe": planned.recipe.digest(),
        "method": planned.recipe.method,
        "dtype": planned.dtype,
        "parents": [asdict(parent) for parent in parents],
        "files": {name: (known.get(name) or record(folder / name))._asdict() for name in files},
    }
    write_json(folder / MANIFEST, tree)


def verify(folder: Path) -> list[str]:
    """Compare a folder with its manifest.

    Returns:
        One sentence for each file that is missing, changed or not in the manifest; empty where all is as written.

    Raises:
        CheckpointError: There is no manifest that can be read.
    """
    files = read_json(folder, MANIFEST).get("files")
    if not isinstance(files, dict) or not files:
        raise CheckpointError(f"{MANIFEST} in {str(folder)!r} lists no files: merge again to have one.")
    problems = [problem for name, entry in files.items() if (problem := _problem(folder, name, entry))]
    others = sorted(path.name for path in folder.iterdir() if _counts(path) and path.name not in files)
    return problems + [f"{name} is not in the manifest." for name in others]


def _counts(path: Path) -> bool:
    """Whether a file belongs into the manifest: what tools leave beside a model (.cache, .git) does not."""
    return path.name != MANIFEST and not path.name.startswith(".")


def _problem(folder: Path, name: str, entry: Any) -> str | None:
    path = inside(folder, name)
    if not isinstance(entry, dict) or {"bytes", "sha256"} - set(entry):
        return f"{name} has no size and sha256 in the manifest."
    try:
        found = path.stat().st_size
        if found != entry["bytes"]:
            return f"{name} has {found} bytes, not {entry['bytes']}."
        return None if record(path).sha256 == entry["sha256"] else f"{name} has another content: its sha256 differs."
    except FileNotFoundError:
        return f"{name} is missing."
    except OSError as error:
        return f"{name} cannot be read: {error.strerror or error}."
