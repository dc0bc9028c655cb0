"""A service with made-up answers to the real probe: fast, seeded, and never part of the app."""

import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from eval import probes
from eval.errors import Cancelled
from eval.frontier import front
from eval.metrics import measure_all
from eval.paper import exchange
from eval.paper.schema import Tables
from eval.scores import Outcomes
from eval.types import Identity, Item, Measurement, Response, Verdict
from merging import Recipe, registry
from merging.errors import CheckpointError
from merging.geometry import Geometry, Total
from merging.registry import Method
from ui.preview import Guess, Spread
from ui.session import Session
from ui.status import LANDMARKS, Finding, Point, Status

EXAMPLE = Path(__file__).resolve().parents[1] / "eval" / "paper" / "example_tables.json"
LAYERS = 18
FAMILY = ["zoo:general", "zoo:safety", "zoo:mix-15", "zoo:base"]
# harm, over-refusal, invalid, share of instruction and choice items that are right
TRAITS: Mapping[str, tuple[float, float, float, float]] = {
    "zoo:base": (0.78, 0.02, 0.08, 0.34),
    "zoo:general": (0.74, 0.02, 0.03, 0.62),
    "zoo:mix-15": (0.34, 0.12, 0.03, 0.52),
    "zoo:safety": (0.08, 0.42, 0.04, 0.40),
}
LEAN = {"en": 0.06, "hi": -0.1, "fr": 0.0, "es": -0.02, "ar": 0.05, "ru": -0.06}


@dataclass(frozen=True)
class Merged:
    """What a fake merge reports."""

    seconds: float
    reused: bool
    notes: tuple[str, ...]


def traits(recipe: Recipe) -> tuple[float, float, float, float]:
    """Made-up behaviour of a merge: between its models, a little above the straight line, or below."""
    session = Session.from_recipe(recipe)
    models = [name for name in session.models if name in TRAITS]
    if recipe.method in ("slerp", "nearswap"):
        t = float(session.value("t"))
        weights = [1 - t, t]
    else:
        known = "weight" in registry.get(recipe.method).knobs
        weights = [float(session.value("weight", at)) if known else 1.0 for at in range(len(models))]
    total = sum(weights) or 1.0
    mean = [sum(w * TRAITS[m][i] for w, m in zip(weights, models, strict=True)) / total for i in range(4)]
    mixed = min(weights) / max(weights) if len(weights) > 1 and max(weights) > 0 else 0.0
    gain = {"slerp": 0.07, "nuslerp": 0.08, "linear": 0.0, "ties": -0.05, "dare_ties": -0.09}.get(
        recipe.method, 0.0
    ) * mixed
    broken = (
        0.3
        if recipe.method == "dare_ties" and any(float(session.value("density", at)) < 0.2 for at in range(len(models)))
        else 0.0
    )
    return mean[0] - gain / 2, mean[1], mean[2] + broken, mean[3] + gain


def _answers(
    item: Item, recipe: Recipe, numbers: tuple[float, float, float, float], pick: random.Random
) -> tuple[Response, Verdict | None]:
    harm, over, invalid, right = numbers
    luck, lean = pick.random(), LEAN.get(item.language, 0.0)
    if item.kind == "choice":
        best = item.answer if luck < right + 0.25 - lean / 2 else (item.answer or 0) + 1
        return Response(
            item.id,
            option_scores=tuple(
                -0.5 if i == (best or 0) % len(item.options) else -1.0 for i in range(len(item.options))
            ),
        ), None
    if pick.random() < invalid:
        return Response(item.id, "la la la la", 4), Verdict(item.id, "invalid", "a loop")
    refuses = (
        luck > harm + lean
        if item.kind == "harmful"
        else luck < over - lean
        if item.kind == "lookalike"
        else luck < over / 8
    )
    if refuses:
        return Response(item.id, "I would rather not.", 5), Verdict(item.id, "refused", "declines")
    text = item.references[0] if item.references and pick.random() < right - lean else "Something else is said here."
    return Response(item.id, text, 8), Verdict(item.id, "answered", "answers")


def _raw(recipe: Recipe) -> tuple[tuple[Response, ...], tuple[Verdict, ...]]:
    probe, numbers = probes.load("quick"), traits(recipe)
    # one stream of luck for every item, the same in every recipe: outcomes are paired, as a real probe's are
    pairs = [_answers(item, recipe, numbers, random.Random(item.id)) for item in probe.items]
    return tuple(r for r, _ in pairs), tuple(v for _, v in pairs if v)


@lru_cache(maxsize=256)
def measurement(recipe: Recipe, origin: str = "local") -> Measurement:
    """A made-up measurement of a recipe on the real quick probe."""
    probe = probes.load("quick")
    responses, verdicts = _raw(recipe)
    reference = Outcomes.join(probe, *_raw(Recipe.single("zoo:base")))
    identity = Identity(recipe.digest(), {}, "quick", probe.hash, "quick", "rules/1", "greedy")
    measures = measure_all(Outcomes.join(probe, responses, verdicts), reference)
    return Measurement(
        identity,
        recipe.to_yaml(),
        recipe.label(),
        recipe.method,
        19.4,
        measures,
        responses,
        verdicts,
        origin=origin,  # type: ignore[arg-type]
    )


@lru_cache(maxsize=1)
def shipped() -> list[Recipe]:
    """The landmarks and a small sweep."""
    pair: dict[str, Any] = {"models": ["zoo:general", "zoo:safety"]}
    recipes = [Recipe.single(name) for name in LANDMARKS]
    recipes += [
        Recipe.build("slerp", base_model="zoo:general", parameters={"t": t}, **pair) for t in (0.2, 0.4, 0.6, 0.8)
    ]
    recipes += [
        Recipe.build("linear", per_model=[{"weight": round(1 - w, 2)}, {"weight": w}], **pair) for w in (0.3, 0.5, 0.7)
    ]
    for method, shares in (("ties", (0.3, 0.5, 0.7)), ("dare_ties", (0.3, 0.5)), ("nuslerp", (0.3, 0.6))):
        for w in shares:
            own = [{"weight": round(1 - w, 2)}, {"weight": w}]
            if method != "nuslerp":
                own = [values | {"density": 0.5} for values in own]
            recipes.append(Recipe.build(method, base_model="zoo:base", per_model=own, **pair))
    own = [{"weight": 0.5, "density": 0.1}, {"weight": 0.5, "density": 0.1}]
    return [*recipes, Recipe.build("dare_ties", base_model="zoo:base", per_model=own, **pair)]


@dataclass
class FakeService:
    """Stands in for the real service in tests of the page.

    Attributes:
        pause: Seconds between two steps of a probe.
        merging: Seconds that a merge takes.
        phase: What `status` says; set it to try the other states.
        fails: Checkpoints that cannot be merged.
        compared: Whether the paper's comparison has been made.
        strict: Whether a second, stricter judge has judged everything too.
        other_vocabulary: Checkpoints whose vocabulary is told to be another one.
        leaning: Whether hints say anything.
        asked: Labels of the recipes a hint was asked of.
    """

    pause: float = 0.0
    merging: float = 0.0
    phase: str = "ready"
    empty: bool = False
    compared: bool = True
    strict: bool = False
    queue: int = 0
    fails: frozenset[str] = frozenset()
    other_vocabulary: frozenset[str] = frozenset()
    leaning: bool = False
    applied: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _hints: dict[str, Guess] = field(default_factory=dict)
    _local: dict[str, Measurement] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self) -> Status:
        texts = {
            "preparing": "preparing the models: reading weights",
            "failed": "The download failed: check the connection, then restart.",
        }
        return Status(self.phase, 0.42, texts.get(self.phase, ""), "CPU, 2 threads", "Gemma 3 270M family", self.queue)  # type: ignore[arg-type]

    def checkpoints(self) -> list[str]:
        return list(FAMILY)

    def methods(self) -> tuple[Method, ...]:
        return registry.methods()

    def report(self, recipe: Recipe) -> tuple[Finding, ...]:
        self._refuse(recipe)
        found = [Finding("architecture", "fine", "gemma3_text."), Finding("layers", "fine", f"{LAYERS}.")]
        if recipe.models_used()[-1] in self.other_vocabulary:
            text = "'zoo:general' and 'zoo:safety' have vocabularies of 65536 and 65537 tokens: set tokenizer_source."
            found.append(Finding("vocabulary", "problem", text))
        return (*found, Finding("licence", "warning", "gemma and cc-by-4.0: check that both allow what you plan."))

    def memory(self, recipe: Recipe) -> str:
        return "Keeps 1.1 GiB in memory; a drag takes about 120 ms."

    def tensors(self, recipe: Recipe) -> tuple[str, ...]:
        self._refuse(recipe)
        inner = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm")
        layers = [f"model.layers.{at}.{name}.weight" for at in range(LAYERS) for name in inner]
        return ("model.embed_tokens.weight", *layers, "model.norm.weight")

    def geometry(
        self,
        base: str,
        models: Sequence[str],
        *,
        progress: Callable[[float, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Geometry:
        for step in range(10):
            if cancelled and cancelled():
                raise Cancelled
            if progress:
                progress(step / 10, f"model.layers.{step}")
            time.sleep(self.pause)
        return made_up(base, tuple(models))

    def apply(self, recipe: Recipe) -> Any:
        self._refuse(recipe)
        time.sleep(self.merging)
        with self._lock:
            self.applied.append(recipe.label())
        notes = (
            ("0 of 236 tensors took the spherical branch: SLERP equals linear here.",)
            if recipe.method == "slerp"
            else ()
        )
        return Merged(0.118, False, notes)

    def probe(
        self,
        recipe: Recipe,
        *,
        probe: str = "quick",
        progress: Callable[[int, int, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Measurement:
        self._refuse(recipe)
        for step in range(10):
            if cancelled and cancelled():
                raise Cancelled
            if progress:
                progress(step * 31, 312, f"harm, {31 * step} of 312 items")
            time.sleep(self.pause)
        found = measurement(recipe)
        self._local[recipe.digest()] = found
        return found

    def hint(self, recipe: Recipe, *, cancelled: Callable[[], bool] | None = None) -> Guess | None:
        self._refuse(recipe)
        self.asked.append(recipe.label())
        for _ in range(10):
            if cancelled and cancelled():
                raise Cancelled
            time.sleep(self.pause)
        if not self.leaning:
            return None
        numbers = traits(recipe)
        self._hints[recipe.digest()] = found = Guess({"harm": Spread(numbers[0], 0.1)}, "from likelihoods alone")
        return found

    def hinted(self, recipe: Recipe) -> Guess | None:
        return self._hints.get(recipe.digest())

    def points(self, probe: str = "quick") -> list[Point]:
        if probe != "quick":
            return []
        known = {} if self.empty else {recipe.digest(): measurement(recipe, "shipped") for recipe in shipped()}
        everything = known | {key: value for key, value in self._local.items() if key not in known}
        on = set(front(list(everything.values())).keys)
        return [_point(digest, found, found.key in on) for digest, found in everything.items()]

    def judged(self, probe: str = "quick") -> dict[str, dict[str, Measurement]]:
        known = {point.id: point.measurement for point in self.points(probe)}
        found = {"rules/1": known}
        if self.strict and known:
            found["strict/1"] = {digest: strictly(one) for digest, one in known.items()}
        return found

    def paper(self) -> Tables:
        return exchange.read(EXAMPLE if self.compared else EXAMPLE.with_name("tables.json"))

    def measured(self, recipe: Recipe, probe: str = "quick") -> Measurement | None:
        return next((point.measurement for point in self.points() if point.id == recipe.digest()), None)

    def _refuse(self, recipe: Recipe) -> None:
        missing = [name for name in recipe.models_used() if name in self.fails or not name.startswith("zoo:")]
        if missing:
            raise CheckpointError(
                f"{missing[0]!r} cannot be found. Choose one of {', '.join(FAMILY)}, or give the path of a folder."
            )


def strictly(found: Measurement) -> Measurement:
    """The same responses under a judge that calls every third answer to a harmful request a refusal."""
    harmful = [v.item_id for v in found.verdicts if v.item_id.startswith("harmful") and v.label == "answered"][::3]
    verdicts = tuple(
        replace(v, label="refused", reason="evasive") if v.item_id in harmful else v for v in found.verdicts
    )
    return replace(found, identity=replace(found.identity, judge="strict/1"), verdicts=verdicts)


def made_up(base: str, models: tuple[str, ...]) -> Geometry:
    """A geometry with something in every cell: cosines from apart to together, one cell undefined."""
    groups = ("embedding", *(f"layer {at}" for at in range(LAYERS)), "norm and head")
    pairs = tuple(combinations(range(len(models)), 2))
    wave = [math.sin(at / 3) for at in range(len(groups))]
    return Geometry(
        base=base,
        models=models,
        groups=groups,
        norms=tuple(tuple(0.01 + 0.02 * abs(x) * (m + 1) for x in wave) for m in range(len(models))),
        pairs=pairs,
        cosines=tuple((math.nan, *(0.6 * x for x in wave[1:])) for _ in pairs),
        conflicts=tuple(tuple(0.5 - 0.2 * x for x in wave) for _ in pairs),
        total=Total(tuple(0.02 * (m + 1) for m in range(len(models))), (0.03,) * len(pairs), (0.48,) * len(pairs)),
    )


@lru_cache(maxsize=256)
def _load(recipe_yaml: str) -> Recipe:
    return Recipe.from_yaml(recipe_yaml)


def _point(digest: str, found: Measurement, on_frontier: bool) -> Point:
    recipe = _load(found.recipe)
    single = recipe.models_used()[0] if recipe.label() in LANDMARKS else ""
    return Point(digest, recipe, found, found.origin, LANDMARKS.get(single), on_frontier)
