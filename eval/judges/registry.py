"""Which judges there are, and how one is named: `KIND`, `KIND:NAME` or `KIND:NAME=MODEL`, and options beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module

from eval.errors import JudgeError
from eval.judges.rules import RuleJudge
from eval.types import Judge

Progress = Callable[[int, int, str], None] | None


@dataclass(frozen=True)
class Choice:
    """What a person says of the judge they want; each judge takes of it what it needs."""

    argument: str = ""
    """What follows the colon: a data file's name, or an endpoint's model."""
    model: str | None = None
    """Folder or hub id[@revision], in place of the data file's."""
    device: str = "cpu"
    base_url: str | None = None
    key_variable: str | None = None
    """Name of the environment variable that holds an endpoint's key; the key itself is never asked for."""
    prices: tuple[float, float] | None = None
    """Currency units per million tokens, in and out."""
    workers: int = 4
    """Requests to an endpoint under way at once."""
    progress: Progress = None

    def of(self, argument: str, model: str | None = None) -> "Choice":
        """The same for a judge of this argument."""
        return replace(self, argument=argument, model=model or self.model)


def _late(module: str) -> Callable[[Choice], Judge]:
    """`open_judge` of a module that is imported when the judge is wanted: it may need torch or a client."""
    return lambda choice: import_module(module).open_judge(choice)


JUDGES: Mapping[str, Callable[[Choice], Judge]] = {
    "rules": lambda _: RuleJudge(),
    "classifier": _late("eval.judges.classifier"),
    "guard": _late("eval.judges.guard"),
    "endpoint": _late("eval.judges.endpoint"),
}


def parse(name: str) -> tuple[str, str, str | None]:
    """(kind, argument, model) of a name such as `guard:llama-guard-3=FOLDER`; nothing is loaded.

    Raises:
        JudgeError: There is no such kind, or it lacks its argument.
    """
    kind, _, rest = name.partition(":")
    argument, _, model = rest.partition("=")
    if kind not in JUDGES:
        raise JudgeError(f"Unknown judge {name!r}. Known: {', '.join(JUDGES)}.")
    if bool(argument) == (kind == "rules"):
        form = "rules stands alone" if kind == "rules" else f"write {kind}:NAME"
        raise JudgeError(f"No judge is named {name!r}: {form}.")
    return kind, argument, model or None


def open_judge(name: str, choice: Choice | None = None) -> Judge:
    """The judge of a name such as `rules`, `guard:llama-guard-3` or `endpoint:MODEL`, ready to judge.

    Raises:
        JudgeError: There is none of that name, or it cannot be made from the choice; the text says what to do.
        CheckpointError: Its model cannot be had.
    """
    kind, argument, model = parse(name)
    return JUDGES[kind]((choice or Choice()).of(argument, model))
