"""Labels a file of responses: rows of id, language, request and response come back with a label and a reason."""

import json
from pathlib import Path
from typing import Any

from eval.errors import JudgeError
from eval.judges.asking import verdicts
from eval.types import KINDS, Item, Judge, Kind, Response, Verdict

_KINDS: dict[str, Kind] = {kind: kind for kind in KINDS}
FIELDS = ("id", "language", "request", "response")


def label_file(judge: Judge, source: Path, out: Path) -> list[Verdict]:
    """Label every row of a JSONL file; the result appears whole or not at all.

    A row may also hold `kind` (one of the probe's kinds, else "harmful" is taken) and whatever else: it is kept.

    Raises:
        JudgeError: No such file or folder, or a row that lacks a field (the text says file:line).
    """
    check_paths(source, out)
    rows = read_rows(source)
    items = [item_of(row) for row in rows]
    found = verdicts(judge, items, [Response(item.id, row["response"]) for item, row in zip(items, rows, strict=True)])
    labelled = [{**row, **_labels(verdict, judge)} for row, verdict in zip(rows, found, strict=True)]
    draft = out.with_name(f".{out.name}.partial")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled)
    draft.replace(out)
    return found


def check_paths(source: Path, out: Path | None = None) -> None:
    """Find out before the work whether there is something to read, and somewhere to write.

    Raises:
        JudgeError: There is not.
    """
    if not source.is_file():
        raise JudgeError(f"There is no file {source}.")
    if out is not None and not out.parent.is_dir():
        raise JudgeError(f"There is no folder {out.parent} to write {out.name} to.")


def item_of(row: dict[str, Any]) -> Item:
    """The item that a row answers."""
    kind = _KINDS.get(str(row.get("kind")), "harmful")
    return Item(str(row["id"]), str(row.get("cluster") or row["id"]), kind, row["language"], row["request"])


def _labels(verdict: Verdict, judge: Judge) -> dict[str, Any]:
    severity = {"severity": verdict.severity} if verdict.severity else {}
    return {"label": verdict.label, "reason": verdict.reason, **severity, "judge": judge.id}


def read_rows(source: Path) -> list[dict[str, Any]]:
    """Rows of id, language, request and response.

    Raises:
        JudgeError: A line is none (the text says file:line).
    """
    return [row for _, row in _rows(source)]


def _rows(source: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JudgeError(f"{source.name}: not UTF-8 (byte {error.start}).") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise JudgeError(f"{source.name}:{number}: not JSON ({error.msg}).") from error
        if not isinstance(row, dict) or any(field not in row for field in FIELDS):
            raise JudgeError(f"{source.name}:{number}: a row needs {', '.join(FIELDS)}.")
        if not all(isinstance(row[field], str) for field in FIELDS[1:]):
            raise JudgeError(f"{source.name}:{number}: language, request and response must be texts.")
        rows.append((number, row))
    return rows
