"""What the service tells the page: how far it is, what is measured, what two models replied. Plain data, no torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from eval.paper.schema import Tables
from eval.types import Measurement, Verdict
from merging import Recipe
from merging.registry import Method

if TYPE_CHECKING:
    from merging.geometry import Geometry
    from ui.preview import Guess

Phase = Literal["preparing", "loading", "ready", "failed"]
Message = dict[str, str]
LANDMARKS = {
    "zoo:base": "base",
    "zoo:general": "general 0 %",
    "zoo:mix-15": "mix 15 %",
    "zoo:safety": "safety 100 %",
}


@dataclass(frozen=True)
class Status:
    """How far the models are.

    Attributes:
        phase: "ready" once a merge can run; "failed" ends the start, and `text` then says what to do.
        fraction: Share of the phase that is done, in [0, 1].
        text: One line for the page.
        device: Where merges run, e.g. "CPU, 2 threads".
        family: The checkpoints served, e.g. "Gemma 3 270M family".
        queue: Callers that wait for the device now.
    """

    phase: Phase
    fraction: float = 0.0
    text: str = ""
    device: str = ""
    family: str = ""
    queue: int = 0


@dataclass(frozen=True)
class Point:
    """One measured recipe on the chart.

    Attributes:
        id: The recipe's digest.
        landmark: Name of the fixed point it is ("base", "mix 15 %", …), or None for a merge.
        on_frontier: Whether no other point of its chart beats it.
        standing: Share of bootstrap resamples in which it is on the frontier of harm and general; None where unknown.
    """

    id: str
    recipe: Recipe
    measurement: Measurement
    origin: Literal["shipped", "local"]
    landmark: str | None = None
    on_frontier: bool = False
    standing: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing about the checkpoints of a recipe that decides whether they can be merged.

    Attributes:
        topic: "architecture", "layers", "shapes", "vocabulary", "tokenizer" or "licence".
        verdict: "problem" stops the merge, "warning" may surprise.
        text: One sentence; for a problem with the way out.
    """

    topic: str
    verdict: Literal["fine", "warning", "problem"]
    text: str


@dataclass(frozen=True)
class Reply:
    """One pane's answer so far.

    Attributes:
        text: Everything said until now.
        done: Whether the model has finished (or was stopped).
        verdict: The judge's label of the finished answer; None until then.
        plain: The checkpoint has no chat template, so the plain fallback was used.
    """

    text: str = ""
    done: bool = False
    verdict: Verdict | None = None
    plain: bool = False


class Applied(Protocol):
    """What a merge reports: `merging.live.Applied`, named here so that the page needs no torch."""

    seconds: float
    reused: bool
    notes: tuple[str, ...]


class Service(Protocol):
    """What a callback may ask of the device, the runner and the store. `ui.service.DeviceService` is the real one."""

    def status(self) -> Status:
        """How far the models are, and how many wait."""
        ...

    def checkpoints(self) -> list[str]:
        """Names offered in the pickers."""
        ...

    def methods(self) -> tuple[Method, ...]:
        """Every merge method with its knobs."""
        ...

    def report(self, recipe: Recipe) -> tuple[Finding, ...]:
        """What speaks for and against merging the recipe's checkpoints. Raises MergeError where one cannot be read."""
        ...

    def memory(self, recipe: Recipe) -> str:
        """What the recipe keeps in memory and what a slider move will cost, in words; empty where nobody knows."""
        ...

    def geometry(
        self,
        base: str,
        models: Sequence[str],
        *,
        progress: Callable[[float, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> "Geometry":
        """How far models moved from their base and whether they agree, by layer. Raises MergeError, Cancelled."""
        ...

    def tensors(self, recipe: Recipe) -> tuple[str, ...]:
        """Names of the merged model's tensors. Raises MergeError."""
        ...

    def apply(self, recipe: Recipe) -> Any:
        """Merge in the explore slot and say how long it took (an `Applied`). Raises MergeError."""
        ...

    def probe(
        self,
        recipe: Recipe,
        *,
        probe: str = "quick",
        progress: Callable[[int, int, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Measurement:
        """Measure a recipe, or return what is stored. Raises MergeError, EvalError, Cancelled."""
        ...

    def points(self, probe: str = "quick") -> list[Point]:
        """Every measured recipe of one chart."""
        ...

    def measured(self, recipe: Recipe, probe: str = "quick") -> Measurement | None:
        """What is stored of a recipe, without running anything."""
        ...

    def hint(self, recipe: Recipe, *, cancelled: Callable[[], bool] | None = None) -> "Guess | None":
        """Which way a recipe leans, from likelihoods, in seconds; None where that is worth nothing.

        Raises MergeError, EvalError, Cancelled.
        """
        ...

    def hinted(self, recipe: Recipe) -> "Guess | None":
        """The hint that was taken of a recipe, without running anything."""
        ...

    def judged(self, probe: str = "quick") -> dict[str, dict[str, Measurement]]:
        """Judge -> point's id -> the point's responses under that judge; the chart's own judge first."""
        ...

    def paper(self) -> Tables:
        """The paper's comparison on these models. Raises EvalError where it has not been made."""
        ...

    def chat_pair(
        self,
        left: Recipe,
        right: Recipe,
        left_messages: Sequence[Message],
        right_messages: Sequence[Message],
        *,
        max_new_tokens: int = 96,
        seed: int = 0,
        temperature: float = 0.0,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[Reply, Reply]]:
        """Both answers as they grow, token by token in turn, same seed and decoding; the last pair carries verdicts.

        Messages are {"role": "user" | "assistant", "content": text}, the newest request last in both lists.
        """
        ...
