"""The data file of a judge that is a model: which checkpoint and languages, how it is asked, what its labels mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from eval.errors import JudgeError
from eval.judges.meaning import check_meanings

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "judges"
_NEEDED = ("version", "model", "revision", "licence", "source", "languages", "meanings")
_PLACE = re.compile(r"\{(request|response)\}")


@dataclass(frozen=True)
class Card:
    """What every such judge says of itself."""

    name: str
    version: int
    model: str
    """Folder or hub id."""
    revision: str | None
    licence: str
    languages: tuple[str, ...] | None
    """Codes of what it reads; None (written "any"): all."""
    meanings: Mapping[str, str]
    """The model's own labels -> `eval.judges.meaning.MEANINGS`."""
    more: Mapping[str, Any]
    """The rest of the file, for the kind of judge it belongs to."""

    def checkpoint(self, model: str | None = None) -> str:
        """The model to load: the one given, else the card's at its revision."""
        return model or (f"{self.model}@{self.revision}" if self.revision else self.model)

    def want(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """A further entry of the file.

        Raises:
            JudgeError: It is missing or of another type.
        """
        found = self.more.get(key)
        if not isinstance(found, kind):
            raise JudgeError(f"{self.name}: {key!r} is missing or of the wrong type.")
        return found


def listing(kind: Literal["guards", "classifiers"]) -> tuple[str, ...]:
    """Names of the shipped data files of a kind."""
    return tuple(sorted(path.stem for path in (FOLDER / kind).glob("*.yaml")))


def read_card(kind: Literal["guards", "classifiers"], name: str) -> Card:
    """A shipped data file by its name, or any by its path.

    Raises:
        JudgeError: There is none, or it lacks something.
    """
    named = name.endswith((".yaml", ".yml"))
    path = Path(name) if named else FOLDER / kind / f"{name}.yaml"
    if not path.is_file() or not (named or name in listing(kind)):
        raise JudgeError(f"There is no {kind[:-1]} {name!r}. Known: {', '.join(listing(kind))}; or name a .yaml file.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JudgeError(f"{path.name}: not YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(raw, dict) or any(key not in raw for key in _NEEDED):
        raise JudgeError(f"{path.name}: it needs {', '.join(_NEEDED)}.")
    return Card(
        name=path.stem,
        version=raw["version"],
        model=str(raw["model"]),
        revision=raw["revision"],
        licence=str(raw["licence"]),
        languages=None if raw["languages"] == "any" else tuple(map(str, raw["languages"])),
        meanings=check_meanings(raw["meanings"], path.name),
        more={key: value for key, value in raw.items() if key not in _NEEDED},
    )


def fill(template: Any, request: str, response: str) -> Any:
    """The template with request and response in their places, in every text of it.

    All places are filled in one pass: "{response}" inside a request stays what it is.
    """
    if isinstance(template, str):
        return _PLACE.sub(lambda place: request if place[1] == "request" else response, template)
    if isinstance(template, list):
        return [fill(entry, request, response) for entry in template]
    if isinstance(template, dict):
        return {key: fill(entry, request, response) for key, entry in template.items()}
    return template
