"""Probe sets are data, JSONL files with a header line: read here, checked line by line, and hashed by what they say."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.errors import ProbeError
from eval.types import KINDS, Item

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "probes"
PASSAGES = "passages"
_ITEM_KEYS = {f.name for f in fields(Item)}
_NEEDED = ("id", "cluster", "kind", "language", "prompt")


@dataclass(frozen=True)
class ProbeSet:
    """The items of a probe and the header that says what they are."""

    header: Mapping[str, Any]
    items: tuple[Item, ...]
    hash: str
    """Hex sha256 of header and items, blind to white space and key order."""
    by_id: Mapping[str, Item] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The name in the header."""
        return str(self.header["id"])

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in the header's order."""
        return tuple(self.header["languages"])


@dataclass(frozen=True)
class Passage:
    """A held-out text for bits per byte."""

    id: str
    cluster: str
    language: str
    kind: str
    text: str


def listing() -> tuple[str, ...]:
    """Names of the shipped probe sets."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.jsonl") if path.stem != PASSAGES))


def load(name: str) -> ProbeSet:
    """Read a shipped probe set by name, or a JSONL file by its path.

    Raises:
        ProbeError: No such probe, or a line breaks the schema (the text says file:line).
    """
    path = Path(name) if name.endswith(".jsonl") else FOLDER / f"{name}.jsonl"
    if not path.is_file():
        known = ", ".join(listing()) or "none"
        raise ProbeError(f"No probe {name!r}. Known: {known}; or give the path of a .jsonl file.")
    stat = path.stat()
    return _read(path.resolve(), stat.st_mtime_ns, stat.st_size)


def passages() -> tuple[Passage, ...]:
    """The held-out texts for bits per byte, in file order.

    Raises:
        ProbeError: The file is missing or a line breaks the schema.
    """
    path = FOLDER / f"{PASSAGES}.jsonl"
    if not path.is_file():
        raise ProbeError(f"{path.name} is missing from assets/probes.")
    found = []
    for number, row in list(_rows(path))[1:]:
        missing = [key for key in ("id", "cluster", "language", "kind", "text") if not row.get(key)]
        if missing:
            raise ProbeError(f"{path.name}:{number}: missing {', '.join(missing)}.")
        found.append(Passage(**{key: str(row[key]) for key in ("id", "cluster", "language", "kind", "text")}))
    return tuple(found)


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, _size: int) -> ProbeSet:
    rows = list(_rows(path))
    if not rows:
        raise ProbeError(f"{path.name}: empty; the first line is the header, each other line an item.")
    header = rows[0][1]
    for key in ("id", "languages"):
        if not header.get(key):
            raise ProbeError(f"{path.name}:1: the header lacks {key!r}.")
    items = []
    seen: dict[str, int] = {}
    for number, row in rows[1:]:
        where = f"{path.name}:{number}"
        item = _item(row, where, tuple(header["languages"]))
        if item.id in seen:
            raise ProbeError(f"{where}: id {item.id!r} was used on line {seen[item.id]}.")
        seen[item.id] = number
        items.append(item)
    if not items:
        raise ProbeError(f"{path.name}: no items after the header.")
    said = json.dumps([row for _, row in rows], sort_keys=True, ensure_ascii=False)
    return ProbeSet(header, tuple(items), hashlib.sha256(said.encode()).hexdigest(), {item.id: item for item in items})


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path.name}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: U+2028 may stand inside a prompt
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ProbeError(f"{path.name}:{number}: not JSON ({error.msg} at column {error.colno}).") from error
        if not isinstance(row, dict):
            raise ProbeError(f"{path.name}:{number}: expected an object, found {type(row).__name__}.")
        yield number, row


def _item(row: Mapping[str, Any], where: str, languages: tuple[str, ...]) -> Item:
    missing = [key for key in _NEEDED if not isinstance(row.get(key), str) or not row[key].strip()]
    if missing:
        raise ProbeError(f"{where}: {', '.join(missing)} must be a text that is not empty.")
    if unknown := sorted(set(row) - _ITEM_KEYS):
        known = ", ".join(sorted(_ITEM_KEYS))
        raise ProbeError(f"{where}: unknown key {', '.join(map(repr, unknown))}. Known: {known}.")
    if row["kind"] not in KINDS:
        raise ProbeError(f"{where}: kind {row['kind']!r} is none of {', '.join(KINDS)}.")
    if row["language"] not in languages:
        raise ProbeError(f"{where}: language {row['language']!r} is not in the header ({', '.join(languages)}).")
    lists: dict[str, tuple[str, ...]] = {}
    for key in ("references", "options"):
        value = row.get(key) or []
        if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
            raise ProbeError(f"{where}: {key} must be a list of texts that are not empty.")
        lists[key] = tuple(value)
    item = Item(**{**row, **lists})
    _check_kind(item, where)
    return item


def _check_kind(item: Item, where: str) -> None:
    if item.kind == "instruction" and not item.references:
        raise ProbeError(f"{where}: an instruction item needs at least one reference.")
    if item.kind != "choice":
        return
    if len(item.options) < 2 or len(set(item.options)) < len(item.options):
        raise ProbeError(f"{where}: a choice item needs two or more options, all different.")
    if type(item.answer) is not int or not 0 <= item.answer < len(item.options):
        raise ProbeError(f"{where}: answer must be the position of the right option, 0 to {len(item.options) - 1}.")
