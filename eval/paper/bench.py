"""The bench of the comparison: instant scores on the validation split, full measurements, and what weights came out."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from eval import instant, probes, runner
from eval.bench import Bench
from eval.engine import Engine
from eval.paper.plan import Plan
from eval.paper.record import Group
from eval.paper.screening import Screened
from eval.probes import ProbeSet
from eval.types import Measurement, Response
from merging import Recipe

SILENCE = 20.0
"""Seconds between two lines about one measurement."""


class PaperBench(Bench):
    """A bench that screens by the plan's validation split and measures by its probe."""

    def __init__(
        self,
        plan: Plan,
        device: str = "cpu",
        threads: int | None = None,
        store: Path | None = None,
        dtype: str = "auto",
    ) -> None:
        """Set up; models and store are opened when first needed.

        Raises:
            EvalError: No such device, dtype or probe, or no thread.
        """
        super().__init__(device, threads, store, dtype)
        self._name, self._probe = plan.probe, probes.load(plan.probe)
        self._validation = probes.load(plan.screening)
        self._scores: dict[str, tuple[float, float]] = {}

    def group(self, recipe: Recipe) -> Group:
        """How measurements are taken here."""
        engine, hashes = self._engine(recipe), self._live.source_hashes(recipe)
        return runner.identify(recipe, engine, self._probe, self._judge, hashes).group()

    def scored_by(self, recipe: Recipe) -> str:
        """Validation split, judge of likelihoods, and how these are taken."""
        scoring = self._engine(recipe).scoring(batch_size=instant.BATCH_SIZE)
        return f"{self._asked.probe.hash[:16]}/{len(self._asked.probe.items)}/{instant.JUDGE}/{scoring}"

    def screen(self, recipe: Recipe) -> Screened:
        """The leanings of a recipe on the validation split; weights that were scored in this run are not scored again.

        Raises:
            MergeError: It cannot be merged.
            EvalError: The model gives NaN.
        """
        start = time.perf_counter()
        engine = self._engine(recipe)
        weights, notes = self._fingerprint(), self._live.apply(recipe).notes
        if weights not in self._scores:
            self._scores[weights] = self._score(engine)
        safety, general = self._scores[weights]
        contents = tuple(sorted(self._live.source_hashes(recipe).values()))
        seconds = round(time.perf_counter() - start, 2)
        return Screened(recipe.digest(), contents, self.scored_by(recipe), safety, general, weights, notes, seconds)

    def full(self, recipe: Recipe, tell: Callable[[str], None]) -> Measurement:
        """The measurement of a recipe by the plan's probe, resumed by batch."""
        last = time.monotonic()

        def progress(done: int, total: int, text: str) -> None:
            nonlocal last
            if time.monotonic() - last > SILENCE:
                last = time.monotonic()
                tell(f"{done} of {total} items, {text}")

        return self.measure(recipe, self._name, progress)

    @cached_property
    def _asked(self) -> instant.Declared:
        """What a setting is chosen on: the requests that all languages share (else all requests), and all choices."""
        whole = self._validation
        shared = any(item.kind == "harmful" and item.parallel for item in whole.items)
        items = tuple(
            item
            for item in whole.items
            if item.kind == "choice" or (item.kind == "harmful" and (item.parallel or not shared))
        )
        kept = ProbeSet(whole.header, items, whole.hash, {item.id: item for item in items})
        return replace(instant.declared(), probe=kept)

    def _score(self, engine: Engine) -> tuple[float, float]:
        """(how much likelier a refusing opening is, chance given to the right options), means over languages."""
        items = self._asked.probe.items
        scores = engine.score_options([i.prompt for i in items], [self._asked.options(i) for i in items],
                                      batch_size=instant.BATCH_SIZE)  # fmt: skip
        responses = {item.id: Response(item.id, option_scores=one) for item, one in zip(items, scores, strict=True)}
        found = instant.leanings(self._asked, responses)
        safety, general = found["refusing"].value, found["choosing"].value
        if safety is None or general is None:
            raise TypeError("the validation split lacks requests or choices")
        return safety, general

    def _fingerprint(self) -> str:
        """Hash of the merged weights, as they are held."""
        total = hashlib.blake2b(digest_size=16)
        for name, parameter in self._live.model.named_parameters():
            total.update(name.encode())
            total.update(parameter.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy().data)
        return total.hexdigest()
