"""What a merge will hold in memory, where, and how long a slider move will take, said before anything is loaded.

    python -m merging.budget RECIPE.yaml [--device cpu|cuda] [--slots N]

Config and headers are enough: nothing is downloaded or read but those.
"""

import functools
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from merging import registry
from merging.checkpoint import Outline
from merging.errors import TooBigError
from merging.folder import DTYPES
from merging.recipe import Recipe

if TYPE_CHECKING:
    from merging.pool import Pool

GIB = 2**30
SPARE = 0.1  # share of the memory left to everything else
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
# Moves as multiples of the floor, `torch.lerp` over N / 2 pairs of models: the medians of `python -m benchmarks.live`,
# rounded up. Methods that elect signs do more arithmetic per element than those that add.
SUMMING, ELECTING = 2.5, 5.0
STREAM = 2e9  # bytes a second of a mapped file or over the bus, a cautious figure; the page cache is faster
_SAMPLE = 1 << 23  # elements of the passes that time the floor


@dataclass(frozen=True)
class MemoryPlan:
    """What will be held, in bytes, and how fast a move will be.

    Attributes:
        device: Where.
        mode: "resident": the checkpoints are kept on the device; "streamed": some tensors are read from mapped files
            whenever they are merged, layer by layer.
        checkpoints: Stored tensors of all checkpoints, those that several share counted once.
        kept: Of these, bytes kept on the device.
        merged: Parameters of the merged models, one for each slot.
        memo: Prepared work that no slider changes, at most; it never takes more than its budget.
        memo_budget: That budget.
        free: Memory free on the device now.
        passes: A move of a weight or t, warm, as a multiple of one `torch.lerp` over a pair of models.
        elements: Parameters of one merged model.
        threads: Threads of the arithmetic, None for torch's own choice.
    """

    device: str
    mode: Literal["resident", "streamed"]
    checkpoints: int
    kept: int
    merged: int
    memo: int
    memo_budget: int
    free: int
    passes: float
    elements: int
    threads: int | None

    @property
    def total(self) -> int:
        """Bytes that will be held on the device."""
        return self.kept + self.merged + min(self.memo, self.memo_budget)

    @property
    def milliseconds(self) -> float:
        """Expected time of a move of a weight or t, warm; the first call times the device for some milliseconds."""
        reading = (self.checkpoints - self.kept) / STREAM
        return 1e3 * (self.elements * floor(self.device, self.threads) * self.passes + reading)

    def words(self) -> str:
        """The plan in two or three sentences."""
        held = "kept" if self.mode == "resident" else f"{_gib(self.kept)} kept, the rest streamed from its files"
        said = (
            f"{self.device.upper() if self.device == 'cpu' else self.device}: {_gib(self.total)} of {_gib(self.free)} "
            f"free: checkpoints {_gib(self.checkpoints)} ({held}), merged model {_gib(self.merged)}, "
            f"prepared work {_gib(min(self.memo, self.memo_budget))}. A move takes about {self.milliseconds:.0f} ms."
        )
        if self.memo > self.memo_budget:
            said += (
                f" Prepared work of {_gib(self.memo)} exceeds its budget of {_gib(self.memo_budget)}: moves are slower."
            )
        return said


def memory_plan(
    recipe: Recipe,
    pool: "Pool",
    *,
    slots: int = 1,
    compute_dtype: str | Mapping[str, str] | None = None,
    free: int | None = None,
    threads: int | None = None,
) -> MemoryPlan:
    """Plan the memory of a recipe's live merge; only config and headers are read.

    Args:
        recipe: What will be merged.
        pool: Where the checkpoints are, or will be, kept; what it holds already counts as free.
        slots: Number of live models on the same checkpoints.
        compute_dtype: Dtype of their parameters, None for that of the recipe; a mapping says it for each such dtype.
        free: Bytes free on the device; None asks it.
        threads: Threads of the arithmetic, None for torch's own choice.

    Raises:
        TooBigError: Not even the merged models fit; the message has the numbers.
        CheckpointError: A checkpoint cannot be found.
    """
    outlines = [pool.outline(name) for name in recipe.models_used()]
    free = pool.held + free_bytes(pool.device) if free is None else free
    room = int(free * (1 - SPARE))
    elements = sum(math.prod(header.shape) for header in outlines[0].headers.values())
    dtype = held_in(recipe.out_dtype or recipe.dtype or _dtype(outlines[0]), compute_dtype)
    merged = slots * elements * BYTES[dtype]
    checkpoints, memo = stored_bytes(outlines), _memo(recipe, outlines)
    budget = min(pool.stages.budget, max(0, room - merged - checkpoints))
    if merged > room:
        raise TooBigError(
            f"The merged model takes {_gib(merged)} ({slots} x {elements / 1e9:.2f} billion parameters in {dtype}) and "
            f"{pool.device} has {_gib(free)} free: use a smaller model, a machine with more memory, or merge to a "
            "folder with `python -m merging`, which holds one tensor at a time."
        )
    kept = checkpoints if merged + checkpoints <= room else room - merged
    mode: Literal["resident", "streamed"] = "resident" if kept == checkpoints else "streamed"
    method = registry.get(recipe.method)
    inputs = max(2, *(len(piece.sources) for piece in recipe.slices))
    passes = inputs / 2 * (ELECTING if "density" in method.knobs else SUMMING)
    return MemoryPlan(pool.device, mode, checkpoints, kept, merged, memo, budget, free, passes, elements, threads)


def held_in(dtype: str, compute_dtype: str | Mapping[str, str] | None) -> str:
    """Dtype of the parameters that hold a merge of `dtype`: that one, unless `compute_dtype` says another."""
    if isinstance(compute_dtype, Mapping):
        return compute_dtype.get(dtype, dtype)
    return compute_dtype or dtype


def stored_bytes(outlines: Sequence[Outline]) -> int:
    """Bytes of the stored tensors, each file counted once."""
    found = {
        (str(h.file), name): math.prod(h.shape) * BYTES[DTYPES[h.dtype]]
        for o in outlines
        for name, h in o.headers.items()
    }
    return sum(found.values())


def free_bytes(device: str) -> int:
    """Memory that is free now on a device: of the container's own limit, where there is one."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    limits = [_meminfo(), _container()]
    return min(found for found in limits if found is not None)


def _meminfo() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 * GIB


def _container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return None if most == "max" else max(0, int(most) - used)
    except (OSError, ValueError):
        return None


def _memo(recipe: Recipe, outlines: Sequence[Outline]) -> int:
    """Bytes of prepared work at most: float32 values and deltas of adapters, and what the method itself keeps."""
    method = registry.get(recipe.method)
    total = 0.0
    for outline in outlines:
        adapted = sum(
            math.prod(h.shape) for n, h in outline.headers.items() if any(n in a.parts for a in outline.adapters)
        )
        total += 4 * adapted
        if outline.name != recipe.base_model:
            total += method.steps.memo * sum(math.prod(h.shape) for h in outline.headers.values())
    return int(total)


def _dtype(outline: Outline) -> str:
    sizes: dict[str, int] = {}
    for header in outline.headers.values():
        word = DTYPES[header.dtype]
        sizes[word] = sizes.get(word, 0) + math.prod(header.shape)
    return max(sorted(sizes), key=sizes.__getitem__)


@functools.cache
def floor(device: str, threads: int | None = None) -> float:
    """Seconds an element of `torch.lerp(a, b, t, out=o)` in bfloat16 takes on a device: the floor of a move."""
    import torch

    from merging.arithmetic import thread_count

    first, second = (torch.zeros(_SAMPLE, dtype=torch.bfloat16, device=device) for _ in range(2))
    out, took = torch.empty_like(first), []
    with thread_count(threads):
        for _ in range(4):
            start = time.perf_counter()
            torch.lerp(first, second, 0.5, out=out)
            if device != "cpu":
                torch.cuda.synchronize(device)
            took.append(time.perf_counter() - start)
    return min(took) / _SAMPLE


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.1f} MiB"
