"""Probe sets are data, JSONL files with a header: read here, checked line by line, and hashed by what they say.

A set is one file whose first line is its header, or one split of a folder: `header.json` there names the sets and says
which split each is, and every row says which split it belongs to.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.errors import ProbeError
from eval.types import KINDS, Item

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "probes"
PASSAGES = "passages"
TIERS = ("quick", "full")
_HEADER = "header.json"
_ITEM_KEYS = {f.name for f in fields(Item)}
_SPLIT_KEYS = {"split", "setting", "area"}  # what keeps the splits of a folder apart; no concern of whoever measures
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
    def tier(self) -> str:
        """How thoroughly it is measured, "quick" where the header does not say."""
        return str(self.header.get("tier", TIERS[0]))

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
    files = (path.stem for path in FOLDER.glob("*.jsonl") if path.stem != PASSAGES)
    return tuple(sorted((*files, *_splits())))


def load(name: str) -> ProbeSet:
    """Read a shipped probe set by name, a file by its path, or whatever else `eval.sets` knows how to get.

    Raises:
        ProbeError: No such probe, or a line breaks the schema (the text says file:line).
    """
    from eval import sets  # which stands on this module

    if sets.handles(name):
        return sets.load(name)
    path = Path(name) if name.endswith(".jsonl") else FOLDER / f"{name}.jsonl"
    if path.is_file():
        return _read(_states([path]))
    folder = _splits().get(name)
    if folder is None:
        known = ", ".join(listing()) or "none"
        raise ProbeError(f"No probe {name!r}. Known: {known}; or give the path of a .jsonl or .csv file, or hub:NAME.")
    return _read_split(name, _states([folder / _HEADER, *sorted(folder.glob("*.jsonl"))]))


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


_State = tuple[Path, int, int]


def _states(paths: Sequence[Path]) -> tuple[_State, ...]:
    """Files with what changes when they do: the key under which a set that was read is kept."""
    return tuple((path.resolve(), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)


def _splits() -> dict[str, Path]:
    """Name of each set that is one split of a folder -> the folder."""
    return {name: path.parent for path in sorted(FOLDER.glob(f"*/{_HEADER}")) for name in _headers(path)}


def _headers(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ProbeError(f"{path.parent.name}/{path.name}: not JSON ({error}).") from error
    whole = isinstance(found, dict) and all(isinstance(one, dict) and one.get("split") for one in found.values())
    if not whole or any(one.get("id") != name for name, one in found.items()):
        raise ProbeError(f"{path.parent.name}/{path.name}: expected for each name a header with that id and a split.")
    return found


@lru_cache(maxsize=8)
def _read(states: tuple[_State, ...]) -> ProbeSet:
    ((path, _, _),) = states
    rows = [(f"{path.name}:{number}", row) for number, row in _rows(path)]
    if not rows:
        raise ProbeError(f"{path.name}: empty; the first line is the header, each other line an item.")
    return _probe_set(rows[0][1], rows[0][0], rows[1:])


@lru_cache(maxsize=8)
def _read_split(name: str, states: tuple[_State, ...]) -> ProbeSet:
    (top, _, _), *files = states
    header = _headers(top)[name]
    rows = [(f"{path.name}:{number}", row) for path, _, _ in files for number, row in _rows(path)]
    splits = {one["split"] for one in _headers(top).values()}
    for where, row in rows:
        if row.get("split") not in splits:
            raise ProbeError(f"{where}: split {row.get('split')!r} is none of {', '.join(sorted(splits))}.")
    mine = [(where, row) for where, row in rows if row["split"] == header["split"]]
    return _probe_set(header, f"{top.parent.name}/{top.name}", mine)


def _probe_set(header: dict[str, Any], head: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> ProbeSet:
    """Header and rows as a probe, each row with where it stands, the header with where it does."""
    for key in ("id", "languages"):
        if not header.get(key):
            raise ProbeError(f"{head}: the header lacks {key!r}.")
    if header.get("tier", TIERS[0]) not in TIERS:
        raise ProbeError(f"{head}: tier {header['tier']!r} is none of {', '.join(TIERS)}.")
    items: dict[str, Item] = {}
    seen: dict[str, str] = {}
    own = _SPLIT_KEYS if "split" in header else frozenset()
    for where, row in rows:
        item = _item({key: value for key, value in row.items() if key not in own}, where, tuple(header["languages"]))
        if item.id in seen:
            raise ProbeError(f"{where}: id {item.id!r} was used at {seen[item.id]}.")
        seen[item.id] = where
        items[item.id] = item
    if not items:
        raise ProbeError(f"{head.rpartition(':')[0] or head}: no items after the header.")
    said = json.dumps([header, *(row for _, row in rows)], sort_keys=True, ensure_ascii=False)
    return ProbeSet(header, tuple(items.values()), hashlib.sha256(said.encode()).hexdigest(), items)


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
