"""The merge methods and their knobs: what sliders are drawn from and recipes checked against. Needs no torch."""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from merging.errors import RecipeError, did_you_mean

Inputs = Literal[
    "one", "two", "models", "everyone", "base+models", "base+several", "two+base", "two+base?", "models+base?"
]
# Fewest and most models of each kind besides the base; None: any number.
COUNTS: Mapping[Inputs, tuple[int, int | None]] = {
    "one": (1, 1),
    "two": (1, 1),
    "models": (1, None),
    "everyone": (1, None),
    "base+models": (0, None),
    "base+several": (2, None),
    "two+base": (2, 2),
    "two+base?": (2, 2),
    "models+base?": (1, None),
}
# Everything mergekit 0.1.5 reads under `parameters`. A recipe may carry one that its method does not use; that is
# told, not refused.
MERGEKIT_PARAMETERS = frozenset(
    [
        "t",
        "weight",
        "density",
        "normalize",
        "lambda",
        "rescale",
        "int8_mask",
        "epsilon",
        "gamma",
        "nuslerp_flatten",
        "nuslerp_row_wise",
        "normalize_weights",
        "eps",
        "max_iter",
        "tol",
        "filter_wise",
        "select_topk",
        "r",
        "alpha",
        "scale",
    ]
)


@dataclass(frozen=True)
class Knob:
    """One number (or switch) of a method that a recipe sets and a slider moves.

    Attributes:
        lo: Left end of the slider. The ends are no limits: a recipe may hold any finite value.
        hi: Right end of the slider.
        default: Where the slider starts.
        per_model: One value per model, instead of one for the merge.
        step: Distance between two stops of the slider.
        help: One sentence for the page: what moving it does.
        absent: Value when a recipe does not set it (mergekit's default); None means a recipe must set it.
        kind: "number", or "switch" for true / false.
        stage: The step of the method that has to be redone when it moves.
        advanced: A constant of the arithmetic that one rarely touches: a recipe may set it, the page draws no slider.
    """

    lo: float
    hi: float
    default: float | bool
    per_model: bool = False
    step: float = 0.05
    help: str = ""
    absent: float | bool | None = None
    kind: Literal["number", "switch"] = "number"
    stage: Literal["select", "combine"] = "combine"
    advanced: bool = False

    @staticmethod
    def switch(absent: bool, *, help: str, stage: Literal["select", "combine"] = "combine") -> "Knob":
        """A true / false knob whose slider start is mergekit's default."""
        return Knob(0, 1, absent, step=1, help=help, absent=absent, kind="switch", stage=stage)


@dataclass(frozen=True)
class Steps:
    """The three steps of a method for one tensor, split by what each depends on.

    Attributes:
        prepare: `(group) -> memo`; depends on the checkpoints and the seed. `group` is a `merging.sources.Group`.
        select: `(memo, values) -> choice`; depends on the knobs whose stage is "select" as well.
        combine: `(base, choices, values, out, scratch) -> bool | None`; writes the merged tensor into `out`. What it
            returns is counted for the method's note (SLERP: whether the tensor took the spherical branch).
        each: False: one group of all models, `choices` has one element. True: one group per model, each beside the
            base, so that moving one model's density redoes that model only.
        check: `(values)`; raises RecipeError where the values of one tensor cannot be computed with. Run before any
            weight is touched.
        memo: Bytes an element and model that `prepare` and `select` keep, beside the deltas of adapters.
    """

    prepare: Callable[..., Any]
    select: Callable[..., Any]
    combine: Callable[..., bool | None]
    each: bool = False
    check: Callable[[Mapping[str, Any]], object] | None = None
    memo: float = 0.0


@dataclass(frozen=True)
class Method:
    """A merge method: its card, its knobs, its steps.

    Attributes:
        name: The word in `merge_method`.
        title: Its name on the page.
        paper: Address of the paper it comes from.
        summary: One sentence: when to use it.
        formula: The result in one line.
        inputs: "one": one model a slice. "two": base_model is the t = 0 end, one other model. "models": one or more,
            a base takes no part. "everyone": one or more, a base is one of them. "base+models": a common ancestor
            and its descendants; "base+several": at least two of them, "two+base": exactly two. "two+base?" and
            "models+base?": two, or one or more, and, if given, their ancestor.
        random: Uses noise, so the recipe's seed matters.
        knobs: The knobs by their name in a recipe, in the order the page shows them.
        pure: The whole method as one function on tensors, for reading and for tests.
        steps: The three steps that live and offline merging run.
    """

    name: str
    title: str
    paper: str
    summary: str
    formula: str
    inputs: Inputs
    random: bool
    knobs: Mapping[str, Knob]
    pure: Callable[..., Any] = field(compare=False)
    steps: Steps = field(compare=False)
    note: Callable[[int, int], str] | None = field(default=None, compare=False)

    @property
    def needs_base(self) -> bool:
        """Whether a recipe of this method must name a base_model."""
        return self.inputs in ("two", "base+models", "base+several", "two+base")

    @property
    def base_apart(self) -> bool:
        """Whether the base, where there is one, plays another part than the models."""
        return self.inputs not in ("one", "models", "everyone")

    @property
    def takes_ancestor(self) -> bool:
        """Whether base_model names the ancestor of the models (for "two" it is the t = 0 end)."""
        return self.base_apart and self.inputs != "two"

    @property
    def counts(self) -> tuple[int, int | None]:
        """Fewest and most models besides the base; None: any number."""
        return COUNTS[self.inputs]


_METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    title: str,
    paper: str,
    summary: str,
    formula: str,
    inputs: Inputs,
    steps: Steps,
    random: bool = False,
    note: Callable[[int, int], str] | None = None,
    **knobs: Knob,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated pure function as a merge method.

    A knob whose name is a Python word is written with a trailing underscore (`lambda_`). `note(count, total)` turns
    the number of tensors for which `combine` returned True into a sentence for the page.
    """

    def register(pure: Callable[..., Any]) -> Callable[..., Any]:
        named = MappingProxyType({key.rstrip("_"): knob for key, knob in knobs.items()})
        _METHODS[name] = Method(name, title, paper, summary, formula, inputs, random, named, pure, steps, note)
        return pure

    return register


@functools.cache
def _load() -> None:
    package = importlib.import_module("merging.methods")
    for found in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"merging.methods.{found}")


def methods() -> tuple[Method, ...]:
    """Every method, by name."""
    _load()
    return tuple(_METHODS[name] for name in sorted(_METHODS))


def get(name: str) -> Method:
    """The method called `name` in a recipe.

    Raises:
        RecipeError: There is none; the message lists those there are.
    """
    _load()
    if name not in _METHODS:
        known = sorted(_METHODS)
        raise RecipeError(f"Unknown merge_method {name!r}.{did_you_mean(str(name), known)} Known: {', '.join(known)}.")
    return _METHODS[name]
