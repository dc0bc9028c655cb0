"""What has been screened and measured so far: two files of lines in the output folder. Needs no torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from eval.paper.entries import Entry
from eval.paper.kept import Kept, append_line, from_row, read_lines, to_row, write_lines
from eval.paper.screening import Screened

SCREENING, MEASUREMENTS = "screening.jsonl", "measurements.jsonl"
Group = tuple[str, str, str, str]
Contents = Callable[[Entry], "tuple[str, ...] | None"]
"""Sorted sha256 of a row's checkpoints, None where they are not here: then what was kept of them is taken as it is."""
One = TypeVar("One", Screened, Kept)


class Record:
    """The lines of both files; every addition is on the disk at once, so that a killed run goes on after it."""

    def __init__(self, out: Path) -> None:
        """Read what the folder holds.

        Raises:
            PaperError: A line is of another version or damaged.
        """
        self.out = out
        self._screened = [Screened.from_row(row) for row in read_lines(out / SCREENING)]
        self._kept = [from_row(row) for row in read_lines(out / MEASUREMENTS)]

    def screened(self, entries: Sequence[Entry], contents: Contents, scored_by: str | None) -> dict[str, Screened]:
        """Row id -> its scores, by one way of scoring (None: by that of the newest line)."""
        way = scored_by or (self._screened[-1].scored_by if self._screened else "")
        lines = [one for one in self._screened if one.scored_by == way]
        return _by_row(entries, contents, lines, lambda one: one.recipe_digest, lambda one: one.checkpoints)

    def kept(self, entries: Sequence[Entry], contents: Contents, group: Group | None) -> dict[str, Kept]:
        """Row id -> its measurement, of one way of measuring (None: of that of the newest line)."""
        way = group or (self._kept[-1].identity.group() if self._kept else ("", "", "", ""))
        lines = [one for one in self._kept if one.identity.group() == way]
        return _by_row(entries, contents, lines, lambda one: one.identity.recipe_digest, _checkpoints)

    def add_screened(self, one: Screened) -> None:
        """Keep the scores of one recipe."""
        self._screened.append(one)
        append_line(self.out / SCREENING, one.to_row())

    def add_kept(self, one: Kept) -> None:
        """Keep the measurement of one recipe."""
        self._kept.append(one)
        append_line(self.out / MEASUREMENTS, to_row(one))

    def tidy(self, screened: Mapping[str, Screened], kept: Mapping[str, Kept]) -> None:
        """Leave in the files only what the rows use: older versions of them go."""
        _tidied(self.out / SCREENING, [one.to_row() for one in self._screened], [o.to_row() for o in screened.values()])
        _tidied(self.out / MEASUREMENTS, [to_row(one) for one in self._kept], [to_row(one) for one in kept.values()])


def _checkpoints(one: Kept) -> tuple[str, ...]:
    return tuple(sorted(one.identity.checkpoints.values()))


def _by_row(
    entries: Sequence[Entry],
    contents: Contents,
    lines: Sequence[One],
    digest: Callable[[One], str],
    checkpoints: Callable[[One], tuple[str, ...]],
) -> dict[str, One]:
    """The newest line of every row whose recipe and, where they can be told, whose checkpoints agree."""
    by_digest: dict[str, list[One]] = {}
    for line in lines:
        by_digest.setdefault(digest(line), []).append(line)
    found = {}
    for entry in entries:
        held = by_digest.get(entry.recipe.digest())
        if held:
            here = contents(entry)
            fitting = [line for line in held if here is None or checkpoints(line) == here]
            if fitting:
                found[entry.id] = fitting[-1]
    return found


def _tidied(path: Path, held: Sequence[Mapping[str, Any]], used: Sequence[Mapping[str, Any]]) -> None:
    if len(used) < len(held):
        write_lines(path, [row for row in held if row in used])
