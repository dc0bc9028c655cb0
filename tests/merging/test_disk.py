"""What is written in blocks by a thread is what was given, whatever the disk allows; what the disk says is raised."""

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from merging import disk
from merging.disk import BLOCK, Output


def content(size: int) -> bytes:
    return (b"0123456789abcde" * (size // 15 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, 511, 4096, BLOCK - 1, BLOCK, BLOCK + 1, (disk.BLOCKS + 2) * BLOCK + 7])
@pytest.mark.parametrize("piece", [1 << 30, 1_000_003])
def test_sizes(tmp_path: Path, size: int, piece: int) -> None:
    data = content(size)
    with Output(tmp_path / "file") as file:
        for start in range(0, size, piece):
            part = bytearray(data[start : start + piece])
            file.write(memoryview(part))
            part[:] = bytes(len(part))  # what was given may be overwritten
        record = file.close()
    assert (tmp_path / "file").read_bytes() == data
    assert record == (size, hashlib.sha256(data).hexdigest())


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has no way past the cache")
@pytest.mark.parametrize("where", ["open", "write"])
def test_a_disk_without_a_way_past_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    real, direct = getattr(os, where), os.O_DIRECT
    refused: list[str] = []

    def refuse(*given: object) -> int:
        if (where == "open" and given[1] & direct) or (where == "write" and not refused):
            refused.append(where)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(*given)

    monkeypatch.setattr(disk.os, where, refuse)
    data = content(BLOCK + 5)
    with Output(tmp_path / "file") as file:
        file.write(data)
        file.close()
    assert refused and (tmp_path / "file").read_bytes() == data


def test_what_the_disk_refuses_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "write", full)
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"), Output(tmp_path / "file") as file:
        file.write(content(3 * disk.BLOCKS * BLOCK))  # more than fits the blocks: it must not wait for ever
        file.close()
    assert threading.active_count() == before


def test_a_block_left_by_an_error_ends_the_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), Output(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyError
    assert threading.active_count() == before


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        Output(tmp_path / "file")
