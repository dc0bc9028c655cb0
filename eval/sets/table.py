"""The rows of a user's own CSV or JSONL file, with their lines; UTF-8 only, separators found out from the header."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import ProbeError
from eval.sets.cells import COLUMNS, NEEDED
from merging.errors import did_you_mean

SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class Row:
    """One row: its cells by column, or why it has none."""

    line: int
    cells: dict[str, Any]
    problem: str | None = None


def table(path: Path) -> Iterator[Row]:
    """The rows of a file; columns whose names begin with _ are left out.

    Raises:
        ProbeError: The file as a whole cannot be read from some line on (the text says file:line).
    """
    text = _decoded(path)
    yield from _jsonl(text) if path.suffix == ".jsonl" else _csv(path.name, text)


def first_columns(path: Path) -> Sequence[str]:
    """The keys of the first row of a JSONL file; none where it cannot be read."""
    with path.open("rb") as file:
        line = next((raw for raw in file if raw.strip()), b"")
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except ValueError:
        return ()
    return tuple(row) if isinstance(row, dict) else ()


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProbeError(f"{path.name}:1: this is UTF-16; save the file as UTF-8 (in a spreadsheet: CSV UTF-8).")
    try:
        text = data.decode("utf-8-sig")  # a byte order mark is what spreadsheets write, and passed over
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ProbeError(
            f"{path.name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 "
            "(in a spreadsheet: CSV UTF-8)."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ProbeError(f"{path.name}:{line}: a zero byte; this is no text file.")
    return text


def _jsonl(text: str) -> Iterator[Row]:
    for line, written in enumerate(text.split("\n"), start=1):  # not splitlines: U+2028 may stand in a prompt
        if not written.strip():
            continue
        try:
            row = json.loads(written)
        except json.JSONDecodeError as error:
            yield Row(line, {}, f"not JSON ({error.msg} at column {error.colno}).")
            continue
        if not isinstance(row, dict):
            yield Row(line, {}, f'expected an object such as {{"prompt": ...}}, found {type(row).__name__}.')
            continue
        unknown = [key for key in row if key not in COLUMNS and not key.startswith("_")]
        problem = _unknown(unknown[0]) if unknown else None
        yield Row(line, {key: value for key, value in row.items() if key in COLUMNS}, problem)


def _csv(name: str, text: str) -> Iterator[Row]:
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(head), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if columns is None:
                    columns = _columns(name, line, cells)
                else:
                    yield _row(line, columns, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ProbeError(f'{name}:{line}: {error}; a cell that holds a quote is written "like ""this""".') from error


def _row(line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        problem = (
            f"{len(cells)} cells under {len(columns)} columns; "
            "a cell that holds the separator or a line break stands in double quotes."
        )
        return Row(line, {}, problem)
    return Row(line, {key: cell for key, cell in zip(columns, cells, strict=True) if key in COLUMNS and cell.strip()})


def _separator(head: str) -> str:
    """Whichever splits the header into the most columns that are known."""

    def known(separator: str) -> int:
        return sum(cell.strip().strip('"').casefold() in COLUMNS for cell in head.split(separator))

    return max(SEPARATORS, key=known)


def _columns(name: str, line: int, cells: list[str]) -> list[str]:
    columns = [cell.strip().casefold() for cell in cells]
    where = f"{name}:{line}"
    if not set(columns) & set(COLUMNS):
        raise ProbeError(f"{where}: the first row names the columns: {', '.join(NEEDED)}, and any of {_others()}.")
    for column in columns:
        if column not in COLUMNS and not column.startswith("_"):
            raise ProbeError(f"{where}: {_unknown(column)}")
        if columns.count(column) > 1:
            raise ProbeError(f"{where}: column {column!r} is there twice; keep one.")
    if missing := [column for column in NEEDED if column not in columns]:
        raise ProbeError(f"{where}: no column {missing[0]!r}; every probe has {', '.join(NEEDED)}.")
    return columns


def _unknown(column: str) -> str:
    if not column:
        return "a column has no name; name it, or begin its name with _ to have it passed over."
    hint = did_you_mean(column, COLUMNS)
    return f"unknown column {column!r}.{hint} Known: {', '.join(COLUMNS)}; a name that begins with _ is passed over."


def _others() -> str:
    return ", ".join(column for column in COLUMNS if column not in NEEDED)
