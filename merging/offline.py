"""A recipe to a folder that transformers loads: tensor by tensor, resumable by file, complete or not there."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from merging import fused
from merging.arithmetic import thread_count
from merging.card import RECIPE, model_card
from merging.draft import Draft, check_free, draft
from merging.execute import merge_tensor, read_sources
from merging.manifest import write_manifest
from merging.parents import Hashing, Parent, describe
from merging.plan import Job, Plan, plan
from merging.pool import Pool
from merging.recipe import Recipe
from merging.vocabulary import write_tokenizer
from merging.writer import SHARD_BYTES, file_bytes, shards, tensor_bytes, write_index, write_json, write_shard

if TYPE_CHECKING:
    from torch import Tensor

WORTH_WAITING = 10**8  # bytes of output
PATIENCE = 5.0  # seconds: loading takes one, compiling on a machine's first run longer, and goes on meanwhile
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
    """Merge and write a model folder: safetensors, config, tokenizer, recipe, model card, manifest.

    A run that fails after a safetensors file is finished, or is killed, leaves it in a hidden folder beside `out`;
    the same call takes it over while recipe, sources, device, `shard_bytes` and this program are the same.

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
        MergeError: The recipe, a checkpoint or the folder cannot be used. Nothing is left behind but finished files.
    """
    out = Path(out)
    check_free(out)
    fused.ready()  # the compiled loops are loaded beside the planning
    pool = Pool(device, resident=False)
    planned = plan(recipe, pool)
    checkpoints = [pool.checkpoint(name) for name in recipe.models_used()]
    with thread_count(threads), draft(out, _key(planned, device, shard_bytes)) as made:
        hashing = Hashing(checkpoints)
        _await_loops(planned)
        _write_weights(planned, pool, made, progress, shard_bytes)
        _write_rest(planned, describe(recipe, checkpoints, hashing.result()), made)
    if progress:
        progress(1.0, "done")
    return out


def _await_loops(planned: Plan) -> None:
    """Where much is to be merged, wait a little for the compiled loops; the eager code gives the same bits."""
    if sum(tensor_bytes(job.shape, planned.dtype) for job in planned.jobs) > WORTH_WAITING:
        with suppress(TimeoutError):
            fused.wait(PATIENCE)


def _write_weights(planned: Plan, pool: Pool, made: Draft, progress: Progress | None, shard_bytes: int) -> None:
    """Write every safetensors file that an earlier run did not finish."""
    jobs = {job.name: job for job in planned.jobs}
    shapes, dtype = {job.name: job.shape for job in planned.jobs}, planned.dtype
    files = shards(shapes, dtype, shard_bytes)
    weights = sum(file_bytes({name: shapes[name] for name in members}, dtype) for members in files.values())
    made.reserve(weights + _small_files(planned))
    sizes = {name: tensor_bytes(shape, dtype) for name, shape in shapes.items()}
    space, done = _space(planned, pool), 0

    def merged(name: str) -> "Tensor":
        nonlocal done
        if progress:
            progress(done / sum(sizes.values()), name)
        done += sizes[name]
        return _merge(jobs[name], planned, pool, space)

    for file, members in files.items():
        if file in made.finished:
            done += sum(sizes[name] for name in members)
        else:
            part = {name: shapes[name] for name in members}
            made.keep(file, write_shard(made.folder / file, part, dtype, map(merged, members)))
    write_index(made.folder, files, shapes, dtype)


def _small_files(planned: Plan) -> int:
    """Bytes to set aside for tokenizer, config, card and manifest."""
    owner = planned.vocabulary.owner if planned.vocabulary else planned.donor
    return 2**20 + 2 * sum(path.stat().st_size for path in owner.tokenizer_files().values())


def _space(planned: Plan, pool: Pool) -> "Tensor":
    """Room for the largest merged tensor: one for all, because fresh memory costs more than the arithmetic."""
    import torch

    most = max((torch.Size(job.shape).numel() for job in planned.jobs), default=0)
    return torch.empty(most, dtype=getattr(torch, planned.dtype), device=pool.device)


def _merge(job: Job, planned: Plan, pool: Pool, space: "Tensor") -> "Tensor":
    """One merged tensor, in `space`; what was read and prepared for it is forgotten."""
    import torch

    out = space[: torch.Size(job.shape).numel()].view(job.shape)
    read_sources(job, pool)
    merge_tensor(job, planned.method, out, pool)
    pool.release()
    return out


def _write_rest(planned: Plan, parents: Sequence[Parent], made: Draft) -> None:
    """All but the weights."""
    folder = made.folder
    write_json(folder / "config.json", planned.config)
    generation = planned.donor.folder / "generation_config.json"
    if generation.is_file():
        (folder / generation.name).write_bytes(generation.read_bytes())
    write_tokenizer(planned.donor, planned.vocabulary, folder, planned.chat_template)
    (folder / RECIPE).write_text(planned.recipe.to_yaml(), encoding="utf-8")
    (folder / "README.md").write_text(model_card(planned, parents), encoding="utf-8")
    write_manifest(folder, planned, parents, made.finished)


def _key(planned: Plan, device: str, shard_bytes: int) -> str:
    """16 hex digits that name the bytes of the weight files: another program or device may round differently."""
    import torch

    program = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        program.update(file.read_bytes())
    tensors = [(job.name, job.shape, job.signature(planned.method)) for job in planned.jobs]
    meaning = (planned.recipe.digest(), tensors, planned.dtype, shard_bytes, device.partition(":")[0])
    return hashlib.sha256(repr((meaning, program.hexdigest(), torch.__version__)).encode()).hexdigest()[:16]
