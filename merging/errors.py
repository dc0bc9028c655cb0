"""Errors a person can fix: each says what is wrong, where, and what to do.

    MergeError
    ├── RecipeError              the recipe itself: unknown key, impossible value, wrong number of models
    ├── CheckpointError          a checkpoint cannot be read: missing, truncated, pickled, not finite
    │   └── CompatibilityError   the checkpoints can be read, but not merged with each other
    ├── TooBigError              the merge needs more memory than the device has
    └── WriteError               the result cannot be written

`Cancelled` is no error: somebody pressed Stop. Anything else that is raised is a bug in this program and not caught.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class MergeError(Exception):
    """Root of all errors the user can fix; its text is one clear sentence for the user."""


class RecipeError(MergeError):
    """The recipe cannot be run whatever the checkpoints hold.

    Attributes:
        at: Where in the recipe the fault is, best place first, as "models[0].parameters.t"; empty where not told.
        line: The line of that place in the YAML, 1-based, which the text then ends in; None where there is no line.
    """

    def __init__(self, text: str, *, at: str | tuple[str, ...] = (), line: int | None = None) -> None:
        super().__init__(text)
        self.at = (at,) if isinstance(at, str) else at
        self.line = line

    def point(self, line: int) -> None:
        """Say that the fault is in this line of the YAML."""
        text = str(self)
        self.line = line
        self.args = (f"{text[:-1]} (line {line})." if text.endswith(".") else f"{text} (line {line})",)


@contextmanager
def located(*at: str) -> Iterator[None]:
    """Give a RecipeError raised inside, that does not say where in the recipe it is, these places."""
    try:
        yield
    except RecipeError as error:
        error.at = error.at or at
        raise


class CheckpointError(MergeError):
    """A checkpoint cannot be found or read."""


class CompatibilityError(CheckpointError):
    """The checkpoints cannot be merged with each other."""


class TooBigError(MergeError):
    """The merge needs more memory than there is; its text has both numbers."""


class WriteError(MergeError):
    """The merged model cannot be written to the folder asked for."""


class Cancelled(Exception):
    """The work was stopped, at a boundary between its parts, because the caller asked for it."""


def brief(error: BaseException) -> str:
    """The first line of another library's error: ours are one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(error).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint `" Did you mean 'x'?"` with a leading blank, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
