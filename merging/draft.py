"""A folder that is complete or not there, and resumable: written beside its place, finished files outlive a failure.

`.NAME.KEY.partial` holds the work on NAME, KEY names what is written. Each finished file stands in its journal with
its sha256; whoever asks for the same KEY again finds it there. `.NAME.lock` keeps two processes from one target.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from merging.disk import Record
from merging.errors import WriteError
from merging.manifest import MANIFEST, record
from merging.writer import write_json

JOURNAL = ".progress.json"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Draft:
    """A folder in the making.

    Attributes:
        out: What it will become.
        folder: Where to write; its files become those of `out`.
        finished: Files that are complete, also those of an earlier run, verified.
        needed: Bytes of all files together, 0 before `reserve`.
    """

    out: Path
    folder: Path
    finished: dict[str, Record] = field(default_factory=dict)
    needed: int = 0

    @property
    def missing(self) -> int:
        """Bytes that are still to be written."""
        return max(0, self.needed - sum(record.bytes for record in self.finished.values()))

    def reserve(self, needed: int) -> None:
        """Say how many bytes the folder takes.

        Raises:
            WriteError: The disk has less room than is missing.
        """
        self.needed = needed
        free = shutil.disk_usage(self.folder).free
        if free < self.missing:
            raise WriteError(
                f"{str(self.out)!r} needs {size(self.missing)} more on its disk, which has {size(free)} free: "
                "make room, or name a folder on another disk."
            )

    def keep(self, file: str, record: Record) -> None:
        """Note that a file is complete, so that a later run takes it over."""
        self.finished[file] = record
        journal, temporary = self.folder / JOURNAL, self.folder / f"{JOURNAL}.tmp"
        write_json(temporary, {"files": {name: kept._asdict() for name, kept in self.finished.items()}})
        _sync(temporary)
        temporary.replace(journal)
        _sync(self.folder)


@contextmanager
def draft(out: Path, key: str) -> Iterator[Draft]:
    """A folder that becomes `out` when the block ends well; after a failure its finished files wait for the same key.

    Args:
        out: Where to; must not exist or be empty.
        key: Names what is written, 16 hex digits: finished files of another key are not taken over.

    Raises:
        WriteError: `out` is taken, another process writes it, or the disk refuses.
    """
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _lock(out):
            made = _open(out, key)
            try:
                yield made
                _finish(made)
            except OSError as error:
                _tidy(made)  # first: what it removes counts as free
                raise WriteError(_reason(made, error)) from error
            finally:
                _tidy(made)
    except OSError as error:
        raise WriteError(f"Cannot write {str(out)!r}: {error.strerror or error}.") from error


def check_free(out: Path) -> None:
    """Raise WriteError unless `out` is free to be written."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise WriteError(f"{str(out)!r} exists and is not an empty folder: name another one, or remove it.")


def size(count: int) -> str:
    """Bytes in words."""
    if count >= 10**9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 10**7 else f"{count:,} bytes"


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    path = out.with_name(f".{out.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise WriteError(f"Another run is writing {str(out)!r} now: let it end, or name another folder.") from error
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it meanwhile finds its lock on no name, and tries again.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _open(out: Path, key: str) -> Draft:
    """The folder of this key with nothing in it but files that an earlier run finished."""
    folder = out.with_name(f".{out.name}.{key}.partial")
    with suppress(FileExistsError):
        folder.mkdir()
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid()):
        raise WriteError(f"{str(folder)!r} is not a folder of yours: remove it, or name another folder to write.")
    made = Draft(out, folder)
    for name, found in _recorded(folder).items():
        path = folder / name
        if _is_plain(path, name) and record(path) == found:
            made.finished[name] = found
    for path in folder.iterdir():
        if path.name not in made.finished:
            path.unlink()
    if made.finished:
        made.keep(*made.finished.popitem())
    return made


def _is_plain(path: Path, name: str) -> bool:
    return name == path.name and name.endswith(".safetensors") and path.is_file() and not path.is_symlink()


def _recorded(folder: Path) -> Mapping[str, Record]:
    """What the journal says of an earlier run; its manifest where it came so far, and was killed at the last rename."""
    for name in (JOURNAL, MANIFEST):
        try:
            files = json.loads((folder / name).read_text(encoding="utf-8"))["files"]
            return {file: Record(int(entry["bytes"]), str(entry["sha256"])) for file, entry in files.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a file that was half written: nothing is taken over
    return {}


def _finish(made: Draft) -> None:
    """Make the folder durable and give it its name."""
    (made.folder / JOURNAL).unlink(missing_ok=True)
    for path in made.folder.iterdir():
        if path.name not in made.finished:  # those are on the disk
            _sync(path)
    _sync(made.folder)
    check_free(made.out)
    made.folder.replace(made.out)  # an empty folder may be replaced, a full one may not
    _sync(made.out.parent)
    pattern = re.compile(rf"\.{re.escape(made.out.name)}\.[0-9a-f]{{16}}\.partial")
    for stale in made.out.parent.iterdir():
        if pattern.fullmatch(stale.name):  # of other recipes for this target; the lock is ours, so none is at work
            shutil.rmtree(stale, ignore_errors=True)


def _tidy(made: Draft) -> None:
    """After a failure: without a finished file there is nothing to come back to, else only those are kept."""
    if not made.folder.exists():
        return
    if not made.finished:
        shutil.rmtree(made.folder, ignore_errors=True)
    for path in made.folder.iterdir() if made.finished else ():
        if path.name not in made.finished and path.name not in (JOURNAL, MANIFEST):
            with suppress(OSError):
                path.unlink()


def _reason(made: Draft, error: OSError) -> str:
    """What the disk refuses, and what to do about it."""
    if error.errno not in _FULL:
        return f"Cannot write {str(made.out)!r}: {error.strerror or error}."
    free = shutil.disk_usage(made.out.parent).free
    count = len(made.finished)
    kept = f"run the same again: {count} finished file{'s are' if count > 1 else ' is'} kept and taken over."
    return (
        f"The disk is full: {str(made.out)!r} needs {size(made.missing)} more, and {size(free)} are free. "
        f"Make room and {kept if count else 'run the same again, or name a folder on another disk.'}"
    )


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
