"""The three steps of a method run for one tensor: live and offline merging share them, so they agree bit for bit."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from merging.plan import Job
from merging.registry import Method
from merging.sources import Group

if TYPE_CHECKING:
    from torch import Tensor

    from merging.pool import Pool


def merge_tensor(job: Job, method: Method, out: "Tensor", pool: "Pool") -> bool | None:
    """Write the merged tensor into `out` (contiguous, on the pool's device), rounded once to its dtype.

    Returns:
        What the method counts for its note, None where it counts nothing.
    """
    choices = [_choose(job, method, index, pool) for index in range(len(job.models) if method.steps.each else 1)]
    return method.steps.combine(job.base, choices, job.values, out, pool.scratch)


def read_sources(job: Job, pool: "Pool") -> None:
    """Read every stored tensor of a job, so that a bad checkpoint is found before anything is written.

    Raises:
        CheckpointError: A tensor cannot be read, or is not finite.
    """
    for operand in (job.base, *job.models):
        if operand is not None:
            operand.touch()


def _choose(job: Job, method: Method, index: int, pool: "Pool") -> Any:
    """The choice of one group, from the memo where it is kept."""
    each = method.steps.each
    group = Group(job.name, job.base, (job.models[index],), job.seed) if each else job.group
    chosen = {
        name: job.values[name][index] if each and knob.per_model else job.values[name]
        for name, knob in method.knobs.items()
        if knob.stage == "select"
    }
    key: Hashable = (method.name, group.key)
    if method.random:
        key = (*key, job.seed, tuple(model.model for model in group.models))
    memo = pool.stages.get(("prepare", key), lambda: method.steps.prepare(group))
    return pool.stages.get(("select", key, tuple(sorted(chosen.items()))), lambda: method.steps.select(memo, chosen))
