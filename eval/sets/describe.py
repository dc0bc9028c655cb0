"""Sets on the hub are data: one YAML file a set in assets/sets says where it lies and what its columns mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from eval.errors import ProbeError
from eval.types import KINDS, Kind
from merging.errors import did_you_mean

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "sets"


@dataclass(frozen=True)
class Part:
    """Where the rows of one language are."""

    file: str
    """Path in the repository, may hold `*`."""
    count: int | Mapping[Kind, int]
    """Items of the language (of each kind), as published."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Only rows with these values count."""
    prompt: str | None = None
    """Used in place of the fields' own, where languages are columns."""

    def counts(self, kinds: tuple[Kind, ...]) -> Mapping[Kind, int]:
        """Items of each kind."""
        return dict.fromkeys(kinds, self.count) if isinstance(self.count, int) else self.count


@dataclass(frozen=True)
class Fields:
    """What a row's columns mean; texts in braces are filled in from the columns they name."""

    kind: Kind | Mapping[str, Any]
    """A kind, or {field, values: {value: kind}}."""
    prompt: str = ""
    id: str = ""
    """Left out: the row's number."""
    cluster: str = ""
    """Shared by translations; left out: every item is a cluster of its own."""
    category: str = ""
    """A column; one text, or a list of texts."""
    references: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    """{field, values}: the values that stand for the first option, the second, ..."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of item that the rows give."""
        return (self.kind,) if isinstance(self.kind, str) else tuple(self.kind["values"].values())


@dataclass(frozen=True)
class Described:
    """A set on the hub."""

    name: str
    title: str
    hub: str
    licence: str
    paper: str
    about: str
    languages: Mapping[str, Part]
    fields: Fields
    revision: str | None = None
    """A commit that was checked, or None: then the commit that `main` points at is taken, and recorded."""
    parallel: bool = False
    """The items are translations of each other."""
    clusters: int | None = None
    """Independent items a language, where they are fewer than its items."""
    gated: bool = False
    """Its terms must be accepted on its page first."""

    @property
    def has_references(self) -> bool:
        """Whether chrF can score its instructions."""
        return bool(self.fields.references) or "instruction" not in self.fields.kinds


def listing() -> tuple[str, ...]:
    """Names of the sets that are described."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@lru_cache(maxsize=32)
def described(name: str) -> Described:
    """The description of a set.

    Raises:
        ProbeError: There is none of that name, or it is not one.
    """
    path = FOLDER / f"{name}.yaml"
    if name not in listing():
        raise ProbeError(f"No set {name!r} on the hub is described.{did_you_mean(name, listing())} "
                         f"Known: {', '.join(listing())}.")  # fmt: skip
    return read(path)


def read(path: Path) -> Described:
    """A description from its file.

    Raises:
        ProbeError: A key is missing or unknown, or a kind is none.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        languages = {code: _filled(Part, part) for code, part in raw.pop("languages").items()}
        columns = raw.pop("fields")
        lists = {key: tuple(columns.get(key, ())) for key in ("references", "options")}
        found = _filled(
            Described,
            {**raw, "name": path.stem, "languages": languages, "fields": _filled(Fields, {**columns, **lists})},
        )
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProbeError(f"{path.name} does not describe a set: {error}.") from error
    if wrong := [kind for kind in found.fields.kinds if kind not in KINDS]:
        raise ProbeError(f"{path.name}: kind {wrong[0]!r} is none of {', '.join(KINDS)}.")
    return found


def _filled(kind: type[Any], values: Mapping[str, Any]) -> Any:
    known = {one.name for one in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown key {unknown[0]!r}{did_you_mean(unknown[0], known)}")
    return kind(**values)
