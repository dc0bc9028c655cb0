"""Standard tasks on the live merged model, through EleutherAI's lm-evaluation-harness as a library.

The harness is not one of the app's requirements: `pip install -r requirements-tasks.txt` brings it. Its tasks are
looked up and their data fetched before anything is merged.
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.errors import EvalError
from eval.statistics import Z95, wilson
from merging.errors import brief, did_you_mean

REQUIREMENTS = "requirements-tasks.txt"
BATCH_SIZE = 8
FEWSHOT_SEED = 1234
"""The harness's own default."""


@dataclass(frozen=True)
class Score:
    """One metric of one task, in the task's own unit."""

    task: str
    metric: str
    """With the harness's filter where it has one, as "acc" or "exact_match (strict-match)"."""
    value: float
    stderr: float | None
    """None where the harness has no formula for it."""
    n: int
    """Documents answered."""
    shots: int
    better: str
    """"higher" or "lower"."""
    version: str

    def interval(self) -> tuple[float, float] | None:
        """95 %: Wilson where the standard error is that of n yes-or-no outcomes, else normal; None without one."""
        if self.stderr is None:
            return None
        if self.n > 1 and math.isclose(self.stderr**2 * (self.n - 1), self.value * (1 - self.value), abs_tol=1e-9):
            return wilson(self.value, self.n)
        return self.value - Z95 * self.stderr, self.value + Z95 * self.stderr

    def to_json(self) -> dict[str, Any]:
        """The object written by `--json`."""
        low, high = self.interval() or (None, None)
        facts = {"n": self.n, "shots": self.shots, "better": self.better, "version": self.version}
        return {"value": self.value, "stderr": self.stderr, "low": low, "high": high, **facts}


class Tasks:
    """Tasks that were looked up and whose data are at hand."""

    def __init__(self, names: Sequence[str], *, include: Path | None = None, limit: int | None = None) -> None:
        """Look the tasks up and fetch their data.

        Args:
            names: Tasks, groups or tags of the harness; `*` stands for anything.
            include: A folder with more tasks as YAML. Functions that these name are run: give only folders you trust.
            limit: Documents of each task, None for all.

        Raises:
            EvalError: The harness is not installed, a task is unknown, or its data cannot be had.
        """
        if importlib.util.find_spec("lm_eval") is None:
            raise EvalError(f"--tasks takes lm-evaluation-harness: pip install -r {REQUIREMENTS}.")
        if limit is not None and limit < 1:
            raise EvalError(f"--limit must be 1 or more, not {limit}.")
        if include is not None and not include.is_dir():
            raise EvalError(f"There is no folder {include} with tasks.")
        self._limit = limit
        manager = _manager(None if include is None else str(include.resolve()))
        self._loaded = _loaded(manager, _matched(manager, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The single tasks, groups and tags resolved."""
        return tuple(self._loaded["tasks"])

    def run(self, model: Any, tokenizer: Any) -> list[Score]:
        """Answer all tasks.

        Args:
            model: A transformers model that generates text; it is used as it is.
            tokenizer: Its tokenizer.

        Raises:
            EvalError: The tasks run code that the model writes, or need more than text, or a figure is not finite.
        """
        from lm_eval.evaluator import evaluate
        from lm_eval.models.huggingface import HFLM

        for task in self._loaded["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config("num_fewshot", 0)
            task.set_fewshot_seed(seed=FEWSHOT_SEED)
        wrapper: Any = HFLM
        wrapped = wrapper(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=BATCH_SIZE)
        found = evaluate(wrapped, self._loaded, limit=self._limit, log_samples=False)
        return scores(found or {})


def scores(found: Mapping[str, Any]) -> list[Score]:
    """What the harness found, one score a metric, groups after their tasks.

    Raises:
        EvalError: A figure is not finite.
    """
    rows = []
    for task, metrics in found.get("results", {}).items():
        answered = found.get("n-samples", {}).get(task, {}).get("effective")
        for key, value in metrics.items():
            name, _, kept = key.partition(",")
            if not kept or name.endswith("_stderr") or isinstance(value, str):
                continue
            if not math.isfinite(value):
                raise EvalError(f"{name} of {task} is not a number: this model cannot be measured.")
            error = metrics.get(f"{name}_stderr,{kept}")
            rows.append(
                Score(
                    task=task,
                    metric=name if kept == "none" else f"{name} ({kept})",
                    value=float(value),
                    stderr=float(error) if isinstance(error, int | float) and math.isfinite(error) else None,
                    n=int(answered if answered is not None else metrics.get("sample_len", 0)),
                    shots=int(found.get("n-shot", {}).get(task, 0) or 0),
                    better="higher" if found.get("higher_is_better", {}).get(task, {}).get(name, True) else "lower",
                    version=str(found.get("versions", {}).get(task, "")),
                )
            )
    return rows


def as_json(rows: Sequence[Score]) -> dict[str, dict[str, Any]]:
    """Task -> metric -> value, standard error, interval and n."""
    tree: dict[str, dict[str, Any]] = {}
    for row in rows:
        tree.setdefault(row.task, {})[row.metric] = row.to_json()
    return tree


def as_text(rows: Sequence[Score]) -> str:
    """One line a score, for a terminal."""
    wide = max((len(row.task) for row in rows), default=0)
    lines = []
    for row in rows:
        ends = row.interval()
        interval = "no interval" if ends is None else f"[{ends[0]:.3f}, {ends[1]:.3f}]  stderr {row.stderr:.4f}"
        facts = f"n = {row.n}, {row.shots} shots, {row.better} is better"
        lines.append(f"{row.task:{wide}}  {row.metric:24} {row.value:.4f} {interval}  {facts}")
    return "\n".join(lines)


@lru_cache(maxsize=4)
def _manager(include: str | None) -> Any:
    """The harness's index of its fourteen thousand tasks, and of those in a folder: some seconds to make."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include)


def _matched(manager: Any, names: Sequence[str]) -> list[str]:
    """The names that the harness knows, patterns resolved.

    Raises:
        EvalError: It does not know one.
    """
    found: list[str] = []
    for name in names:
        known = manager.match_tasks([name]) if "*" in name else [name] if name in manager.task_index else []
        if not known:
            hint = did_you_mean(name, manager.task_index)
            raise EvalError(f"lm-evaluation-harness has no task {name!r}.{hint} `lm-eval ls tasks` lists them.")
        found += known
    return list(dict.fromkeys(found))


def _loaded(manager: Any, names: list[str]) -> Any:
    """The tasks with their data.

    Raises:
        EvalError: The data cannot be had, or the tasks do not go together.
    """
    import httpx
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        loaded = manager.load(names)
    except (OfflineModeIsEnabled, ConnectionError, FileNotFoundError, HfHubHTTPError, httpx.HTTPError) as error:
        raise EvalError(
            f"The data of {', '.join(names)} cannot be had: {brief(error)}. Connect to the hub (and unset "
            "HF_HUB_OFFLINE), or use a task whose data are here."
        ) from error
    except (DatasetsError, ImportError, ValueError, KeyError) as error:
        raise EvalError(f"The tasks {', '.join(names)} cannot be set up: {brief(error)}.") from error
    for name, task in loaded["tasks"].items():
        if getattr(task, "UNSAFE_CODE", False):
            raise EvalError(f"{name} runs code that the model writes, which is never done here.")
        if getattr(task, "MULTIMODAL", False):
            raise EvalError(f"{name} needs more than text.")
    return loaded
