"""The only door from a callback to models, runner and store; it owns the device, its slots and its one queue.

The tensor rooms are imported by the thread that loads the models, so that the page opens on shipped results first.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from eval import shipped
from eval.errors import Cancelled, EvalError
from eval.judges.rules import RuleJudge
from eval.paper import published
from eval.paper.schema import Tables
from eval.store import Store
from eval.types import Measurement
from merging import Recipe, registry, zoo
from merging.errors import CheckpointError, MergeError
from merging.registry import Method
from ui.board import Board
from ui.findings import findings
from ui.hints import Hints
from ui.paper import stored
from ui.preview import Guess
from ui.replies import side_by_side
from ui.settings import Settings
from ui.status import Finding, Message, Phase, Point, Reply, Status
from ui.surveys import Surveys
from ui.turns import Turns, Urgency

if TYPE_CHECKING:
    from eval.engine import Engine
    from merging import Applied, LiveModel
    from merging.checkpoint import Outline
    from merging.geometry import Geometry

SLOTS = ("explore", "compare")
Slot = Literal["explore", "compare"]
Progress = Callable[[int, int, str], None] | None
Cancel = Callable[[], bool] | None


class DeviceService:
    """Models on one device, measurements in one store, callers in one queue.

    Two slots share the resident checkpoints: *explore* holds what the visitor drags and the left pane of a chat;
    *compare* holds the right pane and what is being probed, so that a drag never disturbs a probe. Whoever has the turn
    first re-applies the recipe that came with the request, which costs nothing when it is still loaded; so no visitor
    meets another's weights.
    """

    def __init__(self, settings: Settings, *, results: Path = shipped.FOLDER) -> None:
        self._settings = settings
        self._store = Store(settings.store)
        shipped.bring(self._store, results)
        self._judge = RuleJudge()
        self._board = Board(self._store, settings.models, self._judge.id)
        self._turns, self._jobs, self._hinting = Turns(), Turns(), Turns()
        self._hints = Hints(self._store)
        self._surveys = Surveys(self._turns)
        self._threads = settings.threads or 0
        self._slots: dict[str, LiveModel] = {}
        self._status = Status("preparing", text="Preparing models")
        self._loaded = threading.Event()

    # Start

    def start(self) -> None:
        """Prepare and load the models in a thread of their own; `status` says how far it is."""
        threading.Thread(target=self._start, name="models", daemon=True).start()

    def _start(self) -> None:
        try:
            embedded = [name for name in self._settings.models if name.startswith(zoo.PREFIX)]
            if embedded and not zoo.ready(embedded):
                zoo.prepare(lambda done, text: self._say("preparing", done, text), embedded)
            self._say("loading", 0.0, "Loading models")
            self._load()
        except (MergeError, EvalError, OSError) as problem:
            self._say("failed", 0.0, str(problem))
        else:
            self._say("ready", 1.0, "")
        finally:
            self._loaded.set()

    def _load(self) -> None:
        from eval.engine import compute_dtype, default_threads
        from eval.runner import decodings
        from merging import LiveModel, Pool
        from merging.budget import memory_plan

        settings = self._settings
        pool = Pool(settings.device)
        together = Recipe.build("linear", models=list(dict.fromkeys(settings.models)), parameters={"weight": 1.0})
        dtype = compute_dtype(settings.device, settings.dtype)
        planned = memory_plan(together, pool, slots=len(SLOTS), compute_dtype=dtype, threads=settings.threads)
        self._say("loading", 0.0, f"Loading models. {planned.words()}")
        for done, slot in enumerate(SLOTS):
            self._slots[slot] = LiveModel(settings.models, threads=settings.threads, pool=pool, compute_dtype=dtype)
            # the first merge reads the weights: the visitor's first drag should not have to
            self._slots[slot].apply(Recipe.single(settings.models[-1]))
            self._threads = settings.threads or default_threads()
            self._say("loading", (done + 1) / len(SLOTS), "Loading models")
        last = Recipe.single(settings.models[-1])
        if self._slots["compare"].tokenizer is not None:
            self._board.decode(decodings(self._engine("compare", last, Urgency.PROBE)))

    def _say(self, phase: Phase, fraction: float, text: str) -> None:
        self._status = Status(phase, fraction, text, self._device_words(), self._family_words())

    def _device_words(self) -> str:
        name = self._settings.device.upper() if self._settings.device == "cpu" else self._settings.device
        if not self._threads or self._settings.device != "cpu":
            return name
        return f"{name}, {self._threads} {'thread' if self._threads == 1 else 'threads'}"

    def _family_words(self) -> str:
        models = self._settings.models
        return (
            "Gemma 3 270M family"
            if all(name.startswith(zoo.PREFIX) for name in models)
            else f"{len(models)} checkpoints"
        )

    # What the page asks

    def status(self) -> Status:
        """How far the models are, and how many wait."""
        return replace(self._status, queue=self._turns.waiting + self._jobs.waiting)

    def checkpoints(self) -> list[str]:
        """Names offered in the pickers."""
        return list(self._settings.models)

    def methods(self) -> tuple[Method, ...]:
        """Every merge method with its knobs."""
        return registry.methods()

    def report(self, recipe: Recipe) -> tuple[Finding, ...]:
        """What speaks for and against merging the recipe's checkpoints, from config and headers alone.

        Raises:
            MergeError: One of them cannot be read, or the models are not ready.
        """
        from merging.compatibility import compatibility

        outlines = self._outlines(recipe)
        found = compatibility(outlines, slices=not recipe.is_whole, aligned=recipe.tokenizer is not None)
        return findings(cast("Sequence[Any]", outlines), found.problems, found.warnings)

    def tensors(self, recipe: Recipe) -> tuple[str, ...]:
        """Names of the tensors of the merged model's donor.

        Raises:
            MergeError: It cannot be read, or the models are not ready.
        """
        live = self._live("explore", *recipe.models_used())
        with live.pool.lock:
            return live.pool.outline(recipe.donor).names

    def _outlines(self, recipe: Recipe) -> "list[Outline]":
        live = self._live("explore", *recipe.models_used())
        with live.pool.lock:
            return [live.pool.outline(name) for name in recipe.models_used()]

    def memory(self, recipe: Recipe) -> str:
        """What the recipe keeps in memory and what a slider move will cost, in words.

        Raises:
            MergeError: It does not fit, a checkpoint cannot be read, or the models are not ready.
        """
        from merging.budget import free_bytes, memory_plan

        live = self._live("explore", *recipe.models_used())
        with live.pool.lock:
            ours = live.pool.held + sum(slot.nbytes for slot in self._slots.values())
            free = free_bytes(self._settings.device) + ours
            dtype, threads = str(live.model.dtype).removeprefix("torch."), self._settings.threads
            planned = memory_plan(recipe, live.pool, slots=len(SLOTS), compute_dtype=dtype, free=free, threads=threads)
        return planned.words()

    def geometry(
        self,
        base: str,
        models: Sequence[str],
        *,
        progress: Callable[[float, str], None] | None = None,
        cancelled: Cancel = None,
    ) -> "Geometry":
        """How far models moved from their base and whether they agree, by layer; kept for the files as they are.

        Raises:
            MergeError: A checkpoint cannot be read, they differ in shape, or the models are not ready.
            Cancelled: `cancelled()` became true.
        """
        return self._surveys(self._live("explore", base, *models).pool, base, models, progress, cancelled)

    def apply(self, recipe: Recipe) -> "Applied":
        """Merge in the explore slot.

        Raises:
            MergeError: The recipe cannot be merged, or the models are not ready.
        """
        live = self._live("explore", *recipe.models_used())
        with self._turns.turn(Urgency.DRAG):
            applied = live.apply(recipe)
        self._board.offer(*recipe.models_used())
        return applied

    def probe(
        self, recipe: Recipe, *, probe: str = "quick", progress: Progress = None, cancelled: Cancel = None
    ) -> Measurement:
        """Measure a recipe, or return what is stored; one probe runs at a time, the others wait in line.

        Raises:
            MergeError: The recipe cannot be merged, or the models are not ready.
            EvalError: It cannot be measured.
            Cancelled: `cancelled()` became true.
        """
        from eval import runner

        live = self._live("compare", *recipe.models_used())
        if progress and self._jobs.waiting:
            progress(0, 1, f"Waiting, place {self._jobs.waiting + 1} in line")
        with self._jobs.turn(Urgency.PROBE):
            with self._turns.turn(Urgency.PROBE):
                live.apply(recipe)
                hashes = live.source_hashes(recipe)
            engine = self._engine("compare", recipe, Urgency.PROBE)
            self._board.offer(*recipe.models_used())
            return runner.probe(
                recipe,
                engine,
                probe=probe,
                judge=self._judge,
                store=self._store,
                hashes=hashes,
                progress=progress,
                cancelled=cancelled,
            )

    def measured(self, recipe: Recipe, probe: str = "quick") -> Measurement | None:
        """What is stored of a recipe, without running anything."""
        digest = recipe.digest()
        return next((point.measurement for point in self.points(probe) if point.id == digest), None)

    def points(self, probe: str = "quick") -> list[Point]:
        """Every measured recipe of one chart: one probe, tier, judge and decoding.

        Raises:
            EvalError: There is no such probe.
        """
        return self._board.points(probe)

    def hint(self, recipe: Recipe, *, cancelled: Cancel = None) -> Guess | None:
        """Which way a recipe leans, from likelihoods; whoever else needs the device goes first.

        Returns:
            None for other checkpoints than the embedded ones: nobody knows what a hint is worth there.

        Raises:
            MergeError: The recipe cannot be merged, or the models are not ready.
            EvalError: The model cannot be scored.
            Cancelled: `cancelled()` became true.
        """
        names = recipe.models_used()
        live = self._live("explore", *names)
        if not all(name.startswith(zoo.PREFIX) for name in names):
            return None
        with self._hinting.turn(Urgency.HINT):
            if cancelled and cancelled():
                raise Cancelled
            with self._turns.turn(Urgency.HINT):
                live.apply(recipe)
                hashes = live.source_hashes(recipe)
            engine = self._engine("explore", recipe, Urgency.HINT, cancelled)
            return self._hints.take(recipe, engine, hashes, cancelled)

    def hinted(self, recipe: Recipe) -> Guess | None:
        """The hint that was taken of a recipe, without running anything."""
        return self._hints.of(recipe)

    def judged(self, probe: str = "quick") -> dict[str, dict[str, Measurement]]:
        """Judge -> point's id -> the point's responses under that judge; the chart's own judge first.

        Raises:
            EvalError: There is no such probe.
        """
        return self._board.judged(probe)

    def paper(self) -> Tables:
        """The paper's comparison on these models, read again whenever its file changes.

        Raises:
            EvalError: It has not been made, or its file cannot be read; the text says what to do.
        """
        return stored(published.FOLDER / "tables.json")

    # Chat

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
        cancelled: Cancel = None,
    ) -> Iterator[tuple[Reply, Reply]]:
        """Both answers as they grow, a token of each in turn, same seed and decoding; the last pair carries verdicts.

        Raises:
            MergeError: One of the recipes cannot be merged, or the models are not ready.
            EvalError: One of the models gives nothing, or has no tokenizer.
        """
        panes = []
        both: tuple[tuple[Slot, Recipe, Sequence[Message]], ...]
        both = (("explore", left, left_messages), ("compare", right, right_messages))
        for slot, recipe, messages in both:
            live = self._live(slot, *recipe.models_used())
            with self._turns.turn(Urgency.CHAT):
                live.apply(recipe)
            panes.append((self._engine(slot, recipe, Urgency.CHAT), messages))
        options = {"max_new_tokens": max_new_tokens, "seed": seed, "temperature": temperature, "cancelled": cancelled}
        yield from side_by_side(panes, judge=self._judge, options=options)

    # The device

    def _live(self, slot: Slot, *names: str) -> "LiveModel":
        """The slot's model, once it is certain that these checkpoints may be read."""
        for name in names:
            self._settings.refuse_foreign(name)
        if self._status.phase == "failed":
            raise CheckpointError(f"The models could not be loaded: {self._status.text}")
        if not self._loaded.is_set():
            raise CheckpointError("The models are still being prepared: try again in a moment.")
        return self._slots[slot]

    def _engine(self, slot: Slot, recipe: Recipe, urgency: Urgency, cancelled: Cancel = None) -> "Engine":
        """An engine whose every forward pass waits for its turn and finds its own recipe loaded."""
        from eval.engine import Engine

        self._settings.refuse_foreign_template(recipe.chat_template)
        live = self._slots[slot]
        if live.tokenizer is None:
            raise CheckpointError(
                f"{recipe.donor} has no tokenizer, so its merges can be saved but not probed or asked."
            )
        engine = Engine(live.model, live.tokenizer, threads=self._settings.threads)
        engine.turn = partial(self._step, engine, live, recipe, urgency, cancelled)
        return engine

    @contextmanager
    def _step(
        self, engine: "Engine", live: "LiveModel", recipe: Recipe, urgency: Urgency, cancelled: Cancel
    ) -> Iterator[None]:
        with self._turns.turn(urgency):
            if cancelled and cancelled():  # it waited for a turn that nobody needs any more
                raise Cancelled
            if live.recipe is None or live.recipe.digest() != recipe.digest():
                live.apply(recipe)
                engine.model = live.model  # another visitor's recipe of another shape may have built a new module
            yield
