"""Errors a person can fix: each says what is wrong, where, and what to do.

    MergeError
    ├── RecipeError              the recipe itself: unknown key, impossible value, wrong number of models
    ├── CheckpointError          a checkpoint cannot be read: missing, truncated, pickled, not finite
    │   └── CompatibilityError   the checkpoints can be read, but not merged with each other
    └── WriteError               the result cannot be written

Anything else that is raised is a bug in this program, and is not caught.
"""

import difflib
from collections.abc import Iterable


class MergeError(Exception):
    """Root of all errors the user can fix; its text is one clear sentence for the user."""


class RecipeError(MergeError):
    """The recipe cannot be run whatever the checkpoints hold."""


class CheckpointError(MergeError):
    """A checkpoint cannot be found or read."""


class CompatibilityError(CheckpointError):
    """The checkpoints cannot be merged with each other."""


class WriteError(MergeError):
    """The merged model cannot be written to the folder asked for."""


def brief(error: BaseException) -> str:
    """The first line of another library's error: ours are one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(error).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint `" Did you mean 'x'?"` with a leading blank, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
