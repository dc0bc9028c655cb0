"""A user's own probe: a CSV or JSONL file with a prompt, a language and a kind in every row, checked cell by cell."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from eval.errors import ProbeError
from eval.probes import ProbeSet
from eval.sets.cells import NEEDED, CellError, item_of
from eval.sets.narrow import assembled
from eval.sets.table import Row, first_columns, table
from eval.types import Item

SUFFIXES = (".csv", ".tsv", ".jsonl")
MAX_BYTES = 16_000_000
MAX_ITEMS = 20_000


def is_own(path: Path) -> bool:
    """Whether a file is to be read here: CSV, or JSONL whose first row is an item and no header."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    return path.suffix != ".jsonl" or bool(set(NEEDED) & set(first_columns(path)))


def load(path: Path) -> ProbeSet:
    """The probe in a file.

    Raises:
        ProbeError: Something is wrong with it; the text has the first problem, and how many more there are.
    """
    probe, problems = check(path)
    if probe is None:
        rest = f" ({len(problems) - 1} more: python -m eval check-probe lists them)" if len(problems) > 1 else ""
        raise ProbeError(problems[0] + rest)
    return probe


def check(path: Path) -> tuple[ProbeSet | None, list[str]]:
    """The probe in a file, or None and what is wrong with it: sentences that begin with file:line."""
    if not path.is_file():
        return None, [f"There is no file {path}."]
    if path.suffix not in SUFFIXES:
        return None, [f"{path.name}: a probe is a .csv or .jsonl file (a spreadsheet can be saved as CSV UTF-8)."]
    if path.stat().st_size > MAX_BYTES:
        return None, [f"{path.name}: {path.stat().st_size / 1e6:.0f} MB is too much, {MAX_BYTES / 1e6:.0f} is most."]
    reading = _Reading(path.name)
    try:
        for row in table(path):
            reading.add(row)
    except ProbeError as error:
        reading.problems.append(str(error))
    if not reading.items and not reading.problems:
        reading.problems.append(f"{path.name}: no items; every row but the column names of a CSV file is one.")
    return (None, reading.problems) if reading.problems else (reading.probe(path), [])


@dataclass
class _Reading:
    """Items and problems of a file, row by row."""

    name: str
    items: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take a row, or note what is wrong with it.

        Raises:
            ProbeError: There are too many.
        """
        where = f"{self.name}:{row.line}"
        if len(self.items) >= MAX_ITEMS:
            raise ProbeError(f"{where}: more than {MAX_ITEMS} items.")
        try:
            if row.problem:
                raise ProbeError(row.problem)
            item = item_of(row.cells, len(self.items) + 1)
            self._once(row.line, f"id {item.id!r}", "id", item.id)
            self._once(row.line, f"this prompt ({item.kind}, {item.language})", item.kind, item.language, item.prompt)
        except (ProbeError, CellError) as error:
            self.problems.append(f"{where}: {error}")
            return
        self.items.append(item)

    def _once(self, line: int, what: str, *key: str) -> None:
        if self._lines.setdefault(key, line) != line:
            raise ProbeError(f"{what} is on line {self._lines[key]} already; keep one of the two.")

    def probe(self, path: Path) -> ProbeSet:
        """The probe; items count as parallel where their cluster has more than one language."""
        spoken: dict[str, set[str]] = defaultdict(set)
        for item in self.items:
            spoken[item.cluster].add(item.language)
        items = [replace(item, parallel=len(spoken[item.cluster]) > 1) for item in self.items]
        languages = list(dict.fromkeys(item.language for item in items))
        return assembled({"id": path.name, "languages": languages, "source": path.name}, items)
