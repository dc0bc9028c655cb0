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
    """

    def __init__(self, device: str = "cpu", *, memo_bytes: int | None = None, resident: bool = True) -> None:
        self.device = device
        self.stages = Stages(default_memo_bytes() if memo_bytes is None else memo_bytes)
        self.scratch = Scratch(device)
        self.lock = threading.RLock()
        self._resident = resident
        self._checkpoints: dict[str, Checkpoint] = {}
        self._outlines: dict[str, Outline] = {}
        self._stored: dict[StoredKey, Tensor] = {}
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
        """A stored tensor on the device, read once and kept.

        Raises:
            CheckpointError: It cannot be read, or holds NaN or infinity.
        """
        if not isinstance(key, StoredKey):
            raise TypeError(f"{key!r} names no stored tensor")
        if key not in self._stored:
            tensor = read_tensor(Header(Path(key.file), "", ()), key.name)
            # A copy, not the mapped file: rewriting a mapped file changes or kills the process that reads it.
            tensor = tensor.to(self.device, copy=self._resident).contiguous()
            if not is_finite(tensor):
                raise CheckpointError(
                    f"{key.name} in {key.file!r} holds NaN or infinity, so nothing can be merged with it: "
                    "use another checkpoint."
                )
            self._stored[key] = tensor
        return self._stored[key]

    def release(self) -> None:
        """Forget all tensors and prepared work; what was merged stays."""
        self._stored.clear()
        self.stages.clear()


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MergeError(f"The device {device!r} cannot be used: {brief(error)}.") from error
