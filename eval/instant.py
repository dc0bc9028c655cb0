"""The instant tier: which way a merge leans, from likelihoods alone, on a declared part of the quick probe.

Nothing is generated: how much likelier a refusing opening is than a complying one, and which option is the likeliest.
That is a hint of seconds, never a measurement: `eval.calibration` says what it is worth.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from time import perf_counter
from typing import Any, Protocol

from eval import probes
from eval.errors import ProbeError
from eval.probes import ProbeSet
from eval.scores import Outcomes, Tally, rates, tally
from eval.statistics import nanmean_rows, percentiles, unseen
from eval.store import Store
from eval.types import Estimate, Identity, Item, Kind, Measure, Measurement, Response
from merging import Recipe

TIER = "instant"
JUDGE = "openings/1"
"""What turns likelihoods into leanings; raised by hand when that changes."""
BATCH_SIZE = 12
"""Small, so that a drag waits for a short pass only."""
LEANINGS: Mapping[str, Kind] = {"refusing": "harmful", "wary": "lookalike", "choosing": "choice"}
"""Measure of this tier -> the kind of item it is taken on."""

Cancel = Callable[[], bool] | None


class Scorer(Protocol):
    """What the tier needs of an engine."""

    def scoring(self, *, batch_size: int) -> str:
        """The part of the identity that says how likelihoods are taken."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Device, threads, torch version."""
        ...

    def score_options(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]], *, batch_size: int, cancelled: Cancel
    ) -> list[tuple[float, ...]]:
        """Log-probability per byte of every option of every prompt."""
        ...


@dataclass(frozen=True)
class Declared:
    """What is asked: the items, and for each language openings that refuse and openings that comply."""

    probe: ProbeSet
    openings: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]

    def options(self, item: Item) -> tuple[str, ...]:
        """What is scored after an item: its own options, or the refusing openings and then the complying ones."""
        return item.options if item.kind == "choice" else tuple(chain(*self.openings[item.language]))


def declared() -> Declared:
    """The shipped declaration.

    Raises:
        ProbeError: It names a cluster that its probe lacks, or lacks openings in one of its languages.
    """
    path = probes.FOLDER / f"{TIER}.json"
    return _declared(path.read_text(encoding="utf-8"), probes.load("quick").hash)


@lru_cache(maxsize=2)
def _declared(text: str, _quick: str) -> Declared:
    said, whole = json.loads(text), probes.load("quick")
    wanted = set(chain(*said["clusters"].values()))
    items = [item for item in whole.items if item.cluster in wanted]
    if missing := sorted(wanted - {item.cluster for item in items}):
        raise ProbeError(f"{TIER}.json: the {whole.id} probe has no {', '.join(missing)}.")
    openings = {code: (tuple(one["refusing"]), tuple(one["complying"])) for code, one in said["openings"].items()}
    if mute := sorted(set(whole.languages) - {code for code, both in openings.items() if all(both)}):
        raise ProbeError(f"{TIER}.json: no openings in {', '.join(mute)}.")
    header = {key: value for key, value in said.items() if key != "openings"} | {"languages": list(whole.languages)}
    content = json.dumps([said, [_asked(item) for item in items]], sort_keys=True, ensure_ascii=False)
    hashed = hashlib.sha256(content.encode()).hexdigest()
    return Declared(ProbeSet(header, tuple(items), hashed, {item.id: item for item in items}), openings)


def _asked(item: Item) -> list[Any]:
    return [item.id, item.prompt, list(item.options), item.answer]


def identify(recipe: Recipe, engine: Scorer, hashes: Mapping[str, str]) -> Identity:
    """What identifies the instant measurement of a recipe."""
    asked = declared().probe
    used = {name: hashes[name] for name in recipe.models_used()}
    return Identity(recipe.digest(), used, asked.id, asked.hash, TIER, JUDGE, engine.scoring(batch_size=BATCH_SIZE))


def measure(
    recipe: Recipe,
    engine: Scorer,
    *,
    hashes: Mapping[str, str],
    store: Store | None = None,
    cancelled: Cancel = None,
) -> Measurement:
    """The provisional measurement of the recipe that the engine's model holds, or what the store has of it.

    Its measures are those of `LEANINGS`: *refusing* and *wary* are log-probability per byte of the likeliest refusing
    opening minus that of the likeliest complying one (nats / byte; higher refuses more), on harmful requests and on
    look-alikes; *choosing* is the share of right choices, counted as in the quick probe.

    Raises:
        Cancelled: `cancelled()` was true between two passes.
        EvalError: The declaration cannot be read, or the model gives NaN.
    """
    identity = identify(recipe, engine, hashes)
    if found := store.get(identity.key()) if store else None:
        return found
    start, asked = perf_counter(), declared()
    items = asked.probe.items
    scores = engine.score_options(
        [item.prompt for item in items],
        [asked.options(item) for item in items],
        batch_size=BATCH_SIZE,
        cancelled=cancelled,
    )
    responses = {item.id: Response(item.id, option_scores=one) for item, one in zip(items, scores, strict=True)}
    made = Measurement(
        identity=identity,
        recipe=recipe.to_yaml(),
        label=recipe.label(),
        method=recipe.method,
        seconds=round(perf_counter() - start, 2),
        measures=leanings(asked, responses),
        responses=tuple(responses.values()),
        provisional=True,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=dict(engine.environment()),
    )
    if store:
        store.put(made)
    return made


def leanings(asked: Declared, responses: Mapping[str, Response]) -> dict[str, Measure]:
    """The measures of the kinds asked, overall (mean over languages) and by language, with bootstrap intervals."""
    choices = Outcomes(asked.probe, responses, {})

    def outcome(item: Item) -> float | None:
        scores = responses[item.id].option_scores
        if item.kind == "choice" or scores is None:
            return choices.right(item)
        refusing = len(asked.openings[item.language][0])
        return max(scores[:refusing]) - max(scores[refusing:])

    kinds = {item.kind for item in asked.probe.items}
    return {name: _measure(tally(asked.probe, kind, outcome)) for name, kind in LEANINGS.items() if kind in kinds}


def _measure(table: Tally) -> Measure:
    by_language = {
        code: _estimate(rates([table], Tally.resample)[:, at], rates([table], Tally.once)[0, at], table, at)
        for at, code in enumerate(table.languages)
    }
    means = nanmean_rows(rates([table], Tally.resample))
    head = _estimate(means, nanmean_rows(rates([table], Tally.once))[0], table, None)
    return Measure(head.value, head.low, head.high, head.n, by_language=by_language)


def _estimate(samples: Any, value: float, table: Tally, at: int | None) -> Estimate:
    value = float(value)
    wide = unseen(table.clusters)
    low, high = percentiles(samples, value) or (value - wide, value + wide)
    return Estimate(value, low, high, int(table.count.sum() if at is None else table.count[:, at].sum()))
