"""A recipe to a folder that transformers loads: tensor by tensor, complete or not there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from merging.arithmetic import thread_count
from merging.card import model_card
from merging.execute import merge_tensor, read_sources
from merging.plan import Plan, plan
from merging.pool import Pool
from merging.recipe import Recipe
from merging.vocabulary import write_tokenizer
from merging.writer import SHARD_BYTES, check_free, new_folder, write_json, write_weights

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[float, str], None]


def merge_to_folder(
    recipe: Recipe,
    out: str | Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Merge and write a model folder: safetensors, config, tokenizer, model card.

    Args:
        recipe: What to merge.
        out: A folder that does not exist or is empty; it appears when everything is written.
        device: Where to compute.
        threads: Threads of the arithmetic, None for torch's own choice; the result does not depend on it.
        progress: Called with the share done (0 to 1) and the name of the tensor.
        shard_bytes: Most bytes of one safetensors file.

    Returns:
        `out`.

    Raises:
        MergeError: The recipe, a checkpoint or the folder cannot be used. Nothing is left behind.
    """
    out = Path(out)
    check_free(out)
    pool = Pool(device, resident=False)
    planned = plan(recipe, pool)
    with thread_count(threads), new_folder(out) as folder:
        shapes = {job.name: job.shape for job in planned.jobs}
        write_weights(folder, shapes, planned.dtype, _merged(planned, pool, progress), shard_bytes)
        write_json(folder / "config.json", planned.config)
        generation = planned.donor.folder / "generation_config.json"
        if generation.is_file():
            (folder / generation.name).write_bytes(generation.read_bytes())
        write_tokenizer(planned.donor, planned.vocabulary, folder, planned.chat_template)
        (folder / "README.md").write_text(model_card(planned), encoding="utf-8")
    if progress:
        progress(1.0, "done")
    return out


def _merged(planned: Plan, pool: Pool, progress: Progress | None) -> Iterator["Tensor"]:
    import torch

    for number, job in enumerate(planned.jobs):
        if progress:
            progress(number / len(planned.jobs), job.name)
        read_sources(job, pool)
        out = torch.empty(job.shape, dtype=getattr(torch, planned.dtype), device=pool.device)
        merge_tensor(job, planned.method, out, pool)
        yield out
        pool.release()  # memory stays that of one tensor
