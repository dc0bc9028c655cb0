"""A file written and hashed by a thread of its own, past the system's cache of files where it allows that.

Merging goes on while the disk is busy, and what was written takes no memory: a few blocks are all there is.
"""

import errno
import hashlib
import mmap
import os
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

BLOCK = 1 << 22  # bytes; a multiple of any disk's sector, as writing past the cache asks for
BLOCKS = 8


class Record(NamedTuple):
    """What a file holds: its size, and the sha256 of its content as 64 hex digits."""

    bytes: int
    sha256: str


class Output:
    """A new file; use it in a `with` block, and `close` it where all went well.

    Raises:
        OSError: It exists, or the disk refuses; later calls raise what the disk said meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._direct = _create(path)
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[memoryview | None] = SimpleQueue()
        for _ in range(BLOCKS):
            self._free.put(memoryview(mmap.mmap(-1, BLOCK)))  # at the start of a page, which the disk asks for too
        self._block, self._used = self._free.get(), 0
        self._digest, self._size = hashlib.sha256(), 0
        self._error: OSError | None = None
        self._thread = Thread(target=self._drain, name=f"writing {path.name}", daemon=True)
        self._thread.start()

    def write(self, piece: "bytes | memoryview") -> None:
        """Take over bytes, which may be overwritten once this returns."""
        rest = memoryview(piece)
        while rest:
            self._check()
            count = min(len(rest), BLOCK - self._used)
            self._block[self._used : self._used + count] = rest[:count]
            self._used += count
            rest = rest[count:]
            if self._used == BLOCK:
                self._full.put(self._block)
                self._block, self._used = self._free.get(), 0

    def close(self) -> Record:
        """Wait until all of it is on the disk."""
        self._full.put(self._block[: self._used])
        self._stop()
        self._check()
        os.fsync(self._file)
        return Record(self._size, self._digest.hexdigest())

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        os.close(self._file)

    def _stop(self) -> None:
        self._full.put(None)
        self._thread.join()

    def _check(self) -> None:
        if self._error:
            raise self._error

    def _drain(self) -> None:
        """The thread: hash and write one block after the other; after an error, take them and do nothing."""
        while (block := self._full.get()) is not None:
            try:
                if not self._error:
                    self._digest.update(block)
                    self._size += len(block)
                    self._store(block)
            except OSError as error:
                self._error = error
            self._free.put(block)

    def _store(self, rest: memoryview) -> None:
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._direct = False  # the file's last block is no whole number of sectors, or the disk has no such way
                _use_cache(self._file)


def _create(path: Path) -> tuple[int, bool]:
    """A new file, past the cache where that can be."""
    flags, direct = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), getattr(os, "O_DIRECT", 0)
    try:
        return os.open(path, flags | direct, 0o666), bool(direct)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    path.unlink(missing_ok=True)  # some systems make the file before they refuse
    return os.open(path, flags, 0o666), False


def _use_cache(file: int) -> None:
    import fcntl

    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) & ~os.O_DIRECT)
