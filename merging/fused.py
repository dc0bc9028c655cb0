"""The compiled loops of `merging.kernels`, as functions on tensors; the eager code runs until they are there.

`ready()` never waits: the first call starts a thread that imports (and on a machine's first run compiles) the loops.
They serve tensors on the CPU, in float32 and bfloat16; for everything else the callers' eager code gives the same bits.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1 << 16  # elements a thread is worth waking for
PIECE = 1 << 19  # elements of one task in a batch: some hundred microseconds
_SHARES = 4  # pieces per thread, so that a thread that is held up does not hold up the others

_started = threading.Lock()
_loading: "Future[ModuleType] | None" = None
_local = threading.local()


def ready() -> ModuleType | None:
    """The compiled loops, or None while they are not there (yet)."""
    global _loading
    if getattr(_local, "eager", False) or os.environ.get("MERGE_FRONTIER_EAGER"):
        return None
    if _loading is None:
        with _started:
            if _loading is None:
                _loading = Future()
                threading.Thread(target=_load, args=(_loading,), name="kernels", daemon=True).start()
    if not _loading.done() or _loading.exception() is not None:
        return None
    return _loading.result()


def wait(seconds: float = 300.0) -> bool:
    """Wait until the loops are compiled, for benchmarks and tests; False where this machine cannot have them."""
    ready()
    return _loading is not None and _loading.exception(timeout=seconds) is None


@contextmanager
def eager() -> Iterator[None]:
    """Run the block in this thread without the compiled loops."""
    _local.eager = True
    try:
        yield
    finally:
        _local.eager = False


def _load(promise: "Future[ModuleType]") -> None:
    # numba colours its messages by swapping sys.stdout for a moment: from this thread that loses another's output
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    try:
        from merging import kernels
    except BaseException as error:  # whatever keeps the loops away: the future carries it, and the eager code goes on
        promise.set_exception(error)
    else:
        promise.set_result(kernels)


def serves(*tensors: "Tensor") -> bool:
    """Whether the loops can run on these tensors."""
    import torch

    return all(
        tensor.device.type == "cpu"
        and tensor.dtype in (torch.bfloat16, torch.float32)
        and tensor.is_contiguous()
        and tensor.numel() < 1 << 32
        for tensor in tensors
    )


def kind(kernels: ModuleType, tensor: "Tensor", *, rounded: bool = False) -> int:
    """How the loops call a tensor's storage; `rounded`: a float32 target that gets bfloat16 values."""
    import torch

    if tensor.dtype == torch.bfloat16:
        return kernels.BF16
    return kernels.F32_ROUNDED if rounded else kernels.F32


def spread(work: Callable[[int, int], Any], length: int, unit: int) -> list[Any]:
    """Run work(start, end) over [0, length) by torch's number of threads; the results in order.

    Args:
        work: Releases the interpreter lock while it computes.
        length: Number of elements.
        unit: Every start is a multiple of it.
    """
    import torch

    threads = torch.get_num_threads()
    pieces = list(_pieces(length, max(LEAST, -(-length // (threads * _SHARES))), unit))
    if threads == 1 or len(pieces) == 1:
        return [work(start, end) for start, end in pieces]
    todo = getattr(_local, "batch", None)
    if todo is None:
        return list(_workers(threads).map(lambda piece: work(*piece), pieces))
    return _spread_in_batch(work, pieces, todo)


def _spread_in_batch(
    work: Callable[[int, int], Any], pieces: Sequence[tuple[int, int]], todo: "SimpleQueue[Any]"
) -> list[Any]:
    """The threads are busy with the batch: join them until the pieces are done."""
    found: list[Any] = [None] * len(pieces)
    done = SimpleQueue[int]()

    def one(number: int, _: int) -> None:
        try:
            found[number] = work(*pieces[number])
        finally:  # a piece that fails must not be waited for
            done.put(number)

    for number in range(len(pieces)):
        todo.put((one, (number, 0)))
    while done.qsize() < len(pieces):
        try:
            task, piece = todo.get_nowait()
        except Empty:
            break
        task(*piece)
    for _ in pieces:
        done.get()
    return found


def write(work: Callable[[int, int], Any], length: int, unit: int) -> None:
    """As `spread`, for work whose results are what it writes: within a `batch` it may be done later, up to its end."""
    todo = getattr(_local, "batch", None)
    if todo is None:
        spread(work, length, unit)
        return
    for piece in _pieces(length, PIECE, unit):
        todo.put((work, piece))


@contextmanager
def batch() -> Iterator[None]:
    """Let the writes of many tensors overlap: other threads begin while this one prepares the next tensor.

    All is written when the block ends, also where it ends by an exception.
    """
    import torch

    others = torch.get_num_threads() - 1
    if others < 1 or ready() is None:
        yield
        return
    todo: SimpleQueue[Any] = SimpleQueue()
    helpers = [_workers(others + 1).submit(_drain, todo) for _ in range(others)]
    _local.batch = todo
    try:
        yield
    finally:
        _local.batch = None
        for _ in range(others + 1):
            todo.put(None)
        _drain(todo)
        for helper in helpers:
            helper.result()


def _drain(todo: "SimpleQueue[Any]") -> None:
    while (task := todo.get()) is not None:
        work, piece = task
        work(*piece)


def _pieces(length: int, size: int, unit: int) -> Iterator[tuple[int, int]]:
    step = -(-size // unit) * unit
    for start in range(0, length, step):
        yield start, min(start + step, length)


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="merge")


def weighted_sum(
    kernels: ModuleType, terms: Sequence[tuple["Tensor", float]], out: "Tensor", *, rounded: bool = False
) -> None:
    """As `arithmetic.weighted_sum`; tensors must be served."""
    import numpy as np

    sources = np.array([tensor.data_ptr() for tensor, _ in terms], np.uint64)
    kinds = np.array([kind(kernels, tensor) for tensor, _ in terms], np.uint8)
    factors = np.array([factor for _, factor in terms], np.float32)
    address, form = out.data_ptr(), kind(kernels, out, rounded=rounded)

    def add(start: int, end: int, _held: object = (terms, out)) -> None:  # the addresses are good while these live
        kernels.weighted_sum(sources, kinds, factors, address, form, start, end)

    write(add, out.numel(), kernels.BLOCK)
