"""A live model, an engine, a judge and a store put together for the command line: give it recipes, get measurements."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
import yaml

from eval import instant, probes, runner, shipped
from eval.calibration import Calibration, fit
from eval.engine import Engine, compute_dtype
from eval.errors import EvalError
from eval.judges.rules import RuleJudge
from eval.probes import ProbeSet
from eval.store import Store, read_jsonl, write_jsonl
from eval.tasks import Score, Tasks
from eval.types import Judge, Measurement
from merging import LiveModel, Recipe, zoo

Progress = Callable[[int, int, str], None] | None


class Bench:
    """Measures recipes one after another on one device."""

    def __init__(
        self, device: str = "cpu", threads: int | None = None, store: Path | None = None, dtype: str = "auto"
    ) -> None:
        """Set up; models and store are opened when first needed.

        Args:
            device: "cpu" or "cuda".
            threads: CPU threads; None leaves torch's choice.
            store: Where measurements are kept; by default where the page keeps its own.
            dtype: In which dtype passes run: "recipe", "float32", or "auto" for what is fast here.

        Raises:
            EvalError: No such device or dtype, or no thread.
        """
        if threads is not None and threads < 1:
            raise EvalError(f"--threads must be 1 or more, not {threads}.")
        if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
            raise EvalError(f"There is no device {device!r} here. Known: cpu{', cuda' * torch.cuda.is_available()}.")
        self._path = store or zoo.home() / "measurements.sqlite"
        self._live = LiveModel((), device=device, threads=threads, compute_dtype=compute_dtype(device, dtype))
        self._threads = threads
        self._judge = RuleJudge()

    @cached_property
    def store(self) -> Store:
        """The store, with what is shipped in it."""
        opened = Store(self._path)
        shipped.bring(opened)
        return opened

    def recipe(self, name: str) -> Recipe:
        """A recipe file by its path, or a checkpoint by its name.

        Raises:
            MergeError: The file cannot be read or is no recipe.
        """
        return Recipe.from_yaml(Path(name)) if name.endswith((".yaml", ".yml")) else Recipe.single(name)

    def measure(
        self,
        recipe: Recipe,
        probe: str = "quick",
        progress: Progress = None,
        *,
        store: Store | None = None,
        judge: Judge | None = None,
    ) -> Measurement:
        """The measurement of a recipe, the reference model measured first where it is not yet.

        Another judge than the rules reads the responses that are already there, where they are.

        Raises:
            MergeError: The recipe cannot be merged.
            EvalError: The probe cannot be read or the model cannot be measured.
        """
        _check_read(probes.load(probe), judge or self._judge)
        self._engine(recipe)  # what cannot be merged is refused before minutes go into its reference
        reference = self.reference(recipe, probe, progress, store=store, judge=judge)
        return self._run(recipe, probe, progress, reference, store or self.store, judge)

    def reference(
        self,
        recipe: Recipe,
        probe: str = "quick",
        progress: Progress = None,
        *,
        store: Store | None = None,
        judge: Judge | None = None,
    ) -> Measurement | None:
        """The measurement of the recipe's reference model; None if it has none."""
        wanted = runner.reference_recipe(recipe)
        return None if wanted is None else self._run(wanted, probe, progress, None, store or self.store, judge)

    def dtype_of(self, recipe: Recipe) -> str:
        """The dtype in which passes of this recipe run here, e.g. "bfloat16"."""
        return str(self._engine(recipe).model.dtype).removeprefix("torch.")

    def tasks(self, recipe: Recipe, asked: Tasks) -> list[Score]:
        """Standard tasks on a recipe.

        Raises:
            MergeError: The recipe cannot be merged.
            EvalError: The model cannot be measured.
        """
        self._engine(recipe)
        return asked.run(self._live.model, self._live.tokenizer)

    def landmarks(self, recipes: Sequence[Recipe], out: Path, progress: Progress = None) -> list[Measurement]:
        """Measure recipes into a file that is shipped; whatever it already holds of them is kept.

        The file is written after every recipe, and what is under way is resumed by the next call.
        """
        scratch = Store(zoo.home() / "landmarks.sqlite")
        if out.is_file():
            scratch.import_jsonl(out, origin="local")
        done = []
        for recipe in recipes:
            done.append(replace(self.measure(recipe, progress=progress, store=scratch), origin="shipped"))
            kept = {one.key: one for one in done}
            if out.is_file():  # until all are done, the file holds the union of old and new
                kept = {one.key: one for one in read_jsonl(out)} | kept
            write_jsonl(out, list(kept.values()))
        write_jsonl(out, done)
        return done

    def instant(self, recipe: Recipe) -> Measurement:
        """The provisional measurement of a recipe, from likelihoods alone."""
        engine = self._engine(recipe)
        return instant.measure(recipe, engine, hashes=self._live.source_hashes(recipe), store=self.store)

    def calibrate(self, recipes: Sequence[Recipe], progress: Progress = None) -> Calibration:
        """What instant measurements are worth here, fitted on recipes whose quick measurements are stored.

        Raises:
            EvalError: One of the recipes has none that was taken as it would be taken here.
        """
        items, pairs = probes.load("quick"), []
        for done, recipe in enumerate(recipes):
            if progress:
                progress(done, len(recipes), recipe.label())
            hint = self.instant(recipe)
            engine, hashes = self._engine(recipe), self._live.source_hashes(recipe)
            quick = self.store.get(runner.identify(recipe, engine, items, self._judge, hashes).key())
            if quick is None:
                raise EvalError(f"{recipe.label()} has no quick measurement here: run python -m eval landmarks first.")
            pairs.append((hint, quick))
        return fit(pairs)

    def bits(self, recipe: Recipe) -> dict[str, dict[str, float]]:
        """Bits per byte of the held-out passages: kind of text -> language -> value (all bits over all bytes)."""
        passages = probes.passages()
        bits = self._engine(recipe).bits_per_byte([passage.text for passage in passages])
        sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for passage, value in zip(passages, bits, strict=True):
            size = len(passage.text.encode())
            sums[passage.kind, passage.language][0] += value * size
            sums[passage.kind, passage.language][1] += size
        kinds = dict.fromkeys(kind for kind, _ in sums)
        return {kind: {lang: total / size for (k, lang), (total, size) in sums.items() if k == kind} for kind in kinds}

    def _run(
        self,
        recipe: Recipe,
        probe: str,
        progress: Progress,
        reference: Measurement | None,
        store: Store,
        judge: Judge | None,
    ) -> Measurement:
        engine = self._engine(recipe)
        hashes = self._live.source_hashes(recipe)
        return runner.probe(
            recipe,
            engine,
            probe=probe,
            judge=judge or self._judge,
            store=store,
            hashes=hashes,
            reference=reference,
            progress=progress,
        )

    def _engine(self, recipe: Recipe) -> Engine:
        embedded = [name.split("+")[0] for name in recipe.models_used() if name.startswith(zoo.PREFIX)]
        for name in embedded:
            if name not in zoo.NAMES:
                zoo.resolve(name)  # says what is known, before anything is downloaded
        if embedded and not zoo.ready(embedded):
            zoo.prepare(names=embedded)
        self._live.apply(recipe)
        if self._live.tokenizer is None:
            raise EvalError(f"{recipe.donor} has no tokenizer, so it cannot be asked anything.")
        return Engine(self._live.model, self._live.tokenizer, threads=self._threads)


def _check_read(items: ProbeSet, judge: Judge) -> None:
    """Before minutes go into answers that the rules cannot label (a model judge leaves such languages out).

    Raises:
        EvalError: They do not read one of the languages.
    """
    asked = list(dict.fromkeys(item.language for item in items.items if item.kind != "choice"))
    if isinstance(judge, RuleJudge) and (unread := [code for code in asked if code not in judge.languages]):
        raise EvalError(
            f"The rule judge does not read {', '.join(unread)}, so its answers cannot be labelled: "
            f"ask for other languages ({', '.join(judge.languages)}) with --languages, or for another --judge."
        )


def read_recipes(path: Path) -> list[Recipe]:
    """Recipes from a YAML list.

    Raises:
        EvalError: The file is missing or is no list.
        MergeError: An entry is no recipe.
    """
    if not path.is_file():
        raise EvalError(f"There is no file {path}.")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not entries:
        raise EvalError(f"{path.name} must be a list of recipes.")
    return [Recipe.from_yaml(yaml.safe_dump(entry, sort_keys=False)) for entry in entries]
