"""What methods and checkpoints are called where room is short, and which models a method takes."""

from collections.abc import Sequence

from merging.registry import Method

USUAL = ("slerp", "linear", "ties", "dare_ties", "nuslerp")
"""Methods with a button of their own; the others are one list away."""
ORDER = (
    *USUAL,
    *("task_arithmetic", "safemerge", "tsv", "iso_c"),
    *("della", "dare_linear", "della_linear", "breadcrumbs_ties", "breadcrumbs"),
    *("model_stock", "sce", "karcher", "multislerp", "ram", "ramplus_tl", "nearswap", "arcee_fusion"),
)
LAST = ("passthrough",)
# Titles that would not fit a button or the legend; the method's card has the full one.
BRIEF = {"nuslerp": "Task SLERP", "tsv": "TSV-Merge", "iso_c": "Iso-C"}
PICKERS = 4
"""Model pickers there are; a recipe in YAML may name more."""


def brief(method: Method) -> str:
    """A method's title where room is short."""
    return BRIEF.get(method.name, method.title)


def ordered(methods: Sequence[Method]) -> list[Method]:
    """Methods as buttons, list and legend show them: the usual ones first, stacking last, between them by title."""

    def rank(method: Method) -> tuple[int, str]:
        if method.name in LAST:
            return len(ORDER) + 1, method.title
        return (ORDER.index(method.name) if method.name in ORDER else len(ORDER)), method.title

    return sorted(methods, key=rank)


def short(name: str) -> str:
    """A checkpoint's name without its scheme or folders: `zoo:general` -> `general`."""
    return name.removeprefix("zoo:").rstrip("/").rsplit("/", 1)[-1]


def optional_base(method: Method) -> bool:
    """Whether the method has an ancestor that may be left out."""
    return method.takes_ancestor and not method.needs_base


def least_models(method: Method) -> int:
    """Pickers that are always shown; the t = 0 end of a two-model method has one as well."""
    return 2 if method.inputs == "two" else max(1, method.counts[0])


def most_models(method: Method) -> int:
    """Models the pickers can hold for the method."""
    most = method.counts[1]
    return PICKERS if most is None else most + (method.inputs == "two")
