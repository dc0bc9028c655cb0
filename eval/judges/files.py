"""Labels a file of responses: rows of id, language, request and response come back with a label and a reason."""

import json
from pathlib import Path
from typing import Any

from eval.errors import JudgeError
from eval.judges.rules import RuleJudge
from eval.types import Item, Judge, Response

JUDGES = {"rules": RuleJudge}
FIELDS = ("id", "language", "request", "response")


def label_file(name: str, source: Path, out: Path) -> int:
    """Label every row of a JSONL file; the result appears whole or not at all.

    Returns:
        How many rows were labelled.

    Raises:
        JudgeError: Unknown judge, no such file or folder, or a row that lacks a field (the text says file:line).
    """
    if name not in JUDGES:
        raise JudgeError(f"Unknown judge {name!r}. Known: {', '.join(JUDGES)}.")
    if not source.is_file():
        raise JudgeError(f"There is no file {source}.")
    if not out.parent.is_dir():
        raise JudgeError(f"There is no folder {out.parent} to write {out.name} to.")
    judge: Judge = JUDGES[name]()
    rows = _rows(source)
    items = [Item(str(row["id"]), str(row["id"]), "harmful", row["language"], row["request"]) for _, row in rows]
    responses = [Response(item.id, row["response"]) for item, (_, row) in zip(items, rows, strict=True)]
    labelled = []
    for (number, row), item, response in zip(rows, items, responses, strict=True):
        try:
            (verdict,) = judge.judge([item], [response])
        except JudgeError as error:
            raise JudgeError(f"{source.name}:{number}: {error}") from error
        labelled.append({**row, "label": verdict.label, "reason": verdict.reason})
    draft = out.with_name(f".{out.name}.partial")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled)
    draft.replace(out)
    return len(labelled)


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
