"""One recipe, measured: items through an engine and a judge into a measurement, or straight out of the store."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from eval import metrics, probes
from eval.clock import Clock
from eval.errors import Cancelled
from eval.judges.asking import verdicts
from eval.probes import ProbeSet
from eval.scores import Outcomes
from eval.store import Store
from eval.types import Generator, Identity, Item, Judge, Measurement, Response
from merging import Recipe

ZOO = "zoo:"
ZOO_BASE = "zoo:base"
MAX_NEW_TOKENS = 32
BATCH_SIZE = 96
CHOICE_WORK = 0.4
"""Time of a choice with four options, in generated answers of the embedded family; only the time left depends on it."""

Progress = Callable[[int, int, str], None] | None
Cancel = Callable[[], bool] | None


def probe(
    recipe: Recipe,
    engine: Generator,
    *,
    judge: Judge,
    hashes: Mapping[str, str],
    probe: str = "quick",
    store: Store | None = None,
    reference: Measurement | None = None,
    progress: Progress = None,
    cancelled: Cancel = None,
) -> Measurement:
    """Measure the recipe that the engine's model holds, or return what the store has of it.

    Args:
        recipe: What is loaded in the engine.
        engine: Answers the items.
        judge: Labels the answers.
        hashes: Checkpoint name -> sha256 of its content, for every checkpoint of the recipe. May hold others: if the
            reference model's is there, only a measurement of that very content is taken for the reference.
        probe: Name of a probe set, or the path of one.
        store: Where measurements are kept, and finished batches of one that is stopped.
        reference: The reference model's measurement; without it the store is asked.
        progress: Told (items done, items in all, what is being done).
        cancelled: Asked at every step; if true the work stops and its finished batches are kept.

    Raises:
        Cancelled: It was stopped.
        EvalError: The probe cannot be read or the model cannot be measured.
    """
    items = probes.load(probe)
    identity = identify(recipe, engine, items, judge, hashes)
    reference = reference or stored_reference(recipe, identity, store, hashes)
    found = store.get(identity.key()) if store else None
    if found is None:
        run = _Run(items, engine, store, identity.key(), progress, cancelled, Clock())
        answered = _answered(identity, store)
        found = _judged(answered, identity, items, judge) if answered else _measurement(recipe, identity, run, judge)
    elif progress:
        progress(len(items.items), len(items.items), "already measured")
    return _relative(found, recipe, items, reference, store)


def identify(recipe: Recipe, engine: Generator, items: ProbeSet, judge: Judge, hashes: Mapping[str, str]) -> Identity:
    """What identifies the measurement of a recipe by a probe."""
    return Identity(
        recipe_digest=recipe.digest(),
        checkpoints={name: hashes[name] for name in recipe.models_used()},
        probe=items.id,
        probe_hash=items.hash,
        tier=items.tier,
        judge=judge.id,
        decoding=decodings(engine)[items.tier],
    )


def decodings(engine: Generator) -> dict[str, str]:
    """How each tier makes text with this engine."""
    return {tier: engine.decoding(max_new_tokens=MAX_NEW_TOKENS, batch_size=BATCH_SIZE) for tier in probes.TIERS}


def reference_recipe(recipe: Recipe) -> Recipe | None:
    """The model that relative measures are relative to: zoo:base for its family, else the recipe's base, else none."""
    if any(name.startswith(ZOO) for name in recipe.models_used()):
        return Recipe.single(ZOO_BASE)
    return Recipe.single(recipe.base_model) if recipe.base_model else None


def stored_reference(
    recipe: Recipe, identity: Identity, store: Store | None, hashes: Mapping[str, str]
) -> Measurement | None:
    """The newest stored measurement of the reference model that was taken in the same way."""
    wanted = reference_recipe(recipe)
    if wanted is None or store is None:
        return None
    probe_hash, tier, judge, decoding = identity.group()
    same_way = store.all(probe_hash=probe_hash, tier=tier, judge=judge, decoding=decoding)
    fitting = [
        one
        for one in same_way
        if one.identity.recipe_digest == wanted.digest()
        and all(hashes.get(name, content) == content for name, content in one.identity.checkpoints.items())
    ]
    return fitting[-1] if fitting else None


@dataclass(frozen=True)
class _Run:
    """The work of one measurement, resumable by batch."""

    probe: ProbeSet
    engine: Generator
    store: Store | None
    key: str
    progress: Progress
    cancelled: Cancel
    clock: Clock

    def responses(self) -> dict[str, Response]:
        """Every item's response, in the order of the probe."""
        found = self.store.batches(self.key) if self.store else {}
        generated = [item for item in self.probe.items if item.kind != "choice"]
        choices = [item for item in self.probe.items if item.kind == "choice"]
        self.clock.begin(self._work(found))
        self._tell(found, "answering")
        self._generate(generated, found)
        self._choose([item for item in choices if item.id not in found], found)
        return {item.id: found[item.id] for item in self.probe.items}

    def _generate(self, items: list[Item], found: dict[str, Response]) -> None:
        batches = self.engine.generate_batches(
            [item.prompt for item in items],
            max_new_tokens=MAX_NEW_TOKENS,
            batch_size=BATCH_SIZE,
            cancelled=self.cancelled,
            done={i for i, item in enumerate(items) if item.id in found},
        )
        for batch in batches:
            self._keep(
                [Response(items[i].id, one.text, one.tokens, one.truncated) for i, one in sorted(batch.items())], found
            )
            self._tell(found, "answering")
            if self.cancelled and self.cancelled():
                raise Cancelled

    def _choose(self, items: list[Item], found: dict[str, Response]) -> None:
        before = len(found)
        scores = self.engine.score_options(
            [item.prompt for item in items],
            [item.options for item in items],
            cancelled=self.cancelled,
            progress=lambda done, _: self._tell_count(
                before + done, "choosing", ahead=(len(items) - done) * CHOICE_WORK
            ),
        )
        pairs = zip(items, scores, strict=True)
        self._keep([Response(item.id, option_scores=one) for item, one in pairs], found)

    def _keep(self, responses: list[Response], found: dict[str, Response]) -> None:
        found.update({response.item_id: response for response in responses})
        if self.store:
            self.store.save_batch(self.key, responses)

    def _tell(self, found: Mapping[str, Response], text: str) -> None:
        self._tell_count(len(found), text, ahead=self._work(found))

    def _tell_count(self, done: int, text: str, *, ahead: float) -> None:
        """How many items are done; with the time it will take where that is minutes."""
        if self.progress:
            left = self.clock.left(ahead) if self.probe.tier == "full" else ""
            self.progress(done, len(self.probe.items), f"{text}, {left} left" if left else text)

    def _work(self, found: Mapping[str, Response]) -> float:
        """What is still to do, in generated answers."""
        return sum(CHOICE_WORK if item.kind == "choice" else 1.0 for item in self.probe.items if item.id not in found)


def rejudged(measurements: Sequence[Measurement], judge: Judge) -> list[Measurement]:
    """The same responses under another judge, or another version of it; counted anew, nothing is generated.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    fresh = [_judged(one, replace(one.identity, judge=judge.id), metrics.probe_of(one), judge) for one in measurements]
    by_digest = {one.identity.recipe_digest: one for one in fresh}
    found = []
    for one in fresh:
        recipe = Recipe.from_yaml(one.recipe)
        wanted = reference_recipe(recipe)
        reference = by_digest.get(wanted.digest()) if wanted else None
        found.append(_relative(one, recipe, metrics.probe_of(one), reference, None))
    return found


def _answered(identity: Identity, store: Store | None) -> Measurement | None:
    """A measurement that differs by its judge alone: its responses are what this one would be."""
    if store is None:
        return None
    same = store.all(probe_hash=identity.probe_hash, tier=identity.tier, decoding=identity.decoding)
    return next((one for one in same if replace(one.identity, judge=identity.judge).key() == identity.key()), None)


def _judged(answered: Measurement, identity: Identity, items: ProbeSet, judge: Judge) -> Measurement:
    """The same responses under another judge, nothing generated."""
    texts = {response.item_id: response for response in answered.responses}
    asked = [item for item in items.items if item.kind != "choice"]
    found = verdicts(judge, asked, [texts[item.id] for item in asked])
    return replace(answered, identity=identity, verdicts=tuple(found), measures={})


def _measurement(recipe: Recipe, identity: Identity, run: _Run, judge: Judge) -> Measurement:
    start = time.perf_counter()
    responses = run.responses()
    answered = [item for item in run.probe.items if item.kind != "choice"]
    found = verdicts(judge, answered, [responses[item.id] for item in answered])
    return Measurement(
        identity=identity,
        recipe=recipe.to_yaml(),
        label=recipe.label(),
        method=recipe.method,
        seconds=round(time.perf_counter() - start, 2),
        measures={},
        responses=tuple(responses.values()),
        verdicts=tuple(found),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=dict(run.engine.environment()),
    )


def _relative(
    found: Measurement, recipe: Recipe, items: ProbeSet, reference: Measurement | None, store: Store | None
) -> Measurement:
    """The measurement with all its measures; counted anew where the reference came later than the measurement."""
    wanted = reference_recipe(recipe)
    if wanted is not None and wanted.digest() == recipe.digest():
        reference = found
    if found.measures and (reference is None or found.value("win_rate") is not None):
        return found
    missing = "the reference model has not been measured" if wanted else "this recipe has no base model to compare with"
    ours = Outcomes.of(found, items)
    base = Outcomes.of(reference, items) if reference else None
    counted = replace(found, measures=metrics.measure_all(ours, base, no_reference=missing))
    if store:
        store.put(counted)
    return counted
