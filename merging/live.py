"""A transformers model whose weights are merged again, in place, whenever a recipe is applied."""

import json
import tempfile
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging import fused
from merging.arithmetic import thread_count
from merging.budget import held_in, memory_plan
from merging.errors import CheckpointError, MergeError, brief
from merging.execute import merge_tensor, read_sources
from merging.parameters import merge_targets
from merging.plan import Job, Plan, plan
from merging.pool import Pool
from merging.recipe import Recipe
from merging.vocabulary import write_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_COSMETIC = ("transformers_version", "_name_or_path", "architectures")


@dataclass(frozen=True)
class Applied:
    """What `LiveModel.apply` did.

    Attributes:
        seconds: Wall time of the whole call.
        reused: The recipe was loaded already: nothing was done.
        notes: What the method really did and what may surprise, one sentence each.
    """

    seconds: float
    reused: bool
    notes: tuple[str, ...]


class LiveModel:
    """One model that lives in memory and becomes whatever a recipe says.

    Its parameters are allocated once and overwritten by `apply`; nobody else may write to them. A recipe of another
    shape (fewer layers, a union vocabulary, another dtype) makes a new module, so read `model` and `tokenizer` after
    every `apply`. Not safe for threads: callers take turns (slots that share a pool take turns by the pool's lock).

    Attributes:
        recipe: What is loaded now; None before the first `apply` and after one that failed while writing.
        pool: The checkpoints and prepared work, which several live models may share.
    """

    def __init__(
        self,
        models: Sequence[str] = (),
        device: str = "cpu",
        threads: int | None = None,
        *,
        memo_bytes: int | None = None,
        pool: Pool | None = None,
        compute_dtype: str | Mapping[str, str] | None = None,
    ) -> None:
        """Open the checkpoints of the pool; weights are read by the first recipe that needs them.

        Args:
            models: Checkpoints kept resident, by name. A recipe may name others; they are opened when it is applied.
            device: "cpu" or "cuda" (with a number, if there are several); a pool that is given decides instead.
            threads: Threads of the arithmetic, None for torch's own choice. The count outside `apply` is not changed,
                nor is any result.
            memo_bytes: Most bytes of prepared work kept; None for a share of the machine's memory. A pool that is
                given decides instead.
            pool: Share this one.
            compute_dtype: "float32" holds the merged weights, rounded once to the recipe's dtype as ever, in float32
                parameters: a CPU without bf16 arithmetic runs such a model ten times faster. None: the parameters
                have the recipe's dtype. A mapping says it for each dtype of a recipe; one it lacks stays.

        Raises:
            CheckpointError: A checkpoint cannot be read.
        """
        self.pool = pool or Pool(device, memo_bytes=memo_bytes)
        self.threads = threads
        self._compute_dtype = compute_dtype
        self.recipe: Recipe | None = None
        self._model: PreTrainedModel | None = None
        self._shape: str | None = None
        self._reserved: tuple[tuple[str, ...], str] | None = None
        self._parameters: dict[str, Tensor] = {}
        self._holds: dict[str, tuple[Hashable, bool | None]] = {}
        self._notes: tuple[str, ...] = ()
        self._tokenizers: dict[Hashable, PreTrainedTokenizerBase | None] = {}
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._versions: tuple[Any, ...] = ()
        for name in models:
            self.pool.checkpoint(name)

    @property
    def model(self) -> "PreTrainedModel":
        """The model as merged by the last `apply`.

        Raises:
            MergeError: Nothing is merged yet.
        """
        if self._model is None:
            raise MergeError("Nothing is merged yet: apply a recipe first.")
        return self._model

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """The merged model's tokenizer; None where its checkpoints have none: it can be merged, not chatted with."""
        return self._tokenizer

    @property
    def nbytes(self) -> int:
        """Bytes of its parameters."""
        return sum(parameter.nbytes for parameter in self._parameters.values())

    def apply(self, recipe: Recipe) -> Applied:
        """Make the model what the recipe says, in place.

        Everything that can fail is tried before a weight is touched: an error leaves the model as it was.

        Raises:
            MergeError: The recipe or a checkpoint cannot be used; the message says what to do.
        """
        start = time.perf_counter()
        with self.pool.lock, thread_count(self.threads):
            planned = plan(recipe, self.pool)
            if self._is_loaded(planned):
                return Applied(time.perf_counter() - start, True, self._notes)
            self._reserve(planned)
            for job in planned.jobs:
                read_sources(job, self.pool)
            tokenizer = self._load_tokenizer(planned)
            self._fit(planned)
            self._write(planned)
            self._tokenizer = tokenizer
            return Applied(time.perf_counter() - start, False, self._notes)

    def source_hashes(self, recipe: Recipe) -> dict[str, str]:
        """sha256 of the content of every checkpoint in the recipe, by name.

        Raises:
            CheckpointError: One cannot be read.
        """
        with self.pool.lock:
            return {name: self.pool.checkpoint(name).content_hash() for name in recipe.models_used()}

    def _is_loaded(self, planned: Plan) -> bool:
        same = self.recipe is not None and self.recipe.digest() == planned.recipe.digest()
        return same and self._versions == _versions(planned)

    def _reserve(self, planned: Plan) -> None:
        """Have room for the checkpoints and a module of the plan's shape: what does not fit is streamed.

        Raises:
            TooBigError: Not even the module fits.
        """
        wanted = (planned.recipe.models_used(), _shape(planned))
        if wanted == self._reserved:
            return
        options = {"slots": 0 if wanted[1] == self._shape else 1, "compute_dtype": self._compute_dtype}
        found = memory_plan(planned.recipe, self.pool, **options)
        if found.mode == "streamed":
            self.pool.release()  # what other recipes left there
        self.pool.limit = None if found.mode == "resident" else found.kept
        self._reserved = wanted

    def _fit(self, planned: Plan) -> None:
        """Have a module of the plan's shape: the one there is, or a new one."""
        shape = _shape(planned)
        if shape == self._shape:
            return
        model = _build(planned, self.pool.device, held_in(planned.dtype, self._compute_dtype))
        parameters = merge_targets(model, planned)
        self.recipe, self._holds = None, {}
        self._model, self._parameters, self._shape = model, parameters, shape

    def _write(self, planned: Plan) -> None:
        """Merge every tensor that changes. `recipe` is None meanwhile, and after a failure: the next apply repairs."""
        self.recipe = None
        method, counted = planned.method, []
        with fused.batch():
            for job in planned.jobs:
                signature = job.signature(method)
                if self._holds.get(job.name, (None, None))[0] != signature:
                    self._holds.pop(job.name, None)
                    flag = self._merge(job, planned)
                    self._holds[job.name] = (signature, flag)
                counted.append(self._holds[job.name][1])
        found = method.note(sum(bool(flag) for flag in counted), len(counted)) if method.note else None
        self._notes = (*([found] if found else []), *planned.recipe.notes(), *planned.warnings)
        self._versions = _versions(planned)
        self.recipe = planned.recipe

    def _merge(self, job: Job, planned: Plan) -> bool | None:
        """Merge one tensor into its parameter, rounded to the recipe's dtype where the parameter has another."""
        import torch

        parameter, dtype = self._parameters[job.name], getattr(torch, planned.dtype)
        scratch = self.pool.scratch
        scratch.rounds = None if parameter.dtype == dtype else dtype
        try:
            return merge_tensor(job, planned.method, parameter, self.pool)
        finally:
            scratch.rounds = None

    def _load_tokenizer(self, planned: Plan) -> "PreTrainedTokenizerBase | None":
        vocabulary = planned.vocabulary
        key = (planned.donor.folder, planned.donor.name, vocabulary.key if vocabulary else None, planned.chat_template)
        if key not in self._tokenizers:
            self._tokenizers[key] = _tokenizer(planned)
        return self._tokenizers[key]


def _shape(planned: Plan) -> str:
    return json.dumps({k: v for k, v in planned.config.items() if k not in _COSMETIC}, sort_keys=True)


def _versions(planned: Plan) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(operand.key for job in planned.jobs for operand in (job.base, *job.models) if operand))


def _build(planned: Plan, device: str, dtype: str) -> "PreTrainedModel":
    """An empty module of the plan's shape, its weights allocated but not initialised."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
    from transformers.initialization import no_init_weights

    name = planned.donor.name
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text(json.dumps(planned.config), encoding="utf-8")
            config = AutoConfig.from_pretrained(folder)
        with no_init_weights(), torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    except (ValueError, KeyError, TypeError, ImportError) as error:
        raise CheckpointError(
            f"transformers cannot build a text model from the config of {name!r}: {brief(error)}."
        ) from error
    if (planned.donor.folder / "generation_config.json").is_file():
        try:
            model.generation_config = GenerationConfig.from_pretrained(planned.donor.folder)
        except (ValueError, OSError) as error:
            raise CheckpointError(f"generation_config.json of {name!r} cannot be used: {brief(error)}.") from error
    model.tie_weights()
    return model.eval().requires_grad_(False)


def _tokenizer(planned: Plan) -> "PreTrainedTokenizerBase | None":
    from transformers import AutoTokenizer

    if not (planned.vocabulary.owner if planned.vocabulary else planned.donor).tokenizer_files():
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text(json.dumps(planned.config), encoding="utf-8")
            write_tokenizer(planned.donor, planned.vocabulary, Path(folder), planned.chat_template)
            return AutoTokenizer.from_pretrained(folder)
    except (ValueError, KeyError, TypeError, OSError, ImportError) as error:
        raise CheckpointError(f"The tokenizer of {planned.donor.name!r} cannot be loaded: {brief(error)}.") from error
