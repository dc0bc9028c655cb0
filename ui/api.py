"""The endpoints a program may call with gradio_client; every other event of the page is private."""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api as api_endpoint

from eval import probes
from eval.errors import EvalError
from merging import Recipe
from merging.errors import MergeError, RecipeError
from merging.registry import Knob, Method
from ui.chat import LONGEST, MOST_TOKENS
from ui.following import follow
from ui.status import Point, Reply, Service
from ui.survey import meaning

P = ParamSpec("P")
T = TypeVar("T")
MOST_COMPARED = 8
"""Models one call of the geometry may name: every pair of them is compared."""
# reading never waits behind work on the device, and programs never take every place a visitor of the page might want
READS: dict[str, Any] = {"api_visibility": "public", "concurrency_limit": None}
WORKS: dict[str, Any] = {"api_visibility": "public", "concurrency_limit": 4, "concurrency_id": "api"}


def register(service: Service) -> None:
    """Add the endpoints to the page that is being built; call inside `gr.Blocks`."""
    api = Api(service)
    api_endpoint(_sentences(api.merge_and_probe), api_name="merge_and_probe", **WORKS)
    api_endpoint(_sentences(api.frontier), api_name="frontier", **READS)
    api_endpoint(_sentences_of_stream(api.chat_pair), api_name="chat_pair", **WORKS)
    api_endpoint(_sentences(api.methods), api_name="methods", **READS)
    api_endpoint(_sentences(api.check), api_name="check", **READS)
    api_endpoint(_sentences(api.geometry), api_name="geometry", **WORKS)


class Api:
    """The endpoints as plain functions. Their docstrings are what a stranger reads in the API's description."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def merge_and_probe(self, recipe_yaml: str, probe: str = "quick") -> dict:
        """Merge language models by a mergekit recipe and measure the result in six languages.

        Takes 10 to 60 seconds on two CPU cores for the embedded models; a recipe that was measured before comes back at
        once. Harm is the share of harmful requests that were not refused (lower is better), over_refusal the share of
        harmless look-alikes that were refused, general the score on ordinary tasks (higher is better).

        Args:
            recipe_yaml: A recipe in mergekit's YAML, e.g. "merge_method: slerp" with base_model, models and parameters.
            probe: Name of the probe set; "quick" is shipped.

        Returns:
            {"recipe", "tier", "seconds", "measures"}: each measure has value, low and high (95 % interval), n, and the
            same for each language under by_language. A value that is not defined is null, with a reason.
        """
        recipe = _recipe(recipe_yaml)
        return finite(self._service.probe(recipe, probe=_known(probe)).summary())

    def frontier(self, probe: str = "quick") -> dict:
        """List every merge measured so far and say which of them nothing beats on harm and general together.

        Args:
            probe: Name of the probe set; only points of one probe can be compared.

        Returns:
            {"points", "frontier"}: a point has id, recipe (YAML), label, method, origin ("shipped" or "local"),
            landmark (name of a fixed reference such as "mix 15 %", or null), measures with intervals, and standing:
            the share of bootstrap resamples of the items in which no other point beats it (null where it cannot be on
            the frontier); frontier lists the ids of the points that no other point beats.
        """
        points = self._service.points(_known(probe))
        return finite(
            {"points": [_point(point) for point in points], "frontier": [p.id for p in points if p.on_frontier]}
        )

    def chat_pair(
        self, recipe_yaml: str, other: str, message: str, max_new_tokens: int = 64, seed: int = 0
    ) -> Iterator[dict]:
        """Ask a merged model and another one the same question and stream both answers, decoded greedily.

        Args:
            recipe_yaml: The left model, a recipe in mergekit's YAML.
            other: The right model: the name of a checkpoint (e.g. "zoo:mix-15"), or a recipe in YAML.
            message: One question, at most 4,000 characters.
            max_new_tokens: Longest answer in tokens, 1 to 512.
            seed: Seed of the decoding, the same for both.

        Yields:
            {"left", "right"} with everything said so far; the last one also has left_verdict and right_verdict:
            refused, answered or invalid.
        """
        left, right = _recipe(recipe_yaml), _other(other)
        text, tokens = _message(message), _whole(max_new_tokens, "max_new_tokens", 1, MOST_TOKENS)
        said = [{"role": "user", "content": text}]
        flag = threading.Event()
        stream = self._service.chat_pair(
            left,
            right,
            said,
            said,
            max_new_tokens=tokens,
            seed=_whole(seed, "seed", 0, 2**63 - 1),
            cancelled=flag.is_set,
        )
        for pair in follow(stream, flag):
            if pair is not None:
                yield _pair(*pair)

    def methods(self) -> list:
        """List the merge methods and their knobs, as the page builds its sliders from them.

        Returns:
            One object for each method: name, title, paper, summary, formula, inputs (which models it takes: "one",
            "two", "models", "everyone", "base+models", "base+several", "two+base?" or "models+base?"), random, and
            knobs: for each knob lo, hi and default of its slider, step, per_model and help. The ends of a slider are
            no limits: a recipe may hold any finite value.
        """
        return finite([_method(method) for method in self._service.methods()])

    def check(self, recipe_yaml: str) -> dict:
        """Say whether the models of a recipe can be merged, from their configs and headers alone: nothing is merged.

        Args:
            recipe_yaml: A recipe in mergekit's YAML.

        Returns:
            {"mergeable", "findings", "memory"}: a finding has topic (architecture, layers, shapes, vocabulary,
            tokenizer or licence), verdict ("fine", "warning", or "problem", which stops the merge) and text, one
            sentence with the way out; memory says what the merge keeps in memory, or is empty.
        """
        recipe = _recipe(recipe_yaml)
        found = self._service.report(recipe)
        mergeable = all(one.verdict != "problem" for one in found)
        return {
            "mergeable": mergeable,
            "findings": [asdict(one) for one in found],
            "memory": self._service.memory(recipe) if mergeable else "",
        }

    def geometry(self, base: str, models: list[str]) -> dict:
        """Measure how models lie around their common ancestor, layer by layer: it tells which merges can work.

        Takes a few seconds for the embedded models; every weight is read, nothing is sampled.

        Args:
            base: Name of the ancestor, e.g. "zoo:base".
            models: Names of one to eight of its descendants.

        Returns:
            {"base", "models", "groups", "pairs", "norms", "cosines", "conflicts", "total", "meaning"}: norms are
            [model][group] length of the change over the base's, cosines [pair][group] between two changes, conflicts
            [pair][group] the share of opposite signs among what both changed; null where undefined. meaning holds
            sentences.
        """
        if not isinstance(base, str) or not base.strip():
            raise RecipeError('base is empty: give the name of a checkpoint, e.g. "zoo:base".')
        if not isinstance(models, list) or not all(isinstance(name, str) and name.strip() for name in models):
            raise RecipeError("models is no list of names of checkpoints.")
        if not 1 <= len(models) <= MOST_COMPARED:
            raise RecipeError(f"models has {len(models)} names: give 1 to {MOST_COMPARED}.")
        found = self._service.geometry(base.strip(), [name.strip() for name in models])
        return finite({**asdict(found), "meaning": meaning(found)})


def finite(value: Any) -> Any:
    """The same JSON with null in place of every NaN or infinity, which JSON cannot write."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sentences(function: Callable[P, T]) -> Callable[P, T]:
    """A failure somebody can mend reaches the caller as its one sentence."""

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (MergeError, EvalError) as problem:
            raise gr.Error(str(problem), print_exception=False) from problem

    return told


def _sentences_of_stream(function: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from function(*args, **kwargs)
        except (MergeError, EvalError) as problem:
            raise gr.Error(str(problem), print_exception=False) from problem

    return told


def _recipe(text: Any) -> Recipe:
    if not isinstance(text, str) or not text.strip():
        raise RecipeError("recipe_yaml is empty: give a recipe in mergekit's YAML.")
    return Recipe.from_yaml(
        text + "\n"
    )  # the line break keeps a lone "x.yaml" from being read as a file of this machine


def _other(text: Any) -> Recipe:
    if not isinstance(text, str) or not text.strip():
        raise RecipeError('other is empty: give the name of a checkpoint, e.g. "zoo:mix-15", or a recipe in YAML.')
    return _recipe(text) if "merge_method" in text else Recipe.single(text.strip())


def _known(probe: Any) -> str:
    known = probes.listing()
    if probe not in known:
        raise RecipeError(f"No probe {probe!r}. Known: {', '.join(known)}.")
    return str(probe)


def _message(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise RecipeError("message is empty: write one question.")
    if len(text) > LONGEST:
        raise RecipeError(f"message has {len(text)} characters: at most {LONGEST} are read.")
    return text.strip()


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise RecipeError(f"{name} is {value!r}: give a whole number.")
    if not low <= value <= high:
        raise RecipeError(f"{name} is {int(value)}: give a whole number from {low} to {high}.")
    return int(value)


def _point(point: Point) -> dict[str, Any]:
    return {
        "id": point.id,
        "recipe": point.recipe.to_yaml(),
        "label": point.recipe.label(),
        "method": point.recipe.method,
        "origin": point.origin,
        "landmark": point.landmark,
        "standing": point.standing,
        "measures": point.measurement.summary()["measures"],
    }


def _pair(left: Reply, right: Reply) -> dict[str, Any]:
    said: dict[str, Any] = {"left": left.text, "right": right.text}
    if left.verdict and right.verdict:
        said |= {"left_verdict": left.verdict.label, "right_verdict": right.verdict.label}
    return said


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "paper": method.paper,
        "summary": method.summary,
        "formula": method.formula,
        "inputs": method.inputs,
        "random": method.random,
        "knobs": {name: _knob(knob) for name, knob in method.knobs.items()},
    }


def _knob(knob: Knob) -> dict[str, Any]:
    return {
        "lo": knob.lo,
        "hi": knob.hi,
        "default": knob.default,
        "step": knob.step,
        "per_model": knob.per_model,
        "help": knob.help,
    }
