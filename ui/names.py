"""What methods and checkpoints are called where room is short."""

from collections.abc import Sequence

from merging.registry import Method

ORDER = ("slerp", "linear", "ties", "dare_ties", "nuslerp")
# Titles that would not fit a button or the legend; the method's card has the full one.
BRIEF = {"nuslerp": "Task SLERP"}


def brief(method: Method) -> str:
    """A method's title where room is short."""
    return BRIEF.get(method.name, method.title)


def ordered(methods: Sequence[Method]) -> list[Method]:
    """Methods as buttons and legend show them: the usual ones first, then by title."""
    return sorted(methods, key=lambda m: (ORDER.index(m.name) if m.name in ORDER else len(ORDER), m.title))


def short(name: str) -> str:
    """A checkpoint's name without its scheme or folders: `zoo:general` -> `general`."""
    return name.removeprefix("zoo:").rstrip("/").rsplit("/", 1)[-1]
