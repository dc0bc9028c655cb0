"""Rows of the files that sets on the hub come in: JSONL, CSV and parquet, and nothing that could run code."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eval.errors import ProbeError

Row = dict[str, Any]
csv.field_size_limit(1_000_000)


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Number and content of every row, counted from 1 (for JSONL and CSV: the line).

    Raises:
        ProbeError: The file is of another kind, or damaged.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        raise ProbeError(f"{path.name} is none of {', '.join(_READERS)}, and nothing else is read.")
    yield from read(path)


def _jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):  # not splitlines: U+2028 may stand in a prompt
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ProbeError(f"{path.name}:{number}: not JSON ({error.msg} at column {error.colno}).") from error
        if not isinstance(row, dict):
            raise ProbeError(f"{path.name}:{number}: expected an object, found {type(row).__name__}.")
        yield number, row


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    try:
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if key is not None}
    except csv.Error as error:
        raise ProbeError(f"{path.name}:{reader.line_num}: not CSV ({error}).") from error


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ProbeError(
            f"{path.name} is a parquet file, which takes pyarrow: pip install -r requirements-tasks.txt."
        ) from error
    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches()
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)
    except (pyarrow.ArrowException, OSError) as error:
        raise ProbeError(f"{path.name} is a damaged parquet file ({error}).") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path.name}: not UTF-8 (byte {error.start}).") from error


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
