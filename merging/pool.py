"""The endpoints kept resident: stored tensors on the device, and the memo of work that no slider changes."""

import os
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from merging.arithmetic import Scratch, is_finite
from merging.checkpoint import Checkpoint, Outline, StoredKey, open_checkpoint, outline
from merging.errors import CheckpointError, MergeError, brief
from merging.folder import Header, read_tensor
from merging.stages import Stages

if TYPE_CHECKING:
    from torch import Tensor

MOST_MEMO = 8 * 2**30


def default_memo_bytes() -> int:
    """Three tenths of the machine's memory, at most 8 GiB; 2 GiB where the size of the memory is not told."""
    if not hasattr(os, "sysconf"):
        return 2 * 2**30
    return min(MOST_MEMO, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 10)


class Pool:
    """Checkpoints opened once and shared by several `LiveModel`s; hold `lock` while using it from threads.

    Attributes:
        device: Where the tensors live.
        stages: Memo of prepared work, under its budget of bytes.
        scratch: Buffers that slider steps work in.
        lock: Taken by whoever merges.
        limit: Most bytes of stored tensors kept on the device; the others are streamed from their mapped files, tensor
            by tensor, whenever they are merged. None keeps all.
    """

    def __init__(self, device: str = "cpu", *, memo_bytes: int | None = None, resident: bool = True) -> None:
        self.device = device
        self.stages = Stages(default_memo_bytes() if memo_bytes is None else memo_bytes)
        self.scratch = Scratch(device)
        self.lock = threading.RLock()
        self.limit = None if resident else 0
        self._kept = 0
        self._checkpoints: dict[str, Checkpoint] = {}
        self._outlines: dict[str, Outline] = {}
        self._stored: dict[StoredKey, Tensor] = {}
        self._mapped: dict[StoredKey, Tensor] = {}
        _check_device(device)

    def checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint by name, opened again where its files have changed.

        Raises:
            CheckpointError: It cannot be read.
        """
        known = self._checkpoints.get(name)
        if known is None or not known.is_current():
            if known is not None:
                self.release()
            self._checkpoints[name] = open_checkpoint(name)
            self._outlines.pop(name, None)
        return self._checkpoints[name]

    def outline(self, name: str) -> Outline:
        """What config and headers tell of a checkpoint, without downloading its weights; the checkpoint, once open.

        Raises:
            CheckpointError: It cannot be found or read.
        """
        if name in self._checkpoints:
            return self.checkpoint(name)
        if name not in self._outlines:
            found = outline(name)
            if isinstance(found, Checkpoint):
                self._checkpoints[name] = found
                return found
            self._outlines[name] = found
        return self._outlines[name]

    def stored(self, key: Hashable) -> "Tensor":
        """A stored tensor on the device, kept there while the limit allows.

        Raises:
            CheckpointError: It cannot be read, or holds NaN or infinity.
        """
        if not isinstance(key, StoredKey):
            raise TypeError(f"{key!r} names no stored tensor")
        if key in self._stored:
            return self._stored[key]
        mapped = self._map(key)
        if self._fits(mapped.nbytes):
            # A copy, not the mapped file: rewriting a mapped file changes or kills the process that reads it.
            self._stored[key] = mapped.to(self.device, copy=True).contiguous()
            self._kept += mapped.nbytes
            del self._mapped[key]
            return self._stored[key]
        return mapped if self.device == "cpu" else mapped.to(self.device)

    def touch(self, key: Hashable) -> None:
        """Read a stored tensor so far that a bad file is found now; a tensor that will be streamed is not kept.

        Raises:
            CheckpointError: As `stored`.
        """
        if isinstance(key, StoredKey) and key not in self._stored and not self._fits(self._map(key).nbytes):
            return
        self.stored(key)

    def _map(self, key: StoredKey) -> "Tensor":
        """A tensor as it lies in its file, looked through once."""
        if key not in self._mapped:
            tensor = read_tensor(Header(Path(key.file), "", ()), key.name).contiguous()
            if not is_finite(tensor):
                raise CheckpointError(
                    f"{key.name} in {key.file!r} holds NaN or infinity, so nothing can be merged with it: "
                    "use another checkpoint."
                )
            self._mapped[key] = tensor
        return self._mapped[key]

    def _fits(self, size: int) -> bool:
        return self.limit is None or self._kept + size <= self.limit

    @property
    def held(self) -> int:
        """Bytes of stored tensors and prepared work kept on the device."""
        return self._kept + self.stages.used

    def release(self) -> None:
        """Forget all tensors and prepared work; what was merged stays."""
        self._stored.clear()
        self._mapped.clear()
        self._kept = 0
        self.stages.clear()


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MergeError(f"The device {device!r} cannot be used: {brief(error)}.") from error
